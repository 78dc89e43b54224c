// What keepBatches costs: whole turns of a chain of one function on a looped memory port, with and without it, in turn.
// Runs in a process of its own, with V8's flags as in the data plane: `recorder-rounds.ts PACKAGE_FOLDER`.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { turn } from "../../runtime/dataplane/breathe.ts";
import type { Lane } from "../../runtime/dataplane/lane.ts";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import type { MemoryPort } from "../../runtime/dataplane/native.ts";
import { openLane } from "../../runtime/dataplane/open-lane.ts";
import type { FunctionPackage } from "../../runtime/function/catalog.ts";
import { planAlone } from "../../runtime/testing/function-plan.ts";
import { encodePacket } from "../../runtime/testing/packet-text.ts";

export interface RecorderComparison {
  readonly frameBytes: number;
  readonly batch: number;
  readonly keepBatches: number;
  /** Whole turn without it, per packet. */
  readonly turnNs: number;
  /** What it adds, per packet: median over the rounds. */
  readonly addedNs: number;
}

const FRAMES = 4096;
const ROUNDS = 25;
const PACKETS_PER_ROUND = 1 << 17;

function openLoop(functionPackage: FunctionPackage, keepBatches: number, batch: number, frameBytes: number): Lane {
  const plan = planAlone(functionPackage.manifest, { keepBatches }, ["loop", "next"], 1);
  const lane = openLane({
    native: loadAddon(),
    // Everything comes back to where it entered.
    plan: { ...plan, hops: plan.hops.map((hop) => ({ ...hop, next: { kind: "port", port: 0 } })) },
    packages: [functionPackage],
    ...{ slots: FRAMES, slotBytes: 2048, batchLimit: batch, keepOutcomes: false, virtualClock: false },
    openPort: (native) => native.openMemoryPort({ looped: true }),
  });
  const port = lane.ports[0] as MemoryPort;
  for (let i = 0; i < FRAMES; i++) {
    port.inject(encodePacket(`udp 10.0.${i >> 8}.${i & 255}:${1024 + i} > 192.0.2.1:53 pad ${frameBytes}`), 0n);
  }
  return lane;
}

/** Nanoseconds per packet. */
function time(lane: Lane, batch: number): number {
  const turns = PACKETS_PER_ROUND / batch;
  const started = process.hrtime.bigint();
  for (let i = 0; i < turns; i++) turn(lane);
  return Number(process.hrtime.bigint() - started) / PACKETS_PER_ROUND;
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] as number;

function compare(
  functionPackage: FunctionPackage,
  shape: { frameBytes: number; batch: number; keepBatches: number },
): RecorderComparison {
  const { frameBytes, batch, keepBatches } = shape;
  const without = openLoop(functionPackage, 0, batch, frameBytes);
  const recorded = openLoop(functionPackage, keepBatches, batch, frameBytes);
  const rounds = Array.from({ length: ROUNDS }, () => [time(without, batch), time(recorded, batch)] as const);
  // The first rounds warm caches and compilers.
  const measured = rounds.slice(5);
  without.close();
  recorded.close();
  return {
    ...shape,
    turnNs: median(measured.map(([one]) => one)),
    addedNs: median(measured.map(([one, other]) => other - one)),
  };
}

const [folder = ""] = process.argv.slice(2);
const functionPackage: FunctionPackage = {
  manifest: JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")),
  wasm: new Uint8Array(readFileSync(join(folder, "function.wasm"))),
  origin: folder,
};
const shapes = [60, 1500].flatMap((frameBytes) =>
  [1, 32, 256].flatMap((batch) => [64, 1024].map((keepBatches) => ({ frameBytes, batch, keepBatches }))),
);
console.log(JSON.stringify(shapes.map((shape) => compare(functionPackage, shape))));
