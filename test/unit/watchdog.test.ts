import { afterEach, beforeEach, expect, it, vi } from "vitest";
import type { NativeLane } from "../../runtime/dataplane/native.ts";
import { Watchdog } from "../../runtime/dataplane/watchdog.ts";
import { CONTROL_CALLING, CONTROL_RUNNING, CONTROL_WORDS } from "../../runtime/dataplane/worker-protocol.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

/** Function 0 of generation 1 is called, and uses the processor as long as time passes. */
function watch() {
  const control = new Int32Array(CONTROL_WORDS);
  control[CONTROL_RUNNING] = 1;
  control[CONTROL_CALLING] = 1;
  const lane = { turns: 0, pulse: () => ({ turns: lane.turns, hop: -1, cpuMs: Date.now() }) };
  const onHung = vi.fn();
  const watchdog = new Watchdog(lane as unknown as NativeLane, control, 50, onHung);
  return { control, lane, onHung, watchdog };
}

it("tells once of a function that does not return, and again after it was told to look on", () => {
  const { onHung, watchdog } = watch();
  vi.advanceTimersByTime(40);
  expect(onHung).not.toHaveBeenCalled();
  vi.advanceTimersByTime(200);
  expect(onHung.mock.calls).toEqual([[0]]);
  watchdog.resume();
  vi.advanceTimersByTime(100);
  expect(onHung).toHaveBeenCalledTimes(2);
  watchdog.stop();
});

it("says nothing as long as turns end", () => {
  const { lane, onHung, watchdog } = watch();
  for (let i = 0; i < 20; i++) {
    lane.turns++;
    vi.advanceTimersByTime(20);
  }
  expect(onHung).not.toHaveBeenCalled();
  watchdog.stop();
});

it("knows whose function it is: another generation may die meanwhile", () => {
  const { watchdog } = watch();
  expect(watchdog.isHandling(1)).toBe(false);
  vi.advanceTimersByTime(100);
  expect([watchdog.isHandling(1), watchdog.isHandling(2)]).toEqual([true, false]);
  watchdog.resume();
  expect(watchdog.isHandling(1)).toBe(false);
  watchdog.stop();
});
