// Measures functions against their twins: `node --no-liftoff twin-rounds.ts FOLDER`, where FOLDER holds hello.wasm,
// acl.wasm and twins.node. Prints an array of comparisons as JSON.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { BATCH_CAPACITY } from "../../nfs/sdk/abi.ts";
import { COUNTERS_ADDRESS } from "../../runtime/dataplane/memory-map.ts";
import { BareFunction } from "../support/bare-function.ts";
import { generateHeaders, generateRules, type RuleSetKind } from "../support/rule-sets.ts";
import { BATCHES, FRAMES, TwinMemory } from "./twin-memory.ts";

/** Short and many, so that the median is not moved by what else the machine does. */
const ROUNDS = 501;
/** How often one side goes through all batches in a round. */
const PASSES = 2;

interface Twins {
  openHelloTwin(memory: ArrayBuffer, counters: number): () => void;
  openAclTwin(memory: ArrayBuffer, tables: number, unmatchedCounter: number): () => void;
}

export interface TwinComparison {
  readonly subject: string;
  /** Medians over the rounds. */
  readonly wasmNs: number;
  readonly nativeNs: number;
  /** Median of native / Wasm in each round: 1 is as fast as native, 0.5 half as fast. */
  readonly ratio: number;
}

function compareHello(wasm: Uint8Array, twins: Twins): TwinComparison {
  const bare = new BareFunction(wasm, 4, {});
  const rules = [...generateRules("acl", 64, 1), ...generateRules("hosts", 32, 2)];
  const memory = new TwinMemory(bare, generateHeaders(rules, FRAMES, 3));
  return compare("hello", memory, bare.run, twins.openHelloTwin(bare.memory.buffer, COUNTERS_ADDRESS));
}

function compareAcl(wasm: Uint8Array, twins: Twins, kind: RuleSetKind, count: number): TwinComparison {
  const rules = generateRules(kind, count, 1);
  const bare = new BareFunction(wasm, 4096, { rules });
  const { tables, unmatchedCounter } = bare.exports as unknown as Record<string, () => number>;
  if (tables === undefined || unmatchedCounter === undefined) throw new Error("nfs/acl/bench lacks its exports");
  const twin = twins.openAclTwin(bare.memory.buffer, tables() >>> 0, unmatchedCounter() >>> 0);
  const memory = new TwinMemory(bare, generateHeaders(rules, FRAMES, 2));
  expectSameResults(bare, memory, twin);
  return compare(`acl, ${count} ${kind} rules`, memory, bare.run, twin);
}

/** A bench of two things that do not do the same would mean nothing. */
function expectSameResults(bare: BareFunction, memory: TwinMemory, twin: () => void): void {
  for (let batch = 0; batch < BATCHES; batch++) {
    memory.select(batch);
    const wasm = bare.resultsOf(bare.run);
    if (!wasm.equals(bare.resultsOf(twin))) throw new Error(`the twin of acl says something else of batch ${batch}`);
  }
}

function compare(subject: string, memory: TwinMemory, wasm: () => void, native: () => void): TwinComparison {
  const nothing = () => {};
  const sides = [wasm, native, nothing];
  for (const side of sides) measure(memory, side);
  const rounds = Array.from({ length: ROUNDS }, () => sides.map((side) => measure(memory, side)));
  // What the bench itself takes to select batches.
  const own = median(rounds.map(([, , empty = 0]) => empty));
  return {
    subject,
    wasmNs: median(rounds.map(([ns = 0]) => ns)) - own,
    nativeNs: median(rounds.map(([, ns = 0]) => ns)) - own,
    ratio: median(rounds.map(([wasmNs = 0, nativeNs = 0]) => (nativeNs - own) / (wasmNs - own))),
  };
}

/** Nanoseconds per frame. */
function measure(memory: TwinMemory, process: () => void): number {
  const start = performance.now();
  for (let pass = 0; pass < PASSES; pass++) {
    for (let batch = 0; batch < BATCHES; batch++) {
      memory.select(batch);
      process();
    }
  }
  return ((performance.now() - start) * 1e6) / (PASSES * BATCHES * BATCH_CAPACITY);
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] as number;
}

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error("usage: twin-rounds.ts FOLDER");
const twins: Twins = createRequire(import.meta.url)(resolve(folder, "twins.node"));
const [hello, acl] = ["hello.wasm", "acl.wasm"].map((file) => readFileSync(join(folder, file))) as [Buffer, Buffer];
const comparisons = [
  compareHello(hello, twins),
  ...(["acl", "fw", "ipc", "hosts"] as const).map((kind) => compareAcl(acl, twins, kind, 1000)),
  compareAcl(acl, twins, "acl", 10_000),
];
console.log(JSON.stringify(comparisons));
