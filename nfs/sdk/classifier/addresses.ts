// The rows of every frame's addresses: two searches side by side, each node sixteen keys (IPv6: eight) at once.
import { RECORD_FRAME, RECORD_L3_OFFSET } from "../abi";
import { FRAME_ROWS, ipVersion, recordAt, ROOT, ROW_DESTINATION, ROW_SOURCE } from "./frame-rows";
import {
  NODE4_CHILDREN,
  NODE6_CHILDREN,
  NODE_BYTES,
  ROOT_NO_DESTINATION,
  ROOT_NO_SOURCE,
  ROOT_SEARCH4,
  ROOT_SEARCH6,
  ROW_IS_SUBSEARCH,
  SEARCH_DESTINATION_NODES,
  SEARCH_DESTINATION_ROWS,
  SEARCH_LEVELS,
  SEARCH_SOURCE_NODES,
  SEARCH_SOURCE_ROWS,
  SUBSEARCH_LEVELS,
  SUBSEARCH_NODES,
  SUBSEARCH_ROWS,
} from "./tables";

// Offsets in the headers.
const IPV4_SOURCE = 12;
const IPV4_DESTINATION = 16;
const IPV6_SOURCE = 8;
const IPV6_DESTINATION = 24;

export function findAddresses(records: usize, inputs: usize, count: u32): void {
  const levels = load<u32>(ROOT + ROOT_SEARCH4, SEARCH_LEVELS);
  const sources: usize = load<u32>(ROOT + ROOT_SEARCH4, SEARCH_SOURCE_NODES);
  const sourceRows: usize = load<u32>(ROOT + ROOT_SEARCH4, SEARCH_SOURCE_ROWS);
  const destinations: usize = load<u32>(ROOT + ROOT_SEARCH4, SEARCH_DESTINATION_NODES);
  const destinationRows: usize = load<u32>(ROOT + ROOT_SEARCH4, SEARCH_DESTINATION_ROWS);
  for (let i: u32 = 0; i < count; i++) {
    const record = recordAt(records, inputs, i);
    const rows = FRAME_ROWS + (i << 4);
    const header = load<u32>(record, RECORD_FRAME) + load<u16>(record, RECORD_L3_OFFSET);
    const version = ipVersion(record);
    if (version == 4) {
      const both = v128.load64_zero(header, IPV4_SOURCE);
      const source = v128.xor(shuffleSource4(both), i32x4.splat(i32.MIN_VALUE));
      const destination = v128.xor(shuffleDestination4(both), i32x4.splat(i32.MIN_VALUE));
      let from: u32 = 0;
      let to: u32 = 0;
      for (let level = levels; level != 0; level--) {
        from = from * NODE4_CHILDREN + 1 + keysBelow4(sources + from * NODE_BYTES, source);
        to = to * NODE4_CHILDREN + 1 + keysBelow4(destinations + to * NODE_BYTES, destination);
      }
      store<u32>(rows, load<u32>(sourceRows + (from << 2)), ROW_SOURCE);
      store<u32>(rows, load<u32>(destinationRows + (to << 2)), ROW_DESTINATION);
    } else if (version == 6) {
      findAddresses6(header, rows);
    } else {
      store<u32>(rows, load<u32>(ROOT, ROOT_NO_SOURCE), ROW_SOURCE);
      store<u32>(rows, load<u32>(ROOT, ROOT_NO_DESTINATION), ROW_DESTINATION);
    }
  }
}

function findAddresses6(header: usize, rows: usize): void {
  const source = comparable6(header + IPV6_SOURCE);
  const destination = comparable6(header + IPV6_DESTINATION);
  const sources: usize = load<u32>(ROOT + ROOT_SEARCH6, SEARCH_SOURCE_NODES);
  const destinations: usize = load<u32>(ROOT + ROOT_SEARCH6, SEARCH_DESTINATION_NODES);
  let from: u32 = 0;
  let to: u32 = 0;
  for (let level = load<u32>(ROOT + ROOT_SEARCH6, SEARCH_LEVELS); level != 0; level--) {
    from = from * NODE6_CHILDREN + 1 + keysBelow6(sources + from * NODE_BYTES, source);
    to = to * NODE6_CHILDREN + 1 + keysBelow6(destinations + to * NODE_BYTES, destination);
  }
  const sourceRow = load<u32>(<usize>load<u32>(ROOT + ROOT_SEARCH6, SEARCH_SOURCE_ROWS) + (from << 2));
  const destinationRow = load<u32>(<usize>load<u32>(ROOT + ROOT_SEARCH6, SEARCH_DESTINATION_ROWS) + (to << 2));
  store<u32>(rows, lowerHalf(sourceRow, header + IPV6_SOURCE + 8), ROW_SOURCE);
  store<u32>(rows, lowerHalf(destinationRow, header + IPV6_DESTINATION + 8), ROW_DESTINATION);
}

@inline
function lowerHalf(row: u32, low: usize): u32 {
  return row & ROW_IS_SUBSEARCH ? searchLowerHalf(row & ~ROW_IS_SUBSEARCH, comparable6(low)) : row;
}

function searchLowerHalf(subsearch: usize, low: v128): u32 {
  const nodes: usize = load<u32>(subsearch, SUBSEARCH_NODES);
  let node: u32 = 0;
  for (let level = load<u32>(subsearch, SUBSEARCH_LEVELS); level != 0; level--) {
    node = node * NODE6_CHILDREN + 1 + keysBelow6(nodes + node * NODE_BYTES, low);
  }
  return load<u32>(<usize>load<u32>(subsearch, SUBSEARCH_ROWS) + (node << 2));
}

/** The first of two addresses in network order, in host order in all four lanes. */
@inline
function shuffleSource4(both: v128): v128 {
  return v128.shuffle<u8>(both, both, 3, 2, 1, 0, 3, 2, 1, 0, 3, 2, 1, 0, 3, 2, 1, 0);
}

@inline
function shuffleDestination4(both: v128): v128 {
  return v128.shuffle<u8>(both, both, 7, 6, 5, 4, 7, 6, 5, 4, 7, 6, 5, 4, 7, 6, 5, 4);
}

/** Half an IPv6 address as nodes have their keys, in both lanes. */
@inline
function comparable6(half: usize): v128 {
  const bytes = v128.load64_zero(half);
  const value = v128.shuffle<u8>(bytes, bytes, 7, 6, 5, 4, 3, 2, 1, 0, 7, 6, 5, 4, 3, 2, 1, 0);
  return v128.xor(value, i64x2.splat(i64.MIN_VALUE));
}

@inline
function keysBelow4(node: usize, value: v128): u32 {
  const a = i32x4.gt_s(value, v128.load(node));
  const b = i32x4.gt_s(value, v128.load(node, 16));
  const c = i32x4.gt_s(value, v128.load(node, 32));
  const d = i32x4.gt_s(value, v128.load(node, 48));
  return popcnt(trueLanes(a, b, c, d));
}

@inline
function keysBelow6(node: usize, value: v128): u32 {
  const a = i64x2.gt_s(value, v128.load(node));
  const b = i64x2.gt_s(value, v128.load(node, 16));
  const c = i64x2.gt_s(value, v128.load(node, 32));
  const d = i64x2.gt_s(value, v128.load(node, 48));
  return popcnt(trueLanes(a, b, c, d)) >> 1;
}

/** One bit per 32-bit lane. */
@inline
function trueLanes(a: v128, b: v128, c: v128, d: v128): i32 {
  return i8x16.bitmask(i8x16.narrow_i16x8_s(i16x8.narrow_i32x4_s(a, b), i16x8.narrow_i32x4_s(c, d)));
}
