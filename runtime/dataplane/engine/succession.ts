// What happens when a generation's thread does not return from a function, or dies: another one gets its lanes, by force
// where they were left in the middle of a batch, and in peace everywhere else.
import type { Plan } from "../../chain/plan.ts";
import { collectHungCall } from "../faults/hung-call.ts";
import { loadAddon } from "../load-addon.ts";
import type { EngineLane } from "./engine-lane.ts";
import type { GenerationThreads } from "./generation-threads.ts";
import type { Generations } from "./generations.ts";
import type { Lanes } from "./lanes.ts";
import type { EngineSetup } from "./setup.ts";

export interface Quarantine {
  /** Null: the generation's thread died, and no function is quarantined for it. */
  readonly function: string | null;
  readonly package: string | null;
  readonly why: "traps" | "time" | "death";
  /** The generation in which it happened, and that which has the lane now. */
  readonly generation: number;
  readonly successor: number;
  /** The successor is the generation before, where the function is as it was. */
  readonly isFallback: boolean;
  /** From the moment when it was noticed until the lane ran again; 0 if it never stopped. */
  readonly outageMs: number;
}

export interface SuccessionParts {
  readonly setup: EngineSetup;
  readonly generations: Generations;
  readonly lanes: Lanes;
  readonly onSuccession: (quarantine: Quarantine) => void;
  /** Those who look at copies of the traffic of another chain than that which runs now. */
  readonly onOtherChain: (generation: number) => void;
  /** Nobody can take over. */
  readonly onFailure: (error: Error) => void;
}

/** The other lanes of a generation that is replaced end their batches by then, or are ended. */
const RELEASED_WITHIN_MS = 100;

/** One failure after the other: several lanes may fail at once. */
export class Succession {
  readonly #parts: SuccessionParts;
  #replacing: Promise<void> = Promise.resolve();

  constructor(parts: SuccessionParts) {
    this.#parts = parts;
  }

  /** When no generation that did not return or died is being replaced. */
  settled(): Promise<void> {
    return this.#replacing;
  }

