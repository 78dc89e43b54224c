// The declared chains: what operators ask for, one request after the other.
import { SluiceError } from "../errors.ts";
import type { HostedChain } from "../generation/host-socket.ts";
import type { UpgradeStatus } from "../generation/upgrade-status.ts";
import { ChangePlanner, type Planned, type PlannerSetup, requireNothingUnderWay } from "./change-planner.ts";
import {
  type Applied,
  type ApplyOptions,
  type Declaration,
  declare,
  requireGeneration,
  requireMatch,
} from "./declarations.ts";
import { Deployment, type DeploymentOptions, type Part, type SwitchOptions } from "./deployment.ts";
import { diffDocuments } from "./diff.ts";
import * as engines from "./engines.ts";
import { materialize } from "./materials.ts";
import type { Packages } from "./packages.ts";
import type { NewRevision, Revision, Revisions } from "./revisions.ts";
import type { Settlement } from "./settlement.ts";

export interface ChainsSetup extends PlannerSetup {
  readonly packages: Packages;
  /** That were named on the command line for the chain. */
  readonly foldersOf?: (chain: string) => readonly string[];
}

export class Chains {
  readonly #revisions: Revisions;
  readonly #packages: Packages;
  readonly #settlement: Settlement;
  readonly #planner: ChangePlanner;
  readonly #foldersOf: (chain: string) => readonly string[];
  #busy: Promise<unknown> = Promise.resolve();

  constructor({ packages, foldersOf = () => [], ...setup }: ChainsSetup) {
    this.#foldersOf = foldersOf;
    const { revisions, settlement } = setup;
    this.#planner = new ChangePlanner(setup);
    this.#revisions = revisions;
    this.#packages = packages;
    this.#settlement = settlement;
  }

  /** One change after the other, whoever asks. */
  exclusively<Result>(work: () => Promise<Result>): Promise<Result> {
    const result = this.#busy.then(work);
    this.#busy = result.catch(() => {});
    return result;
  }

  /** Throws all that is wrong with any of them; then nothing has changed. */
  apply(declarations: readonly Declaration[], options: ApplyOptions, actor: string): Promise<Applied[]> {
    return this.exclusively(async () => {
      const started = performance.now();
      const planned = await this.#planner.plan(declarations, options);
      const changing = planned.filter(({ plan, current }) => plan.way !== "none" || current === undefined);
      if (options.dryRun === true || changing.length === 0) {
        if (options.dryRun !== true) this.#noteOrigins(planned, options);
        return planned.map((each) => describe(each, each.current, false));
      }
      const applied = await this.#deploy(changing, options, actor);
      const tookMs = performance.now() - started;
      return planned.map((each) => {
        const revision = applied.revisions.find(({ chain }) => chain === each.plan.chain);
        const result = describe(each, revision ?? each.current, revision !== undefined);
        return revision === undefined ? result : { ...result, pauseUs: applied.pauseUs, tookMs };
      });
    });
  }

