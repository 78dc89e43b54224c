// What several declarations would change, compared with what runs: all faults of all of them at once.
import { type Fault, SluiceError } from "../errors.ts";
import type { Catalog } from "../function/catalog.ts";
import { CommittedStore } from "../generation/committed.ts";
import {
  type ApplyOptions,
  type Declaration,
  extendFault,
  refuseRestart,
  requireMatch,
  requireName,
} from "./declarations.ts";
import * as engines from "./engines.ts";
import { type ChangePlan, compareWithRunning, type PlannedDocument, planDocument, type Running } from "./planning.ts";
import type { Revision, Revisions } from "./revisions.ts";
import type { Settlement } from "./settlement.ts";

export interface Planned {
  readonly planned: PlannedDocument;
  readonly plan: ChangePlan;
  readonly current: Revision | undefined;
}

export interface PlannerSetup {
  readonly revisions: Revisions;
  readonly settlement: Settlement;
  readonly openCatalog: () => Catalog;
}

export class ChangePlanner {
  readonly #revisions: Revisions;
  readonly #settlement: Settlement;
  readonly #openCatalog: () => Catalog;

  constructor({ revisions, settlement, openCatalog }: PlannerSetup) {
    this.#revisions = revisions;
    this.#settlement = settlement;
    this.#openCatalog = openCatalog;
  }

  /** Throws all that is wrong with any of them. */
  async plan(declarations: readonly Declaration[], options: ApplyOptions): Promise<Planned[]> {
    const catalog = options.catalog ?? this.#openCatalog();
    const faults: Fault[] = [];
    const planned: Planned[] = [];
    for (const declaration of declarations) {
      try {
        planned.push(await this.#planOne(declaration, options, catalog));
      } catch (error) {
        if (!(error instanceof SluiceError)) throw error;
        faults.push(...error.faults.map((fault) => extendFault(fault, declaration)));
      }
    }
    if (faults.length === 0) faults.push(...this.#findSharedDevices(planned));
    if (faults.length > 0) throw new SluiceError(...(faults as [Fault, ...Fault[]]));
    return planned;
  }

  async #planOne({ chain, text, where }: Declaration, options: ApplyOptions, catalog: Catalog): Promise<Planned> {
    await this.#settlement.settle(chain);
    const current = this.#revisions.confirmed(chain);
    requireMatch(chain, current, options);
    requireNothingUnderWay(this.#revisions, chain);
    const running = findRunning(chain, current);
    const planned = planDocument(text, where, catalog, running?.plan);
    requireName(chain, planned, where);
    const plan = compareWithRunning(planned, running);
    if (plan.way === "restart" && options.restart !== true && options.dryRun !== true) {
      throw refuseRestart(chain, plan.restartFor);
    }
    return { planned, plan, current };
  }

  /** A device belongs to one chain. */
  #findSharedDevices(planned: readonly Planned[]): Fault[] {
    const documents = new Map(
      this.#revisions.chains().map(({ name }) => [name, this.#revisions.confirmed(name)?.pinned]),
    );
    for (const { plan, planned: next } of planned) documents.set(plan.chain, next.pinned);
    const owners = new Map<string, string>();
    for (const [chain, document] of documents) {
      if (planned.some(({ plan }) => plan.chain === chain)) continue;
      for (const { device } of Object.values(document?.ports ?? {}))
        if (device !== undefined) owners.set(device, chain);
    }
    return planned.flatMap(({ plan: { chain }, planned: { pinned } }) =>
      Object.entries(pinned.ports).flatMap(([name, { device = "" }]): Fault[] => {
        const owner = owners.get(device);
        owners.set(device, chain);
        if (owner === undefined || owner === chain) return [];
        const what = `the device ${device} is a port of the chain "${owner}"`;
        return [{ code: "device-busy", where: `${chain}: ports.${name}`, what, pointer: `/ports/${name}/device` }];
      }),
    );
  }
}

/** Throws upgrade-state if a change of the chain is under way. */
export function requireNothingUnderWay(revisions: Revisions, chain: string): void {
  const revision = revisions.underWay(chain);
  if (revision === undefined) return;
  const what = `revision ${revision.revision} is ${revision.state}`;
  throw new SluiceError({ code: "upgrade-state", where: chain, what, help: "confirm it, or roll it back, first" });
}

function findRunning(chain: string, current: Revision | undefined): Running | null {
  const engine = engines.findRunning(chain);
  const plan = engine === undefined ? undefined : new CommittedStore(engine.path).peek()?.plan;
  return current === undefined || engine === undefined || plan === undefined
    ? null
    : { document: current.pinned, plan, engine };
}
