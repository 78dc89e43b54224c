// One complete instance of a chain on one lane: its functions, instantiated and configured over the pages that all
// generations share, and the program that the lane executes while the generation has it.
import { BATCH_COUNT, MEMORY_BASE } from "../../nfs/sdk/abi.ts";
import { stateNameOf } from "../chain/canary.ts";
import { FLOW_COLUMN } from "../chain/columns.ts";
import type { Plan, Target } from "../chain/plan.ts";
import { listSeenColumns } from "../chain/windows.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import { compileForHost } from "../function/host-module.ts";
import type { Hop } from "./breathe.ts";
import { type CounterLayout, LANE_COUNTERS_CAPACITY, layOutCounters } from "./counter-layout.ts";
import { copyMemory, copySegments, type StateCopy } from "./faults/evidence.ts";
import { FunctionRecorder, readRecordedState } from "./faults/function-recorder.ts";
import { type FlowMemory, openFlowMemory } from "./flow-memory.ts";
import { type DeclaredNames, FunctionState, placeOf } from "./function-state.ts";
import { type FunctionInstance, instantiate, type LogLevel } from "./instance.ts";
import type { LaneMemory } from "./lane-memory.ts";
import { SHARED_BATCH_OFFSET } from "./layout.ts";
import { COUNTERS_BYTES } from "./memory-map.ts";
import { type NativeAddon, type NativeHop, type NativeRecording, type ProgramOptions, target } from "./native.ts";
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
  /** Under which its names are found by readers of reports. */
  readonly reportNames?: number | undefined;
  /** Indices of functions that are not to be called. */
  readonly quarantined?: readonly number[] | undefined;
  /** The generation that runs meanwhile and that the lane may go back to. */
  readonly before?: Predecessor | Numbering | undefined;
  readonly onLog?: ((level: LogLevel, functionName: string, message: string) => void) | undefined;
}

/** Under which names and where the generation before, of this process or of one that died, has counted. */
export interface Numbering {
  readonly layout: CounterLayout;
  readonly functions: readonly ({ readonly name: string } & DeclaredNames)[];
}

/** What a generation takes over from the one before, besides the shared pages. */
export interface Predecessor extends Numbering {
  readonly plan: Plan;
}

