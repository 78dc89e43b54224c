// A lane as the host sees it: its memory, its functions, its hops; and what happens when a function traps.
import type { Plan, PlannedPort, Target } from "../chain/plan.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import { resolveTrap } from "../function/source-map.ts";
import type { Hop } from "./breathe.ts";
import { type CounterLayout, layOutCounters } from "./counter-layout.ts";
import { type FlowMemory, openFlowMemory } from "./flow-memory.ts";
import { FunctionState } from "./function-state.ts";
import { type FunctionInstance, instantiate, type LogLevel, logLevels } from "./instance.ts";
import { type LaneMemory, openLaneMemory } from "./lane-memory.ts";
import { FRAMES_ADDRESS } from "./memory-map.ts";
import { type FrameAudit, type NativeAddon, type NativeHop, type NativeLane, type OpenPort, target } from "./native.ts";

export interface LaneSetup {
  readonly native: NativeAddon;
  readonly plan: Plan;
  /** By index of plan.functions. */
  readonly packages: readonly FunctionPackage[];
  readonly slots: number;
  /** A power of two. */
  readonly slotBytes: number;
  /** Frames per turn, 1 … BATCH_CAPACITY. */
  readonly batchLimit: number;
  /** Keep one outcome per frame (replay, tests). */
  readonly keepOutcomes: boolean;
  /** Time is that of the frames, not of the machine. */
  readonly virtualClock: boolean;
  readonly openPort: (lane: NativeLane, port: PlannedPort, index: number) => OpenPort;
  readonly lane?: number;
  readonly laneCount?: number;
  /** The ports of all lanes receive the same frames; this lane keeps its own (replay). */
  readonly sharedInput?: boolean;
  readonly seed?: bigint;
  /** Names the file of a segment; without it all end with the process. */
  readonly pathOf?: (segment: string) => string;
  readonly isMine?: () => boolean;
  readonly onFault?: (fault: FaultReport) => void;
  readonly onLog?: (level: LogLevel, functionName: string, message: string) => void;
}

/** One kind of fault of one function, as often as it happened. */
export interface FaultReport {
  readonly function: string;
  readonly package: string;
  readonly message: string;
  /** `file:line:column` in the function's AssemblyScript, if the package has a source map. */
  readonly source: string | null;
  count: number;
}

const LOG_HEAD_BYTES = 12;
const REST_MS = 100;
/** Empty turns before a lane sleeps: some ten microseconds of polling, then the core is free for others. */
const EMPTY_TURNS = 64;
/** Kinds of fault remembered per lane; further ones are only counted. */
const FAULT_KINDS = 1000;

/** Opens a lane's memory, configures its functions and opens its ports; on any error everything is closed again. */
export function openLane(setup: LaneSetup): Lane {
  const counters = layOutCounters(setup.plan);
  const memory = openLaneMemory(
    setup.native,
    { slots: setup.slots, slotBytes: setup.slotBytes, counters: counters.count },
    setup.pathOf,
  );
  const flows = openFlowMemory(setup.native, setup.plan, setup.pathOf);
  const functions = setup.plan.functions.map((_, index) => new LaneFunction(setup, memory, flows, index));
  const native = setup.native.createLane({
    umem: memory.umem,
    slotBytes: setup.slotBytes,
    shared: memory.shared,
    counters: memory.counters,
    framesAddress: FRAMES_ADDRESS,
    paths: setup.plan.paths.map((path) => ({ from: path.from, match: path.match, first: codeOf(path.first) })),
    functions: functions.map(({ state, planned }, index) => ({
      ...state.exchange(planned),
      counters: counters.functions[index] as number,
    })),
    hops: nativeHops(setup.plan, functions, counters),
    flows: flows.describe(setup.seed ?? 0n, setup.keepOutcomes),
    portCounters: counters.ports,
    laneCounters: counters.lane,
    keepOutcomes: setup.keepOutcomes,
    virtualClock: setup.virtualClock,
    batchLimit: setup.batchLimit,
    ...(setup.sharedInput ? { laneIndex: setup.lane ?? 0, laneCount: setup.laneCount ?? 1 } : {}),
  });
  try {
    const ports = setup.plan.ports.map((port, index) => setup.openPort(native, port, index));
    return new Lane(setup, { memory, native, functions, ports, counterLayout: counters });
  } catch (error) {
    native.close();
    throw error;
  }
}

