// One complete instance of a chain on one lane: its functions, instantiated and configured over the pages that all
// generations share, and the program that the lane executes while the generation has it.
import { BATCH_COUNT } from "../../nfs/sdk/abi.ts";
import { stateNameOf } from "../chain/canary.ts";
import type { Plan, Target } from "../chain/plan.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import type { Hop } from "./breathe.ts";
import { type CounterLayout, LANE_COUNTERS_CAPACITY, layOutCounters } from "./counter-layout.ts";
import { type FlowMemory, openFlowMemory } from "./flow-memory.ts";
import { type DeclaredNames, FunctionState } from "./function-state.ts";
import { type FunctionInstance, instantiate, type LogLevel } from "./instance.ts";
import type { LaneMemory } from "./lane-memory.ts";
import { SHARED_BATCH_OFFSET } from "./layout.ts";
import { COUNTERS_BYTES } from "./memory-map.ts";
import { type NativeAddon, type NativeHop, type ProgramOptions, target } from "./native.ts";
import type { SegmentStore } from "./segment-store.ts";

export interface GenerationSetup {
  readonly native: NativeAddon;
  readonly plan: Plan;
  /** By index of plan.functions. */
  readonly packages: readonly FunctionPackage[];
  /** `shared` is this generation's own, unless it runs in the same thread as the one before. */
  readonly memory: LaneMemory;
  readonly store: SegmentStore;
  readonly lane: number;
  readonly laneCount: number;
  readonly seed: bigint;
  readonly keepReports: boolean;
  /** Indices of functions that are not to be called. */
  readonly quarantined?: readonly number[] | undefined;
  /** The generation that runs meanwhile and that the lane may go back to. */
  readonly before?: Predecessor | undefined;
  readonly onLog?: ((level: LogLevel, functionName: string, message: string) => void) | undefined;
}

/** What a generation takes over from the one before, besides the shared pages. */
export interface Predecessor {
  readonly layout: CounterLayout;
  readonly plan: Plan;
  readonly functions: readonly ({ readonly name: string } & DeclaredNames)[];
}

export interface MigrationResult {
  readonly function: string;
  readonly segments: readonly string[];
  /** Entries that could not be carried; null: it trapped, and all begins with zeros. */
  readonly lost: number | null;
}

/** Throws config-invalid or function-fault for what the functions refuse. */
export class Generation {
  readonly setup: GenerationSetup;
  readonly functions: readonly LaneFunction[];
  readonly counterLayout: CounterLayout;
  /** What the loop calls; a property is exchanged when an instance is. */
  readonly hops: readonly Hop[];
  readonly #flows: FlowMemory;
  readonly #quarantined: Set<number>;

