// Builds the tables of tables.ts from rules. Cold: it allocates, and what it allocates stays.
//
// With N rules and T values in their conditions (a prefix, a port, a range … each counts one) there are at most
// 2T + 13 rows and 2T + 13 * N / 512 blocks, whatever the rules look like: where a range begins or ends, one bit
// changes, and with it one block and one row. A frame costs at most N / 64 words of each field that rules have
// conditions on.
import { Arena, Interner } from "./intern";
import { Intervals, Ranges, sweep } from "./intervals";
import { RowStore } from "./rows";
import { levelsFor, splitHalves, writeNodes, writeRows, writeTrie } from "./search";
import {
  BLOCK_BYTES,
  FIELD_FLOW_LABEL,
  FIELD_ICMP,
  FIELD_SOURCE_PORT,
  FLOW_LABEL_PAGES,
  ICMP_PAGES,
  PAGE_BYTES,
  ROOT_EXTRA_COUNT,
  ROOT_EXTRAS,
  ROOT_FIRST_RULES,
  ROOT_NO_DESTINATION,
  ROOT_NO_SOURCE,
  ROOT_RULE_COUNT,
  ROOT_RULES,
  ROOT_SEARCH4,
  ROOT_SEARCH6,
  ROOT_SUMMARY_BYTES,
  ROOT_TRIES,
  SEARCH_DESTINATION_NODES,
  SEARCH_DESTINATION_ROWS,
  SEARCH_LEVELS,
  SEARCH_SOURCE_NODES,
  SEARCH_SOURCE_ROWS,
  TRIE_PAGES,
  VALUE_FIELDS,
  WORD_RULES,
} from "./tables";

/** Conditions on addresses; the value fields follow. */
export const SOURCE = VALUE_FIELDS;
export const DESTINATION = VALUE_FIELDS + 1;
const FIELDS = VALUE_FIELDS + 2;

/** How many different values a boundary of each value field can have. */
const VALUES: StaticArray<u32> = [
  0x10001, 0x101, 0x10001, 0x1001, 0x41, 0x10001, 3, 0x20001, 0x101, 0x100001, 0x10001, 0x10001, 0x10001, 0x10001,
  0x10001,
];

// Bytes beside rows and blocks themselves, at most.
/** Of a boundary: twice an address for sorting. */
const BOUNDARY_BYTES: u64 = 2 * 4;
/** Of a row: an interval in arrays that grow twofold, a slot in a hash table that does, a key and an address. */
const ROW_BYTES: u64 = 4 * 20 + 4 * 8 + 16 + 4;
/** Of a block: a slot in a hash table that grows twofold. */
const BLOCK_SLOT_BYTES: u64 = 4 * 8;
/** Of a row by IPv6 address: another interval, and a lower half that may need a search of its own. */
const LOWER_HALF_BYTES: u64 = 4 * 20 + 3 * 64;
const RULE_BYTES: u64 = 256;
const FIXED_BYTES: u64 = 0x80000;

/** Where a rule stands among the others: rules alike share a word, so that few words are candidates for a frame. */
class Place {
  field: i32 = FIELDS;
  prefixLength: u32 = 0;
  high: u64 = 0;
  low: u64 = 0;

  constructor(readonly rule: u32) {}
}

export class Classifier {
  private arena: Arena;
  /** Value fields; source, destination (IPv4); source, destination (IPv6). */
  private ranges: StaticArray<Ranges> = new StaticArray<Ranges>(FIELDS + 2);
  /** Bit f: the rule has a condition on field f. */
  private conditions: StaticArray<u32>;
  private places: Array<Place>;
  private positions: StaticArray<u32>;
  /** Rules by group. */
  private groups: Array<Array<u32>> = new Array<Array<u32>>();
  private rows: RowStore;
  private worstSearch: u32 = 0;

  constructor(readonly ruleCount: u32) {
    const arena = new Arena();
    this.arena = arena;
    this.rows = new RowStore(arena, ruleCount);
    this.conditions = new StaticArray<u32>(ruleCount);
    this.positions = new StaticArray<u32>(ruleCount);
    this.places = new Array<Place>();
    for (let i: u32 = 0; i < ruleCount; i++) this.places.push(new Place(i));
    for (let i = 0; i < FIELDS + 2; i++) this.ranges[i] = new Ranges();
  }

  /** Conditions on one field of a rule are alternatives. `first` and `last` belong to the range. */
  addRange(rule: u32, field: i32, first: u32, last: u32): void {
    this.condition(rule, field);
    this.ranges[field].add(rule, 0, first, 0, last);
  }