  /** Builds the next generation of one running chain; the other steps are asked for one by one. */
  load(declaration: Declaration, options: ApplyOptions, actor: string): Promise<UpgradeStatus> {
    return this.exclusively(async () => {
      this.#require(declaration.chain);
      const [planned] = (await this.#planner.plan([declaration], options)) as [Planned];
      requireGeneration(planned.plan);
      const revisions = this.#begin([planned], options, actor);
      const deployment = this.#deployment([planned], revisions, { ...options, actor });
      const [status] = await this.#orFail(revisions, () => deployment.load());
      this.#revisions.moveAll(revisions, "loaded");
      return status as UpgradeStatus;
    });
  }

  switchover(chain: string, options: SwitchOptions, actor: string): Promise<UpgradeStatus> {
    return this.exclusively(async () => {
      const revision = await this.#requireUnderWay(chain, "loaded", "pending");
      const status = await engines.ask(chain, { step: "switchover", ...options }, actor);
      this.#revisions.awaitConfirmation(revision, status.commitUntil);
      return status;
    });
  }

  /** The change that waits for it goes on for good; so do all that were applied with it. */
  confirm(chain: string, actor: string): Promise<Revision[]> {
    return this.exclusively(async () => {
      const { change } = await this.#requireUnderWay(chain, "pending");
      const revisions = this.#revisions.ofChange(change);
      requireWhole(revisions);
      await new Deployment(this.partsOf(revisions), { actor, cold: false }).commit();
      this.#revisions.moveAll(revisions, "confirmed");
      return revisions.map((revision) => this.#revisions.find(revision.chain, revision.revision) as Revision);
    });
  }

  /** Back to what ran before the change that waits to be confirmed. */
  abort(chain: string, actor: string): Promise<Revision[]> {
    return this.exclusively(() => this.#abort(chain, actor));
  }

  /** Back to the revision before the one that runs, or to another one; a change that waits is aborted. */
  async rollback(
    chain: string,
    revision: number | undefined,
    options: ApplyOptions,
    actor: string,
  ): Promise<Applied[]> {
    await this.#settlement.settle(chain);
    const underWay = this.#revisions.underWay(chain);
    requireMatch(chain, this.#require(chain), options);
    if (revision === undefined && underWay !== undefined) {
      if (options.dryRun === true) throw wouldAbort(underWay);
      await this.abort(chain, actor);
      const current = this.#revisions.confirmed(chain);
      return current === undefined ? [] : this.#applyAgain(current, options, actor);
    }
    const current = this.#require(chain);
    const target =
      revision === undefined ? this.#revisions.before(chain, current.revision) : this.#revisions.find(chain, revision);
    if (target !== undefined) return this.#applyAgain(target, options, actor);
    const what = revision === undefined ? "there is no revision before" : `there is no revision ${revision}`;
    throw new SluiceError({ code: "not-found", where: chain, what });
  }

  /** With the packages that it had, whatever has become of them in the registry. */
  #applyAgain({ chain, pinned, packages }: Revision, options: ApplyOptions, actor: string): Promise<Applied[]> {
    const catalog = this.#packages.catalogOf(Object.values(packages));
    return this.apply([declare(chain, pinned)], { ...options, catalog }, actor);
  }

  /** Stops it. Its revisions stay. */
  delete(chain: string, ifMatch: string | undefined): Promise<void> {
    return this.exclusively(async () => {
      await this.#settlement.settle(chain);
      requireMatch(chain, this.#require(chain), { ifMatch });
      const underWay = this.#revisions.underWay(chain);
      // What is to run is decided first: if this process dies now, the next one stops it.
      this.#revisions.remove(chain);
      if (underWay !== undefined) this.#revisions.move(underWay, "rolled-back", "the chain was deleted");
      // Without a host nothing runs, and the next one is not told to.
      await engines.stop(chain).catch(ignoreAbsentHost);
    });
  }

  async #abort(chain: string, actor: string): Promise<Revision[]> {
    const { change } = await this.#requireUnderWay(chain, "loaded", "pending");
    const isUnderWay = ({ state }: Revision) => state === "loaded" || state === "pending";
    const revisions = this.#revisions.ofChange(change).filter(isUnderWay);
    await new Deployment(this.partsOf(revisions), { actor, cold: false }, true).undo();
    this.#revisions.moveAll(revisions, "rolled-back", `aborted by ${actor}`);
    return revisions;
  }

  async #deploy(planned: readonly Planned[], options: ApplyOptions, actor: string) {
    const revisions = this.#begin(planned, options, actor);
    const deployment = this.#deployment(planned, revisions, { ...options, actor });
    const { confirmUntil, pauseUs } = await this.#orFail(revisions, async () => {
      await deployment.load();
      const switched = await deployment.switchover();
      if (options.confirmWithinMs === undefined) await deployment.commitOrUndo();
      return switched;
    });
    const waits = revisions.filter(({ chain }) => options.confirmWithinMs !== undefined && !isSettings(planned, chain));
    for (const revision of waits) this.#revisions.awaitConfirmation(revision, confirmUntil);
    this.#revisions.moveAll(
      revisions.filter((revision) => !waits.includes(revision)),
      "confirmed",
    );
    return {
      revisions: revisions.map(({ chain, revision }) => this.#revisions.find(chain, revision) as Revision),
      pauseUs,
    };
  }

