// The rule of every frame of a batch, with the tables of tables.ts. Allocates nothing.
//
// Pass after pass over the whole batch, so that the processor reads headers and tables of many frames at once.
import {
  OFFSET_NONE,
  RECORD_DESTINATION_PORT,
  RECORD_ETHER_TYPE,
  RECORD_FRAGMENT_OFFSET,
  RECORD_IP_PROTO,
  RECORD_L4_OFFSET,
  RECORD_OUTER_TCI,
  RECORD_FRAME,
  RECORD_L3_OFFSET,
  RECORD_SOURCE_PORT,
  RECORD_TCP_FLAGS,
  RECORD_TRAFFIC_CLASS,
  RECORD_VLAN_COUNT,
} from "../abi";
import { findAddresses } from "./addresses";
import {
  FRAME_ROWS,
  ipVersion,
  recordAt,
  ROOT,
  ROW_DESTINATION,
  ROW_DESTINATION_PORT,
  ROW_IP_PROTO,
  ROW_SOURCE,
} from "./frame-rows";
import {
  FIELD_CONTEXT,
  FIELD_DESTINATION_PORT,
  FIELD_DSCP,
  FIELD_ETHER_TYPE,
  FIELD_FLOW_LABEL,
  FIELD_ICMP,
  FIELD_IP_PROTO,
  FIELD_LATER_FRAGMENT,
  FIELD_SOURCE_PORT,
  FIELD_TCP_FLAGS,
  FIELD_VLAN,
  ICMPV6_TYPES,
  NO_DSCP,
  NO_FLOW_LABEL,
  NO_ICMP,
  NO_IP_PROTO,
  NO_PORT,
  NO_TCP_FLAGS,
  NO_VLAN,
  ROOT_EXTRA_COUNT,
  ROOT_EXTRAS,
  ROOT_FIRST_RULES,
  ROOT_RULE_COUNT,
  ROOT_RULES,
  ROOT_SUMMARY_BYTES,
  ROOT_TRIES,
} from "./tables";

/** u32 per frame: its rule, counted from 0, or the number of rules if it has none. */
export const MATCHES = memory.data(1024, 64);

/** 16 bytes per frame, u16[CONTEXT_FIELDS]: what the function says of it, if rules ask for that. To be set before matchBatch. */
export const FRAME_CONTEXT = memory.data(4096, 64);

/** `inputs`: u16 per frame, indices into `records`. */
export function matchBatch(records: usize, inputs: usize, count: u32): void {
  findAddresses(records, inputs, count);
  findValues(records, inputs, count);
  intersect(records, inputs, count);
}

function findValues(records: usize, inputs: usize, count: u32): void {
  for (let i: u32 = 0; i < count; i++) {
    const record = recordAt(records, inputs, i);
    const rows = FRAME_ROWS + (i << 4);
    const port = portOf(record, load<u16>(record, RECORD_DESTINATION_PORT));
    store<u32>(rows, rowOf(FIELD_DESTINATION_PORT, port), ROW_DESTINATION_PORT);
    store<u32>(rows, rowOf(FIELD_IP_PROTO, ipProto(record)), ROW_IP_PROTO);
  }
}

function intersect(records: usize, inputs: usize, count: u32): void {
  const none = load<u32>(ROOT, ROOT_RULE_COUNT);
  const summaryBytes: usize = load<u32>(ROOT, ROOT_SUMMARY_BYTES);
  const firstRules: usize = load<u32>(ROOT, ROOT_FIRST_RULES);
  const rules: usize = load<u32>(ROOT, ROOT_RULES);
  const hasExtras = load<u32>(ROOT, ROOT_EXTRA_COUNT) != 0;
  for (let i: u32 = 0; i < count; i++) {
    const rows = FRAME_ROWS + (i << 4);
    const a: usize = load<u32>(rows, ROW_SOURCE);
    const b: usize = load<u32>(rows, ROW_DESTINATION);
    const c: usize = load<u32>(rows, ROW_DESTINATION_PORT);
    const d: usize = load<u32>(rows, ROW_IP_PROTO);
    let match = none;
    for (let part: usize = 0; part < summaryBytes; part += 8) {
      let candidates = load<u64>(a + part) & load<u64>(b + part) & load<u64>(c + part) & load<u64>(d + part);
      while (candidates != 0) {
        const word = (part << 3) + <usize>ctz(candidates);
        candidates &= candidates - 1;
        // Words are in the order of their lowest rule.
        if (load<u32>(firstRules + (word << 2)) >= match) break;
        const block = summaryBytes + ((word >> 3) << 2);
        const offset = (word & 7) << 3;
        let bits =
          wordAt(a + block, offset) & wordAt(b + block, offset) & wordAt(c + block, offset) & wordAt(d + block, offset);
        if (bits == 0) continue;
        if (hasExtras) {
          bits = withExtras(recordAt(records, inputs, i), i, block, offset, bits);
          if (bits == 0) continue;
        }
        match = min(match, load<u32>(rules + (((word << 6) + <usize>ctz(bits)) << 2)));
      }
    }
    store<u32>(MATCHES + (i << 2), match);
  }
}

