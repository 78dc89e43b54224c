// Intervals as the searches and tries that the lookup reads: see tables.ts.
import { Arena, Interner } from "./intern";
import { Intervals } from "./intervals";
import {
  NODE_BYTES,
  NODE4_CHILDREN,
  NODE6_CHILDREN,
  PAGE_BYTES,
  ROW_IS_SUBSEARCH,
  SUBSEARCH_BYTES,
  SUBSEARCH_LEVELS,
  SUBSEARCH_NODES,
  SUBSEARCH_ROWS,
} from "./tables";

/** Levels of nodes that tell so many intervals apart by keys of type T. */
export function levelsFor<T>(count: i32): i32 {
  let levels = 0;
  for (let leaves = 1; leaves < count; leaves *= childrenOf<T>()) levels++;
  return levels;
}

/** The row of the last level's node n is at the result + 4n: nodes count from the first of all levels. */
export function writeRows<T>(arena: Arena, rows: Array<u32>, levels: i32): usize {
  const address = arena.allocate(rows.length * 4);
  for (let i = 0; i < rows.length; i++) store<u32>(address + i * 4, rows[i]);
  return address - nodesAbove<T>(levels) * 4;
}

/** Only those nodes of the last level that an address can reach. */
export function writeNodes<T>(arena: Arena, starts: Array<u64>, levels: i32): usize {
  if (levels == 0) return 0;
  const children = childrenOf<T>();
  const above = nodesAbove<T>(levels - 1);
  const last = (starts.length + children - 1) / children;
  const address = arena.allocate((above + last) * NODE_BYTES);
  let node = address;
  let span = 1;
  for (let level = 1; level < levels; level++) span *= children;
  for (let level = 0; level < levels; level++, span /= children) {
    const nodes = level == levels - 1 ? last : nodesAbove<T>(level + 1) - nodesAbove<T>(level);
    for (let i = 0; i < nodes; i++, node += NODE_BYTES) writeKeys<T>(node, starts, i * children, span);
  }
  return address;
}

/** The keys of a node whose child c begins with interval (first + c) * span: the last address before each. */
function writeKeys<T>(node: usize, starts: Array<u64>, first: i32, span: i32): void {
  const top: u64 = sizeof<T>() == 4 ? 0x80000000 : 0x8000000000000000;
  for (let child = 1; child < childrenOf<T>(); child++) {
    const interval = (first + child) * span;
    const key = interval < starts.length ? starts[interval] - 1 : u64.MAX_VALUE;
    store<T>(node + (child - 1) * sizeof<T>(), <T>(key ^ top));
  }
}

@inline
function childrenOf<T>(): i32 {
  return sizeof<T>() == 4 ? NODE4_CHILDREN : NODE6_CHILDREN;
}

/** Nodes in so many full levels. */
function nodesAbove<T>(levels: i32): i32 {
  let nodes = 0;
  for (let level = 0; level < levels; level++) nodes = nodes * childrenOf<T>() + 1;
  return nodes;
}

/** Intervals of 128-bit values by their upper halves; a row with ROW_IS_SUBSEARCH where a lower half decides. */
export function splitHalves(arena: Arena, intervals: Intervals): Intervals {
  const upper = new Intervals();
  const lower = new Intervals();
  let before: u32 = 0;
  for (let i = 0; i < intervals.count;) {
    const high = intervals.high[i];
    if (i > 0 && intervals.high[i - 1] + 1 != high) upper.push(intervals.high[i - 1] + 1, 0, before);
    lower.clear();
    if (intervals.low[i] != 0) lower.push(0, 0, before);
    for (; i < intervals.count && intervals.high[i] == high; i++) lower.push(0, intervals.low[i], intervals.rows[i]);
    before = lower.rows[lower.count - 1];
    upper.push(high, 0, lower.count == 1 ? before : (<u32>writeSubsearch(arena, lower)) | ROW_IS_SUBSEARCH);
  }
  const last = intervals.high[intervals.count - 1];
  if (last != u64.MAX_VALUE) upper.push(last + 1, 0, before);
  return upper;
}

function writeSubsearch(arena: Arena, lower: Intervals): usize {
  const address = arena.allocate(SUBSEARCH_BYTES);
  const levels = levelsFor<u64>(lower.count);
  store<u32>(address, levels, SUBSEARCH_LEVELS);
  store<u32>(address, <u32>writeNodes<u64>(arena, lower.low, levels), SUBSEARCH_NODES);
  store<u32>(address, <u32>writeRows<u64>(arena, lower.rows, levels), SUBSEARCH_ROWS);
  return address;
}

/** All values of so many pages. */
export function writeTrie(arena: Arena, pages: Interner, intervals: Intervals, pageCount: i32): usize {
  const address = arena.allocate(pageCount * 4);
  const page = heap.alloc(PAGE_BYTES);
  let interval = 0;
  for (let value = 0; value < pageCount << 8; value++) {
    while (interval + 1 < intervals.count && intervals.low[interval + 1] <= <u64>value) interval++;
    store<u32>(page + ((value & 0xff) << 2), intervals.rows[interval]);
    if ((value & 0xff) == 0xff) store<u32>(address + ((value >> 8) << 2), <u32>pages.intern(page));
  }
  return address;
}
