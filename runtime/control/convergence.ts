// What is declared is made to run, again and again: at the start, after deaths, and when a device comes that was missing.
import { statSync } from "node:fs";
import { join } from "node:path";
import { isSameForLanes } from "../chain/document-changes.ts";
import type { ChainDocument } from "../chain/schema.ts";
import { COMMITTED, type FoundEngine } from "../dataplane/state-folder.ts";
import { type Fault, SluiceError } from "../errors.ts";
import { CommittedStore } from "../generation/committed.ts";
import type { Chains } from "./chains.ts";
import { Deployment, goBackTo } from "./deployment.ts";
import * as engines from "./engines.ts";
import { dropMaterials, readRevisionNumber } from "./materials.ts";
import type { Revision, Revisions } from "./revisions.ts";
import type { Settlement } from "./settlement.ts";

const ACTOR = "control";
const LOOK_EVERY_MS = 1000;
/** What did not start is tried again after so many looks. */
const RETRY_AFTER_LOOKS = 5;

export interface ConvergenceSetup {
  readonly revisions: Revisions;
  readonly settlement: Settlement;
  readonly chains: Chains;
  /** Chains of the command line: those that came from files run only if they are named. */
  readonly named: ReadonlySet<string>;
  readonly report: (text: string) => void;
  /** After every look. */
  readonly onLook: () => Promise<void>;
}

export class Convergence {
  readonly #setup: ConvergenceSetup;
  /** By chain: what told its state apart when it was as it should be. */
  readonly #seen = new Map<string, string | undefined>();
  readonly #problems = new Map<string, readonly Fault[]>();
  #timer: NodeJS.Timeout | undefined;
  #looking: Promise<unknown> = Promise.resolve();
  #looks = 0;
  #isStopped = false;
  #isReady = false;

  constructor(setup: ConvergenceSetup) {
    this.#setup = setup;
  }

  /** Whether the host is there, and everything declared was tried at least once. */
  get isReady(): boolean {
    return this.#isReady;
  }

  /** Why a chain that is to run does not. */
  problemsOf(chain: string): readonly Fault[] {
    return this.#problems.get(chain) ?? [];
  }

