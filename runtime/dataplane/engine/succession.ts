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
/** Nobody who has a lane keeps it longer from one that it was given to. */
const HELD_WITHIN_MS = 5000;

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

  /** Function `offender` does not return on that lane, in whichever generation has it. */
  noteHung(lane: number, offender: number): void {
    this.#then(async () => {
      const hung = this.#parts.lanes.on(lane);
      const { running, others } = this.#parts.generations;
      if (hung.running === running.setup.generation) return this.#replace(running, hung, offender);
      const before = [...others].find(({ setup }) => setup.generation === hung.running);
      if (before !== undefined) await this.#endPredecessor(before, hung);
      // Otherwise another lane's failure has ended it already.
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
    const { quarantined: before, plan, packages } = failed.setup;
    const quarantined = offender === null ? before : [...before, offender];
    const successor = generations.successorOf(failed) ?? (await generations.build({ plan, packages, quarantined }));
    const isCopy = successor.setup.plan === plan;
    if (!isCopy) this.#parts.onOtherChain(successor.setup.generation);
    generations.succeed(successor);
    for (const each of lanes.all) each.quarantine(isCopy ? offender : null);
    await this.#handOver(failed, successor, lane);
    const outageMs = performance.now() - started;
    lane.watchdog.resume();
    const numbers = { generation: failed.setup.generation, successor: successor.setup.generation };
    this.#parts.onSuccession({ ...describe(plan, offender), ...numbers, outageMs, isFallback: !isCopy });
    generations.planStandby(isCopy ? quarantined : []);
  }

  /** Resolves when the successor has the lane. */
  async #handOver(failed: GenerationThreads, successor: GenerationThreads, lane: EngineLane): Promise<void> {
    const { generation } = successor.setup;
    const taken = successor.on(lane.index).taken();
    taken.catch(() => {});
    // One that dies before it took the lane leaves it to whoever had it, who goes on.
    const isHeld = ![failed.setup.generation, 0].includes(lane.running);
    if (isHeld) lane.giveTo(generation);
    else lane.forceTo(generation);
    await this.#followTo(failed, successor, lane);
    await (isHeld ? lane.heldBy(generation, HELD_WITHIN_MS) : taken);
  }

  /** It did not return, or died, while the lane was to go to the one that runs. */
  async #endPredecessor(stuck: GenerationThreads, lane: EngineLane): Promise<void> {
    const { generations } = this.#parts;
    generations.forget(stuck);
    await stuck.on(lane.index).terminate();
    await this.#followTo(stuck, generations.running, lane);
    lane.forceTo(generations.running.setup.generation);
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
      each.forceTo(successor.setup.generation);
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
