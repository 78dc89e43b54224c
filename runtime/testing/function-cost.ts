// What a function costs per packet, measured by the real host on memory ports.
import { turn } from "../dataplane/breathe.ts";
import { hopCounters } from "../dataplane/layout.ts";
import { loadAddon } from "../dataplane/load-addon.ts";
import type { MemoryPort } from "../dataplane/native.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import { type FunctionTestOptions, type FunctionUnderTest, openPackage } from "./function-under-test.ts";

export interface CostResult {
  readonly batch: number;
  /** From the host's call to its return, per packet: median of the rounds. */
  readonly nsPerPacket: number;
  /** The best and the worst round. */
  readonly best: number;
  readonly worst: number;
  readonly rounds: number;
}

const FRAMES_PER_ROUND = 4096;
const ROUNDS = 60;
const WARM_UP_ROUNDS = 10;

/** `frames` are sent again and again in this order, options.batch at once. */
export function measureCost(
  functionPackage: FunctionPackage,
  options: FunctionTestOptions & { readonly batch: number },
  frames: readonly Uint8Array[],
): CostResult {
  const tickHz = loadAddon().measureTickHz();
  const fn = openPackage(functionPackage, options);
  const times = Array.from({ length: ROUNDS + WARM_UP_ROUNDS }, () => runRound(fn, frames, tickHz));
  fn.close();
  const sorted = times.slice(WARM_UP_ROUNDS).toSorted((a, b) => a - b);
  return {
    batch: options.batch,
    nsPerPacket: sorted[ROUNDS >> 1] as number,
    best: sorted[0] as number,
    worst: sorted.at(-1) as number,
    rounds: ROUNDS,
  };
}

/** Nanoseconds per packet in the function. */
function runRound({ lane }: FunctionUnderTest, frames: readonly Uint8Array[], tickHz: number): number {
  const [entry, ...others] = lane.ports as readonly MemoryPort[];
  const port = entry as MemoryPort;
  for (let sent = 0; sent < FRAMES_PER_ROUND; sent++) port.inject(frames[sent % frames.length] as Uint8Array, 0n);
  const ticks = (lane.counterLayout.hops[0] as number) + hopCounters.indexOf("ticks");
  const before = lane.counters[ticks] as bigint;
  while (turn(lane));
  const spent = Number((lane.counters[ticks] as bigint) - before);
  for (const each of [port, ...others]) each.drain();
  return ((spent / tickHz) * 1e9) / FRAMES_PER_ROUND;
}
