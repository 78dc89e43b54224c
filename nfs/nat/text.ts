// ASCII in packets: read by a cursor, and written behind a pen. What does not fit is said by a value, never by a trap.

/** Where reading stands, and where it has to stop. */
export let cursor: usize = 0;
let limit: usize = 0;
/** Where the next byte is written. */
export let pen: usize = 0;

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
  const length = <u32>word.length;
  if (end < at || <u32>(end - at) < length) return false;
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

// ---- writing ----

@inline
export function write(at: usize): void {
  pen = at;
}

export function putBytes(from: usize, bytes: u32): void {
  for (let i: u32 = 0; i < bytes; i++) store<u8>(pen + i, load<u8>(from + i));
  pen += bytes;
}

@inline
export function putByte(byte: u32): void {
  store<u8>(pen++, <u8>byte);
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
