// Flows that ended, as the lane reports them: key, record and exported columns, decoded.
import {
  FLOW_END,
  FLOW_FIRST_SIDE,
  FLOW_INVALID,
  FLOW_IP_PROTO,
  FLOW_IP_VERSION,
  FLOW_LABELS,
  FLOW_LAST,
  FLOW_OCTETS,
  FLOW_OUT_OF_ORDER,
  FLOW_PACKETS,
  FLOW_RETRANSMISSIONS,
  FLOW_RTT,
  FLOW_START,
  FLOW_STATE,
  FLOW_TCP_FLAGS,
  FLOW_VLAN,
  FLOW_ZERO_WINDOWS,
  FLOW_ZONE,
} from "../../nfs/sdk/abi.ts";
import {
  FLOW_KEY_BYTES,
  FLOW_REPORT_BYTES,
  FLOW_REPORT_KEYS,
  FLOW_REPORT_PORTS,
  FLOW_REPORT_REPLY,
  FLOW_REPORT_STATE,
} from "./layout.ts";

export interface FlowEndpoint {
  /** Network order: 4 or 16 bytes. */
  readonly address: Uint8Array;
  readonly port: number;
}

/** Pairs are [from the first sender, the other way]. */
export interface FlowDescription {
  readonly ipProto: number;
  readonly ipVersion: 4 | 6;
  readonly source: FlowEndpoint;
  readonly destination: FlowEndpoint;
  /** As replies have it, if a function bound a second tuple: [sender, receiver] of the reply. */
  readonly reply: readonly [FlowEndpoint, FlowEndpoint] | null;
  /** Where the first sender's frames come in and go out: indices in the chain's ports; -1: not known. */
  readonly ports: readonly [number, number];
  readonly zone: number;
  readonly vlan: number;
  readonly state: string;
  readonly end: string;
  readonly startNs: bigint;
  readonly lastNs: bigint;
  readonly packets: readonly [number, number];
  readonly octets: readonly [number, number];
  readonly tcpFlags: readonly [number, number];
  readonly retransmissions: readonly [number, number];
  readonly outOfOrder: readonly [number, number];
  readonly zeroWindows: readonly [number, number];
  /** Microseconds, 0 if unknown. */
  readonly rttUs: number;
  readonly invalid: number;
  readonly labels: number;
}

export interface FlowReport extends FlowDescription {
  /** Counted from 1 in the order in which flows began. */
  readonly serial: number;
  /** Raw values of the exported columns, in their order. */
  readonly columns: readonly DataView[];
}

/** By FLOW_STATE_*. */
export const flowStates = [
  "none",
  "new",
  "established",
  "syn_sent",
  "syn_recv",
  "fin_wait",
  "close_wait",
  "last_ack",
  "time_wait",
  "closed",
  "syn_sent2",
] as const;

/** By FLOW_END_*. */
export const flowEnds = ["active", "timeout", "closed", "reset", "evicted", "reused", "function", "shutdown"] as const;

const COLUMN_BYTES = 8;

export function readFlowReports(bytes: ArrayBuffer | null, exportedColumns: number): FlowReport[] {
  if (bytes === null) return [];
  const size = FLOW_REPORT_BYTES + exportedColumns * COLUMN_BYTES;
  return Array.from({ length: bytes.byteLength / size }, (_, index) =>
    readFlowReport(new DataView(bytes, index * size, size), exportedColumns),
  );
}

/** `report` begins with one, and goes with its buffer. */
export function readFlowReport(report: DataView, exportedColumns: number): FlowReport {
  const { buffer, byteOffset } = report;
  const columns = Array.from(
    { length: exportedColumns },
    (_, column) => new DataView(buffer, byteOffset + FLOW_REPORT_BYTES + column * COLUMN_BYTES, COLUMN_BYTES),
  );
  const second = report.getUint8(FLOW_REPORT_REPLY);
  const reply = second === 0 ? null : { key: FLOW_REPORT_KEYS + FLOW_KEY_BYTES, side: second - 1 };
  const serial = report.getUint32(0, true);
  return { serial, ...describeFlow(report, { ...reportPlaces, reply }), columns };
}

