// What firewall and nat cost per packet: chains of either and of both on memory ports, whole turns of the real host.
// Runs in a process of its own, with V8's flags as in the data plane: `firewall-rounds.ts FOLDER`, where FOLDER holds
// firewall.wasm and nat.wasm. Prints an array of costs as JSON.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseDocument } from "../../runtime/chain/document.ts";
import { planChain } from "../../runtime/chain/planner.ts";
import { turn } from "../../runtime/dataplane/breathe.ts";
import type { Lane } from "../../runtime/dataplane/lane.ts";
import { hopCounters } from "../../runtime/dataplane/layout.ts";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import type { MemoryPort } from "../../runtime/dataplane/native.ts";
import { openLane } from "../../runtime/dataplane/open-lane.ts";
import { Catalog, type FunctionPackage } from "../../runtime/function/catalog.ts";
import { validateManifest } from "../../runtime/function/manifest.ts";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { generateRules } from "../support/rule-sets.ts";

export interface FirewallCost {
  readonly functions: readonly string[];
  readonly rules: number;
  readonly flows: number;
  /** In nanoseconds per packet, by function: a flow's first packet, and its later ones in the best of the passes. */
  readonly first: readonly number[];
  readonly established: readonly number[];
}

export interface FirewallCosts {
  readonly costs: readonly FirewallCost[];
  /** What the host takes for a packet around its functions, parsing and flows included; by the number of flows. */
  readonly turns: readonly { readonly flows: number; readonly turnNs: number }[];
}

type Shape = Pick<FirewallCost, "functions" | "rules" | "flows">;

const BATCH = 256;
/** Queued at once; less than the slots, so that none waits. */
const CHUNK = 4096;
const PASSES = 9;
const PACKETS_PER_PASS = 1 << 17;
const START_NS = 1_800_000_000_000_000_000n;
const tickHz = loadAddon().measureTickHz();

const [folder = ""] = process.argv.slice(2);

function readPackage(name: string): FunctionPackage {
  const file = join(import.meta.dirname, "../../nfs", name, "manifest.json");
  const wasm = new Uint8Array(readFileSync(join(folder, `${name}.wasm`)));
  return { manifest: validateManifest(readFileSync(file, "utf8"), file), wasm, origin: folder };
}

/** Rules that traffic of the bench does not meet, and behind them one that takes it. */
function firewallConfig(count: number): object {
  const others = generateRules("acl", count - 1, 1).map(({ action, ...conditions }) => ({
    ...conditions,
    action: action === "permit" ? "accept" : "drop",
    sources: ["172.16.0.0/12"],
  }));
  return { rules: [...others, { action: "accept", sources: ["10.0.0.0/8"] }] };
}

const configs: Readonly<Record<string, (shape: Shape) => object>> = {
  firewall: ({ rules }) => firewallConfig(rules),
  nat: () => ({ outside: ["out"], sources: [{ from: ["10.0.0.0/8"], pool: ["203.0.113.0/28"] }] }),
};

function openChain(shape: Shape, looped = false): Lane {
  const packages = shape.functions.map(readPackage);
  const document = {
    chain: "bench",
    ports: { in: { driver: "memory" }, out: { driver: "memory" } },
    functions: Object.fromEntries(
      shape.functions.map((name) => [name, { use: name, config: configs[name]?.(shape) ?? {} }]),
    ),
    flows: { capacity: Math.max(65_536, Math.ceil(shape.flows * 1.125)) },
    paths: [{ from: "in", through: shape.functions, to: looped ? "in" : "out" }],
  };
  const { plan } = planChain(parseDocument(JSON.stringify(document), "bench.json"), new Catalog(packages));
  return openLane({
    native: loadAddon(),
    plan,
    packages: plan.functions.map(
      ({ package: { name } }) => packages.find((each) => each.manifest.name === name) as FunctionPackage,
    ),
    ...{ slots: looped ? shape.flows : 2 * CHUNK, slotBytes: 2048, batchLimit: BATCH },
    ...{ keepOutcomes: false, virtualClock: true },
    openPort: (lane) => lane.openMemoryPort({ looped }),
  });
}

