// Two snapshots and the time between them, as rates per second.
import type { EngineDescription } from "../dataplane/state-folder.ts";
import type { LanesSnapshot } from "./observer.ts";
import type { Snapshot } from "./snapshot.ts";

export interface PortRates {
  readonly port: string;
  readonly device: string;
  readonly mode: string;
  readonly receivedPerSecond: number;
  readonly receivedBitsPerSecond: number;
  readonly transmittedPerSecond: number;
  readonly transmittedBitsPerSecond: number;
  /** In all: before the lane saw them, and because the transmit ring was full. */
  readonly dropped: number;
}

export interface FunctionRates {
  readonly function: string;
  readonly package: string;
  readonly framesPerSecond: number;
  /** Average over the time between the snapshots; null if there was no frame. */
  readonly nsPerFrame: number | null;
  readonly framesPerBatch: number | null;
  readonly dropped: number;
  readonly faults: number;
}

/** What leaves a hop, and where to: edges of the drawn chain. */
export interface HopRates {
  readonly hop: number;
  readonly path: number;
  readonly function: string;
  readonly framesPerSecond: number;
  readonly nextPerSecond: number;
  readonly branchPerSecond: number;
  readonly transmitPerSecond: number;
  readonly dropPerSecond: number;
  readonly hostPerSecond: number;
  readonly faultsPerSecond: number;
}

/** What each lane keeps of what its queues bring and others hand over to it. */
export interface LaneRates {
  readonly lane: number;
  readonly framesPerSecond: number;
  /** In all. */
  readonly frames: number;
  readonly flows: number;
}

export interface DropCount {
  /** Null: the engine itself. */
  readonly function: string | null;
  readonly reason: string;
  readonly count: number;
}

export interface Rates {
  readonly chain: string;
  readonly pid: number;
  readonly seconds: number;
  readonly lanes: readonly LaneRates[];
  readonly ports: readonly PortRates[];
  readonly functions: readonly FunctionRates[];
  readonly hops: readonly HopRates[];
  readonly drops: readonly DropCount[];
  readonly counters: readonly {
    readonly function: string;
    readonly name: string;
    readonly labels: string;
    readonly value: number;
  }[];
}

export function computeRates(
  engine: EngineDescription,
  before: LanesSnapshot,
  after: LanesSnapshot,
  seconds: number,
): Rates {
  return {
    chain: engine.chain,
    pid: engine.pid,
    seconds,
    lanes: after.lanes.map(({ lane, flows }, index) => ({
      lane: index,
      framesPerSecond: (lane.received - (before.lanes[index]?.lane.received ?? 0)) / seconds,
      frames: lane.received,
      flows: flows.live,
    })),
    ports: engine.ports.map((_, index) => portRates(engine, before, after, seconds, index)),
    functions: engine.functions.map((_, index) => functionRates(engine, before, after, seconds, index)),
    hops: engine.hops.map((_, index) => hopRates(engine, before, after, seconds, index)),
    drops: dropCounts(after),
    counters: after.functions.flatMap(({ name, counters }) =>
      counters.map((counter) => ({ function: name, name: counter.name, labels: counter.labels, value: counter.value })),
    ),
  };
}

function portRates(
  engine: EngineDescription,
  before: Snapshot,
  after: Snapshot,
  seconds: number,
  index: number,
): PortRates {
  const { name, device, mode } = engine.ports[index] as EngineDescription["ports"][number];
  const [from, to] = [before.ports[index], after.ports[index]] as [Snapshot["ports"][0], Snapshot["ports"][0]];
  return {
    port: name,
    device,
    mode,
    receivedPerSecond: (to.receive_frames - from.receive_frames) / seconds,
    receivedBitsPerSecond: ((to.receive_bytes - from.receive_bytes) * 8) / seconds,
    transmittedPerSecond: (to.transmit_frames - from.transmit_frames) / seconds,
    transmittedBitsPerSecond: ((to.transmit_bytes - from.transmit_bytes) * 8) / seconds,
    dropped: to.receive_dropped + to.transmit_dropped,
  };
}

function functionRates(
  engine: EngineDescription,
  before: Snapshot,
  after: Snapshot,
  seconds: number,
  index: number,
): FunctionRates {
  const { name, package: from } = engine.functions[index] as EngineDescription["functions"][number];
  const [old, now] = [before.functions[index], after.functions[index]] as [
    Snapshot["functions"][0],
    Snapshot["functions"][0],
  ];
  const frames = now.frames - old.frames;
  const batches = now.batches - old.batches;
  const ns = ((now.ticks - old.ticks) / engine.tickHz) * 1e9;
  return {
    function: name,
    package: from,
    framesPerSecond: frames / seconds,
    nsPerFrame: frames > 0 ? ns / frames : null,
    framesPerBatch: batches > 0 ? frames / batches : null,
    dropped: now.drop,
    faults: now.faults,
  };
}

function hopRates(
  engine: EngineDescription,
  before: Snapshot,
  after: Snapshot,
  seconds: number,
  index: number,
): HopRates {
  const { function: owner, path } = engine.hops[index] as EngineDescription["hops"][number];
  const [from, to] = [before.hops[index], after.hops[index]] as [Snapshot["hops"][0], Snapshot["hops"][0]];
  const rate = (name: keyof Snapshot["hops"][0]) => (to[name] - from[name]) / seconds;
  return {
    ...{ hop: index, path, function: engine.functions[owner]?.name ?? "" },
    framesPerSecond: rate("frames"),
    nextPerSecond: rate("next"),
    branchPerSecond: rate("branch"),
    transmitPerSecond: rate("transmit"),
    dropPerSecond: rate("drop"),
    hostPerSecond: rate("host"),
    faultsPerSecond: rate("fault_frames"),
  };
}

function dropCounts(after: Snapshot): DropCount[] {
  const engine = Object.entries(after.engineDrops).map(([reason, count]) => ({ function: null, reason, count }));
  const functions = after.functions.flatMap(({ name, reasons }) =>
    Object.entries(reasons).map(([reason, count]) => ({ function: name, reason, count })),
  );
  return [...engine, ...functions];
}
