// ICMP errors from one family into the other, with the packets that they quote (RFC 7915, sections 4.2, 4.3, 5.2, 5.3).
//
// As in icmp-errors.ts, what is quoted is turned back into what it was before us. What it carries stays where it is; all
// that is before it is written anew, from what was read first:
//
//   link │ IPv4, 20 │ ICMP, 8 │ IPv4, 20 │ TCP …        link │ IPv6, 40 │ ICMPv6, 8 │ IPv6, 40 │ TCP …
import {
  checksum,
  fold,
  Icmp,
  Icmpv6,
  IP_PROTO_ICMP,
  IP_PROTO_ICMPV6,
  Ipv4,
  Ipv6,
  OFFSET_NONE,
  Packet,
  sum,
  transportChecksum,
} from "../sdk";
import { restOf4, restOf6, translateType4, translateType6, typeAfter, codeAfter } from "./error-types64";
import {
  flagsOfFragment,
  fragmentHeader,
  identificationOf,
  upperOffset,
  upperProto,
  walkExtensions,
} from "./extensions";
import {
  endIpv4,
  FRAGMENT_BYTES,
  IP_PROTO_FRAGMENT,
  leaving,
  MORE_FRAGMENTS,
  protoIn,
  setAddresses6,
  sumOf4,
  sumOf6,
  sumOfLeaving,
  translateTransport,
  writeFragment,
  writeIpv4,
  writeIpv6,
} from "./headers";
import { decrements, lookAt } from "./limits64";
import { turnQuoted } from "./quoted";
import { badError, strayError } from "./reasons";
import { findRuleOfPool } from "./rules64";
import { outsidePorts } from "./rules";
import { CROSSES, Session } from "./store";
import { relink } from "./translate64";
import { hasFamily, isBetween, setLeaving } from "./tuples";

/** What an ICMPv6 error must not be above (RFC 4443, section 2.4 (c)). */
const LARGEST_ERROR: u32 = 1280;
/** In words of 4 and of 8 bytes: how much of the message is the quote (RFC 4884). What follows is left out. */
const WORD_4: u32 = 4;
const WORD_8: u32 = 8;
const OFFSET_BITS: u32 = 0x1fff;
/** What a quote must have of a transport header. */
const PORTS_BYTES: u32 = 4;

// What was quoted, read before it is overwritten.
let trafficClass: u32 = 0;
let hops: u32 = 0;
let payload: u32 = 0;
let flags: u32 = 0;
let identification: u32 = 0;
let ipProto: u32 = 0;
/** Bytes of the quote behind its IP headers. */
let carried: u32 = 0;
let isPiece: bool = false;

/** An error from IPv4 about packets of IPv6 hosts. */
export function translateError4(packet: Packet, ip: Ipv4, session: Session): void {
  const forth = packet.direction != 0;
  lookAt(packet.port, forth ? session.entryPort : session.exitPort);
  const icmp = packet.icmp;
  if (icmp === null || packet.isFragment || packet.payloadOffset == OFFSET_NONE) return packet.drop(badError);
  const length = quotedBytes(packet, load<u8>(icmp.address, 5), WORD_4);
  const quote = Ipv4.checked(packet.payload, length);
  const isWhole = packet.isCut || checksum(icmp.address, Icmp.BYTES + packet.payloadLength) == 0;
  if (quote === null || !isWhole || !quote.hasValidChecksum) return packet.drop(badError);
  const source = forth ? session.newSource : session.destination;
  const remote = forth ? session.newDestination : session.source;
  if (hasFamily(session, !forth, true) || quote.source != source || quote.destination != remote)
    return packet.drop(strayError);
  if (!translateType4(icmp, quote)) return packet.drop(strayError, icmp.type);
  const rule = findRuleOfPool(source);
  if (rule === null) return packet.drop(strayError);
  const rest = restOf4(icmp, quote);
  setLeavingBack(session, forth);
  readQuote4(quote, length);
  const l4 = quote.address + quote.headerLength;
  if ((flags & OFFSET_BITS) == 0) turnQuoted(session, forth ? 0 : 1, ipProto, l4, carried);
  translateTransport(l4, ipProto, payload, carried, sumOf4(quote), false, true);
  const outer = <u32>(l4 - packet.l3);
  const speaker = ip.source;
  const ttl = ip.ttl;
  const outerClass = ip.trafficClass;
  const inner = Ipv6.BYTES + (isPiece ? FRAGMENT_BYTES : 0);
  if (!relink(packet, outer, Ipv6.BYTES + Icmpv6.BYTES + inner, true)) return packet.drop(badError);
  writeQuote6(l4 - inner);
  turnAround6();
  if (speaker != remote) {
    leaving.sourceHigh = rule.highOf(speaker);
    leaving.sourceLow = rule.lowOf(speaker);
  }
  finish6(packet, l4 - inner, inner, rest, outerClass, ttl);
}

