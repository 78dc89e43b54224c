// What can be seen of flows from outside, for the engine and its model in the same words, so that both can be compared.
import { type FlowEndpoint, type FlowReport, flowEnds, flowStates } from "../../runtime/dataplane/flow-reports.ts";
import type { PlayedStep } from "./flow-arbitraries.ts";
import type { Endpoint } from "./flow-frame.ts";
import type { FlowEnd, FrameOutcome } from "./flow-model.ts";

/** What became of one frame. */
export interface SeenFrame {
  /** Of the sequence, counted from 1. */
  readonly frame: number;
  readonly verdict: "pass" | "drop";
  readonly reason: string;
  /** Of the sequence, counted from 1 as they begin; 0 for none. */
  readonly flow: number;
  readonly direction: number;
  readonly isIcmpError: boolean;
  /** Of ICMP errors about a flow nobody is told. */
  readonly started: boolean;
}

/** What is reported of a flow's end. */
export interface SeenEnd {
  readonly flow: number;
  readonly end: string;
  readonly state: string;
  readonly conversation: string;
  readonly isBound: boolean;
  /** Start, last frame and end, in ns after the sequence's start. */
  readonly times: readonly [bigint, bigint, bigint];
  readonly packets: readonly number[];
  readonly octets: readonly number[];
  readonly tcpFlags: readonly number[];
}

export interface SeenStep {
  /** In the order in which they met their ends. */
  readonly frames: readonly SeenFrame[];
  /** By flow. */
  readonly ended: readonly SeenEnd[];
  /** Of a second tuple. */
  readonly bound?: boolean;
}

export function seeEnd(report: FlowReport, endNs: bigint, flowsBefore: number, startNs: bigint): SeenEnd {
  const { zone, vlan, ipVersion, ipProto, source, destination, packets, octets, tcpFlags } = report;
  const ends = [source, destination].map(({ address, port }: FlowEndpoint) => ({ address: address.toHex(), port }));
  return {
    flow: report.serial - flowsBefore,
    end: report.end,
    state: report.state,
    conversation: describe(zone, vlan, ipVersion, ipProto, ends),
    isBound: report.reply !== null,
    times: [report.startNs - startNs, report.lastNs - startNs, endNs - startNs],
    ...{ packets, octets, tcpFlags },
  };
}

function describe(zone: number, vlan: number, version: number, proto: number, ends: readonly Endpoint[]): string {
  const [source, destination] = ends.map(({ address, port }) => `${address}:${port}`);
  return `zone ${zone} vlan ${vlan} IPv${version} proto ${proto} ${source} > ${destination}`;
}

/** What the model says of a step, in the same words. */
export function describeStep(played: Omit<PlayedStep, "timeNs" | "step">, startNs: bigint): SeenStep {
  const { outcome, abandoned, ended, bound } = played;
  const outcomes = outcome === undefined ? [] : [outcome, ...outcome.released];
  const frames = outcomes.filter(({ verdict }) => verdict !== "hold").map(describeFrame);
  return {
    frames: [...abandoned.map(describeAbandoned), ...frames],
    ended: ended.map((end) => describeEnd(end, startNs)).toSorted((a, b) => a.flow - b.flow),
    ...(bound && { bound: bound.done }),
  };
}

function describeFrame({ frame, verdict, reason, flow, direction, isIcmpError, started }: FrameOutcome): SeenFrame {
  return {
    frame,
    verdict: verdict === "drop" ? "drop" : "pass",
    reason: reason ?? "",
    flow,
    direction,
    isIcmpError,
    started: started && !isIcmpError,
  };
}

const describeAbandoned = (frame: number): SeenFrame => ({
  frame,
  verdict: "drop",
  reason: "fragment-incomplete",
  flow: 0,
  direction: 0,
  isIcmpError: false,
  started: false,
});

function describeEnd(flow: FlowEnd, startNs: bigint): SeenEnd {
  const { version, proto, source, destination } = flow.conversation;
  return {
    flow: flow.flow,
    end: flowEnds[flow.end] as string,
    state: flowStates[flow.state] as string,
    conversation: describe(flow.zone, flow.vlan, version, proto, [source, destination]),
    isBound: flow.keys.length > 1,
    times: [flow.startNs - startNs, flow.lastNs - startNs, flow.endNs - startNs],
    packets: flow.packets,
    octets: flow.octets,
    tcpFlags: flow.tcpFlags,
  };
}
