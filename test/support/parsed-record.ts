// A record by the names of its fields. What abi.ts says about offsets is all that is known here.
import * as abi from "../../nfs/sdk/abi.ts";

const fields = {
  length: ["u32", abi.RECORD_LENGTH],
  wireLength: ["u32", abi.RECORD_WIRE_LENGTH],
  l3Offset: ["u16", abi.RECORD_L3_OFFSET],
  l4Offset: ["u16", abi.RECORD_L4_OFFSET],
  payloadOffset: ["u16", abi.RECORD_PAYLOAD_OFFSET],
  payloadLength: ["u16", abi.RECORD_PAYLOAD_LENGTH],
  etherType: ["u16", abi.RECORD_ETHER_TYPE],
  ipProto: ["u8", abi.RECORD_IP_PROTO],
  ipVersion: ["u8", abi.RECORD_IP_VERSION],
  flags: ["u16", abi.RECORD_FLAGS],
  malformed: ["u8", abi.RECORD_MALFORMED],
  vlanCount: ["u8", abi.RECORD_VLAN_COUNT],
  outerTci: ["u16", abi.RECORD_OUTER_TCI],
  innerTci: ["u16", abi.RECORD_INNER_TCI],
  sourcePort: ["u16", abi.RECORD_SOURCE_PORT],
  destinationPort: ["u16", abi.RECORD_DESTINATION_PORT],
  tcpFlags: ["u8", abi.RECORD_TCP_FLAGS],
  trafficClass: ["u8", abi.RECORD_TRAFFIC_CLASS],
  link: ["u8", abi.RECORD_LINK],
  tunnel: ["u8", abi.RECORD_TUNNEL],
  fragmentOffset: ["u16", abi.RECORD_FRAGMENT_OFFSET],
  hash: ["u32", abi.RECORD_HASH],
} as const;

export type ParsedRecord = Readonly<Record<keyof typeof fields, number>>;

const readers = {
  u8: (view: DataView, offset: number) => view.getUint8(offset),
  u16: (view: DataView, offset: number) => view.getUint16(offset, true),
  u32: (view: DataView, offset: number) => view.getUint32(offset, true),
};

export function readRecord(bytes: ArrayBuffer): ParsedRecord {
  const view = new DataView(bytes);
  const entries = Object.entries(fields).map(([name, [width, offset]]) => [name, readers[width](view, offset)]);
  return Object.fromEntries(entries) as ParsedRecord;
}
