// Threads that pass a lane to each other, and threads that are ended while they wait for it.
import { Worker } from "node:worker_threads";
import { describe, expect, it } from "vitest";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";

const HOLDER = 0;
const TURNS = 1;
const STARTED = 2;
const ROUNDS = 2000;

/** Whoever has the lane counts by a read and a write that nobody may come between. */
const PASSES = `
const { workerData: { addon, control, thread, rounds } } = require("node:worker_threads");
const native = require(addon);
const times = new BigInt64Array(1);
for (let round = 0; round < rounds; round++) {
  while (!native.takeLane(control, ${HOLDER}, thread, 20));
  const turns = control[${TURNS}];
  for (let wait = 0; wait < 50; wait++);
  control[${TURNS}] = turns + 1;
  native.releaseLane(control, ${HOLDER}, times, 0, false);
}
if (times[0] === 0n) throw new Error("no time");
`;

const WAITS = `
const { workerData: { addon, control } } = require("node:worker_threads");
const native = require(addon);
Atomics.store(control, ${STARTED}, 1);
Atomics.notify(control, ${STARTED});
for (;;) {
  native.takeLane(control, ${HOLDER}, 2, 1);
  native.comeFirst(false);
}
`;

const addon = new URL("../../build/native/sluice.node", import.meta.url).pathname;

function makeControl(): Int32Array {
  return new Int32Array(new SharedArrayBuffer(16));
}

describe("a lane that threads pass on", () => {
  it("is never two threads'", async () => {
    const control = makeControl();
    const ends = [1, 2, 3].map((thread) => {
      const worker = new Worker(PASSES, { eval: true, workerData: { addon, control, thread, rounds: ROUNDS } });
      return new Promise((resolve, reject) => worker.once("error", reject).once("exit", resolve));
    });
    expect(await Promise.all(ends)).toEqual([0, 0, 0]);
    expect(control[TURNS]).toBe(3 * ROUNDS);
    expect(control[HOLDER]).toBe(0);
  });

  it("is not taken before it is free, nor later than it was waited for", () => {
    const control = makeControl();
    const native = loadAddon();
    control[HOLDER] = 7;
    expect(native.takeLane(control, HOLDER, 8, 1)).toBe(false);
    expect(control[HOLDER]).toBe(7);
    native.releaseLane(control, HOLDER, new BigInt64Array(1), 0, false);
    expect(native.takeLane(control, HOLDER, 8, 1)).toBe(true);
    expect(control[HOLDER]).toBe(8);
  });

  it("ends a thread that waits without ending the process", async () => {
    const control = makeControl();
    control[HOLDER] = 1;
    for (let round = 0; round < 40; round++) {
      control[STARTED] = 0;
      const worker = new Worker(WAITS, { eval: true, workerData: { addon, control } });
      await Atomics.waitAsync(control, STARTED, 0).value;
      expect(await worker.terminate()).toBe(1);
    }
    expect(control[HOLDER]).toBe(1);
  });
});