  /** Changes that a process before this one left half done are finished or taken back. */
  async recover(): Promise<void> {
    const { chains } = this.#setup;
    await chains.exclusively(() => this.#recover()).catch((error: Error) => this.#report(error));
  }

  /** From now on. Resolves when all that is declared was tried once. */
  async start(): Promise<void> {
    const { chains } = this.#setup;
    const look = async () => {
      this.#looking = chains.exclusively(() => this.#look()).catch((error: Error) => this.#report(error));
      await this.#looking;
      await this.#setup.onLook().catch((error: Error) => this.#report(error));
      if (!this.#isStopped) this.#timer = setTimeout(look, LOOK_EVERY_MS);
    };
    await look();
  }

  /** Resolves when nothing is done any more. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    clearTimeout(this.#timer);
    await this.#looking;
  }

  async #recover(): Promise<void> {
    const left = this.#setup.revisions.allUnderWay().filter(({ state }) => state === "applying");
    for (const change of new Set(left.map((revision) => revision.change))) {
      await this.#recoverChange(this.#setup.revisions.ofChange(change));
    }
  }

  /** Whoever asked for it was not answered: all of it holds if any of it does. */
  async #recoverChange(revisions: readonly Revision[]): Promise<void> {
    const { chains } = this.#setup;
    const deployment = new Deployment(chains.partsOf(revisions), { actor: ACTOR, cold: false }, true);
    const isCommitted = await Promise.all(revisions.map(isCommittedAtEngine));
    try {
      if (!isCommitted.includes(true)) throw new Error("control ended while it was applied");
      await new Deployment(
        chains.partsOf(revisions.filter((_, index) => isCommitted[index] === false)),
        { actor: ACTOR, cold: false },
        true,
      ).commit();
      this.#setup.revisions.moveAll(revisions, "confirmed");
    } catch (error) {
      await deployment.undo().catch((undoError: Error) => this.#report(undoError));
      this.#setup.revisions.moveAll(revisions, "failed", (error as Error).message);
    }
  }

  async #look(): Promise<void> {
    const { revisions, settlement } = this.#setup;
    this.#looks += 1;
    const hosted = await engines.listHosted().catch(() => null);
    if (hosted === null) {
      this.#isReady = false;
      return;
    }
    // Nothing is being applied at this moment: what says so could not be written down.
    await this.#recover().catch((error: Error) => this.#report(error));
    for (const { name } of revisions.chains()) {
      // What is wrong with one chain is no reason to leave the others.
      if (!this.#isUnchanged(name)) await settlement.settle(name).catch((error: Error) => this.#report(error));
    }
    const wanted = this.#listWanted();
    for (const revision of wanted) await this.#ensure(revision);
    for (const { chain, confirmUntil } of hosted) {
      const isWanted = wanted.some((revision) => revision.chain === chain) || revisions.underWay(chain) !== undefined;
      if (!isWanted && confirmUntil === null) await engines.stop(chain).catch((error: Error) => this.#report(error));
    }
    this.#isReady = true;
  }

  /** Nothing has happened to it since it was found to be as it should: to look closer every time costs more than a look. */
  #isUnchanged(chain: string): boolean {
    const seen = this.#seen.get(chain);
    return seen !== undefined && seen === this.#describeSeen(chain);
  }

  #describeSeen(chain: string): string | undefined {
    const found = engines.findRunning(chain);
    if (found === undefined || this.#setup.revisions.underWay(chain) !== undefined) return undefined;
    const { pid, generation } = found.engine;
    const committed = statSync(join(found.path, COMMITTED), { throwIfNoEntry: false })?.mtimeMs;
    const confirmed = this.#setup.revisions.confirmed(chain);
    // A restored store may have another revision of the same number.
    return `${pid} ${generation} ${committed} ${confirmed?.revision} ${confirmed?.at}`;
  }

  #listWanted(): Revision[] {
    const { revisions, named } = this.#setup;
    return revisions.chains().flatMap(({ name, origin }) => {
      const revision = revisions.confirmed(name);
      return revision !== undefined && (origin === "api" || named.has(name)) ? [revision] : [];
    });
  }

  async #ensure(revision: Revision): Promise<void> {
    const { chain } = revision;
    if (this.#isUnchanged(chain)) return;
    const found = engines.findRunning(chain);
    const isTriedNow = !this.#problems.has(chain) || this.#looks % RETRY_AFTER_LOOKS === 0;
    try {
      if (found === undefined) {
        if (!isTriedNow || (await isBeingStarted(chain))) return;
        await engines.start(this.#setup.chains.hosted(revision));
      } else if (this.#setup.revisions.underWay(chain) === undefined && (await isAnother(found, revision))) {
        this.#setup.report(`${chain} runs something else than revision ${revision.revision}: goes back to that`);
        await goBackTo(this.#setup.chains.hosted(revision), ACTOR);
      }
      this.#problems.delete(chain);
      this.#seen.set(chain, this.#describeSeen(chain));
      await this.#dropOldMaterials(revision);
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      const isNew = JSON.stringify(this.#problems.get(chain)) !== JSON.stringify(error.faults);
      this.#problems.set(chain, error.faults);
      if (isNew) this.#report(error);
    }
  }

  /** What may still be read: what is to run, what is under way, and what the engine's later changes begin at. */
  async #dropOldMaterials({ chain, revision }: Revision): Promise<void> {
    const { source, nextSource } = await engines.statusOf(chain);
    const read = [source, nextSource].map((each) => (each === null ? undefined : readRevisionNumber(chain, each)));
    const kept = [revision, this.#setup.revisions.underWay(chain)?.revision, ...read];
    dropMaterials(
      chain,
      kept.filter((number) => number !== undefined),
    );
  }

  #report(error: Error): void {
    this.#setup.report(error.message);
  }
}

/** A chain's engine may be between two processes. */
async function isBeingStarted(chain: string): Promise<boolean> {
  const found = (await engines.listHosted()).find((each) => each.chain === chain);
  return found !== undefined && found.state !== "failed";
}

async function isCommittedAtEngine({ chain, revision }: Revision): Promise<boolean> {
  const found = engines.findRunning(chain);
  const hosted = (await engines.listHosted().catch(() => [])).find((each) => each.chain === chain);
  if (found === undefined || hosted?.confirmUntil != null) return false;
  const { source } = await engines.statusOf(chain);
  return readRevisionNumber(chain, source) === revision;
}

async function isAnother({ path, engine }: FoundEngine, { pinned }: Revision): Promise<boolean> {
  const { plan, state } = await engines.statusOf(engine.chain);
  const isAtRest = plan === null && (state === "init" || state === "committed" || state === "aborted");
  const document: ChainDocument | undefined = new CommittedStore(path).peek()?.source.document;
  return isAtRest && document !== undefined && !isSameForLanes(document, pinned);
}