  /** `address` in host order. */
  addPrefix4(rule: u32, field: i32, address: u32, length: u32): void {
    const host = <u32>((<u64>0xffffffff) >> length);
    const first = address & ~host;
    this.condition(rule, field);
    this.ranges[field].add(rule, 0, first, 0, first | host);
    this.place(rule, field, length * 4, 0, first);
  }

  /** The halves of the address in host order. */
  addPrefix6(rule: u32, field: i32, high: u64, low: u64, length: u32): void {
    const hostHigh = length >= 64 ? 0 : u64.MAX_VALUE >> length;
    const hostLow = length <= 64 ? u64.MAX_VALUE : length == 128 ? 0 : u64.MAX_VALUE >> (length - 64);
    this.condition(rule, field);
    this.ranges[field + 2].add(rule, high & ~hostHigh, low & ~hostLow, high | hostHigh, low | hostLow);
    this.place(rule, field, length, high & ~hostHigh, low & ~hostLow);
  }

  /**
   * A set of values that rules share, for one field. Where methods take a rule they take a group, too; its values count
   * for all rules that joined it, and are stored once.
   */
  addGroup(): u32 {
    this.groups.push(new Array<u32>());
    return this.ruleCount + this.groups.length - 1;
  }

  /** The group's values are alternatives of the rule's own on that field. */
  join(rule: u32, field: i32, group: u32): void {
    this.conditions[rule] |= 1 << field;
    this.groups[group - this.ruleCount].push(rule);
  }

  /** The tables, ROOT_*, to be written into `root`. */
  build(root: usize): void {
    this.arrange(root);
    store<u32>(root, this.ruleCount, ROOT_RULE_COUNT);
    store<u32>(root, this.rows.summaryBytes, ROOT_SUMMARY_BYTES);
    store<u32>(root, this.unconditioned(SOURCE), ROOT_NO_SOURCE);
    store<u32>(root, this.unconditioned(DESTINATION), ROOT_NO_DESTINATION);
    this.writeSearch<u32>(root + ROOT_SEARCH4, this.intervals(SOURCE, 0), this.intervals(DESTINATION, 0));
    this.writeSearch<u64>(root + ROOT_SEARCH6, this.intervals(SOURCE, 2), this.intervals(DESTINATION, 2));
    const pages = new Interner(this.arena, PAGE_BYTES);
    let extras: u32 = 0;
    for (let field = 0; field < VALUE_FIELDS; field++) {
      // Those that no rule speaks of are not looked up.
      if (field >= FIELD_SOURCE_PORT && this.ranges[field].count == 0) continue;
      const trie = writeTrie(this.arena, pages, this.intervals(field, 0), pagesOf(field));
      store<u32>(root + ROOT_TRIES + field * 4, <u32>trie);
      if (field < FIELD_SOURCE_PORT) continue;
      store<u32>(root + ROOT_EXTRAS + extras++ * 4, field);
    }
    store<u32>(root, extras, ROOT_EXTRA_COUNT);
  }

  get rowCount(): u32 {
    return this.rows.rowCount;
  }

  get blockCount(): u32 {
    return this.rows.distinctBlocks;
  }

  get tableBytes(): u32 {
    return <u32>this.arena.used;
  }

  /** The most loads from tables that any frame can cost. */
  get worstReads(): u32 {
    let fields: u32 = 4;
    for (let field = FIELD_SOURCE_PORT; field < VALUE_FIELDS; field++) fields += u32(this.ranges[field].count > 0);
    const words = this.rows.wordCount;
    return this.worstSearch + fields * (2 + this.rows.summaryBytes / 8 + 2 * words) + 2 * words;
  }

  /** The most bytes that `build` can take for what was added so far, with what it needs meanwhile. */
  get bytesNeeded(): u64 {
    let bytes = FIXED_BYTES + <u64>this.ruleCount * RULE_BYTES + <u64>this.rows.rowBytes * 16;
    for (let i = 0; i < FIELDS + 2; i++) {
      const boundaries: u64 = this.ranges[i].count;
      const isValue = i < VALUE_FIELDS;
      const rows = isValue ? min<u64>(boundaries, VALUES[i]) : boundaries;
      const blocks = min(boundaries, rows * this.rows.blockCount) + this.rows.blockCount;
      bytes += boundaries * BOUNDARY_BYTES + rows * (ROW_BYTES + this.rows.rowBytes);
      bytes += blocks * (BLOCK_SLOT_BYTES + BLOCK_BYTES);
      if (isValue) bytes += (min<u64>(rows, pagesOf(i)) + 3) * PAGE_BYTES + pagesOf(i) * 4;
      if (i >= FIELDS) bytes += rows * LOWER_HALF_BYTES;
    }
    return bytes;
  }