/** Narrows `bits` by the fields that are not looked up for every frame. */
function withExtras(record: usize, frame: u32, block: usize, offset: usize, bits: u64): u64 {
  const end = load<u32>(ROOT, ROOT_EXTRA_COUNT) << 2;
  for (let extra: u32 = 0; extra < end && bits != 0; extra += 4) {
    const field = load<u32>(ROOT + extra, ROOT_EXTRAS);
    bits &= wordAt(<usize>rowOf(field, valueOf(record, frame, field)) + block, offset);
  }
  return bits;
}

function valueOf(record: usize, frame: u32, field: u32): u32 {
  switch (field) {
    case FIELD_SOURCE_PORT:
      return portOf(record, load<u16>(record, RECORD_SOURCE_PORT));
    case FIELD_VLAN:
      return load<u8>(record, RECORD_VLAN_COUNT) ? load<u16>(record, RECORD_OUTER_TCI) & 0xfff : NO_VLAN;
    case FIELD_DSCP:
      return ipVersion(record) ? load<u8>(record, RECORD_TRAFFIC_CLASS) >> 2 : NO_DSCP;
    case FIELD_ETHER_TYPE:
      return load<u16>(record, RECORD_ETHER_TYPE);
    case FIELD_LATER_FRAGMENT:
      return u32(load<u16>(record, RECORD_FRAGMENT_OFFSET) != 0);
    case FIELD_ICMP:
      return icmpOf(record);
    case FIELD_TCP_FLAGS:
      return hasTransport(record, 6) ? load<u8>(record, RECORD_TCP_FLAGS) : NO_TCP_FLAGS;
    case FIELD_FLOW_LABEL:
      return flowLabelOf(record);
    default:
      return load<u16>(FRAME_CONTEXT + (frame << 4) + ((field - FIELD_CONTEXT) << 1));
  }
}

function icmpOf(record: usize): u32 {
  const type = load<u16>(record, RECORD_SOURCE_PORT);
  if (hasTransport(record, 1)) return type;
  return hasTransport(record, 58) ? type | ICMPV6_TYPES : NO_ICMP;
}

function flowLabelOf(record: usize): u32 {
  if (ipVersion(record) != 6) return NO_FLOW_LABEL;
  const header = load<u32>(record, RECORD_FRAME) + load<u16>(record, RECORD_L3_OFFSET);
  return bswap<u32>(load<u32>(header)) & 0xfffff;
}

@inline
function hasTransport(record: usize, proto: u32): bool {
  return ipProto(record) == proto && load<u16>(record, RECORD_L4_OFFSET) != OFFSET_NONE;
}

@inline
function ipProto(record: usize): u32 {
  return ipVersion(record) ? load<u8>(record, RECORD_IP_PROTO) : NO_IP_PROTO;
}

/** The record has an ICMP type or identifier where others have ports, and a later fragment has none. */
@inline
function portOf(record: usize, port: u32): u32 {
  const proto = ipProto(record);
  const hasPorts = u32(proto == 6) | u32(proto == 17) | u32(proto == 132);
  return hasPorts & u32(load<u16>(record, RECORD_L4_OFFSET) != OFFSET_NONE) ? port : NO_PORT;
}

@inline
function rowOf(field: u32, value: u32): u32 {
  const page: usize = load<u32>(<usize>load<u32>(ROOT + (field << 2), ROOT_TRIES) + ((value >> 8) << 2));
  return load<u32>(page + ((value & 0xff) << 2));
}

@inline
function wordAt(block: usize, offset: usize): u64 {
  return load<u64>(<usize>load<u32>(block) + offset);
}