function codeOf(to: Target): number {
  if (to.kind === "hop") return target.hop(to.hop);
  return to.kind === "port" ? target.port(to.port) : target.none;
}

function nativeHops(plan: Plan, functions: readonly LaneFunction[], counters: CounterLayout): NativeHop[] {
  return plan.hops.map((hop, index) => {
    const planned = plan.functions[hop.function] as Plan["functions"][number];
    return {
      function: hop.function,
      next: codeOf(hop.next),
      branches: hop.branches.map(codeOf),
      counters: counters.hops[index] as number,
      bypass: planned.onFault === "bypass",
      writable: planned.frames === "write",
      reasons: (functions[hop.function] as LaneFunction).state.reasons.length,
    };
  });
}

/** One function of the chain on this lane: its state stays, its instance may be replaced. */
export class LaneFunction {
  readonly state: FunctionState;
  readonly #setup: LaneSetup;
  readonly #memory: LaneMemory;
  readonly #flows: FlowMemory;
  readonly #index: number;
  #package: FunctionPackage;
  #instance: FunctionInstance;
  #trapNext = false;

  constructor(setup: LaneSetup, memory: LaneMemory, flows: FlowMemory, index: number) {
    this.#setup = setup;
    this.#memory = memory;
    this.#flows = flows;
    this.#index = index;
    this.#package = setup.packages[index] as FunctionPackage;
    const place = {
      lane: setup.lane ?? 0,
      laneCount: setup.laneCount ?? 1,
      portCount: setup.plan.ports.length,
      flowCapacity: setup.plan.flows.capacity,
      seed: setup.seed ?? 0n,
    };
    this.state = new FunctionState(setup.native, memory, place, setup.pathOf?.(`function-${this.planned.name}`));
    this.#instance = this.#instantiate();
  }

  get planned(): Plan["functions"][number] {
    return this.#setup.plan.functions[this.#index] as Plan["functions"][number];
  }