  /** Function `offender` does not return on that lane, in whichever generation has it now. */
  noteHung(lane: number, offender: number): void {
    const hung = this.#parts.lanes.on(lane);
    const holder = hung.running;
    this.#then(async () => {
      const { running, others } = this.#parts.generations;
      // Another lane's failure has ended it already.
      if (hung.running !== holder) return hung.watchdog.resume();
      if (holder === running.setup.generation) return this.#replace(running, hung, offender);
      const before = [...others].find(({ setup }) => setup.generation === holder);
      if (before !== undefined) await this.#endPredecessor(before, hung);
      hung.watchdog.resume();
    });
  }

  /** The generation's thread on that lane is no more. */
  noteDeath(dead: GenerationThreads, index: number): void {
    this.#then(async () => {
      const lane = this.#parts.lanes.all[index];
      if (lane === undefined) return;
      if (this.#parts.generations.running === dead) await this.#replace(dead, lane, null);
      else if (lane.running === dead.setup.generation) await this.#endPredecessor(dead, lane);
    });
  }

  #then(step: () => Promise<void>): void {
    this.#replacing = this.#replacing.then(step).catch(this.#parts.onFailure);
  }

  /**
   * The thread that has the lane, or was to have it, is ended, within the function `offender` or dead already, and another
   * generation takes all lanes over.
   */
  async #replace(failed: GenerationThreads, lane: EngineLane, offender: number | null): Promise<void> {
    const started = performance.now();
    const { generations, lanes } = this.#parts;
    await failed.on(lane.index).terminate();
    if (offender !== null) this.#collectHungCall(failed, lane, offender);
    const { quarantined: before, plan } = failed.setup;
    const quarantined = offender === null ? before : [...before, offender];
    const successor = await this.#findSuccessor(failed, quarantined);
    const isCopy = successor.setup.plan === plan;
    if (!isCopy) this.#parts.onOtherChain(successor.setup.generation);
    generations.succeed(successor);
    for (const each of lanes.all) each.quarantine(isCopy ? offender : null);
    await this.#handOver(failed, successor, lane);
    const outageMs = performance.now() - started;
    lane.watchdog.resume();
    const numbers = { generation: failed.setup.generation, successor: successor.setup.generation };
    this.#parts.onSuccession({ ...describe(plan, offender), ...numbers, outageMs, isFallback: !isCopy });
    if (!isCopy) await this.#leaveLanes(successor);
    generations.planStandby(isCopy ? quarantined : []);
  }

  /** Throws why none can be built, where none stands by that has all lanes. */
  async #findSuccessor(failed: GenerationThreads, quarantined: readonly number[]): Promise<GenerationThreads> {
    const { generations, lanes } = this.#parts;
    const { plan, packages } = failed.setup;
    const successor = generations.successorOf(failed);
    if (successor === undefined) return generations.build({ plan, packages, quarantined });
    if (lanes.all.every((lane) => successor.has(lane))) return successor;
    // It was built before the lanes that the failed one brought: one of its kind that knows them.
    const { plan: committed, packages: from, quarantined: without } = successor.setup;
    const copy = await generations.build({ plan: committed, packages: from, quarantined: without });
    generations.committed = copy;
    generations.others.delete(successor);
    await successor.terminate();
    return copy;
  }

  /** Flows go back to where the successor's chain has them, and lanes that it has not are closed. */
  async #leaveLanes(successor: GenerationThreads): Promise<void> {
    const { generations, lanes } = this.#parts;
    await lanes.spreadFlows(successor.setup.plan);
    await generations.closeLanes();
  }

  /** Resolves when the successor has the lane. */
  async #handOver(failed: GenerationThreads, successor: GenerationThreads, lane: EngineLane): Promise<void> {
    const { generation } = successor.setup;
    const taken = successor.on(lane.index).taken();
    taken.catch(() => {});
    // One that died before it took the lane leaves it to whoever had it: it may be the successor itself, which goes on.
    const isHeld = lane.running === generation;
    lane.forceTo(generation, failed.setup.generation);
    await this.#followTo(failed, successor, lane);
    if (!isHeld) await taken;
  }

  /** It did not return, or died, while the lane was to go to the one that runs. */
  async #endPredecessor(stuck: GenerationThreads, lane: EngineLane): Promise<void> {
    const { generations } = this.#parts;
    generations.forget(stuck);
    await stuck.on(lane.index).terminate();
    await this.#followTo(stuck, generations.running, lane);
    lane.forceTo(generations.running.setup.generation, stuck.setup.generation);
  }

  /** The other lanes come to the successor between two batches, or, where a function does not return there, either, so. */
  async #followTo(failed: GenerationThreads, successor: GenerationThreads, first: EngineLane): Promise<void> {
    const { generation } = failed.setup;
    const others = this.#parts.lanes.all.filter((each) => each !== first);
    for (const each of others) if (successor.has(each)) each.giveTo(successor.setup.generation);
    await Promise.all(others.map((each) => each.released(generation, RELEASED_WITHIN_MS)));
    await failed.terminate();
    for (const each of others) {
      if (each.running !== generation) continue;
      each.forceTo(successor.setup.generation, generation);
      each.watchdog.resume();
    }
  }

  /** What cannot be collected is no reason not to go on. */
  #collectHungCall(hung: GenerationThreads, { native: lane, control, index }: EngineLane, offender: number): void {
    const { onEvidence, onLog } = this.#parts.setup;
    if (onEvidence === undefined) return;
    try {
      const call = { native: loadAddon(), lane, control, worker: hung.on(index), offender };
      onEvidence(collectHungCall(call), hung.setup);
    } catch (error) {
      onLog?.("warn", "engine", `nothing could be kept of the fault: ${(error as Error).message}`);
    }
  }
}

function describe(plan: Plan, offender: number | null): Pick<Quarantine, "function" | "package" | "why"> {
  const planned = offender === null ? undefined : plan.functions[offender];
  if (planned === undefined) return { function: null, package: null, why: "death" };
  return { function: planned.name, package: nameOf(planned), why: "time" };
}

export function nameOf({ package: { name, version } }: Plan["functions"][number]): string {
  return `${name}@${version}`;
}