  #noteOrigins(planned: readonly Planned[], { origin = "api" }: ApplyOptions): void {
    for (const { plan } of planned) this.#revisions.noteOrigin(plan.chain, origin);
  }

  #begin(planned: readonly Planned[], { origin = "api" }: ApplyOptions, actor: string): Revision[] {
    const added = planned.map(({ plan: { way }, planned: { declared, pinned, plan, packages } }): NewRevision => {
      const digests = plan.functions.map(({ name }, index) => {
        return [name, this.#packages.keep(packages[index] as (typeof packages)[number], actor)];
      });
      return { chain: plan.chain, way, declared, pinned, packages: Object.fromEntries(digests) };
    });
    return this.#revisions.begin(added, actor, origin);
  }

  #deployment(planned: readonly Planned[], revisions: readonly Revision[], options: DeploymentOptions): Deployment {
    const parts = planned.flatMap(({ plan: { chain, way }, current }): Part[] => {
      if (way === "none" || way === "settings") return [];
      const revision = revisions.find((each) => each.chain === chain) as Revision;
      const before = way === "start" || current === undefined ? undefined : this.hosted(current);
      return [{ chain, way, next: this.hosted(revision), before }];
    });
    return new Deployment(parts, options);
  }

  /** What the engine is told to run for it. */
  hosted(revision: Revision): HostedChain {
    return { chain: revision.chain, ...materialize(revision, this.#packages, this.#foldersOf(revision.chain)) };
  }

  /** Of a change that is under way already. */
  partsOf(revisions: readonly Revision[]): Part[] {
    return revisions.flatMap(({ chain, way, ...revision }): Part[] => {
      if (way === "none" || way === "settings") return [];
      const current = this.#revisions.confirmed(chain);
      const before = way === "start" || current === undefined ? undefined : this.hosted(current);
      return [{ chain, way, next: this.hosted({ chain, way, ...revision }), before }];
    });
  }

  async #orFail<Result>(revisions: readonly Revision[], work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      this.#revisions.moveAll(revisions, "failed", (error as Error).message);
      throw error;
    }
  }

  /** For the audit: what the change is about that is under way, or what taking it back means; "" if none is. */
  diffUnderWay(chain: string, isTakenBack = false): string {
    const next = this.#revisions.underWay(chain);
    if (next === undefined) return "";
    const current = this.#revisions.confirmed(chain)?.pinned;
    const [before, after] = isTakenBack ? [next.pinned, current] : [current, next.pinned];
    return diffDocuments(chain, before, after);
  }

  /** Throws upgrade-state if a change of any chain is under way. */
  requireAllAtRest(): void {
    for (const { chain } of this.#revisions.allUnderWay()) requireNothingUnderWay(this.#revisions, chain);
  }

  #require(chain: string): Revision {
    const current = this.#revisions.confirmed(chain) ?? this.#revisions.underWay(chain);
    if (current !== undefined) return current;
    throw new SluiceError({ code: "not-found", where: chain, what: `there is no chain "${chain}"` });
  }

  async #requireUnderWay(chain: string, ...states: readonly Revision["state"][]): Promise<Revision> {
    await this.#settlement.settle(chain);
    this.#require(chain);
    const revision = this.#revisions.underWay(chain);
    if (revision !== undefined && states.includes(revision.state)) return revision;
    const what =
      revision === undefined ? "no change of it is under way" : `revision ${revision.revision} is ${revision.state}`;
    throw new SluiceError({ code: "upgrade-state", where: chain, what });
  }
}

/** What was applied together is confirmed together. */
function requireWhole(revisions: readonly Revision[]): void {
  const left = revisions.find(({ state }) => state === "rolled-back" || state === "failed");
  if (left === undefined) return;
  const what = `revision ${left.revision} of "${left.chain}", which was applied with it, is ${left.state}`;
  throw new SluiceError({ code: "upgrade-state", where: left.chain, what, help: "roll the change back" });
}

function wouldAbort({ chain, revision, state }: Revision): SluiceError {
  const what = `revision ${revision} is ${state}: a rollback takes it back, and there is nothing else to plan`;
  return new SluiceError({ code: "upgrade-state", where: chain, what });
}

function ignoreAbsentHost(error: unknown): void {
  if (!(error instanceof SluiceError && error.code === "not-running")) throw error;
}

function isSettings(planned: readonly Planned[], chain: string): boolean {
  return planned.some(({ plan }) => plan.chain === chain && plan.way === "settings");
}

function describe({ plan, planned, current }: Planned, revision: Revision | undefined, changed: boolean): Applied {
  return {
    ...{ chain: plan.chain, plan, changed, pauseUs: null, tookMs: 0 },
    revision: revision?.revision ?? 0,
    created: current === undefined,
    state: revision?.state ?? "confirmed",
    confirmUntil: revision?.confirmUntil ?? null,
    document: planned.pinned,
  };
}