  get package(): FunctionPackage {
    return this.#package;
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

  /** A new instance, of the same package or of `next`, over the same state. */
  renew(next: FunctionPackage = this.#package): void {
    this.#trapNext = false;
    const before = this.#package;
    this.#package = next;
    try {
      this.#instance = this.#instantiate();
    } catch (error) {
      this.#package = before;
      throw error;
    }
  }

  #instantiate(): FunctionInstance {
    const { native, plan, onLog } = this.#setup;
    return instantiate({
      native,
      memory: this.#memory,
      state: this.state,
      flows: this.#flows.functions[this.#index] as FlowMemory["functions"][number],
      function: this.planned,
      package: this.#package,
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

interface LaneParts {
  readonly memory: LaneMemory;
  readonly native: NativeLane;
  readonly functions: readonly LaneFunction[];
  readonly ports: readonly OpenPort[];
  readonly counterLayout: CounterLayout;
}

export class Lane implements LaneParts {
  readonly memory: LaneMemory;
  readonly native: NativeLane;
  readonly functions: readonly LaneFunction[];
  readonly ports: readonly OpenPort[];
  readonly counterLayout: CounterLayout;
  /** All u64 counters of the lane, where counterLayout says. */
  readonly counters: BigUint64Array;
  readonly hops: readonly Hop[];
  readonly isMine: () => boolean;
  readonly #setup: LaneSetup;
  readonly #faults = new Map<string, FaultReport>();
  #ticking: LaneFunction[];
  #emptyTurns = 0;

  constructor(setup: LaneSetup, parts: LaneParts) {
    this.#setup = setup;
    this.memory = parts.memory;
    this.native = parts.native;
    this.functions = parts.functions;
    this.ports = parts.ports;
    this.counterLayout = parts.counterLayout;
    this.counters = new BigUint64Array(parts.memory.counters.buffer);
    this.isMine = setup.isMine ?? (() => true);
    this.hops = setup.plan.hops.map((hop) => ({ process: this.#function(hop.function).process }));
    this.#ticking = this.functions.filter((each) => each.tick !== undefined);
  }

  get plan(): Plan {
    return this.#setup.plan;
  }

  get faults(): readonly FaultReport[] {
    return [...this.#faults.values()];
  }

  /** Hands on what functions logged on the packet path. */
  takeLog(): void {
    const lines = this.native.takeLog();
    if (lines === null) return;
    const view = new DataView(lines);
    for (let at = 0; at < lines.byteLength; ) {
      const [index, level, bytes] = [0, 4, 8].map((field) => view.getUint32(at + field, true)) as [
        number,
        number,
        number,
      ];
      const text = Buffer.from(lines, at + LOG_HEAD_BYTES, bytes)
        .toString()
        .replace(/\0+$/, "");
      this.#setup.onLog?.(logLevels[level] ?? "info", this.#function(index).planned.name, text);
      at += LOG_HEAD_BYTES + bytes;
    }
  }

  /** After a turn that received nothing: polls on for a while, then sleeps until there is something to do. */
  rest(): void {
    if (++this.#emptyTurns < EMPTY_TURNS) return;
    this.#emptyTurns = 0;
    this.native.wait(REST_MS);
  }

  /** Batched events: one call per function that has any. */
  deliverEvents(): void {
    for (let index = 0; index < this.functions.length; index++) {
      const each = this.#function(index);
      if (each.events === undefined || !this.native.fillEvents(index)) continue;
      try {
        each.events();
        this.native.drainEvents(index);
      } catch (trap) {
        this.#recover(each, trap);
      }
    }
  }

  tick(): void {
    for (let i = 0; i < this.#ticking.length; i++) {
      const each = this.#ticking[i] as LaneFunction;
      try {
        each.tick?.();
      } catch (trap) {
        this.#recover(each, trap);
      }
    }
  }

  /** Deals with the trap of the function at `hop`. The next hop with work, or -1. */
  fault(hop: number, trap: unknown): number {
    const next = this.native.fault(hop);
    this.#recover(this.#function((this.plan.hops[hop] as Plan["hops"][number]).function), trap);
    return next;
  }

  /** The next batch that reaches the function traps. */
  trapNext(index: number): void {
    this.#function(index).trapNext();
    this.#attach(index);
  }

  /** Takes trapNext back. True if the function had not been reached. */
  cancelTrap(index: number): boolean {
    const waiting = this.#function(index).cancelTrap();
    this.#attach(index);
    return waiting;
  }

  /** Between two batches: a new instance of the same function, or of another package, over the same state. */
  replaceFunction(index: number, next?: FunctionPackage): void {
    this.#function(index).renew(next);
    this.#attach(index);
  }

  audit(): FrameAudit {
    return this.native.audit();
  }

  close(): void {
    this.native.close();
  }

  #function(index: number): LaneFunction {
    return this.functions[index] as LaneFunction;
  }

  #recover(failed: LaneFunction, trap: unknown): void {
    this.#report(failed, trap);
    try {
      failed.renew();
    } catch (error) {
      this.#report(failed, error);
    }
    this.#attach(this.functions.indexOf(failed));
  }

  #attach(index: number): void {
    const { process, state } = this.#function(index);
    this.plan.hops.forEach((hop, position) => {
      if (hop.function !== index) return;
      (this.hops[position] as Hop).process = process;
      this.native.setReasons(position, state.reasons.length);
    });
    this.#ticking = this.functions.filter((each) => each.tick !== undefined);
  }

  #report(failed: LaneFunction, trap: unknown): void {
    const error = trap instanceof Error ? trap : new Error(String(trap));
    const { message, source } = resolveTrap(error, failed.package.wasm);
    const { name, package: from } = failed.planned;
    const key = `${name} ${message} ${source}`;
    let fault = this.#faults.get(key);
    if (fault === undefined) {
      fault = { function: name, package: `${from.name}@${from.version}`, message, source, count: 0 };
      if (this.#faults.size < FAULT_KINDS) this.#faults.set(key, fault);
    }
    fault.count += 1;
    this.#setup.onFault?.(fault);
  }
}
