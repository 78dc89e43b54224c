// What replay does to functions between two frames: injected faults and changes of generation.
import type { Plan } from "../../chain/plan.ts";
import type { FunctionPackage } from "../../function/catalog.ts";
import type { Lane } from "../lane.ts";

/** Just before input frame `frame` (1-based), a new generation takes over in which the function is `package`. */
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
  /** The plan of the chain with these packages in the place of its functions' (by their index). */
  readonly replan: (packages: readonly FunctionPackage[]) => Plan;
}

export class Schedule {
  readonly #lane: Lane;
  readonly #plan: ReplayPlan;
  readonly #swaps: Map<number, ReplaySwap[]>;
  readonly #faults: Map<number, ReplayFault[]>;
  readonly #missed: ReplayFault[] = [];
  readonly #plans = new Map<string, Plan>();
  #swapped = 0;
  #prepared = 0;

  constructor(lane: Lane, plan: ReplayPlan) {
    this.#lane = lane;
    this.#plan = plan;
    this.#swaps = Map.groupBy(plan.swaps, ({ frame }) => frame);
    this.#faults = Map.groupBy(plan.faults, ({ frame }) => frame);
  }

  /** Changes that were made. */
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
    const packages = this.#lane.functions.map((each) => each.package).with(swap.function, swap.package);
    this.#lane.change(this.#planOf(packages), packages);
    this.#swapped += 1;
  }

  #planOf(packages: readonly FunctionPackage[]): Plan {
    const key = packages.map(({ manifest: { name, version }, origin }) => `${name}@${version} ${origin}`).join("\n");
    const plan = this.#plans.get(key) ?? this.#plan.replan(packages);
    this.#plans.set(key, plan);
    return plan;
  }
}

function take<T>(byFrame: Map<number, T[]>, frame: number): T[] {
  const found = byFrame.get(frame);
  if (found === undefined) return [];
  byFrame.delete(frame);
  return found;
}
