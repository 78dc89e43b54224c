// The cost of one more hop: whole turns of chains of 1 and of 1 + MORE functions, on a looped memory port, in turn.
// Runs in a process of its own, with V8's flags as in the data plane: `hop-rounds.ts PACKAGE_FOLDER`.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { planFlows } from "../../runtime/chain/flows.ts";
import type { Plan } from "../../runtime/chain/plan.ts";
import { planFunction } from "../../runtime/chain/plan-functions.ts";
import { planCommon } from "../../runtime/chain/planner.ts";
import { turn } from "../../runtime/dataplane/breathe.ts";
import type { Lane } from "../../runtime/dataplane/lane.ts";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import type { MemoryPort } from "../../runtime/dataplane/native.ts";
import { openLane } from "../../runtime/dataplane/open-lane.ts";
import type { FunctionPackage } from "../../runtime/function/catalog.ts";
import { encodePacket } from "../../runtime/testing/packet-text.ts";

export interface HopComparison {
  readonly batch: number;
  /** Whole turn with one hop, per packet. */
  readonly turnNs: number;
  /** What one more hop adds, per packet: median over the rounds. */
  readonly hopNs: number;
}

const MORE = 8;
const FRAMES = 4096;
const ROUNDS = 41;
const PACKETS_PER_ROUND = 1 << 18;

function chainOf(length: number, functionPackage: FunctionPackage): Plan {
  const { manifest } = functionPackage;
  const common = planCommon([], () => {});
  return {
    chain: "bench",
    description: "",
    ports: [
      {
        name: "loop",
        driver: "memory",
        device: "",
        queues: [0],
        forwarding: "bridge" as const,
        kernel: [],
        answersFor: [],
        zone: 0,
      },
    ],
    functions: Array.from({ length }, (_, index) =>
      planFunction(
        { name: `${manifest.name}-${index}`, declaration: { use: manifest.name }, manifest, branches: [] },
        common,
      ),
    ),
    hops: Array.from({ length }, (_, index) => ({
      function: index,
      path: 0,
      next: index + 1 < length ? { kind: "hop", hop: index + 1 } : { kind: "port", port: 0 },
      branches: [],
    })),
    paths: [{ from: 0, match: null, first: { kind: "hop", hop: 0 } }],
    ...common,
    zones: [""],
    flows: planFlows(),
    whenDown: "pass",
  };
}

function openLoop(length: number, batch: number, functionPackage: FunctionPackage): Lane {
  const lane = openLane({
    native: loadAddon(),
    plan: chainOf(length, functionPackage),
    packages: Array.from({ length }, () => functionPackage),
    slots: FRAMES,
    slotBytes: 2048,
    batchLimit: batch,
    keepOutcomes: false,
    virtualClock: false,
    openPort: (native) => native.openMemoryPort({ looped: true }),
  });
  const port = lane.ports[0] as MemoryPort;
  for (let i = 0; i < FRAMES; i++) {
    port.inject(encodePacket(`udp 10.0.${i >> 8}.${i & 255}:${1024 + i} > 192.0.2.1:53 pad 60`), 0n);
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

function compare(batch: number, functionPackage: FunctionPackage): HopComparison {
  const short = openLoop(1, batch, functionPackage);
  const long = openLoop(1 + MORE, batch, functionPackage);
  const rounds = Array.from({ length: ROUNDS }, () => [time(short, batch), time(long, batch)] as const);
  // The first rounds warm caches and compilers.
  const measured = rounds.slice(5);
  short.close();
  long.close();
  return {
    batch,
    turnNs: median(measured.map(([one]) => one)),
    hopNs: median(measured.map(([one, many]) => (many - one) / MORE)),
  };
}

const [folder = ""] = process.argv.slice(2);
const functionPackage: FunctionPackage = {
  manifest: JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")),
  wasm: new Uint8Array(readFileSync(join(folder, "function.wasm"))),
  origin: folder,
};
console.log(JSON.stringify([1, 32, 256].map((batch) => compare(batch, functionPackage))));
