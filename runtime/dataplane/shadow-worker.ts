// The thread of a shadow: follows the lane that is mirrored until it is told to stop, and reports.
import { constants, setPriority } from "node:os";
import { setFlagsFromString } from "node:v8";
import { parentPort, workerData } from "node:worker_threads";
import { SluiceError } from "../errors.ts";
import { loadAddon } from "./load-addon.ts";
import { ShadowLane } from "./shadow-lane.ts";
import type { ShadowMessage, ShadowSetup } from "./shadow-protocol.ts";
import { CONTROL_CALLING, CONTROL_COMMAND, CONTROL_RUN, CONTROL_RUNNING } from "./worker-protocol.ts";

const REPORT_EVERY_MS = 200;
const REST_MS = 1;

function post(message: ShadowMessage): void {
  parentPort?.postMessage(message);
}

function run(setup: ShadowSetup): void {
  setFlagsFromString("--no-wasm-lazy-compilation");
  const control = new Int32Array(setup.control);
  const native = loadAddon();
  if (setup.cpu !== null) native.claimLaneCpu(setup.cpu);
  // Of this thread alone: it takes what the traffic leaves.
  setPriority(0, constants.priority.PRIORITY_LOW);
  const shadow = new ShadowLane(native, setup, control.subarray(CONTROL_CALLING, CONTROL_CALLING + 1));
  const { bytes: copiedBytes, pauseUs } = shadow.copied;
  post({ kind: "following", lane: shadow.lane.native.id, copiedBytes, pauseUs });
  Atomics.store(control, CONTROL_RUNNING, 1);
  const reporter = new Reporter(shadow);
  while (Atomics.load(control, CONTROL_COMMAND) === CONTROL_RUN) {
    if (!shadow.follow()) Atomics.wait(control, CONTROL_COMMAND, CONTROL_RUN, REST_MS);
    reporter.reportInTime();
  }
  reporter.report();
}

class Reporter {
  readonly #shadow: ShadowLane;
  #next = 0;
  #told = 0;

  constructor(shadow: ShadowLane) {
    this.#shadow = shadow;
  }

  reportInTime(): void {
    const now = performance.now();
    if (now < this.#next) return;
    this.#next = now + REPORT_EVERY_MS;
    this.report();
  }

  /** Differences come first: who judges by the counts has them then. */
  report(): void {
    const { counts } = this.#shadow;
    if (counts.differing !== this.#told) post({ kind: "differences", differences: this.#shadow.differences });
    this.#told = counts.differing;
    post({ kind: "counts", counts });
    this.#shadow.lane.takeLog();
  }
}

try {
  run(workerData as ShadowSetup);
} catch (error) {
  const what = (error as Error).stack ?? String(error);
  const faults = error instanceof SluiceError ? error.faults : [{ code: "internal" as const, where: "shadow", what }];
  post({ kind: "failed", faults });
}