  constructor(setup: GenerationSetup) {
    const { native, plan, store, before } = setup;
    this.setup = setup;
    this.#quarantined = new Set(setup.quarantined);
    this.counterLayout = layOutCounters(plan, before?.layout);
    if (this.counterLayout.count > LANE_COUNTERS_CAPACITY) throw new RangeError("a lane has no room for more counters");
    this.#flows = openFlowMemory(native, plan, store, before?.plan);
    this.functions = plan.functions.map((_, index) => new LaneFunction(setup, this.#flows, index));
    this.hops = plan.hops.map((hop) => ({ process: (this.functions[hop.function] as LaneFunction).process }));
  }

  get plan(): Plan {
    return this.setup.plan;
  }

  /** What a generation after this one takes over. */
  get inheritance(): Predecessor {
    return {
      layout: this.counterLayout,
      plan: this.plan,
      functions: this.functions.map(({ planned: { name }, state: { reasons, declaredCounters } }) => {
        return { name, reasons, counters: declaredCounters };
      }),
    };
  }

  /** The function is not to be called by programs that are described from now on. */
  quarantine(index: number): void {
    this.#quarantined.add(index);
  }

  /** The functions' first batches shall not wait for page faults, of which there may be one for each of the flows' pages. */
  populate(): void {
    for (const each of this.functions) each.populate();
  }

  /** Every function is called once with no frame: what only its first call costs is behind it then. */
  warmUp(): void {
    // On the thread of the generation before, the page may still tell of that one's last batch.
    new DataView(this.setup.memory.shared.buffer).setUint32(SHARED_BATCH_OFFSET + BATCH_COUNT, 0, true);
    this.functions.forEach((each, index) => {
      if (!this.#quarantined.has(index)) each.warmUp();
    });
  }

  /**
   * Has the functions make their own layout of segments that the generation before had in another one; afterwards these
   * are as nf_migrate left them. Entries that could not be carried, by function; null if it trapped.
   */
  migrate(): MigrationResult[] {
    return this.functions.flatMap((each) => {
      const segments = each.migrated;
      return segments.length === 0 ? [] : [{ function: each.planned.name, segments, lost: each.migrate() }];
    });
  }

  describeProgram(): ProgramOptions {
    const { plan, counterLayout } = this;
    return {
      shared: this.setup.memory.shared,
      paths: plan.paths.map((path) => ({
        from: path.from,
        match: path.match,
        first: codeOf(path.first),
        side: path.side,
      })),
      functions: this.functions.map(({ state, planned }, index) => ({
        ...state.exchange(planned),
        counters: counterLayout.functions[index] as number,
      })),
      hops: this.#describeHops(),
      flows: this.#flows.describe(this.setup.seed, this.setup.keepReports),
    };
  }

  #describeHops(): NativeHop[] {
    return this.plan.hops.map((hop, index) => {
      const { planned, state } = this.functions[hop.function] as LaneFunction;
      return {
        function: hop.function,
        next: codeOf(hop.next),
        branches: hop.branches.map(codeOf),
        counters: this.counterLayout.hops[index] as number,
        bypass: planned.onFault === "bypass",
        quarantined: this.#quarantined.has(hop.function),
        writable: planned.frames === "write",
        reasons: state.reasons.length,
      };
    });
  }
}

function codeOf(to: Target): number {
  if (to.kind === "hop") return target.hop(to.hop);
  return to.kind === "port" ? target.port(to.port) : target.none;
}

/** One function of a generation: its state stays, its instance may be replaced after a trap. */
export class LaneFunction {
  readonly state: FunctionState;
  readonly #setup: GenerationSetup;
  readonly #flows: FlowMemory;
  readonly #index: number;
  #instance: FunctionInstance;
  #trapNext = false;

  constructor(setup: GenerationSetup, flows: FlowMemory, index: number) {
    this.#setup = setup;
    this.#flows = flows;
    this.#index = index;
    const { native, plan, memory, store, lane, laneCount, seed } = setup;
    const name = stateNameOf(this.planned);
    const place = { lane, laneCount, portCount: plan.ports.length, flowCapacity: plan.flows.capacity, seed };
    const before = setup.before?.functions.find((each) => each.name === name);
    const counters = store.open(`function-${name}`, COUNTERS_BYTES);
    this.state = new FunctionState(native, memory, place, counters, before);
    this.#instance = this.#instantiate();
  }

  get planned(): Plan["functions"][number] {
    return this.#setup.plan.functions[this.#index] as Plan["functions"][number];
  }

  get package(): FunctionPackage {
    return this.#setup.packages[this.#index] as FunctionPackage;
  }

  get process(): () => void {
    return this.#trapNext ? () => this.#trap() : this.#instance.process;
  }

  get tick(): (() => void) | undefined {
    return this.#instance.tick;
  }

  get events(): (() => void) | undefined {
    return this.#instance.events;
  }

  /** The next call of this function traps, in its own code. */
  trapNext(): void {
    this.#trapNext = true;
  }

  /** True if it had not come to that. */
  cancelTrap(): boolean {
    const waiting = this.#trapNext;
    this.#trapNext = false;
    return waiting;
  }

  populate(): void {
    this.#instance.populate();
  }

  /** A trap with no frame is the first batch's business, too: it will say so again. */
  warmUp(): void {
    try {
      this.#instance.process();
    } catch {
      this.renew();
    }
  }

  /** Names of the segments that come from another layout. */
  get migrated(): readonly string[] {
    return this.#windows.migrated.map(({ name }) => name);
  }

  /** The number of entries that could not be carried, or null after a trap. */
  migrate(): number | null {
    for (const { segment } of this.#windows.migrated) new Uint8Array(segment.buffer).fill(0);
    try {
      return this.#instance.migrate?.() ?? 0;
    } catch {
      for (const { segment } of this.#windows.migrated) new Uint8Array(segment.buffer).fill(0);
      this.renew();
      return null;
    }
  }

  get #windows(): FlowMemory["functions"][number] {
    return this.#flows.functions[this.#index] as FlowMemory["functions"][number];
  }

  /** A new instance over the same state. */
  renew(): void {
    this.#trapNext = false;
    this.#instance = this.#instantiate();
  }

  #instantiate(): FunctionInstance {
    const { native, memory, plan, onLog } = this.#setup;
    return instantiate({
      native,
      memory,
      state: this.state,
      flows: this.#windows,
      function: this.planned,
      package: this.package,
      ports: plan.ports.map((port) => port.name),
      log: (level, message) => onLog?.(level, this.planned.name, message),
    });
  }

  #trap(): void {
    this.#instance.hideWindows();
    this.#instance.process();
    throw new WebAssembly.RuntimeError("injected fault");
  }
}
