// Ports of outside addresses, for TCP, UDP and ICMP apart: which are taken, and finding one that is not.
import { IP_PROTO_TCP, IP_PROTO_UDP } from "../sdk";
import { isOwnWord } from "./lane-share";
import { SourceRule } from "./rules";
import { PLACE_BYTES, PLACES, places, PORT_SETS, PORT_SET_BYTES, portSets } from "./store";

const FULL_WORDS: usize = 8192;

export const ANY: u64 = 0xffffffffffffffff;
const EVEN: u64 = 0x5555555555555555;

@inline
function placeAt(place: u32): usize {
  return places + <usize>place * PLACE_BYTES;
}

@inline
export function isPlaceOf(place: u32, address: u32): bool {
  return load<u32>(placeAt(place)) == address;
}

/**
 * Where the address stands in the directory, or is put if it is new; -1 if all places have ports in use. Who has a port there
 * holds the address; the number of an IPv6 address may mean another one once none has.
 */
export function findPlace(address: u32): i32 {
  let free = -1;
  for (let place: u32 = 0; place < PLACES; place++) {
    if (isPlaceOf(place, address)) return place;
    if (free < 0 && load<u32>(placeAt(place), 4) == 0) free = place;
  }
  if (free >= 0) store<u32>(placeAt(free), address);
  return free;
}

/** Number of the member's address in the directory, looked up once per instance unless it was forgotten meanwhile. */
export function placeOf(rule: SourceRule, member: u32): i32 {
  const address = unchecked(rule.pool[member]);
  if (address == 0) return -1;
  let place = unchecked(rule.places[member]);
  if (place < 0 || !isPlaceOf(place, address)) {
    place = findPlace(address);
    unchecked((rule.places[member] = place));
  }
  return place;
}

export function portSetOf(place: u32, ipProto: u32): usize {
  const kind: u32 = ipProto == IP_PROTO_TCP ? 0 : ipProto == IP_PROTO_UDP ? 1 : 2;
  return portSets + <usize>(place * PORT_SETS + kind) * PORT_SET_BYTES;
}

/** Bits of the ports in a word that have the parity of `port`. */
export function sameParity(port: u32): u64 {
  return EVEN << (port & 1);
}

@inline
function wordAt(set: usize, word: u32): usize {
  return set + ((<usize>word) << 3);
}

export function isTaken(set: usize, port: u32): bool {
  return ((load<u64>(wordAt(set, port >> 6)) >> (port & 63)) & 1) != 0;
}

/** Whether none of the 64 ports of that word is taken, of any protocol. */
export function isUnused(place: u32, word: u32): bool {
  const first = portSets + <usize>(place * PORT_SETS) * PORT_SET_BYTES;
  for (let kind: u32 = 0; kind < PORT_SETS; kind++) {
    if (load<u64>(wordAt(first + <usize>kind * PORT_SET_BYTES, word)) != 0) return false;
  }
  return true;
}

export function takePort(place: u32, set: usize, port: u32): void {
  const at = wordAt(set, port >> 6);
  const word = load<u64>(at) | ((<u64>1) << (port & 63));
  store<u64>(at, word);
  if (word == ANY) markFull(set, port >> 6, true);
  store<u32>(placeAt(place), load<u32>(placeAt(place), 4) + 1, 4);
}

/** A port that is shared stays taken. */
export function givePort(place: u32, set: usize, port: u32, isShared: bool): void {
  if (!isShared) {
    const at = wordAt(set, port >> 6);
    store<u64>(at, load<u64>(at) & ~((<u64>1) << (port & 63)));
    markFull(set, port >> 6, false);
  }
  store<u32>(placeAt(place), load<u32>(placeAt(place), 4) - 1, 4);
}

function markFull(set: usize, word: u32, isFull: bool): void {
  const at = wordAt(set + FULL_WORDS, word >> 6);
  const bit = (<u64>1) << (word & 63);
  store<u64>(at, isFull ? load<u64>(at) | bit : load<u64>(at) & ~bit);
}

/**
 * A free port from `low` to `high`, the first at or after `start`, else the first before it; -1 if there is none. `wanted`
 * are the bits of a word that will do; `reserved` is another set, or 0, whose ports are left alone.
 */
export function findPort(set: usize, reserved: usize, low: u32, high: u32, start: u32, wanted: u64): i32 {
  const found = scan(set, reserved, start, high, wanted);
  return found >= 0 || start == low ? found : scan(set, reserved, low, start - 1, wanted);
}

/** At most 1024 words; words that are full are passed over 64 at a time. */
function scan(set: usize, reserved: usize, first: u32, last: u32, wanted: u64): i32 {
  const lastWord = last >> 6;
  let word = first >> 6;
  while (word <= lastWord) {
    const rest = ~load<u64>(wordAt(set + FULL_WORDS, word >> 6)) >> (word & 63);
    if (rest == 0) {
      word = (word | 63) + 1;
      continue;
    }
    word += <u32>ctz(rest);
    if (word > lastWord) break;
    if (!isOwnWord(word)) {
      word++;
      continue;
    }
    let free = ~load<u64>(wordAt(set, word)) & wanted;
    if (reserved != 0) free &= ~load<u64>(wordAt(reserved, word));
    if (word == first >> 6) free &= ANY << (first & 63);
    if (word == lastWord) free &= ANY >> (63 - (last & 63));
    if (free != 0) return (word << 6) | (<u32>ctz(free));
    word++;
  }
  return -1;
}
