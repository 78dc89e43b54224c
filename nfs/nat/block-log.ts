// What is said of blocks: one line each when a host gets one and when it has given it back. Blocks come and go also when
// nothing can be said (between batches), so entries wait in the segment with their time.
import { batch, Counter, LOG_INFO, outbox } from "../sdk";
import { addressAt, isIpv6 } from "./addresses";
import { Block, header, Host, NOTE_BYTES, NOTES, notes } from "./store";

export const ALLOCATED: u32 = 1;
export const RELEASED: u32 = 0;

const lost = new Counter("block_log_lost");

/** Longer than any line. */
const LINE_BYTES: u32 = 192;
const NS_PER_MS: u64 = 1_000_000;

@unmanaged
@final
class Note {
  time: u64;
  high: u64;
  low: u64;
  outsideHigh: u64;
  outsideLow: u64;
  inside: u32;
  outside: u32;
  lowPort: u16;
  highPort: u16;
  kind: u32;
}

@inline
function noteAt(number: u32): Note {
  return changetype<Note>(notes + <usize>(number % NOTES) * NOTE_BYTES);
}

export function note(kind: u32, block: Block, host: Host): void {
  if (header.noted - header.told == NOTES) return lost.add();
  const entry = noteAt(header.noted);
  entry.time = batch.time;
  const inside = host.address;
  const outside = block.address;
  // By then their numbers may mean others.
  entry.high = isIpv6(inside) ? addressAt(inside).high : 0;
  entry.low = isIpv6(inside) ? addressAt(inside).low : 0;
  entry.outsideHigh = isIpv6(outside) ? addressAt(outside).high : 0;
  entry.outsideLow = isIpv6(outside) ? addressAt(outside).low : 0;
  entry.inside = inside;
  entry.outside = outside;
  entry.lowPort = block.low;
  entry.highPort = block.high;
  entry.kind = kind;
  header.noted++;
}

/** Puts into the outbox what waits. */
export function tellBlocks(): void {
  while (header.told != header.noted) {
    const line = outbox.reserve(LINE_BYTES);
    if (line == 0) return;
    const end = write(line, noteAt(header.told));
    if (!outbox.logText(LOG_INFO, <u32>(end - line))) return;
    header.told++;
  }
}

function write(line: usize, entry: Note): usize {
  let at = text(line, entry.kind == ALLOCATED ? "block allocated inside=" : "block released inside=");
  at = address(at, entry.inside, entry.high, entry.low);
  at = address(text(at, " outside="), entry.outside, entry.outsideHigh, entry.outsideLow);
  at = decimal(text(at, " ports="), entry.lowPort);
  at = decimal(text(at, "-"), entry.highPort);
  const milliseconds = entry.time / NS_PER_MS;
  at = decimal(text(at, " time="), milliseconds / 1000);
  store<u8>(at, 46);
  return digits(at + 1, milliseconds % 1000, 3);
}

/** ASCII only. */
function text(at: usize, words: string): usize {
  const first = changetype<usize>(words);
  for (let i = 0; i < words.length; i++) store<u8>(at + i, load<u8>(first + ((<usize>i) << 1)));
  return at + words.length;
}

function decimal(at: usize, value: u64): usize {
  let count: u32 = 1;
  for (let rest = value / 10; rest > 0; rest /= 10) count++;
  return digits(at, value, count);
}

function digits(at: usize, value: u64, count: u32): usize {
  let rest = value;
  for (let i = count; i > 0; i--) {
    store<u8>(at + i - 1, <u8>(48 + (rest % 10)));
    rest /= 10;
  }
  return at + count;
}

function address(at: usize, word: u32, high: u64, low: u64): usize {
  return isIpv6(word) ? address6(at, high, low) : address4(at, word);
}

function address4(at: usize, address: u32): usize {
  let end = at;
  for (let shift = 24; shift >= 0; shift -= 8) {
    if (shift < 24) store<u8>(end++, 46);
    end = decimal(end, (address >> shift) & 0xff);
  }
  return end;
}

/** All eight groups, as one can search for them. */
function address6(at: usize, high: u64, low: u64): usize {
  let end = at;
  for (let group = 0; group < 8; group++) {
    if (group > 0) store<u8>(end++, 58);
    const half = group < 4 ? high : low;
    end = hexadecimal(end, (<u32>(half >> (48 - 16 * (group & 3)))) & 0xffff);
  }
  return end;
}

function hexadecimal(at: usize, value: u32): usize {
  let shift = 12;
  while (shift > 0 && value >> shift == 0) shift -= 4;
  let end = at;
  for (; shift >= 0; shift -= 4) {
    const digit = (value >> shift) & 15;
    store<u8>(end++, <u8>(digit < 10 ? 48 + digit : 87 + digit));
  }
  return end;
}
