// NPTv6 (RFC 6296): one IPv6 prefix for another, without state. One 16-bit word of the address takes up what the prefix
// changes in the sum, so no checksum behind it has to be touched.
import {
  Counter,
  EVENT_START,
  Icmpv6,
  IP_PROTO_ICMPV6,
  Ipv6,
  OFFSET_NONE,
  outbox,
  Packet,
  Prefix,
  Reason,
} from "../sdk";
import { outsidePorts } from "./rules";

const noChecksumWord = new Reason("no-checksum-word");

/** Errors of ICMPv6 have types below this, and quote a packet behind their first 8 bytes. */
const ICMPV6_ERRORS: u32 = 128;

export class PrefixRule {
  readonly inside: u64;
  readonly outside: u64;
  readonly mask: u64;
  /** What a word gains on the way out (one's complement). */
  readonly gain: u32;
  /** A prefix of 48 bits or less leaves the subnet's word for the sum; a longer one only words of the interface. */
  readonly keepsSubnet: bool;

  constructor(
    inside: Prefix,
    outside: Prefix,
    readonly translated: Counter,
  ) {
    // Of different lengths, the longer one counts and the other goes on with zeros (RFC 6296, section 3.1).
    const length = max(inside.length, outside.length);
    this.mask = ~(<u64>0) << (64 - length);
    this.inside = inside.address.high;
    this.outside = outside.address.high;
    this.gain = fold16(sumOf(this.inside) + (0xffff - fold16(sumOf(this.outside))));
    this.keepsSubnet = length > 48;
  }
}

export const prefixRules: PrefixRule[] = [];

function sumOf(words: u64): u32 {
  return <u32>((words >> 48) + ((words >> 32) & 0xffff) + ((words >> 16) & 0xffff) + (words & 0xffff));
}

function fold16(sum: u32): u32 {
  const once = (sum & 0xffff) + (sum >> 16);
  return (once & 0xffff) + (once >> 16);
}

/** The word with the gain; 0xffff is written 0 (RFC 6296, section 3.1). */
function adjusted(word: u32, gain: u32): u32 {
  const result = fold16(word + gain);
  return result == 0xffff ? 0 : result;
}

// The address that translate found.
let high: u64 = 0;
let low: u64 = 0;

/** Translates to `high` and `low`; false if no word can take up the change. */
function translate(rule: PrefixRule, isOut: bool, fromHigh: u64, fromLow: u64): bool {
  const gain = isOut ? rule.gain : 0xffff - rule.gain;
  high = (isOut ? rule.outside : rule.inside) | (fromHigh & ~rule.mask);
  low = fromLow;
  if (!rule.keepsSubnet) {
    const subnet = <u32>(fromHigh & 0xffff);
    if (subnet == 0xffff) return false;
    high = (high & ~(<u64>0xffff)) | adjusted(subnet, gain);
    return true;
  }
  for (let shift = 48; shift >= 0; shift -= 16) {
    const word = (<u32>(fromLow >> shift)) & 0xffff;
    if (word == 0xffff) continue;
    low = (fromLow & ~((<u64>0xffff) << shift)) | ((<u64>adjusted(word, gain)) << shift);
    return true;
  }
  return false;
}

function findRule(isOut: bool, prefix: u64): PrefixRule | null {
  for (let i = 0; i < prefixRules.length; i++) {
    const rule = unchecked(prefixRules[i]);
    if ((prefix & rule.mask) == (isOut ? rule.inside : rule.outside)) return rule;
  }
  return null;
}

export function translatePrefixes(packet: Packet, ip: Ipv6): void {
  const isInside = unchecked(outsidePorts[packet.port]) == 0;
  const isStart = packet.has(EVENT_START);
  const way = isInside ? changeSource(ip, true) : changeDestination(ip, false);
  // From inside to a host inside by its outside address: both are changed, and back it goes.
  const turn = isInside && findRule(false, ip.destinationHigh) !== null ? changeDestination(ip, false) : NONE;
  if (way == FAILED || turn == FAILED) return packet.drop(noChecksumWord);
  if (way == NONE && turn == NONE) return;
  translateQuote(packet, isInside);
  packet.rewritten();
  if (isStart) bindReply(packet, ip);
  if (turn == DONE) packet.transmit(packet.port);
}

const NONE = 0;
const DONE = 1;
const FAILED = 2;

function changeSource(ip: Ipv6, isOut: bool): i32 {
  const rule = findRule(isOut, ip.sourceHigh);
  if (rule === null) return NONE;
  if (!translate(rule, isOut, ip.sourceHigh, ip.sourceLow)) return FAILED;
  ip.sourceHigh = high;
  ip.sourceLow = low;
  rule.translated.add();
  return DONE;
}

function changeDestination(ip: Ipv6, isOut: bool): i32 {
  const rule = findRule(isOut, ip.destinationHigh);
  if (rule === null) return NONE;
  if (!translate(rule, isOut, ip.destinationHigh, ip.destinationLow)) return FAILED;
  ip.destinationHigh = high;
  ip.destinationLow = low;
  rule.translated.add();
  return DONE;
}

/** What an error quotes went the other way: its source is changed where the error's destination was, and vice versa. */
function translateQuote(packet: Packet, isInside: bool): void {
  if (packet.ipProto != IP_PROTO_ICMPV6 || packet.l4Offset == OFFSET_NONE || packet.payloadOffset == OFFSET_NONE)
    return;
  if (Icmpv6.at(packet.l4).type >= ICMPV6_ERRORS) return;
  const quote = Ipv6.checked(packet.payload, packet.payloadLength);
  if (quote === null) return;
  if (isInside) changeDestination(quote, true);
  else changeSource(quote, false);
}

/** Replies have the address that the packet has now: they are of the same flow. */
function bindReply(packet: Packet, ip: Ipv6): void {
  const flow = packet.flow;
  if (flow === null) return;
  const isIcmp = packet.ipProto == IP_PROTO_ICMPV6;
  const sourcePort = isIcmp ? packet.destinationPort : packet.sourcePort;
  outbox.bind6(
    flow,
    ip.destinationHigh,
    ip.destinationLow,
    packet.destinationPort,
    ip.sourceHigh,
    ip.sourceLow,
    sourcePort,
  );
}
