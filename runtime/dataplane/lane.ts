// A lane as the host sees it: its memory, its functions, its hops; and what happens when a function traps.
import type { Plan } from "../chain/plan.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import { finishTurn, type Hop } from "./breathe.ts";
import type { CounterLayout } from "./counter-layout.ts";
import { type FailedCall, type FaultReport, LaneFaults } from "./faults/lane-faults.ts";
import type { Generation, LaneFunction, MigrationResult } from "./generation.ts";
import type { LaneMemory } from "./lane-memory.ts";
import { type LaneSetup, makeGeneration } from "./lane-setup.ts";
import { callKinds } from "./layout.ts";
import { readLogLines } from "./log-lines.ts";
import type { FrameAudit, NativeLane, NativeProgram, OpenPort } from "./native.ts";
import type { SegmentStore } from "./segment-store.ts";

const NF_EVENTS = callKinds.indexOf("nf_events");
const NF_TICK = callKinds.indexOf("nf_tick");
/** No call that is kept. */
const NF_MIGRATE_MORE = callKinds.length;
const REST_MS = 100;
/** Empty turns before a lane sleeps: some ten microseconds of polling, then the core is free for others. */
const EMPTY_TURNS = 64;

export interface LaneParts {
  readonly memory: LaneMemory;
  readonly native: NativeLane;
  readonly ports: readonly OpenPort[];
  readonly store: SegmentStore;
  readonly generation: Generation;
  readonly trial?: readonly MigrationResult[];
}

export class Lane {
  readonly memory: LaneMemory;
  readonly native: NativeLane;
  /** Those that this thread opened. */
  readonly ports: readonly OpenPort[];
  /** All u64 counters of the lane, where counterLayout says. */
  readonly counters: BigUint64Array;
  readonly isMine: () => boolean;
  /** What this generation's nf_migrate could not carry when it was tried. */
  readonly migrations: readonly MigrationResult[];
  /** Of the generation that runs. */
  hops: readonly Hop[];
  readonly #setup: Omit<LaneSetup, "openPort">;
  readonly #store: SegmentStore;
  readonly #calling: Int32Array;
  readonly #faults: LaneFaults;
  #generation: Generation;
  #program: NativeProgram | undefined;
  #ticking: LaneFunction[] = [];
  #migrating: LaneFunction[] = [];
  readonly #migrationLeft: Int32Array;
  #hasMigrated = false;
  #emptyTurns = 0;

  constructor(setup: Omit<LaneSetup, "openPort">, { memory, native, ports, store, generation, trial }: LaneParts) {
    this.#setup = setup;
    this.#store = store;
    this.#calling = setup.calling ?? new Int32Array(2);
    this.#migrationLeft = setup.migrationLeft ?? new Int32Array(1);
    this.memory = memory;
    this.native = native;
    this.ports = ports;
    this.counters = new BigUint64Array(memory.counters.buffer);
    this.isMine = setup.isMine ?? (() => true);
    const { lane = 0, laneCount = 1, seed = 0n, onFault, onEvidence } = setup;
    this.#faults = new LaneFaults({ ...{ native, memory, lane, laneCount, seed, onFault, onEvidence } });
    this.#generation = generation;
    this.migrations = trial ?? [];
    this.hops = generation.hops;
    this.#findTicking();
  }

  get plan(): Plan {
    return this.#generation.plan;
  }

  get generation(): Generation {
    return this.#generation;
  }

  get functions(): readonly LaneFunction[] {
    return this.#generation.functions;
  }

  get counterLayout(): CounterLayout {
    return this.#generation.counterLayout;
  }

  /** Allocates what `install` and `takeOver` need. */
  prepare(): NativeProgram {
    this.#program ??= this.native.makeProgram(this.#generation.describeProgram());
    return this.#program;
  }

  /** Between two turns: this thread's generation has the lane from now on. The first time it takes over the state. */
  install(): void {
    if (!this.#hasMigrated && this.migrations.length > 0) this.#beginMigration();
    this.#hasMigrated = true;
    this.#migrationLeft[0] = this.#migrating.length;
    this.native.install(this.prepare());
  }

  #beginMigration(): void {
    this.#generation.migrate();
    this.#migrating = this.functions.filter((each) => each.migratesLazily);
  }

