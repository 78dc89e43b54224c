// A flow that ended as one line of flows.jsonl.
import ipaddr from "ipaddr.js";
import type { ColumnType } from "../chain/plan.ts";
import type { FlowEndpoint, FlowReport } from "../dataplane/flow-reports.ts";
import { formatTimestamp, nameIpProto } from "./eve.ts";

export interface ExportedColumn {
  readonly name: string;
  readonly type: ColumnType;
}

/** Without a line end. Columns and labels stand under their own names. */
export function formatFlow(flow: FlowReport, columns: readonly ExportedColumn[], labels: readonly string[]): string {
  const { packets, octets, retransmissions, outOfOrder, zeroWindows } = flow;
  return JSON.stringify({
    flow: flow.serial,
    proto: nameIpProto(flow.ipProto),
    ...endpoints(flow.source, flow.destination),
    ...(flow.reply === null ? {} : { reply: endpoints(...flow.reply) }),
    ...(flow.vlan === 0 ? {} : { vlan: flow.vlan }),
    ...(flow.zone === 0 ? {} : { zone: flow.zone }),
    packets_to_server: packets[0],
    packets_to_client: packets[1],
    bytes_to_server: octets[0],
    bytes_to_client: octets[1],
    start: formatTimestamp(flow.startNs),
    end: formatTimestamp(flow.lastNs),
    state: flow.state,
    ...(flow.ipProto === TCP ? tcpFields(flow) : {}),
    retransmissions_to_server: retransmissions[0],
    retransmissions_to_client: retransmissions[1],
    out_of_order_to_server: outOfOrder[0],
    out_of_order_to_client: outOfOrder[1],
    zero_windows_to_server: zeroWindows[0],
    zero_windows_to_client: zeroWindows[1],
    rtt_us: flow.rttUs,
    invalid: flow.invalid,
    ...(flow.labels === 0 ? {} : { labels: labels.filter((_, bit) => (flow.labels >>> bit) & 1) }),
    reason: flow.end,
    ...describeColumns(flow, columns),
  });
}

/** Values of exported columns, by their names. */
export function describeColumns(
  flow: Pick<FlowReport, "columns">,
  columns: readonly ExportedColumn[],
): Readonly<Record<string, number | string>> {
  return Object.fromEntries(columns.map(({ name, type }, index) => [name, readColumn(flow.columns[index], type)]));
}

const TCP = 6;

function tcpFields({ tcpFlags: [toServer, toClient] }: FlowReport): Record<string, string> {
  const hex = (flags: number) => flags.toString(16).padStart(2, "0");
  return { tcp_flags: hex(toServer | toClient), tcp_flags_ts: hex(toServer), tcp_flags_tc: hex(toClient) };
}

function endpoints(source: FlowEndpoint, destination: FlowEndpoint) {
  return {
    src_ip: compressAddress(source.address),
    src_port: source.port,
    dest_ip: compressAddress(destination.address),
    dest_port: destination.port,
  };
}

/** IPv6 as RFC 5952 writes it. */
export function compressAddress(address: Uint8Array): string {
  return ipaddr.fromByteArray([...address]).toString();
}

/** In digits where JSON's numbers end. */
function readLong(value: bigint): number | string {
  return value >= Number.MIN_SAFE_INTEGER && value <= Number.MAX_SAFE_INTEGER ? Number(value) : value.toString();
}

function readColumn(value: DataView | undefined, type: ColumnType): number | string {
  if (value === undefined) return 0;
  const readers: Readonly<Record<ColumnType, () => number | string>> = {
    u8: () => value.getUint8(0),
    u16: () => value.getUint16(0, true),
    u32: () => value.getUint32(0, true),
    u64: () => readLong(value.getBigUint64(0, true)),
    i32: () => value.getInt32(0, true),
    i64: () => readLong(value.getBigInt64(0, true)),
    f32: () => value.getFloat32(0, true),
    f64: () => value.getFloat64(0, true),
  };
  return readers[type]();
}
