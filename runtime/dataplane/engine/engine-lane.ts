// One lane as the engine sees it: the words that it shares with the threads of generations, its reports, its watchdog.
import { setTimeout as sleep } from "node:timers/promises";
import { type CounterLayout, readCounters } from "../counter-layout.ts";
import { nameInLane } from "../lane-files.ts";
import { engineDropReasons, flowCounters, laneCounters } from "../layout.ts";
import { loadAddon } from "../load-addon.ts";
import type { NativeLane, Segment } from "../native.ts";
import { Lookouts } from "../observe/lookouts.ts";
import { type DropSampling, REPORTS, REPORTS_BYTES, setDropSampling } from "../reports.ts";
import { Watchdog } from "../watchdog.ts";
import {
  CONTROL_CALLING,
  CONTROL_COMMAND,
  CONTROL_FORCED,
  CONTROL_MIGRATION_LEFT,
  CONTROL_OFFENDER,
  CONTROL_OWNER,
  CONTROL_RUNNING,
  CONTROL_STOP,
  CONTROL_WORDS,
  TIME_RELEASED,
  TIME_WORDS,
} from "../worker-protocol.ts";
import type { LaneSeat } from "./generation-threads.ts";
import type { Ready } from "./generation-worker.ts";

export interface EngineLaneOptions {
  /** The chain's state folder. */
  readonly folder: string;
  readonly batchLimitMs: number;
  readonly onHung: (offender: number) => void;
}

const LOOK_EVERY_MS = 2;

/** What the threads of a lane share with the engine before the lane is there. */
export function makeSeat(lane: number): LaneSeat {
  const control = new SharedArrayBuffer(CONTROL_WORDS * 4);
  return { lane, control, times: new SharedArrayBuffer(TIME_WORDS * 8) };
}

export class EngineLane {
  readonly index: number;
  readonly seat: LaneSeat;
  readonly control: Int32Array;
  readonly native: NativeLane;
  readonly watchdog: Watchdog;
  readonly lookouts = new Lookouts();
  readonly #wakeDescriptor: number;
  readonly #reports: Segment;
  readonly #counters: BigUint64Array;

  constructor(seat: LaneSeat, { lane, wakeDescriptor }: Ready, { folder, batchLimitMs, onHung }: EngineLaneOptions) {
    const addon = loadAddon();
    this.index = seat.lane;
    this.seat = seat;
    this.control = new Int32Array(seat.control);
    this.native = addon.attachLane(lane);
    this.#wakeDescriptor = wakeDescriptor;
    this.#reports = addon.openSegment(REPORTS_BYTES, `${folder}/${nameInLane(REPORTS, seat.lane)}`);
    const counters = addon.attachSegment(`${folder}/${nameInLane("counters", seat.lane)}`);
    this.#counters = new BigUint64Array(counters.buffer);
    this.watchdog = new Watchdog(this.native, this.control, batchLimitMs, onHung);
  }

  /** The generation that has it; 0 between two. */
  get running(): number {
    return Atomics.load(this.control, CONTROL_RUNNING);
  }

  /** Entries that the running generation still migrates between batches. */
  get migrationLeft(): number {
    return Atomics.load(this.control, CONTROL_MIGRATION_LEFT);
  }

  /** Between two batches the generation has it from now on; 0: none. */
  giveTo(generation: number): void {
    Atomics.store(this.control, CONTROL_OWNER, generation);
    Atomics.notify(this.control, CONTROL_OWNER);
    loadAddon().shakeLane(this.control, CONTROL_RUNNING);
    this.wake();
  }

  /** The function, if any, is not to be called by the generation that takes it next. */
  quarantine(offender: number | null): void {
    Atomics.store(this.control, CONTROL_OFFENDER, offender === null ? 0 : offender + 1);
  }

  /** The same after the thread of generation `from` was ended, wherever it was: it may have let the lane go before. */
  forceTo(generation: number, from: number): void {
    const isLeft = this.running === from;
    if (isLeft) {
      Atomics.store(this.control, CONTROL_CALLING, 0);
      Atomics.store(this.control, CONTROL_FORCED, generation);
    }
    this.giveTo(generation);
    if (!isLeft) return;
    new BigInt64Array(this.seat.times)[TIME_RELEASED] = process.hrtime.bigint();
    Atomics.store(this.control, CONTROL_RUNNING, 0);
    loadAddon().shakeLane(this.control, CONTROL_RUNNING);
  }

  /** When the generation does not have it any more, or the time is over. */
  async released(generation: number, withinMs: number): Promise<void> {
    const deadline = performance.now() + withinMs;
    while (this.running === generation && performance.now() < deadline) await sleep(LOOK_EVERY_MS);
  }

  /** Live ones. */
  countFlows(layout: CounterLayout): number {
    const first = layout.lane + laneCounters.length + engineDropReasons.length;
    return readCounters(this.#counters, first, flowCounters).live;
  }

  stop(): void {
    this.watchdog.stop();
    Atomics.store(this.control, CONTROL_COMMAND, CONTROL_STOP);
    Atomics.notify(this.control, CONTROL_OWNER);
    this.wake();
  }

  wake(): void {
    loadAddon().wake(this.#wakeDescriptor);
  }

  sampleDrops(sampling: DropSampling): void {
    setDropSampling(this.#reports, sampling);
  }
}
