// What a function costs per packet, measured by the real host on memory ports. Runs in a process of its own, with V8's
// flags as in the data plane: `function-bench.ts` reads a BenchOrder on stdin and prints a BenchAnswer.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { turn } from "../dataplane/breathe.ts";
import { hopCounters } from "../dataplane/layout.ts";
import { loadAddon } from "../dataplane/load-addon.ts";
import type { MemoryPort } from "../dataplane/native.ts";
import { type Fault, SluiceError } from "../errors.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import { type FunctionUnderTest, openPackage } from "./function-under-test.ts";
import { encodePacket } from "./packet-text.ts";

export interface BenchOrder {
  /** A built package: function.wasm and manifest.json. */
  readonly folder: string;
  readonly config: unknown;
  /** One packet per line (packet-text.ts); sent again and again in this order. */
  readonly packets: readonly string[];
  readonly batches: readonly number[];
}

export interface BenchResult {
  readonly batch: number;
  /** From the host's call to its return, per packet: median of the rounds. */
  readonly nsPerPacket: number;
  /** The best and the worst round. */
  readonly best: number;
  readonly worst: number;
  readonly rounds: number;
}

export type BenchAnswer = { readonly results: readonly BenchResult[] } | { readonly faults: readonly Fault[] };

const FRAMES_PER_ROUND = 4096;
const ROUNDS = 60;
const WARM_UP_ROUNDS = 10;

function measure(order: BenchOrder, functionPackage: FunctionPackage, batch: number, tickHz: number): BenchResult {
  const fn = openPackage(functionPackage, { config: order.config, batch });
  const frames = order.packets.map(encodePacket);
  const times = Array.from({ length: ROUNDS + WARM_UP_ROUNDS }, () => runRound(fn, frames, tickHz));
  fn.close();
  const sorted = times.slice(WARM_UP_ROUNDS).toSorted((a, b) => a - b);
  return {
    batch,
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

function answer(order: BenchOrder): BenchAnswer {
  const functionPackage: FunctionPackage = {
    manifest: JSON.parse(readFileSync(join(order.folder, "manifest.json"), "utf8")),
    wasm: new Uint8Array(readFileSync(join(order.folder, "function.wasm"))),
    origin: order.folder,
  };
  const tickHz = loadAddon().measureTickHz();
  try {
    return { results: order.batches.map((batch) => measure(order, functionPackage, batch, tickHz)) };
  } catch (error) {
    if (error instanceof SluiceError) return { faults: error.faults };
    throw error;
  }
}

process.stdout.write(JSON.stringify(answer(JSON.parse(await text(process.stdin)))));
