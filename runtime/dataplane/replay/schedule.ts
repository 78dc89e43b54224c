// What replay does to functions between two frames: injected faults and exchanges.
import type { FunctionPackage } from "../../function/catalog.ts";
import type { Lane } from "../lane.ts";

/** Just before input frame `frame` (1-based), the function gets a new instance, of `package`. */
export interface ReplaySwap {
  readonly frame: number;
  readonly function: number;
  readonly package: FunctionPackage;
}

/** The same after every `every` frames. */
export interface ReplaySwapEvery {
  readonly every: number;
  readonly function: number;
  readonly package: FunctionPackage;
}

/** The function traps when input frame `frame` reaches it. */
export interface ReplayFault {
  readonly frame: number;
  readonly function: number;
}

export interface ReplayPlan {
  readonly swaps: readonly ReplaySwap[];
  readonly swapEvery: ReplaySwapEvery | undefined;
  readonly faults: readonly ReplayFault[];
}

export class Schedule {
  readonly #lane: Lane;
  readonly #plan: ReplayPlan;
  readonly #swaps: Map<number, ReplaySwap[]>;
  readonly #faults: Map<number, ReplayFault[]>;
  readonly #missed: ReplayFault[] = [];
  #swapped = 0;
  #prepared = 0;

  constructor(lane: Lane, plan: ReplayPlan) {
    this.#lane = lane;
    this.#plan = plan;
    this.#swaps = Map.groupBy(plan.swaps, ({ frame }) => frame);
    this.#faults = Map.groupBy(plan.faults, ({ frame }) => frame);
  }

  /** Exchanges that were made. */
  get swapped(): number {
    return this.#swapped;
  }

  /** What was planned for frames that did not come, or did not come to the function. */
  get missed(): { readonly swaps: readonly ReplaySwap[]; readonly faults: readonly ReplayFault[] } {
    const faults = [...this.#missed, ...[...this.#faults.values()].flat()];
    return { swaps: [...this.#swaps.values()].flat(), faults };
  }

  /** Before the turn that receives input frame `frame`, and only that one. */
  before(frame: number): void {
    if (frame === this.#prepared) return;
    this.#prepared = frame;
    for (const swap of take(this.#swaps, frame)) this.#exchange(swap);
    const { swapEvery } = this.#plan;
    if (swapEvery !== undefined && frame > 1 && (frame - 1) % swapEvery.every === 0) this.#exchange(swapEvery);
    for (const fault of this.#faults.get(frame) ?? []) this.#lane.trapNext(fault.function);
  }

  /** After that turn: a fault that its frame did not set off waits for no other. */
  after(frame: number): void {
    for (const fault of take(this.#faults, frame)) {
      if (this.#lane.cancelTrap(fault.function)) this.#missed.push(fault);
    }
  }

  #exchange(swap: Omit<ReplaySwap, "frame">): void {
    this.#lane.replaceFunction(swap.function, swap.package);
    this.#swapped += 1;
  }
}

function take<T>(byFrame: Map<number, T[]>, frame: number): T[] {
  const found = byFrame.get(frame);
  if (found === undefined) return [];
  byFrame.delete(frame);
  return found;
}
