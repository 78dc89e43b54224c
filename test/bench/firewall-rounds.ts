// What firewall and nat cost per packet, and their native twins: chains of either and of both on memory ports, whole turns
// of the real host, whose clock around each hop is what counts. Runs in a process of its own, with V8's flags as in the
// data plane: `firewall-rounds.ts FOLDER`, where FOLDER holds firewall.wasm, nat.wasm and twins.node. Prints costs as JSON.
import { turn } from "../../runtime/dataplane/breathe.ts";
import type { Lane } from "../../runtime/dataplane/lane.ts";
import { hopCounters } from "../../runtime/dataplane/layout.ts";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import type { MemoryPort } from "../../runtime/dataplane/native.ts";
import { CHUNK, openChain, reply, type Shape, Traffic } from "./firewall-chain.ts";
import { BATCH, expectSameState, type Side, sides, type TwinLane, touchPages } from "./twin-lane.ts";

/** In nanoseconds per packet, by function. */
export type Costs = Readonly<Record<Side, readonly number[]>>;

export interface FirewallCost extends Shape {
  /** A flow's first packet, in the best of the lanes, and its later ones, in the best of the passes. */
  readonly first: Costs;
  readonly established: Costs;
}

export interface FirewallCosts {
  readonly costs: readonly FirewallCost[];
  /** What the host takes for a packet around its functions, parsing and flows included; by the number of flows. */
  readonly turns: readonly { readonly flows: number; readonly turnNs: number }[];
}

const PASSES = 9;
const PACKETS_PER_PASS = 1 << 17;
/** A flow has one first packet: each side gets so many lanes, in turn; more where the flows are few. */
const lanesFor = (flows: number) => (flows > 4096 ? 5 : 15);
const START_NS = 1_800_000_000_000_000_000n;
const tickHz = loadAddon().measureTickHz();

const [folder = ""] = process.argv.slice(2);

/** A function that reads how many nanoseconds each hop took since it was made. */
function startClocks(lane: Lane, hops: number): () => number[] {
  const ticks = lane.counterLayout.hops.slice(0, hops).map((hop) => hop + hopCounters.indexOf("ticks"));
  const before = ticks.map((index) => lane.counters[index] as bigint);
  return () =>
    ticks.map((index, hop) => (Number((lane.counters[index] as bigint) - (before[hop] as bigint)) / tickHz) * 1e9);
}

/** Nanoseconds per packet of each function. Throws if a packet does not come out. */
function pass(twinLane: TwinLane, side: Side, shape: Shape, from: number, count: number): number[] {
  const { lane } = twinLane;
  const traffic = new Traffic();
  const [entry, exit] = lane.ports as readonly MemoryPort[] as [MemoryPort, MemoryPort];
  twinLane.use(side);
  const clocks = startClocks(lane, shape.functions.length);
  let came = 0;
  for (let sent = 0; sent < count; ) {
    const until = Math.min(count, sent + CHUNK);
    for (; sent < until; sent++) entry.inject(traffic.at((from + sent) % shape.flows), START_NS);
    while (turn(lane));
    came += exit.drain().length;
  }
  if (came !== count) throw new Error(`${shape.functions}, ${side}: ${came} of ${count} packets came through`);
  return clocks().map((ns) => ns / count);
}

/** A bench of two things that do not do the same would mean nothing: first packets, later ones, and replies. */
function expectSame(shape: Shape): void {
  const lanes = sides.map((side) => {
    const twinLane = openChain(folder, shape);
    twinLane.use(side);
    return twinLane;
  }) as [TwinLane, TwinLane];
  const traffic = new Traffic();
  const frames = Array.from({ length: Math.min(shape.flows, CHUNK) }, (_, flow) => traffic.at(flow).slice());
  for (let round = 0; round < 2; round++) {
    const left = exchange(lanes, 0, frames);
    exchange(lanes, 1, left.map(reply));
  }
  for (const { lane } of lanes) lane.close();
}

