// stats.json: what a replay did, in numbers that do not depend on the machine or its clock.
import type { Plan } from "../../chain/plan.ts";
import { SluiceError } from "../../errors.ts";
import { type FunctionSnapshot, takeSnapshot } from "../../telemetry/snapshot.ts";
import type { FaultReport } from "../faults/lane-faults.ts";
import type { Lane } from "../lane.ts";
import type { FilePort } from "../native.ts";
import type { LaneRecorder } from "./recorder.ts";
import type { ReplaySwap, Schedule } from "./schedule.ts";
import { addCounts, addTallies, type Counts, sumCounts, type Tally } from "./tally.ts";

export interface ReplayStats {
  readonly chain: string;
  /** Each of these by port, by function and reason, or by the engine's reason; received + emitted is their sum. */
  readonly received: Readonly<Counts>;
  readonly emitted: number;
  readonly transmitted: Readonly<Counts>;
  readonly dropped: Readonly<Counts>;
  readonly consumed: Readonly<Counts>;
  readonly host: Readonly<Counts>;
  /** Frames with wrong headers, by what is wrong; they are among the received. */
  readonly malformed: Readonly<Counts>;
  /** Questions for link addresses: answered in the place of others, and asked to find hosts. */
  readonly neighbours: { readonly answered: number; readonly asked: number };
  readonly ports: Readonly<Record<string, PortStats>>;
  readonly functions: Readonly<Record<string, FunctionStats>>;
  readonly flows: Readonly<Counts>;
  readonly faults: readonly FaultReport[];
  /** Exchanges of functions that were made, and what was asked for in vain. */
  readonly swaps: number;
  readonly missed: { readonly swaps: readonly string[]; readonly faults: readonly string[] };
  /** Inputs that could not be read to their end. */
  readonly damage: readonly { readonly file: string; readonly what: string }[];
}

export interface PortStats {
  readonly receiveBytes: number;
  readonly transmitBytes: number;
  /** Frames of which a slot held only the beginning. */
  readonly oversize: number;
}

export interface FunctionStats {
  readonly package: string;
  readonly frames: number;
  readonly batches: number;
  readonly faults: number;
  readonly faultFrames: number;
  /** What was wrong with its outbox. */
  readonly outbox: Readonly<Counts>;
  /** By name and labels. */
  readonly counters: Readonly<Counts>;
}

/** Reads lanes that are still open. Throws internal if the counters of one and its verdicts do not agree. */
export function gatherStats(recorders: readonly LaneRecorder[], schedule: Schedule): ReplayStats {
  const lanes = recorders.map(({ lane }) => lane);
  const snapshots = recorders.map(({ lane, tally }) => {
    const snapshot = snapshotLane(lane);
    requireAgreement(lane, tally, snapshot);
    return snapshot;
  });
  const first = lanes[0] as Lane;
  const { received, emitted, transmitted, dropped, consumed, host, malformed } = addTallies(
    recorders.map(({ tally }) => tally),
  );
  return {
    chain: first.plan.chain,
    received,
    emitted,
    transmitted,
    dropped,
    consumed,
    host,
    malformed,
    neighbours: {
      answered: snapshots.reduce((total, { lane }) => total + lane.answered, 0),
      asked: snapshots.reduce((total, { lane }) => total + lane.asked, 0),
    },
    ports: Object.fromEntries(first.plan.ports.map(({ name }, index) => [name, gatherPort(first, snapshots, index)])),
    functions: Object.fromEntries(
      first.plan.functions.map(({ name }, index) => [name, gatherFunction(first, snapshots, index)]),
    ),
    flows: addCounts(snapshots.map(({ flows }) => flows)),
    faults: addFaults(lanes.flatMap(({ faults }) => faults)),
    swaps: schedule.swapped,
    missed: describeMissed(first.plan, schedule),
    damage: (first.ports as readonly FilePort[]).flatMap(({ damage }) => damage),
  };
}

