// What a shadow costs the lane that carries the traffic: whole turns on a looped memory port, with a mirror and without,
// in turn. Runs in a process of its own, with V8's flags as in the data plane: `shadow-rounds.ts PACKAGE_FOLDER`.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setImmediate, setTimeout } from "node:timers/promises";
import { planFlows } from "../../runtime/chain/flows.ts";
import type { Plan } from "../../runtime/chain/plan.ts";
import { planFunction } from "../../runtime/chain/plan-functions.ts";
import { planCommon } from "../../runtime/chain/planner.ts";
import { turn } from "../../runtime/dataplane/breathe.ts";
import type { Lane } from "../../runtime/dataplane/lane.ts";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import type { MemoryPort } from "../../runtime/dataplane/native.ts";
import { openLane } from "../../runtime/dataplane/open-lane.ts";
import { Shadow } from "../../runtime/dataplane/shadow.ts";
import type { FunctionPackage } from "../../runtime/function/catalog.ts";
import { encodePacket } from "../../runtime/testing/packet-text.ts";

export interface ShadowComparison {
  readonly frameBytes: number;
  readonly batch: number;
  /** Per packet, medians over the rounds. */
  readonly aloneNs: number;
  readonly shadowedNs: number;
  /** Of the shadow itself, all included. */
  readonly compared: number;
  readonly missed: number;
  readonly pauseUs: number;
  readonly copiedBytes: number;
}

const FRAMES = 4096;
const ROUNDS = 41;
/** What the ring holds of large frames, too: a shadow that is too slow would have less to be copied. */
const PACKETS_PER_ROUND = 8192;
const SLOT_BYTES = 2048;

function planOf({ manifest }: FunctionPackage): Plan {
  const common = planCommon([], () => {});
  const declaration = { use: manifest.name };
  return {
    ...{ chain: "bench", description: "", zones: [""], flows: planFlows(), whenDown: "pass", ...common },
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
    functions: [planFunction({ name: "noop", declaration, manifest, branches: [] }, common)],
    hops: [{ function: 0, path: 0, next: { kind: "port", port: 0 }, branches: [] }],
    paths: [{ from: 0, match: null, first: { kind: "hop", hop: 0 } }],
  };
}

function open(plan: Plan, functionPackage: FunctionPackage, folder: string, frameBytes: number, batch: number): Lane {
  const lane = openLane({
    ...{ native: loadAddon(), plan, packages: [functionPackage], slots: FRAMES, slotBytes: SLOT_BYTES },
    ...{ batchLimit: batch, keepOutcomes: false, virtualClock: false },
    pathOf: (segment) => join(folder, segment),
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

async function startShadow(lane: Lane, functionPackage: FunctionPackage, folder: string): Promise<Shadow> {
  const { plan, inheritance: live } = lane.generation;
  const options = { packages: [functionPackage], folder, slotBytes: SLOT_BYTES, cpu: 0, batchLimitMs: 1000 };
  const { native } = lane;
  const shadow = new Shadow({ ...options, plan, live, lane: native });
  const started = shadow.started();
  let isStarted = false;
  started.then(() => {
    isStarted = true;
  });
  // The lane copies its state between two turns; more traffic than that would not wait in the ring.
  while (!isStarted) {
    turn(lane);
    await setTimeout(1);
  }
  return shadow;
}

/** Until the shadow has nothing left to do. */
async function settle(shadow: Shadow): Promise<void> {
  while (shadow.backlogBytes > 0) await setImmediate();
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] as number;

async function compare(frameBytes: number, batch: number, functionPackage: FunctionPackage): Promise<ShadowComparison> {
  const folders = [0, 1].map(() => mkdtempSync("/dev/shm/sluice-bench-")) as [string, string];
  const plan = planOf(functionPackage);
  const [alone, shadowed] = folders.map((folder) => open(plan, functionPackage, folder, frameBytes, batch)) as [
    Lane,
    Lane,
  ];
  for (const lane of [alone, shadowed]) time(lane, batch);
  const shadow = await startShadow(shadowed, functionPackage, folders[1]);
  const rounds: [number, number][] = [];
  for (let round = 0; round < ROUNDS; round++) {
    await settle(shadow);
    // Whoever comes first finds the caches as the wait has left them.
    const order = round % 2 === 0 ? [alone, shadowed] : [shadowed, alone];
    const times = order.map((lane) => time(lane, batch));
    rounds.push((round % 2 === 0 ? times : times.toReversed()) as [number, number]);
  }
  await settle(shadow);
  await shadow.end();
  const { compared, missed, pauseUs, copiedBytes } = shadow.report;
  for (const lane of [alone, shadowed]) lane.close();
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  // The first rounds warm caches and compilers.
  const measured = rounds.slice(5);
  return {
    ...{ frameBytes, batch, compared, missed, pauseUs, copiedBytes },
    aloneNs: median(measured.map(([ns]) => ns)),
    shadowedNs: median(measured.map(([, ns]) => ns)),
  };
}

const [folder = ""] = process.argv.slice(2);
const functionPackage: FunctionPackage = {
  manifest: JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")),
  wasm: new Uint8Array(readFileSync(join(folder, "function.wasm"))),
  origin: folder,
};
const comparisons: ShadowComparison[] = [];
for (const [frameBytes, batch] of [
  [60, 32],
  [60, 256],
  [1514, 256],
] as const) {
  comparisons.push(await compare(frameBytes, batch, functionPackage));
}
console.log(JSON.stringify(comparisons));