/** As much of the message as is the quote: to RFC 4884's word if the message has one. */
function quotedBytes(packet: Packet, words: u32, bytesPerWord: u32): u32 {
  return words == 0 ? packet.payloadLength : min(packet.payloadLength, words * bytesPerWord);
}

/** The tuple that the quoted packet entered with. */
function setLeavingBack(session: Session, forth: bool): void {
  setLeaving(session, !forth);
  turnAround6();
  const source = leaving.source;
  leaving.source = leaving.destination;
  leaving.destination = source;
  const port = leaving.sourcePort;
  leaving.sourcePort = leaving.destinationPort;
  leaving.destinationPort = port;
}

function turnAround6(): void {
  const high = leaving.sourceHigh;
  const low = leaving.sourceLow;
  leaving.sourceHigh = leaving.destinationHigh;
  leaving.sourceLow = leaving.destinationLow;
  leaving.destinationHigh = high;
  leaving.destinationLow = low;
}

function readQuote4(quote: Ipv4, length: u32): void {
  trafficClass = quote.trafficClass;
  hops = quote.ttl;
  payload = quote.totalLength - min(quote.totalLength, quote.headerLength);
  flags = <u32>bswap<u16>(load<u16>(quote.address, 6));
  identification = quote.identification;
  ipProto = quote.ipProto;
  carried = length - quote.headerLength;
  isPiece = (flags & (MORE_FRAGMENTS | 0x1fff)) != 0;
}

function writeQuote6(at: usize): void {
  const proto = protoIn(true, ipProto);
  const extra: u32 = isPiece ? FRAGMENT_BYTES : 0;
  writeIpv6(at, trafficClass, payload + extra, isPiece ? IP_PROTO_FRAGMENT : proto, hops);
  if (isPiece) writeFragment(at + Ipv6.BYTES, proto, flags, identification);
}

/** Outer header and message before the quote at `at`, to the addresses that leave. */
function finish6(packet: Packet, at: usize, inner: u32, rest: u32, outerClass: u32, ttl: u32): void {
  const most = LARGEST_ERROR - Ipv6.BYTES - Icmpv6.BYTES - inner;
  const bytes = Icmpv6.BYTES + inner + min(carried, most);
  endFrame(packet, at - Icmpv6.BYTES + bytes);
  const icmp = Icmpv6.at(at - Icmpv6.BYTES);
  writeIpv6(icmp.address - Ipv6.BYTES, outerClass, bytes, IP_PROTO_ICMPV6, ttl - u32(decrements && ttl > 1));
  icmp.type = typeAfter;
  icmp.code = codeAfter;
  icmp.rest = rest;
  icmp.checksum = 0;
  icmp.checksum = transportChecksum(fold(sumOfLeaving(true) + IP_PROTO_ICMPV6 + bytes), icmp.address, bytes);
}

/** What is behind `end`, padding or an extension, goes. */
function endFrame(packet: Packet, end: usize): void {
  const size = <u32>(end - packet.start);
  if (packet.size > size) packet.trim(packet.size - size);
}

/** An error from an IPv6 host or a router before it, to IPv4 or to another IPv6 host. */
export function translateError6(packet: Packet, ip: Ipv6, session: Session): void {
  const forth = packet.direction != 0;
  lookAt(packet.port, packet.port);
  const icmp = packet.icmpv6;
  if (icmp === null || packet.isFragment || packet.payloadOffset == OFFSET_NONE) return packet.drop(badError);
  const length = quotedBytes(packet, icmp.type == 2 || icmp.type == 4 ? 0 : load<u8>(icmp.address, 4), WORD_8);
  const quote = Ipv6.checked(packet.payload, length);
  const whole = Icmpv6.BYTES + packet.payloadLength;
  const pseudo = fold(sumOf6(ip) + IP_PROTO_ICMPV6 + whole);
  const isSound = packet.isCut || transportChecksum(pseudo, icmp.address, whole) == 0;
  if (quote === null || !isSound || !walkExtensions(quote, length)) return packet.drop(badError);
  if (!isQuoteOf(quote, session, forth)) return packet.drop(strayError);
  setLeavingBack(session, forth);
  const isLater = fragmentHeader != 0 && (flagsOfFragment(fragmentHeader) & OFFSET_BITS) != 0;
  const quoted = quote.address + upperOffset;
  if (!isLater) turnQuoted(session, forth ? 0 : 1, upperProto, quoted, length - upperOffset);
  if (hasFamily(session, forth, true)) passError6(packet, ip, icmp, quote, length, (session.families & CROSSES) != 0);
  else errorToIpv4(packet, ip, icmp, quote, length);
  if (packet.direction >= 0 && session.hairpins != 0) packet.transmit(forth ? session.entryPort : session.exitPort);
}

