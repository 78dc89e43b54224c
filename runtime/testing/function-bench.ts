// What a function costs per packet. Runs in a process of its own, with V8's flags as in the data plane:
// `function-bench.ts` reads a BenchOrder on stdin and prints a BenchAnswer.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { type Fault, SluiceError } from "../errors.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import { type CostResult, measureCost } from "./function-cost.ts";
import { encodePacket } from "./packet-text.ts";

export interface BenchOrder {
  /** A built package: function.wasm and manifest.json. */
  readonly folder: string;
  readonly config: unknown;
  /** One packet per line (packet-text.ts); sent again and again in this order. */
  readonly packets: readonly string[];
  readonly batches: readonly number[];
}

export type BenchAnswer = { readonly results: readonly CostResult[] } | { readonly faults: readonly Fault[] };

function answer({ folder, config, packets, batches }: BenchOrder): BenchAnswer {
  const functionPackage: FunctionPackage = {
    manifest: JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")),
    wasm: new Uint8Array(readFileSync(join(folder, "function.wasm"))),
    origin: folder,
  };
  try {
    const frames = packets.map(encodePacket);
    return { results: batches.map((batch) => measureCost(functionPackage, { config, batch }, frames)) };
  } catch (error) {
    if (error instanceof SluiceError) return { faults: error.faults };
    throw error;
  }
}

process.stdout.write(JSON.stringify(answer(JSON.parse(await text(process.stdin)))));
