// Hosts as SIP and SDP write them (RFC 3261, section 25; RFC 8866, section 9): IPv4 addresses, IPv6 addresses, in a URI and
// in Via between brackets. Names are not looked at.
import { addressAt, isIpv6 } from "./addresses";
import { partyOf } from "./sip-endpoints";
import {
  address,
  cursor,
  goTo,
  high,
  isDigit,
  low,
  peek,
  putAddress,
  putAddress6,
  putByte,
  putBytes,
  putWord,
  skip,
  take,
  takeAddress,
  takeAddress6,
} from "./text";

const DOT: u32 = 0x2e;
const COLON: u32 = 0x3a;
const OPENING: u32 = 0x5b;
const CLOSING: u32 = 0x5d;
const END: u32 = 0x100;
/** High half of the lower one of ::ffff:10.0.0.1, which is 10.0.0.1 (RFC 4291, section 2.5.5.2). */
const MAPPED: u64 = 0xffff;

/** The host that was read: 0 if it is one of IPv6 that is neither side's. */
export let host: u32 = 0;
let isBracketed = false;
let isMapped = false;

/** Whether a host may begin with the byte, within a URI or Via. */
@inline
export function beginsHost(byte: u32): bool {
  return isDigit(byte) || byte == OPENING;
}

/** A host as it stands before a port. False, and nothing is passed over, if there is none. */
export function takeHost(): bool {
  const start = cursor;
  if (!take(OPENING)) return takeHost4(start);
  if (takeHost6(start) && take(CLOSING)) {
    isBracketed = true;
    return true;
  }
  goTo(start);
  return false;
}

/** The same without brackets: in SDP, and in what Via was received from. */
export function takeBareHost(): bool {
  const start = cursor;
  return takeHost4(start) || takeHost6(start);
}

function takeHost4(start: usize): bool {
  isBracketed = false;
  isMapped = false;
  if (takeAddress(DOT) && peek() != DOT) {
    host = address;
    return true;
  }
  goTo(start);
  return false;
}

function takeHost6(start: usize): bool {
  isBracketed = false;
  if (!takeAddress6()) {
    goTo(start);
    return false;
  }
  isMapped = high == 0 && low >> 32 == MAPPED && !isIpv6(<u32>low);
  host = isMapped ? <u32>low : partyOf(high, low);
  return true;
}

/** Another host in the place of the one that was read, written in the same manner. */
export function putHost(word: u32): void {
  if (isBracketed) putByte(OPENING);
  if (isIpv6(word)) {
    putAddress6(addressAt(word).high, addressAt(word).low);
  } else {
    if (isMapped) putWord("::ffff:");
    putAddress(word, DOT);
  }
  if (isBracketed) putByte(CLOSING);
}

/** Copies what has a bracket before it and is no host: no part of it may be taken for one. */
export function putNoHost(): void {
  const start = cursor;
  skip(1);
  while (isOfHost(peek())) skip(1);
  putBytes(start, <u32>(cursor - start));
}

function isOfHost(byte: u32): bool {
  const letter = byte | 0x20;
  return byte != END && (isDigit(byte) || byte == DOT || byte == COLON || (letter >= 0x61 && letter <= 0x66));
}
