// stats.json: what a replay did, in numbers that do not depend on the machine or its clock.
import type { Plan } from "../../chain/plan.ts";
import { SluiceError } from "../../errors.ts";
import { takeSnapshot } from "../../telemetry/snapshot.ts";
import type { FaultReport, Lane } from "../lane.ts";
import type { FilePort } from "../native.ts";
import type { ReplaySwap, Schedule } from "./schedule.ts";
import { type Counts, sumCounts, type Tally } from "./tally.ts";

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
  readonly ports: Readonly<Record<string, PortStats>>;
  readonly functions: Readonly<Record<string, FunctionStats>>;
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
  /** By name and labels. */
  readonly counters: Readonly<Counts>;
}

/** Reads a lane that is still open. Throws internal if its counters and the verdicts do not agree. */
export function gatherStats(lane: Lane, tally: Tally, schedule: Schedule): ReplayStats {
  const { plan } = lane;
  const snapshot = snapshotLane(lane);
  const files = lane.ports as readonly FilePort[];
  requireAgreement(lane, tally, snapshot);
  const { received, transmitted, dropped, consumed, host, malformed } = tally;
  return {
    chain: plan.chain,
    received,
    emitted: 0,
    transmitted,
    dropped,
    consumed,
    host,
    malformed,
    ports: Object.fromEntries(
      snapshot.ports.map((port, index) => [
        port.name,
        {
          receiveBytes: port.receive_bytes,
          transmitBytes: port.transmit_bytes,
          oversize: (files[index] as FilePort).oversize,
        },
      ]),
    ),
    functions: Object.fromEntries(
      snapshot.functions.map((each, index) => [
        each.name,
        {
          package: nameOfPackage(lane, index),
          frames: each.frames,
          batches: each.batches,
          faults: each.faults,
          faultFrames: each.fault_frames,
          counters: Object.fromEntries(each.counters.map(({ name, labels, value }) => [labelled(name, labels), value])),
        },
      ]),
    ),
    faults: lane.faults,
    swaps: schedule.swapped,
    missed: describeMissed(plan, schedule),
    damage: files.flatMap(({ damage }) => damage),
  };
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
    received: tally.frames,
    transmitted: sumCounts(transmitted),
    dropped: sumCounts(dropped),
    consumed: sumCounts(consumed),
    host: sumCounts(host),
  };
  const differing = Object.entries(told).filter(([name, count]) => counted[name as keyof typeof told] !== count);
  const ended = told.transmitted + told.dropped + told.consumed + told.host;
  if (differing.length === 0 && sumCounts(received) === ended && lane.audit().intact) return;
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