export interface MigrationResult {
  readonly function: string;
  readonly segments: readonly string[];
  /** Entries that could not be carried; null: it trapped, and the segments begin as the last of that layout left them. */
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
    this.#flows = openFlowMemory(
      native,
      plan,
      store,
      before !== undefined && "plan" in before ? before.plan : undefined,
    );
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
    this.#attach();
  }

  /** A trap has made another instance. */
  #attach(): void {
    for (const [index, hop] of this.plan.hops.entries()) {
      (this.hops[index] as Hop).process = (this.functions[hop.function] as LaneFunction).process;
    }
  }

  /**
   * Has the functions make their own layout of segments that the generation before had in another one; afterwards these
   * are as nf_migrate left them. Entries that could not be carried, by function; null if it trapped.
   */
  migrate(): MigrationResult[] {
    const results = this.functions.flatMap((each) => {
      const segments = each.migrated;
      return segments.length === 0 ? [] : [{ function: each.planned.name, segments, lost: each.migrate() }];
    });
    this.#attach();
    return results;
  }

  describeProgram(): ProgramOptions {
    const { plan, counterLayout } = this;
    return {
      shared: this.setup.memory.shared,
      portCounters: counterLayout.ports,
      portGauges: counterLayout.rings,
      routedPorts: plan.ports.map(({ forwarding }) => (forwarding === "routed" ? 1 : 0)),
      answers: plan.ports.map(({ answersFor }) => answersFor),
      reportNames: this.setup.reportNames ?? 0,
      paths: plan.paths.map((path) => ({
        from: path.from,
        match: path.match,
        first: codeOf(path.first),
        side: path.side,
      })),
      functions: this.functions.map(({ state, planned, recorder }, index) => ({
        ...state.exchange(planned),
        counters: counterLayout.functions[index] as number,
        readsFrames: planned.frames !== "none",
        recorder: recorder?.native ?? null,
        readsFlow: planned.columns.reads.includes(FLOW_COLUMN),
        columns: listSeenColumns(planned, plan.columns),
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
        calls: this.counterLayout.calls[index] as number,
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
  return to.kind === "port" ? target.port(to.port) : target[to.kind];
}

type FunctionCalls = Pick<FunctionInstance, "process" | "tick" | "events">;

function recordCalls(recorder: FunctionRecorder, { process, tick, events }: FunctionCalls): FunctionCalls {
  return {
    process: recorder.recorded(process),
    tick: tick && recorder.recorded(tick),
    events: events && recorder.recorded(events),
  };
}

/** One function of a generation: its state stays, its instance may be replaced after a trap. */
export class LaneFunction {
  readonly state: FunctionState;
  /** Undefined: its calls are not kept. */
  readonly recorder: FunctionRecorder | undefined;
  readonly #setup: GenerationSetup;
  readonly #flows: FlowMemory;
  readonly #index: number;
  #instance: FunctionInstance;
  /** What lay in the segments that nf_migrate fills: zeros, or what a version with that layout left there. */
  #unmigrated: Uint8Array[] | undefined;
  /** What the lane calls. */
  #calls!: FunctionCalls;
  #trapNext = false;

  constructor(setup: GenerationSetup, flows: FlowMemory, index: number) {
    this.#setup = setup;
    this.#flows = flows;
    this.#index = index;
    const { native, plan, memory, store, lane, laneCount, seed } = setup;
    const name = stateNameOf(this.planned);
    const place = { lane, laneCount, seed, ...placeOf(plan) };
    const before = setup.before?.functions.find((each) => each.name === name);
    const counters = store.open(`function-${name}`, COUNTERS_BYTES);
    this.state = new FunctionState(native, memory, place, counters, before);
    this.recorder = this.#makeRecorder();
    this.#instance = this.#instantiate();
  }

  get planned(): Plan["functions"][number] {
    return this.#setup.plan.functions[this.#index] as Plan["functions"][number];
  }

  get package(): FunctionPackage {
    return this.#setup.packages[this.#index] as FunctionPackage;
  }

  get process(): () => void {
    return this.#trapNext ? () => this.#trap() : this.#calls.process;
  }

  get tick(): (() => void) | undefined {
    return this.#calls.tick;
  }

  get events(): (() => void) | undefined {
    return this.#calls.events;
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

  /** The number of entries that could not be carried; null after a trap: the segments are as they were at first then. */
  migrate(): number | null {
    const segments = this.#windows.migrated.map(({ segment }) => new Uint8Array(segment.buffer));
    this.#unmigrated ??= segments.map((bytes) => bytes.slice());
    for (const bytes of segments) bytes.fill(0);
    try {
      return this.#instance.migrate?.() ?? 0;
    } catch {
      for (const [index, bytes] of segments.entries()) bytes.set(this.#unmigrated[index] as Uint8Array);
      this.renew();
      return null;
    }
  }

  /** Entries that are left to be migrated between batches, after some more of them were; 0 if all are. */
  migrateMore(): number {
    return (this.#instance.migrateMore?.() ?? 0) >>> 0;
  }

  /** It migrates between batches, after nf_migrate. */
  get migratesLazily(): boolean {
    return this.migrated.length > 0 && this.#instance.migrateMore !== undefined;
  }

  /** Its own state as it is now. */
  copyState(): StateCopy {
    const { native } = this.#setup;
    const { memory, globals } = this.#instance;
    return {
      memory: copyMemory(native, memory, MEMORY_BASE),
      globals: globals.map(({ value }) => value),
      counters: this.state.copyCounters(),
      segments: copySegments(native, this.#windows.segments),
    };
  }

  /** Its own state as its recorder kept it. */
  readState(recording: NativeRecording): StateCopy {
    const names = this.#windows.segments.map(({ name }) => name);
    return readRecordedState(recording, this.package.wasm, names);
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
    const instance = instantiate({
      native,
      memory,
      state: this.state,
      flows: this.#windows,
      function: this.planned,
      package: this.package,
      ports: plan.ports.map((port) => port.name),
      log: (level, message) => onLog?.(level, this.planned.name, message),
    });
    this.recorder?.watch({ instance, state: this.state, windows: this.#windows });
    this.#calls = this.recorder === undefined ? instance : recordCalls(this.recorder, instance);
    return instance;
  }

  #makeRecorder(): FunctionRecorder | undefined {
    const { native, onLog } = this.#setup;
    const { name, keepBatches } = this.planned;
    if (keepBatches === 0) return undefined;
    const tooLarge = "its state is above 16 MiB: no batches are kept, only what a fault leaves";
    const { globals } = compileForHost(this.package.wasm);
    return new FunctionRecorder(native, keepBatches, globals.length, () => onLog?.("warn", name, tooLarge));
  }

  #trap(): void {
    this.#instance.hideWindows();
    this.#instance.process();
    throw new WebAssembly.RuntimeError("injected fault");
  }
}