/** Every lane receives all frames: what the first one's port says of them is true of all. */
function gatherPort(first: Lane, snapshots: readonly Snapshot[], index: number): PortStats {
  const parts = snapshots.map(({ ports }) => ports[index] as Snapshot["ports"][number]);
  return {
    receiveBytes: parts[0]?.receive_bytes ?? 0,
    transmitBytes: parts.reduce((total, { transmit_bytes: bytes }) => total + bytes, 0),
    oversize: (first.ports[index] as FilePort).oversize,
  };
}

function gatherFunction(first: Lane, snapshots: readonly Snapshot[], index: number): FunctionStats {
  const parts = snapshots.map(({ functions }) => functions[index] as FunctionSnapshot);
  const total = (read: (part: FunctionSnapshot) => number) => parts.reduce((sum, part) => sum + read(part), 0);
  const declared = ({ counters }: FunctionSnapshot): Counts =>
    Object.fromEntries(counters.map(({ name, labels, value }) => [labelled(name, labels), value]));
  return {
    package: nameOfPackage(first, index),
    frames: total(({ frames }) => frames),
    batches: total(({ batches }) => batches),
    faults: total(({ faults }) => faults),
    faultFrames: total((part) => part.fault_frames),
    outbox: addCounts(parts.map(({ outbox }) => outbox)),
    counters: addCounts(parts.map(declared)),
  };
}

/** Faults of one kind, as often as they happened in all lanes. */
function addFaults(faults: readonly FaultReport[]): FaultReport[] {
  const kinds = Map.groupBy(faults, ({ function: by, message, source }) => JSON.stringify([by, message, source]));
  return [...kinds.values()].map((same) => ({
    ...(same[0] as FaultReport),
    count: same.reduce((total, { count }) => total + count, 0),
  }));
}

type Snapshot = ReturnType<typeof takeSnapshot>;

function snapshotLane(lane: Lane): Snapshot {
  const { plan, functions } = lane;
  const source = {
    ports: plan.ports,
    functions: functions.map(({ planned, state }) => ({
      name: planned.name,
      reasons: state.reasons,
      counters: state.declaredCounters,
    })),
    hops: plan.hops,
    layout: lane.counterLayout,
  };
  return takeSnapshot(source, lane.counters, (index, counter) => functions[index]?.state.counter(counter) ?? 0);
}

/** Verdicts, the lane's counters and the frame pool are counted independently; none may have lost a frame. */
function requireAgreement(lane: Lane, tally: Tally, { lane: counted }: Snapshot): void {
  const { received, transmitted, dropped, consumed, host } = tally;
  const told = {
    received: sumCounts(received),
    emitted: tally.emitted,
    transmitted: sumCounts(transmitted),
    dropped: sumCounts(dropped),
    consumed: sumCounts(consumed),
    host: sumCounts(host),
  };
  const differing = Object.entries(told).filter(([name, count]) => counted[name as keyof typeof told] !== count);
  const ended = told.transmitted + told.dropped + told.consumed + told.host;
  if (differing.length === 0 && sumCounts(received) + tally.emitted === ended && lane.audit().intact) return;
  const what = `frames were lost: ${JSON.stringify({ told, counted, frames: lane.audit() })}`;
  throw new SluiceError({ code: "internal", where: "replay", what });
}

function nameOfPackage(lane: Lane, index: number): string {
  const manifest = lane.functions[index]?.package.manifest;
  return `${manifest?.name}@${manifest?.version}`;
}

function labelled(name: string, labels: string): string {
  return labels === "" ? name : `${name}{${labels}}`;
}

function describeMissed(plan: Plan, schedule: Schedule): ReplayStats["missed"] {
  const name = (index: number) => plan.functions[index]?.name;
  const describeSwap = ({ frame, function: index, package: { manifest } }: ReplaySwap) =>
    `${frame}:${name(index)}=${manifest.name}@${manifest.version}`;
  const { swaps, faults } = schedule.missed;
  return {
    swaps: swaps.map(describeSwap),
    faults: faults.map((fault) => `${fault.frame}:${name(fault.function)}`),
  };
}
