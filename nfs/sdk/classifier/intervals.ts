// From rules' ranges on one field to the intervals in which the set of rules does not change.
import { RowStore } from "./rows";

/** A range begins or ends: 24 bytes. */
const BOUNDARY_BYTES = 24;
const HIGH = 0; // u64
const LOW = 8; // u64
const RULE = 16; // u32
const STEP = 20; // i32: +1 or -1

/** Ranges of 128-bit values, each of a rule. */
export class Ranges {
  private boundaries: usize = 0;
  private capacity: u32 = 0;
  count: u32 = 0;

  /** Both ends belong to the range. */
  add(rule: u32, firstHigh: u64, firstLow: u64, lastHigh: u64, lastLow: u64): void {
    this.push(firstHigh, firstLow, rule, 1);
    if ((lastHigh & lastLow) == u64.MAX_VALUE) return;
    this.push(lastHigh + u64(lastLow == u64.MAX_VALUE), lastLow + 1, rule, -1);
  }

  at(index: u32): usize {
    return this.boundaries + index * BOUNDARY_BYTES;
  }

  /** Addresses of the boundaries, in ascending order. */
  sorted(): StaticArray<u32> {
    let from = new StaticArray<u32>(this.count);
    let to = new StaticArray<u32>(this.count);
    for (let i: u32 = 0; i < this.count; i++) from[i] = <u32>this.at(i);
    for (let width: u32 = 1; width < this.count; width <<= 1) {
      for (let start: u32 = 0; start < this.count; start += width << 1) merge(from, to, start, width, this.count);
      const swap = from;
      from = to;
      to = swap;
    }
    return from;
  }

  private push(high: u64, low: u64, rule: u32, step: i32): void {
    if (this.count == this.capacity) this.grow();
    const boundary = this.at(this.count++);
    store<u64>(boundary, high, HIGH);
    store<u64>(boundary, low, LOW);
    store<u32>(boundary, rule, RULE);
    store<i32>(boundary, step, STEP);
  }

  private grow(): void {
    this.capacity = max<u32>(this.capacity << 1, 64);
    const moved = heap.alloc(this.capacity * BOUNDARY_BYTES);
    memory.copy(moved, this.boundaries, this.count * BOUNDARY_BYTES);
    this.boundaries = moved;
  }
}

/** Interval i reaches from start i to the next one and has row i. The first starts at 0. */
export class Intervals {
  readonly high: Array<u64> = new Array<u64>();
  readonly low: Array<u64> = new Array<u64>();
  readonly rows: Array<u32> = new Array<u32>();

  get count(): i32 {
    return this.rows.length;
  }

  clear(): void {
    this.high.length = 0;
    this.low.length = 0;
    this.rows.length = 0;
  }

  /** A start with the same row as the one before it is left out. */
  push(high: u64, low: u64, row: u32): void {
    if (this.count > 0 && this.rows[this.count - 1] == row) return;
    this.high.push(high);
    this.low.push(low);
    this.rows.push(row);
  }
}

/** Which rules hold at a point, while it moves over the boundaries. A rule that is none is a group of rules. */
class Sweep {
  private depths: StaticArray<i32>;

  constructor(
    private store: RowStore,
    private positions: StaticArray<u32>,
    private groups: Array<Array<u32>>,
  ) {
    this.depths = new StaticArray<i32>(positions.length + groups.length);
  }

  step(rule: u32, step: i32): void {
    const before = this.depths[rule];
    this.depths[rule] = before + step;
    if (rule >= <u32>this.positions.length) {
      // Only when the first of its values begins, and when the last ends.
      if (min(before, before + step) == 0) this.stepMembers(this.groups[rule - this.positions.length], step);
    } else if (before + step > 0) {
      this.store.include(this.positions[rule]);
    } else {
      this.store.exclude(this.positions[rule]);
    }
  }

  private stepMembers(members: Array<u32>, step: i32): void {
    for (let i = 0; i < members.length; i++) this.step(members[i], step);
  }
}

/** `store` holds the rules without a condition on the field. `positions` says which bit is whose. */
export function sweep(
  ranges: Ranges,
  store: RowStore,
  positions: StaticArray<u32>,
  groups: Array<Array<u32>>,
): Intervals {
  const rules = new Sweep(store, positions, groups);
  const boundaries = ranges.sorted();
  const intervals = new Intervals();
  let high: u64 = 0;
  let low: u64 = 0;
  let next: u32 = 0;
  while (true) {
    for (; next < ranges.count; next++) {
      const boundary = boundaries[next];
      if (load<u64>(boundary, HIGH) != high || load<u64>(boundary, LOW) != low) break;
      rules.step(load<u32>(boundary, RULE), load<i32>(boundary, STEP));
    }
    intervals.push(high, low, <u32>store.row());
    if (next == ranges.count) break;
    high = load<u64>(boundaries[next], HIGH);
    low = load<u64>(boundaries[next], LOW);
  }
  return intervals;
}

function merge(from: StaticArray<u32>, to: StaticArray<u32>, start: u32, width: u32, count: u32): void {
  const middle = min(start + width, count);
  const end = min(middle + width, count);
  let left = start;
  let right = middle;
  for (let i = start; i < end; i++) {
    const takeLeft = left < middle && (right >= end || !isBelow(from[right], from[left]));
    to[i] = takeLeft ? from[left++] : from[right++];
  }
}

function isBelow(a: u32, b: u32): bool {
  const high = load<u64>(a, HIGH);
  const other = load<u64>(b, HIGH);
  return high == other ? load<u64>(a, LOW) < load<u64>(b, LOW) : high < other;
}
