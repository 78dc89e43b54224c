// ASCII in packets: read by a cursor, and written behind a pen. What does not fit is said by a value, never by a trap.
import { isIpv6 } from "./addresses";

/** Where reading stands, and where it has to stop. */
export let cursor: usize = 0;
let limit: usize = 0;
/** Where the next byte is written, and where there is no more room. */
export let pen: usize = 0;
let brim: usize = 0;

const CASE: u32 = 0x20;
const ZERO: u32 = 0x30;

@inline
export function read(from: usize, to: usize): void {
  cursor = from;
  limit = to;
}

/** The next byte, 0x100 at the end. */
@inline
export function peek(): u32 {
  return cursor < limit ? load<u8>(cursor) : 0x100;
}

/** Back to where something began, or on. */
@inline
export function goTo(at: usize): void {
  cursor = at;
}

@inline
export function skip(bytes: u32): void {
  cursor += bytes;
}

/** Whether text begins with these lower-case letters, in either case. */
export function beginsWith(at: usize, end: usize, word: string): bool {
  return end >= at && <u32>(end - at) >= <u32>word.length && agrees(at, end, word);
}

/** Whether text may begin so, as far as it goes. */
export function agrees(at: usize, end: usize, word: string): bool {
  const length = min<u32>(word.length, <u32>(end - at));
  for (let i: u32 = 0; i < length; i++) {
    const code = <u32>word.charCodeAt(i);
    const byte = <u32>load<u8>(at + i);
    const isLetter = code >= 0x61 && code <= 0x7a;
    if (byte != code && !(isLetter && (byte | CASE) == code)) return false;
  }
  return true;
}

/** Passes over that byte. */
export function take(byte: u32): bool {
  if (peek() != byte) return false;
  cursor++;
  return true;
}

@inline
export function isDigit(byte: u32): bool {
  return byte >= ZERO && byte < ZERO + 10;
}

/** A decimal number up to `most`, at most nine digits; -1 if there is none, and nothing is passed over then. */
export function takeNumber(most: u32): i32 {
  const start = cursor;
  let value: u32 = 0;
  while (isDigit(peek()) && cursor - start < 9) {
    value = value * 10 + peek() - ZERO;
    cursor++;
  }
  if (cursor > start && !isDigit(peek()) && value <= most) return value;
  cursor = start;
  return -1;
}

export let address: u32 = 0;

/** Four numbers with `separator` between them, into `address`. */
export function takeAddress(separator: u32): bool {
  // Nobody's (RFC 1122, section 3.2.1.3), nor a word of the store.
  return takeFour(separator) && !isIpv6(address);
}

function takeFour(separator: u32): bool {
  let value: u32 = 0;
  for (let i = 0; i < 4; i++) {
    if (i > 0 && !take(separator)) return false;
    const part = takeNumber(255);
    if (part < 0) return false;
    value = (value << 8) | (<u32>part);
  }
  address = value;
  return true;
}

export let high: u64 = 0;
export let low: u64 = 0;
const GROUPS = 8;
const groups = new StaticArray<u32>(GROUPS);
const COLON: u32 = 0x3a;
const DOT: u32 = 0x2e;

/** An IPv6 address (RFC 4291, section 2.2), into `high` and `low`. */
export function takeAddress6(): bool {
  let count = 0;
  let gap = -1;
  let isDue = false;
  if (take(COLON)) {
    if (!take(COLON)) return false;
    gap = 0;
  }
  while (count < GROUPS) {
    const at = cursor;
    const group = takeGroup();
    if (group < 0) break;
    if (peek() == DOT) {
      cursor = at;
      if (count + 2 > GROUPS || !takeFour(DOT)) return false;
      unchecked((groups[count++] = address >> 16));
      unchecked((groups[count++] = address & 0xffff));
      isDue = false;
      break;
    }
    unchecked((groups[count++] = <u32>group));
    isDue = take(COLON);
    if (!isDue) break;
    if (!take(COLON)) continue;
    if (gap >= 0) return false;
    gap = count;
    isDue = false;
  }
  if (isDue || (gap < 0 ? count != GROUPS : count == GROUPS)) return false;
  join(count, gap < 0 ? count : gap);
  return true;
}