  /** Between two batches: some more entries of segments that came from another layout. */
  #migrateMore(): void {
    let left = 0;
    for (const each of this.#migrating) {
      const index = this.functions.indexOf(each);
      this.#announce(index, NF_MIGRATE_MORE);
      try {
        const more = each.migrateMore();
        left += more;
        if (more === 0) this.#migrating = this.#migrating.filter((other) => other !== each);
      } catch (trap) {
        left += 1;
        this.#faults.noteFailure(each, trap);
        this.#renew({ function: each, index });
      }
      this.#announce(-1, 0);
    }
    this.#migrationLeft[0] = Math.min(left, 0x7fffffff);
  }

  /**
   * The same after the thread that had the lane was ended within a function, whose batch is a fault of its hop; finishes
   * the turn that was under way. The function `offender` is not called any more.
   */
  takeOver(offender?: number): void {
    if (offender !== undefined) {
      this.#generation.quarantine(offender);
      this.#program = undefined;
    }
    finishTurn(this, this.native.takeOver(this.prepare()));
  }

  /** Between two turns of this thread: the next generation is built, warmed and has the lane. */
  change(plan: Plan, packages: readonly FunctionPackage[]): void {
    while (this.#migrating.length > 0) this.#migrateMore();
    const setup = { ...this.#setup, plan, packages };
    const next = makeGeneration(setup, this.memory, this.#store, this.#generation.inheritance);
    next.warmUp();
    const program = this.native.makeProgram(next.describeProgram());
    this.native.install(program);
    this.#program = program;
    this.#generation = next;
    this.hops = next.hops;
    this.#beginMigration();
    this.#faults.forgetEvidence();
    this.#findTicking();
  }

  /** The function is not called any more: its frames go on to the next hop, or are dropped. */
  quarantine(index: number): void {
    const bypass = this.#function(index).planned.onFault === "bypass";
    this.#generation.quarantine(index);
    this.#program = undefined;
    this.plan.hops.forEach((hop, position) => {
      if (hop.function === index) this.native.quarantine(position, bypass);
    });
    this.#ticking = this.#ticking.filter((each) => each !== this.functions[index]);
    this.#migrating = this.#migrating.filter((each) => each !== this.functions[index]);
  }

  get faults(): readonly FaultReport[] {
    return this.#faults.reports;
  }

  /** Hands on what functions logged on the packet path, to `also` besides whom the lane was opened for. */
  takeLog(also?: LaneSetup["onLog"]): void {
    const lines = this.native.takeLog();
    if (lines === null) return;
    for (const { level, function: index, text } of readLogLines(lines)) {
      const { name } = this.#function(index).planned;
      this.#setup.onLog?.(level, name, text);
      also?.(level, name, text);
    }
  }

  /** After a turn that received nothing: polls on for a while, then sleeps until there is something to do. */
  rest(): void {
    if (++this.#emptyTurns < EMPTY_TURNS || this.#migrating.length > 0) return;
    this.#emptyTurns = 0;
    this.native.wait(REST_MS);
  }

  /** Batched events: one call per function that has any. */
  deliverEvents(): void {
    for (let index = 0; index < this.functions.length; index++) {
      const each = this.#function(index);
      if (each.events === undefined || !this.native.fillEvents(index)) continue;
      this.#announce(index, NF_EVENTS);
      try {
        each.events();
        this.native.drainEvents(index);
      } catch (trap) {
        this.#recover({ kind: "nf_events", function: each, index, hop: 0 }, trap);
      }
      this.#announce(-1, 0);
    }
  }

  tick(): void {
    for (let i = 0; i < this.#ticking.length; i++) {
      const each = this.#ticking[i] as LaneFunction;
      const index = this.functions.indexOf(each);
      this.#announce(index, NF_TICK);
      if (each.recorder !== undefined) this.native.recordCall(NF_TICK, index);
      try {
        each.tick?.();
      } catch (trap) {
        this.#recover({ kind: "nf_tick", function: each, index, hop: 0 }, trap);
      }
      this.#announce(-1, 0);
    }
    if (this.#migrating.length > 0) this.#migrateMore();
  }

  /** For the watchdog: what is called outside of hops. */
  #announce(index: number, kind: number): void {
    this.#calling[1] = kind;
    this.#calling[0] = index + 1;
  }

  /** Deals with the trap of the function at `hop`. The next hop with work, or -1. */
  fault(hop: number, trap: unknown): number {
    const failed = this.#findCall(hop);
    this.#faults.noteTrap(failed, trap);
    const next = this.native.fault(hop);
    this.#renew(failed);
    return next;
  }

  /** After a turn in which a result did not hold. */
  noteBadResult(): void {
    this.#faults.noteBadResult((hop) => this.#findCall(hop));
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

  audit(): FrameAudit {
    return this.native.audit();
  }

  close(): void {
    this.native.close();
  }

  #function(index: number): LaneFunction {
    return this.functions[index] as LaneFunction;
  }

  #recover(failed: FailedCall, trap: unknown): void {
    this.#faults.noteTrap(failed, trap);
    this.#renew(failed);
  }

  #renew({ function: failed, index }: Pick<FailedCall, "function" | "index">): void {
    try {
      failed.renew();
    } catch (error) {
      this.#faults.noteFailure(failed, error);
    }
    this.#attach(index);
  }

  #findCall(hop: number): FailedCall {
    const index = (this.plan.hops[hop] as Plan["hops"][number]).function;
    return { kind: "nf_process", function: this.#function(index), index, hop };
  }

  #attach(index: number): void {
    const { process, state } = this.#function(index);
    this.plan.hops.forEach((hop, position) => {
      if (hop.function !== index) return;
      (this.hops[position] as Hop).process = process;
      this.native.setReasons(position, state.reasons.length);
    });
    this.#findTicking();
  }

  #findTicking(): void {
    this.#ticking = this.functions.filter((each) => each.tick !== undefined);
  }
}
