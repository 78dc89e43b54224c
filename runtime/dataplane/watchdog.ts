// Notices from outside of a lane's thread that a function does not return: it uses the processor, and no turn ends.
import type { NativeLane } from "./native.ts";
import { CONTROL_CALLING, CONTROL_RUNNING } from "./worker-protocol.ts";

const LOOK_EVERY_MS = 10;

export class Watchdog {
  readonly #lane: NativeLane;
  readonly #control: Int32Array;
  readonly #limitMs: number;
  readonly #onHung: (offender: number) => void;
  readonly #timer: NodeJS.Timeout;
  #turns = -1;
  #running = 0;
  #offender = -1;
  #cpuMs = 0;
  /** The generation whose function does not return; 0: none. */
  #hung = 0;

  /** `limitMs`: processor time. `onHung` is told the function's index once; `resume` looks again. */
  constructor(lane: NativeLane, control: Int32Array, limitMs: number, onHung: (offender: number) => void) {
    this.#lane = lane;
    this.#control = control;
    this.#limitMs = limitMs;
    this.#onHung = onHung;
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY_MS);
  }

  /** A function of this generation does not return, and `resume` has not been called since that was found. */
  isHandling(generation: number): boolean {
    return this.#hung === generation;
  }

  resume(): void {
    this.#turns = -1;
    this.#hung = 0;
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Null: the lane has just been closed by its own thread. */
  #pulse(): { readonly turns: number; readonly offender: number; readonly cpuMs: number } | null {
    try {
      const { turns, hop, cpuMs } = this.#lane.pulse();
      const called = Atomics.load(this.#control, CONTROL_CALLING) - 1;
      const offender = called >= 0 ? called : hop >= 0 ? this.#lane.functionOf(hop) : -1;
      return { turns, offender, cpuMs };
    } catch {
      return null;
    }
  }

  #look(): void {
    if (this.#hung !== 0) return;
    const running = Atomics.load(this.#control, CONTROL_RUNNING);
    const pulse = this.#pulse();
    if (pulse === null) return;
    const { turns, offender, cpuMs } = pulse;
    const isSame = running === this.#running && turns === this.#turns && offender === this.#offender;
    if (!isSame || offender < 0 || running === 0) {
      this.#turns = turns;
      this.#running = running;
      this.#offender = offender;
      this.#cpuMs = cpuMs;
    } else if (cpuMs - this.#cpuMs >= this.#limitMs) {
      this.#hung = running;
      this.#onHung(offender);
    }
  }
}
