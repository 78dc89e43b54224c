// Packets from one family into the other (RFC 7915, sections 4.1 and 5.1). What follows the IP headers stays where it is:
// the link header moves, and the new IP header ends where the old one ended.
//
//   link │ IPv6, 40 │ extensions │ TCP, UDP, ICMPv6 …          link │ IPv4, 20 │ TCP, UDP, ICMP …
import {
  fold,
  IP_PROTO_ICMP,
  IP_PROTO_ICMPV6,
  IP_PROTO_UDP,
  Ipv4,
  Ipv6,
  LINK_NULL,
  LINK_RAW,
  OFFSET_NONE,
  Packet,
  Reason,
  reply,
  transportChecksum,
  Udp,
  udpField,
} from "../sdk";
import {
  flagsOfFragment,
  fragmentHeader,
  identificationOf,
  segmentsOffset,
  upperOffset,
  walkExtensions,
} from "./extensions";
import {
  DONT_FRAGMENT,
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
import { decrements, lookAt, lowestMtu, mtu6 } from "./limits64";
import { splitToIpv6 } from "./split64";
import { header } from "./store";

const hopLimit = new Reason("hop-limit");
const extension = new Reason("extension");
const malformed = new Reason("malformed");
const noRoom = new Reason("no-room");
const tooBig = new Reason("too-big");
const zeroChecksum = new Reason("zero-checksum");
const badChecksum = new Reason("bad-ip-checksum");
const icmpFragment = new Reason("icmp-fragment");
const sourceRoute = new Reason("source-route");

/** IPv4 packets above this must not be fragmented, smaller ones may (RFC 7915, section 5.1). */
const FRAGMENTABLE: u32 = 1260;
const SOURCE_ROUTE_FAILED: u32 = 5;
const OFFSET_BITS: u32 = 0x1fff;

/** From the frame's start to what follows the IP headers; OFFSET_NONE if that is not sound. */
@inline
function upperOf(packet: Packet): u32 {
  return packet.l4Offset != OFFSET_NONE ? packet.l4Offset : packet.payloadOffset;
}

/** Its checksum cannot be changed from one family's to the other's: only one has the length in it (RFC 7915, section 1.2). */
@inline
function isIcmpPiece(packet: Packet): bool {
  return packet.isFragment && (packet.ipProto == IP_PROTO_ICMP || packet.ipProto == IP_PROTO_ICMPV6);
}

/** To the addresses that leave. False if it cannot be done: then the verdict is given. */
export function toIpv4(packet: Packet, ip: Ipv6): bool {
  lookAt(packet.port, packet.port);
  const upper = upperOf(packet);
  if (upper == OFFSET_NONE || packet.malformed != 0) return refuse(packet, malformed);
  if (isIcmpPiece(packet)) return refuse(packet, icmpFragment);
  const headers = upper - packet.l3Offset;
  let fragment: usize = 0;
  if (headers > Ipv6.BYTES) {
    if (!walkExtensions(ip, headers) || upperOffset != headers) return refuse(packet, extension);
    if (segmentsOffset != 0) return refuseRoute(packet);
    fragment = fragmentHeader;
  }
  if (decrements && ip.hopLimit <= 1) return refuseHop(packet);
  const hops = ip.hopLimit - u32(decrements);
  const payload = Ipv6.BYTES + ip.payloadLength - headers;
  const trafficClass = ip.trafficClass;
  const total = Ipv4.BYTES + payload;
  const flags = fragment != 0 ? flagsOfFragment(fragment) : total > FRAGMENTABLE ? DONT_FRAGMENT : 0;
  const identification = fragment != 0 ? identificationOf(fragment) : nextIdentification();
  const end = packet.l3 + headers;
  if (packet.l4Offset != OFFSET_NONE) {
    translateTransport(packet.l4, packet.ipProto, payload, payload, sumOf6(ip), true, false);
  }
  relink(packet, headers, Ipv4.BYTES, false);
  const made = writeIpv4(end - Ipv4.BYTES, trafficClass, total, identification & 0xffff, flags);
  endIpv4(made, hops, protoIn(false, packet.ipProto));
  return true;
}

function nextIdentification(): u32 {
  header.identification++;
  return header.identification;
}

/** The same for IPv4, to a host behind that port of the chain. Pieces of what has to be fragmented, but for the first, leave by it. */
export function toIpv6(packet: Packet, ip: Ipv4, port: u32): bool {
  lookAt(packet.port, port);
  const upper = upperOf(packet);
  if (upper == OFFSET_NONE || packet.malformed != 0) return refuse(packet, malformed);
  // IPv6's header has none: what is wrong in this one would not be seen any more.
  if (!ip.hasValidChecksum) return refuse(packet, badChecksum);
  if (isIcmpPiece(packet)) return refuse(packet, icmpFragment);
  const headers = ip.headerLength;
  if (headers > Ipv4.BYTES && hasSourceRoute(ip)) return refuseSourceRoute(packet);
  if (decrements && ip.ttl <= 1) return refuseHop(packet);
  const hops = ip.ttl - u32(decrements);
  const flags = <u32>bswap<u16>(load<u16>(ip.address, 6));
  const isFragment = (flags & (MORE_FRAGMENTS | OFFSET_BITS)) != 0;
  const payload = ip.totalLength - headers;
  const whole = Ipv6.BYTES + payload + (isFragment ? FRAGMENT_BYTES : 0);
  const isWhole = packet.size - upper >= payload;
  const splits = whole > min(lowestMtu, mtu6) && (flags & DONT_FRAGMENT) == 0;
  if (splits ? !isWhole : whole > mtu6) return refuseSize(packet);
  if (packet.l4Offset != OFFSET_NONE && !translateUpper(packet, ip, payload, isFragment || !isWhole)) return false;
  const trafficClass = ip.trafficClass;
  const identification = ip.identification;
  const ipProto = protoIn(true, packet.ipProto);
  const extra = isFragment || splits ? FRAGMENT_BYTES : 0;
  const end = packet.l3 + headers;
  if (!relink(packet, headers, Ipv6.BYTES + extra, true)) return refuse(packet, noRoom);
  const nextHeader = extra == 0 ? ipProto : IP_PROTO_FRAGMENT;
  writeIpv6(end - extra - Ipv6.BYTES, trafficClass, payload + extra, nextHeader, hops);
  if (extra != 0) writeFragment(end - extra, ipProto, flags, identification);
  return !splits || splitToIpv6(packet, end - extra - Ipv6.BYTES, payload, port) || refuse(packet, tooBig);
}

/** UDP's checksum may be left out in IPv4 only; of a piece it cannot be computed (RFC 7915, section 4.5). */
function translateUpper(packet: Packet, ip: Ipv4, payload: u32, isPiece: bool): bool {
  const isBare = packet.ipProto == IP_PROTO_UDP && Udp.at(packet.l4).checksum == 0;
  if (isBare && isPiece) return refuse(packet, zeroChecksum);
  translateTransport(packet.l4, packet.ipProto, payload, payload, sumOf4(ip), false, true);
  if (!isBare) return true;
  const udp = Udp.at(packet.l4);
  const bytes = min(udp.length, payload);
  udp.checksum = udpField(transportChecksum(fold(sumOfLeaving(true) + IP_PROTO_UDP + bytes), packet.l4, bytes));
  return true;
}

/** Between two IPv6 hosts. A hop is counted where each thinks that the other has IPv4. */
export function alongIpv6(packet: Packet, ip: Ipv6, crosses: bool): bool {
  if (crosses) lookAt(packet.port, packet.port);
  const counts = crosses && decrements;
  if (counts && ip.hopLimit <= 1) return refuseHop(packet);
  if (packet.malformed != 0 && crosses) return refuse(packet, malformed);
  const upper = upperOf(packet);
  if (upper != OFFSET_NONE && upper - packet.l3Offset > Ipv6.BYTES && isOnItsWay(ip, upper - packet.l3Offset)) {
    return refuse(packet, sourceRoute);
  }
  if (packet.l4Offset != OFFSET_NONE) {
    const payload = packet.length - packet.l4Offset;
    translateTransport(packet.l4, packet.ipProto, payload, payload, sumOf6(ip), true, true);
  }
  ip.hopLimit -= u32(counts);
  setAddresses6(ip);
  packet.rewritten();
  return true;
}

/** Whether its destination changes and is not where a routing header says that it is bound for: that is what checksums are over. */
function isOnItsWay(ip: Ipv6, headers: u32): bool {
  if (ip.destinationHigh == leaving.destinationHigh && ip.destinationLow == leaving.destinationLow) return false;
  return !walkExtensions(ip, headers) || segmentsOffset != 0;
}

// ---- the link header ----

/** Makes room for IP headers of another length by moving the link header; says there what now follows it. */
export function relink(packet: Packet, before: u32, after: u32, isIpv6: bool): bool {
  const link = packet.l3Offset;
  const isMoved = after > before ? packet.insert(link, after - before) != 0 : packet.remove(link, before - after);
  if (!isMoved && after != before) return false;
  packet.rewritten();
  if (packet.link == LINK_RAW) return true;
  const l3 = packet.start + link;
  if (packet.link == LINK_NULL) writeFamily(packet.start, isIpv6);
  else store<u16>(l3 - 2, bswap<u16>(isIpv6 ? 0x86dd : 0x0800));
  return true;
}

/** BSD's numbers, in the order of bytes that the capture has. */
function writeFamily(at: usize, isIpv6: bool): void {
  const family: u32 = isIpv6 ? 30 : 2;
  store<u32>(at, load<u8>(at) == 0 ? bswap<u32>(family) : family);
}

// ---- what is not translated ----

function refuse(packet: Packet, reason: Reason): bool {
  packet.drop(reason);
  return false;
}

function refuseHop(packet: Packet): bool {
  reply.timeExceeded(packet);
  return refuse(packet, hopLimit);
}

function refuseSize(packet: Packet): bool {
  reply.packetTooBig(packet, mtu6 - (Ipv6.BYTES - Ipv4.BYTES));
  return refuse(packet, tooBig);
}

function refuseRoute(packet: Packet): bool {
  reply.parameterProblem(packet, segmentsOffset);
  return refuse(packet, sourceRoute);
}

function refuseSourceRoute(packet: Packet): bool {
  reply.unreachable(packet, SOURCE_ROUTE_FAILED, 0);
  return refuse(packet, sourceRoute);
}

const LOOSE_ROUTE: u32 = 131;
const STRICT_ROUTE: u32 = 137;

/** Whether the packet has places to go to before its destination (RFC 7915, section 4.1). */
function hasSourceRoute(ip: Ipv4): bool {
  let at: u32 = Ipv4.BYTES;
  while (at + 3 <= ip.headerLength) {
    const type = <u32>load<u8>(ip.address + at);
    if (type == 0) return false;
    const length: u32 = type == 1 ? 1 : <u32>load<u8>(ip.address + at, 1);
    if (length == 0) return false;
    if ((type == LOOSE_ROUTE || type == STRICT_ROUTE) && <u32>load<u8>(ip.address + at, 2) <= length) return true;
    at += length;
  }
  return false;
}