function isQuoteOf(quote: Ipv6, session: Session, forth: bool): bool {
  if (!hasFamily(session, !forth, true)) return false;
  return forth
    ? isBetween(quote, session.newSource, session.newDestination)
    : isBetween(quote, session.destination, session.source);
}

/** Whoever says so, the address that stands for the inside host says it: no other one could be told. */
function errorToIpv4(packet: Packet, ip: Ipv6, icmp: Icmpv6, quote: Ipv6, length: u32): void {
  if (!translateType6(icmp)) return packet.drop(strayError, icmp.type);
  const rest = restOf6(icmp);
  readQuote6(quote, length);
  const l4 = quote.address + upperOffset;
  translateTransport(l4, ipProto, payload, carried, sumOf6(quote), true, false);
  const outer = <u32>(l4 - packet.l3);
  const ttl = ip.hopLimit;
  const outerClass = ip.trafficClass;
  if (!relink(packet, outer, 2 * Ipv4.BYTES + Icmp.BYTES, false)) return packet.drop(badError);
  const inner = writeIpv4(l4 - Ipv4.BYTES, trafficClass, Ipv4.BYTES + payload, identification & 0xffff, flags);
  endIpv4(inner, hops, protoIn(false, ipProto));
  const receiver = leaving.source;
  leaving.source = leaving.destination;
  leaving.destination = receiver;
  finish4(packet, l4 - Ipv4.BYTES, rest, outerClass, ttl);
}

function readQuote6(quote: Ipv6, length: u32): void {
  trafficClass = quote.trafficClass;
  hops = quote.hopLimit;
  const headers = upperOffset;
  payload = Ipv6.BYTES + quote.payloadLength - min(headers, Ipv6.BYTES + quote.payloadLength);
  flags = fragmentHeader == 0 ? 0 : flagsOfFragment(fragmentHeader);
  identification = fragmentHeader == 0 ? 0 : identificationOf(fragmentHeader);
  ipProto = upperProto;
  carried = length - headers;
}

function finish4(packet: Packet, at: usize, rest: u32, outerClass: u32, ttl: u32): void {
  const bytes = Icmp.BYTES + Ipv4.BYTES + carried;
  endFrame(packet, at - Icmp.BYTES + bytes);
  const icmp = Icmp.at(at - Icmp.BYTES);
  const ip = writeIpv4(icmp.address - Ipv4.BYTES, outerClass, Ipv4.BYTES + bytes, 0, 0);
  endIpv4(ip, ttl - u32(decrements && ttl > 1), IP_PROTO_ICMP);
  icmp.type = typeAfter;
  icmp.code = codeAfter;
  icmp.rest = rest;
  icmp.checksum = 0;
  icmp.checksum = ~sum(icmp.address, bytes) & 0xffff;
}

/** Between two IPv6 hosts only addresses and ports change. */
function passError6(packet: Packet, ip: Ipv6, icmp: Icmpv6, quote: Ipv6, length: u32, crosses: bool): void {
  const payloadOfQuote = Ipv6.BYTES + quote.payloadLength - min(upperOffset, Ipv6.BYTES + quote.payloadLength);
  const l4 = quote.address + upperOffset;
  const isLater = fragmentHeader != 0 && (flagsOfFragment(fragmentHeader) & OFFSET_BITS) != 0;
  const bytes: u32 = isLater ? 0 : length - upperOffset;
  // As in icmp-errors.ts: a router outside says so by its own address, all inside by that which stands for them.
  const isInside = unchecked(outsidePorts[packet.port]) == 0;
  const isOwn = ip.sourceHigh == quote.destinationHigh && ip.sourceLow == quote.destinationLow;
  const speakerHigh = ip.sourceHigh;
  const speakerLow = ip.sourceLow;
  if (bytes >= PORTS_BYTES) translateTransport(l4, upperProto, payloadOfQuote, bytes, sumOf6(quote), true, true);
  setAddresses6(quote);
  turnAround6();
  if (!isInside && !isOwn) {
    leaving.sourceHigh = speakerHigh;
    leaving.sourceLow = speakerLow;
  }
  setAddresses6(ip);
  ip.hopLimit -= u32(crosses && decrements && ip.hopLimit > 1);
  const whole = Icmpv6.BYTES + packet.payloadLength;
  icmp.checksum = 0;
  icmp.checksum = transportChecksum(fold(sumOfLeaving(true) + IP_PROTO_ICMPV6 + whole), icmp.address, whole);
  packet.rewritten();
}