/** Datagrams of 60 bytes, without checksum, each of another flow: `at` makes the frame of a flow. */
class Traffic {
  readonly #frame = encodePacket("udp 10.0.0.0:0 > 192.0.2.1:53 pad 60 checksum 0");
  readonly #view = new DataView(this.#frame.buffer);
  readonly #sum = 0xffff - this.#view.getUint16(24);

  at(flow: number): Uint8Array {
    // 256 flows per host; ports are even, as most clients' are not asked to be.
    const [host, port] = [flow >> 8, 1024 + (flow & 255) * 2];
    this.#view.setUint16(28, host);
    this.#view.setUint16(34, port);
    const sum = this.#sum + host;
    this.#view.setUint16(24, 0xffff - ((sum & 0xffff) + (sum >> 16)));
    return this.#frame;
  }
}

/** A function that reads how many nanoseconds each hop took since it was made. */
function startClocks(lane: Lane): () => number[] {
  const ticks = lane.counterLayout.hops.map((hop) => hop + hopCounters.indexOf("ticks"));
  const before = ticks.map((index) => lane.counters[index] as bigint);
  return () =>
    ticks.map((index, hop) => (Number((lane.counters[index] as bigint) - (before[hop] as bigint)) / tickHz) * 1e9);
}

/** Nanoseconds per packet of each hop. */
function pass(lane: Lane, traffic: Traffic, flows: number, from: number, count: number): number[] {
  const [entry, exit] = lane.ports as readonly MemoryPort[] as [MemoryPort, MemoryPort];
  const clocks = startClocks(lane);
  for (let sent = 0; sent < count; ) {
    const until = Math.min(count, sent + CHUNK);
    for (; sent < until; sent++) entry.inject(traffic.at((from + sent) % flows), START_NS);
    while (turn(lane));
    if (exit.drain().length === 0) throw new Error("no packet came through");
  }
  return clocks().map((ns) => ns / count);
}

/** Frames that go round and round, without a copy: the thread's time for a whole turn, less what its function takes. */
function measureTurn(flows: number): number {
  const lane = openChain({ functions: ["firewall"], rules: 10, flows }, true);
  const traffic = new Traffic();
  for (let flow = 0; flow < flows; flow++) (lane.ports[0] as MemoryPort).inject(traffic.at(flow), START_NS);
  const count = Math.max(PACKETS_PER_PASS, flows);
  const passes = Array.from({ length: PASSES + 1 }, () => {
    const clocks = startClocks(lane);
    const start = process.threadCpuUsage();
    for (let packets = 0; packets < count; packets += BATCH) turn(lane);
    const { user, system } = process.threadCpuUsage(start);
    return { whole: ((user + system) * 1000) / count, firewall: (clocks()[0] as number) / count };
  });
  lane.close();
  return best(passes.map(({ whole }) => whole)) - best(passes.map(({ firewall }) => firewall));
}

function measure(shape: Shape): FirewallCost {
  const lane = openChain(shape);
  const traffic = new Traffic();
  const { flows } = shape;
  // The first chunk also warms what only first calls cost.
  const warm = Math.min(flows >> 1, CHUNK);
  pass(lane, traffic, flows, 0, warm);
  const first = pass(lane, traffic, flows, warm, flows - warm);
  const count = Math.max(PACKETS_PER_PASS, flows);
  const passes = Array.from({ length: PASSES + 1 }, (_, index) =>
    pass(lane, traffic, flows, index * count, count),
  ).slice(1);
  lane.close();
  return { ...shape, first, established: first.map((_, part) => best(passes.map((each) => each[part] as number))) };
}

/** Not the median: what else the machine does only ever adds. */
const best = (values: readonly number[]) => Math.min(...values);

const shapes: Shape[] = [
  ...[10, 1000, 10_000].map((rules) => ({ functions: ["firewall"], rules, flows: 1024 })),
  ...[65_536, 1_048_576].map((flows) => ({ functions: ["firewall"], rules: 1000, flows })),
  // nat keeps 131 072 sessions.
  ...[1024, 65_536].map((flows) => ({ functions: ["nat"], rules: 0, flows })),
  ...[1024, 65_536].map((flows) => ({ functions: ["firewall", "nat"], rules: 1000, flows })),
];
const turns = [1024, 65_536].map((flows) => ({ flows, turnNs: measureTurn(flows) }));
console.log(JSON.stringify({ costs: shapes.map(measure), turns } satisfies FirewallCosts));
