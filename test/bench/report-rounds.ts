// What reports cost the lane: flows that end and frames that are dropped, with a ring and without, interleaved. Runs in a
// process of its own: `report-rounds.ts PACKAGE_FOLDER`.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { parseDocument } from "../../runtime/chain/document.ts";
import { planChain } from "../../runtime/chain/planner.ts";
import { turn } from "../../runtime/dataplane/breathe.ts";
import type { Lane } from "../../runtime/dataplane/lane.ts";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import type { MemoryPort } from "../../runtime/dataplane/native.ts";
import { openLane } from "../../runtime/dataplane/open-lane.ts";
import { REPORTS, REPORTS_BYTES, setDropSampling } from "../../runtime/dataplane/reports.ts";
import { Catalog, type FunctionPackage } from "../../runtime/function/catalog.ts";
import { encodePacket } from "../../runtime/testing/packet-text.ts";

export interface ReportComparison {
  readonly what: string;
  /** Per flow or frame, median over the rounds. */
  readonly withoutNs: number;
  readonly withNs: number;
}

const BATCH = 256;
const FLOWS = BATCH * 16;
const ROUNDS = 61;
const WARMING = 5;
const native = loadAddon();

/** Frames from `in` are for nobody: the engine drops them, after their flow was tracked. */
function open(functionPackage: FunctionPackage, folder: string, reportNames?: number): Lane {
  const text = `chain: bench
ports: { in: { driver: memory }, out: { driver: memory } }
functions: { noop: { use: ${functionPackage.manifest.name} } }
paths: [{ from: out, through: [noop], to: none }]`;
  const { plan } = planChain(parseDocument(text, "bench.yaml"), new Catalog([functionPackage]));
  return openLane({
    ...{ native, plan, packages: [functionPackage], slots: 8192, slotBytes: 2048, batchLimit: BATCH },
    ...{ keepOutcomes: false, virtualClock: false, reportNames },
    openPort: (lane) => lane.openMemoryPort(),
    pathOf: (segment) => join(folder, segment),
  });
}

const frames = Array.from({ length: FLOWS }, (_, i) =>
  encodePacket(`udp 10.0.${i >> 8}.${i & 255}:1000 > 192.0.2.1:53 pad 60`),
);

function timeDrops(lane: Lane): number {
  const port = lane.ports[0] as MemoryPort;
  let ns = 0n;
  for (let first = 0; first < FLOWS; first += BATCH) {
    for (const frame of frames.slice(first, first + BATCH)) port.inject(frame, 0n);
    const started = process.hrtime.bigint();
    turn(lane);
    ns += process.hrtime.bigint() - started;
  }
  return Number(ns) / FLOWS;
}

function timeEnds(lane: Lane): number {
  timeDrops(lane);
  const started = process.hrtime.bigint();
  lane.native.endFlows();
  return Number(process.hrtime.bigint() - started) / FLOWS;
}

const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] as number;

function compare(what: string, [without, reporting]: readonly [Lane, Lane], time: (lane: Lane) => number) {
  const rounds = Array.from({ length: ROUNDS }, () => [time(without), time(reporting)] as const).slice(WARMING);
  return { what, withoutNs: median(rounds.map(([ns]) => ns)), withNs: median(rounds.map(([, ns]) => ns)) };
}

function compareAll(functionPackage: FunctionPackage): ReportComparison[] {
  const [silent, folder] = [mkdtempSync("/dev/shm/sluice-bench-"), mkdtempSync("/dev/shm/sluice-bench-")];
  const lanes = [open(functionPackage, silent), open(functionPackage, folder, 1)] as const;
  const sample = (every: number) => {
    const segment = native.openSegment(REPORTS_BYTES, join(folder, REPORTS));
    setDropSampling(segment, { sample: every, perSecond: 0xffff_ffff });
  };
  try {
    sample(0);
    const ends = compare("a flow that ends", lanes, timeEnds);
    const drops = [0, 100, 1].map((every) => {
      sample(every);
      return compare(`a dropped frame, ${every === 0 ? "none" : `one of ${every}`} reported`, lanes, timeDrops);
    });
    return [ends, ...drops];
  } finally {
    for (const lane of lanes) lane.close();
    for (const each of [silent, folder]) rmSync(each, { recursive: true, force: true });
  }
}

const [folder = ""] = process.argv.slice(2);
const functionPackage: FunctionPackage = {
  manifest: JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8")),
  wasm: new Uint8Array(readFileSync(join(folder, "function.wasm"))),
  origin: folder,
};
console.log(JSON.stringify(compareAll(functionPackage)));