/** What both lanes let out of the other port: all of it, and the same. */
function exchange(lanes: readonly [TwinLane, TwinLane], port: 0 | 1, frames: readonly Uint8Array[]): Uint8Array[] {
  const [own, its] = lanes.map(({ lane }) => {
    const ports = lane.ports as readonly MemoryPort[];
    for (const frame of frames) ports[port]?.inject(frame, START_NS);
    while (turn(lane));
    return (ports[1 - port] as MemoryPort).drain().map(({ bytes }) => bytes);
  }) as [Uint8Array[], Uint8Array[]];
  const differs = own.findIndex((frame, index) => Buffer.compare(frame, its[index] ?? new Uint8Array()) !== 0);
  if (differs >= 0 || own.length !== frames.length || its.length !== frames.length) {
    throw new Error(`of ${frames.length} packets ${own.length} and ${its.length} came; number ${differs} differs`);
  }
  expectSameState(...lanes);
  return own;
}

/** Frames that go round and round, without a copy: the thread's time for a whole turn, less what its function takes. */
function measureTurn(flows: number): number {
  const { lane } = openChain(folder, { functions: ["firewall"], rules: 10, flows }, true);
  const traffic = new Traffic();
  for (let flow = 0; flow < flows; flow++) (lane.ports[0] as MemoryPort).inject(traffic.at(flow), START_NS);
  const count = Math.max(PACKETS_PER_PASS, flows);
  const passes = Array.from({ length: PASSES + 1 }, () => {
    const clocks = startClocks(lane, 1);
    const start = process.threadCpuUsage();
    for (let packets = 0; packets < count; packets += BATCH) turn(lane);
    const { user, system } = process.threadCpuUsage(start);
    return { whole: ((user + system) * 1000) / count, firewall: (clocks()[0] as number) / count };
  });
  close(lane);
  return Math.min(...passes.map(({ whole }) => whole)) - Math.min(...passes.map(({ firewall }) => firewall));
}

/** What lanes have is given back when nobody refers to it any more. */
function close(lane: Lane): void {
  lane.close();
  globalThis.gc?.();
}

function measure(shape: Shape): FirewallCost {
  expectSame(shape);
  const first: Record<Side, number[][]> = { wasm: [], native: [] };
  const established: Record<Side, number[][]> = { wasm: [], native: [] };
  const lanes = 2 * lanesFor(shape.flows);
  for (let index = 0; index < lanes; index++) {
    const lane = openChain(folder, shape);
    const side = sides[index & 1] as Side;
    first[side].push(measureFirst(lane, side, shape));
    // The last lane's flows began with the twin, and the function goes on with them.
    if (index === lanes - 1) measureEstablished(lane, shape, established);
    close(lane.lane);
  }
  return { ...shape, first: best(first), established: best(established) };
}

function measureFirst(lane: TwinLane, side: Side, shape: Shape): number[] {
  touchPages(lane);
  // The first chunk also warms what only first calls cost.
  const warm = Math.min(shape.flows >> 1, CHUNK);
  pass(lane, side, shape, 0, warm);
  return pass(lane, side, shape, warm, shape.flows - warm);
}

function measureEstablished(lane: TwinLane, shape: Shape, established: Record<Side, number[][]>): void {
  const count = Math.max(PACKETS_PER_PASS, shape.flows);
  for (let index = 0; index <= PASSES; index++) {
    for (const side of sides) {
      const costs = pass(lane, side, shape, index * count, count);
      if (index > 0) established[side].push(costs);
    }
  }
}

/** Not the median: what else the machine does only ever adds. */
function best(passes: Record<Side, number[][]>): Costs {
  const least = (all: number[][]) =>
    (all[0] ?? []).map((_, hop) => Math.min(...all.map((each) => each[hop] as number)));
  return { wasm: least(passes.wasm), native: least(passes.native) };
}

const shapes: Shape[] = [
  ...[10, 1000, 10_000].map((rules) => ({ functions: ["firewall"], rules, flows: 1024 })),
  ...[65_536, 1_048_576].map((flows) => ({ functions: ["firewall"], rules: 1000, flows })),
  // nat keeps 131 072 sessions.
  ...[1024, 65_536].map((flows) => ({ functions: ["nat"], rules: 0, flows })),
  ...[1024, 65_536].map((flows) => ({ functions: ["firewall", "nat"], rules: 1000, flows })),
];
const turns = [1024, 65_536].map((flows) => ({ flows, turnNs: measureTurn(flows) }));
console.log(JSON.stringify({ costs: shapes.map(measure), turns } satisfies FirewallCosts));
