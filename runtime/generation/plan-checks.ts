// Whether conditions hold: counters and faults are watched for a while, probes sent through the chain.
import { setTimeout as sleep } from "node:timers/promises";
import { findNearest } from "../chain/nearest.ts";
import type { TestFrameOutcome } from "../dataplane/test-frame.ts";
import { SluiceError } from "../errors.ts";
import type { Condition, PacketText, ProbeCondition, RateCondition } from "./plan-conditions.ts";

/** What is looked at. */
export interface ChainView {
  /** As telemetry/counter-names.ts names them. */
  readCounters(): ReadonlyMap<string, number>;
  testFrame(port: string, bytes: Uint8Array, signal: AbortSignal): Promise<TestFrameOutcome>;
}

/**
 * All at the same time, for at least `settleMs`. Rejects with what does not hold, or with the signal's reason; whatever
 * is under way then ends, too.
 */
export async function requireConditions(
  conditions: readonly Condition[],
  view: ChainView,
  packets: PacketText,
  settleMs: number,
  signal: AbortSignal,
): Promise<void> {
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  const checks = conditions.map((condition) => check(condition, view, packets, both));
  try {
    await Promise.all([sleepFor(settleMs, both), ...checks]);
  } finally {
    stop.abort();
    await Promise.allSettled(checks);
  }
}

/** Unlike the timer's own, rejects with the signal's reason. */
export async function sleepFor(timeMs: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(timeMs, undefined, { signal });
  } catch {
    signal.throwIfAborted();
  }
}

function check(condition: Condition, view: ChainView, packets: PacketText, signal: AbortSignal): Promise<void> {
  switch (condition.kind) {
    case "rate":
      return checkRate(condition, view, signal);
    case "faults":
      return checkFaults(condition, view, signal);
    default:
      return probe(condition, view, packets, signal);
  }
}

async function checkRate(condition: RateCondition, view: ChainView, signal: AbortSignal): Promise<void> {
  const before = requireCounter(condition, view);
  const started = performance.now();
  await sleepFor(condition.overMs, signal);
  const rate = ((requireCounter(condition, view) - before) / (performance.now() - started)) * 1000;
  if (rate >= condition.min && rate <= condition.max) return;
  throw new Error(`does not hold: ${condition.text}; it was ${rate.toFixed(1)}`);
}

function requireCounter({ counter }: RateCondition, view: ChainView): number {
  const counters = view.readCounters();
  const value = counters.get(counter);
  if (value !== undefined) return value;
  throw new Error(`there is no counter ${counter}; did you mean ${findNearest(counter, [...counters.keys()])}?`);
}

async function checkFaults(
  condition: Condition & { readonly kind: "faults" },
  view: ChainView,
  signal: AbortSignal,
): Promise<void> {
  const before = countFaults(view);
  await sleepFor(condition.overMs, signal);
  const faults = countFaults(view) - before;
  if (faults > condition.max) throw new Error(`does not hold: ${condition.text}; there were ${faults}`);
}

function countFaults(view: ChainView): number {
  const counts = [...view.readCounters()].filter(([name]) => name.endsWith(".fault_frames"));
  return counts.reduce((sum, [, value]) => sum + value, 0);
}

async function probe(
  condition: ProbeCondition,
  view: ChainView,
  packets: PacketText,
  signal: AbortSignal,
): Promise<void> {
  const { from, frame, to, expect, withinMs } = condition;
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(new Error(`does not hold: ${condition.text}; it did not end`)), withinMs);
  try {
    const outcome = await view.testFrame(from, frame, AbortSignal.any([signal, late.signal]));
    const isExpected = expect === null || Buffer.compare(outcome.bytes, expect) === 0;
    if (outcome.to === to && isExpected) return;
    throw new Error(`does not hold: ${condition.text}; ${describeOutcome(outcome, packets)}`);
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    throw new Error(`does not hold: ${condition.text}; ${error.faults.map(({ what }) => what).join("; ")}`);
  } finally {
    clearTimeout(timer);
  }
}

function describeOutcome({ kind, to, function: owner, reason, bytes }: TestFrameOutcome, packets: PacketText): string {
  if (kind === "forward") return `it left by ${to} as ${packets.format(bytes)}`;
  const by = owner === null ? "" : ` by ${owner}`;
  return kind === "consume" ? "it was consumed" : `it ended as ${kind}${by}${reason === "" ? "" : ` (${reason})`}`;
}