/** Up to four hexadecimal digits; -1 if there is none. */
function takeGroup(): i32 {
  let value: i32 = -1;
  for (let digits = 0; digits < 4; digits++) {
    const byte = peek();
    const letter = byte | CASE;
    const isLetter = letter >= 0x61 && letter <= 0x66 && byte < 0x80;
    if (!isDigit(byte) && !isLetter) break;
    value = (max(value, 0) << 4) | (<i32>(isLetter ? letter - 0x57 : byte - ZERO));
    cursor++;
  }
  return value;
}

/** So many groups, of which those from `gap` on stand at the end. */
function join(count: i32, gap: i32): void {
  high = 0;
  low = 0;
  for (let i = 0; i < count; i++) {
    const place = i < gap ? i : GROUPS - count + i;
    const value = (<u64>unchecked(groups[i])) << (48 - 16 * (place & 3));
    if (place < 4) high |= value;
    else low |= value;
  }
}

// ---- writing ----

/** What is written beyond so many bytes is left out: who writes a text of any length asks isFull in the end. */
@inline
export function write(at: usize, bytes: u32): void {
  pen = at;
  brim = at + bytes;
}

@inline
export function isFull(): bool {
  return pen == brim;
}

export function putBytes(from: usize, bytes: u32): void {
  const fitting = min<u32>(bytes, <u32>(brim - pen));
  for (let i: u32 = 0; i < fitting; i++) store<u8>(pen + i, load<u8>(from + i));
  pen += fitting;
}

export function putByte(byte: u32): void {
  if (pen < brim) store<u8>(pen++, <u8>byte);
}

export function putWord(word: string): void {
  for (let i = 0; i < word.length; i++) putByte(<u32>word.charCodeAt(i));
}

export function putNumber(value: u32): void {
  let unit: u32 = 1;
  while (value / unit >= 10) unit *= 10;
  for (; unit > 0; unit /= 10) putByte(ZERO + ((value / unit) % 10));
}

export function putAddress(value: u32, separator: u32): void {
  for (let shift = 24; shift >= 0; shift -= 8) {
    if (shift < 24) putByte(separator);
    putNumber((value >> shift) & 0xff);
  }
}

/** As RFC 5952 has it: there are servers that compare text. */
export function putAddress6(high: u64, low: u64): void {
  findGap(high, low);
  for (let group = 0; group < GROUPS; group++) {
    if (group == gapStart) {
      putByte(COLON);
      putByte(COLON);
    }
    if (group >= gapStart && group < gapEnd) continue;
    if (group > 0 && group != gapEnd) putByte(COLON);
    putGroup(groupOf(high, low, group));
  }
}

@inline
function groupOf(high: u64, low: u64, group: i32): u32 {
  return (<u32>((group < 4 ? high : low) >> (48 - 16 * (group & 3)))) & 0xffff;
}

// The groups that are left out: the longest row of two zeros or more, the first of several.
let gapStart = GROUPS;
let gapEnd = GROUPS;

function findGap(high: u64, low: u64): void {
  gapStart = GROUPS;
  gapEnd = GROUPS;
  let length = 1;
  let start = 0;
  for (let group = 0; group < GROUPS; group++) {
    if (groupOf(high, low, group) != 0) start = group + 1;
    if (group + 1 - start <= length) continue;
    length = group + 1 - start;
    gapStart = start;
    gapEnd = group + 1;
  }
}

function putGroup(value: u32): void {
  let shift = 12;
  while (shift > 0 && value >> shift == 0) shift -= 4;
  for (; shift >= 0; shift -= 4) {
    const digit = (value >> shift) & 15;
    putByte(digit < 10 ? ZERO + digit : 0x57 + digit);
  }
}