  private condition(rule: u32, field: i32): void {
    if (rule < this.ruleCount) this.conditions[rule] |= 1 << field;
  }

  private place(rule: u32, field: i32, length: u32, high: u64, low: u64): void {
    if (rule >= this.ruleCount) return;
    const place = this.places[rule];
    if (place.field != FIELDS && place.prefixLength >= length) return;
    place.field = field;
    place.prefixLength = length;
    place.high = high;
    place.low = low;
  }

  /** Sorts rules alike into words, words by their lowest rule, rules within a word by number. */
  private arrange(root: usize): void {
    const count = this.ruleCount;
    const words = this.rows.wordCount;
    this.places.sort(comparePlaces);
    const wordOf = new StaticArray<u32>(count);
    for (let i: u32 = 0; i < count; i++) wordOf[this.places[i].rule] = i / WORD_RULES;
    const rules = this.arena.allocate(words * WORD_RULES * 4);
    const firstRules = this.arena.allocate(words * 4);
    const filled = new StaticArray<u32>(words);
    const rank = new StaticArray<u32>(words);
    let ranked: u32 = 0;
    for (let rule: u32 = 0; rule < count; rule++) {
      const word = wordOf[rule];
      if (filled[word] == 0) {
        rank[word] = ranked++;
        store<u32>(firstRules + rank[word] * 4, rule);
      }
      const position = rank[word] * WORD_RULES + filled[word]++;
      this.positions[rule] = position;
      store<u32>(rules + position * 4, rule);
    }
    store<u32>(root, <u32>rules, ROOT_RULES);
    store<u32>(root, <u32>firstRules, ROOT_FIRST_RULES);
  }

  /** Leaves the rules without a condition on the field in the row store. */
  private unconditioned(field: i32): u32 {
    this.rows.clear();
    for (let rule: u32 = 0; rule < this.ruleCount; rule++) {
      if ((this.conditions[rule] & (1 << field)) == 0) this.rows.include(this.positions[rule]);
    }
    return <u32>this.rows.row();
  }

  private intervals(field: i32, family: i32): Intervals {
    this.unconditioned(field);
    return sweep(this.ranges[field + family], this.rows, this.positions, this.groups);
  }

  private writeSearch<T>(search: usize, sources: Intervals, destinations: Intervals): void {
    const from = sizeof<T>() == 4 ? withoutEnd(sources) : splitHalves(this.arena, sources);
    const to = sizeof<T>() == 4 ? withoutEnd(destinations) : splitHalves(this.arena, destinations);
    const fromStarts = sizeof<T>() == 4 ? from.low : from.high;
    const toStarts = sizeof<T>() == 4 ? to.low : to.high;
    const levels = levelsFor<T>(max(from.count, to.count));
    // An IPv6 lower half has at most as many intervals as the whole.
    const lowerLevels = sizeof<T>() == 4 ? 0 : levelsFor<u64>(sources.count) + levelsFor<u64>(destinations.count);
    this.worstSearch = max(this.worstSearch, 2 * levels + lowerLevels + 2);
    store<u32>(search, levels, SEARCH_LEVELS);
    store<u32>(search, <u32>writeNodes<T>(this.arena, fromStarts, levels), SEARCH_SOURCE_NODES);
    store<u32>(search, <u32>writeRows<T>(this.arena, from.rows, levels), SEARCH_SOURCE_ROWS);
    store<u32>(search, <u32>writeNodes<T>(this.arena, toStarts, levels), SEARCH_DESTINATION_NODES);
    store<u32>(search, <u32>writeRows<T>(this.arena, to.rows, levels), SEARCH_DESTINATION_ROWS);
  }
}

function pagesOf(field: i32): i32 {
  if (field == FIELD_FLOW_LABEL) return FLOW_LABEL_PAGES;
  return field == FIELD_ICMP ? ICMP_PAGES : TRIE_PAGES;
}

/** Drops the interval that starts behind the last IPv4 address. */
function withoutEnd(intervals: Intervals): Intervals {
  if (intervals.low[intervals.count - 1] <= <u64>u32.MAX_VALUE) return intervals;
  intervals.high.pop();
  intervals.low.pop();
  intervals.rows.pop();
  return intervals;
}

function comparePlaces(a: Place, b: Place): i32 {
  if (a.field != b.field) return a.field - b.field;
  if (a.high != b.high) return a.high < b.high ? -1 : 1;
  if (a.low != b.low) return a.low < b.low ? -1 : 1;
  if (a.prefixLength != b.prefixLength) return <i32>a.prefixLength - <i32>b.prefixLength;
  return <i32>a.rule - <i32>b.rule;
}