const reportPlaces = { key: FLOW_REPORT_KEYS, state: FLOW_REPORT_STATE, ports: FLOW_REPORT_PORTS } as const;

/** Offsets of what is known of a flow: FlowKeys (native/src/flow_key.h) and its record (FLOW_*). */
export interface FlowPlaces {
  readonly key: number;
  readonly state: number;
  /** FlowPorts (native/src/flow_table.h). */
  readonly ports: number;
  /** The second key, and which of its endpoints sends the replies. */
  readonly reply: { readonly key: number; readonly side: number } | null;
}

export function describeFlow(view: DataView, { key, state, ports, reply }: FlowPlaces): FlowDescription {
  const u8 = (field: number) => view.getUint8(state + field);
  const u16 = (field: number) => view.getUint16(state + field, true);
  const u32 = (field: number) => view.getUint32(state + field, true);
  const u64 = (field: number) => view.getBigUint64(state + field, true);
  const first = u8(FLOW_FIRST_SIDE);
  const ipVersion = u8(FLOW_IP_VERSION) === 6 ? 6 : 4;
  const endpoint = (at: number, side: number) => readEndpoint(view, at, side);
  return {
    ipProto: u8(FLOW_IP_PROTO),
    ipVersion,
    source: endpoint(key, first),
    destination: endpoint(key, 1 - first),
    reply: reply === null ? null : [endpoint(reply.key, reply.side), endpoint(reply.key, 1 - reply.side)],
    ports: readPorts(view, ports),
    zone: u16(FLOW_ZONE),
    vlan: u16(FLOW_VLAN),
    state: flowStates[u8(FLOW_STATE)] ?? "unknown",
    end: flowEnds[u8(FLOW_END)] ?? "unknown",
    startNs: u64(FLOW_START),
    lastNs: u64(FLOW_LAST),
    packets: [Number(u64(FLOW_PACKETS)), Number(u64(FLOW_PACKETS + 8))],
    octets: [Number(u64(FLOW_OCTETS)), Number(u64(FLOW_OCTETS + 8))],
    tcpFlags: [u8(FLOW_TCP_FLAGS), u8(FLOW_TCP_FLAGS + 1)],
    retransmissions: [u16(FLOW_RETRANSMISSIONS), u16(FLOW_RETRANSMISSIONS + 2)],
    outOfOrder: [u16(FLOW_OUT_OF_ORDER), u16(FLOW_OUT_OF_ORDER + 2)],
    zeroWindows: [u16(FLOW_ZERO_WINDOWS), u16(FLOW_ZERO_WINDOWS + 2)],
    rttUs: u32(FLOW_RTT),
    invalid: u32(FLOW_INVALID),
    labels: u32(FLOW_LABELS),
  };
}

/** Of a flow that has not been sent on, the other direction's frames say where it would be. */
function readPorts(view: DataView, at: number): readonly [number, number] {
  const [entered, replied, left] = [0, 1, 2].map((place) => view.getUint8(at + place)) as [number, number, number];
  return [entered - 1, (left || replied) - 1];
}

// FlowKey: two addresses of 16 bytes, then their two ports. The two keys of a flow may be of different families.
const KEY_PORTS = 32;
const KEY_IP_VERSION = 41;

function readEndpoint(view: DataView, key: number, side: number): FlowEndpoint {
  const start = view.byteOffset + key + side * 16;
  const isIpv6 = view.getUint8(key + KEY_IP_VERSION) === 6;
  return {
    address: new Uint8Array(view.buffer.slice(start, start + (isIpv6 ? 16 : 4))),
    port: view.getUint16(key + KEY_PORTS + side * 2, true),
  };
}
