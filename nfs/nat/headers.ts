// Headers that a packet gets, in the other family (RFC 7915, sections 4.1 and 5.1) or for another tuple of IPv6, and what that
// does to the checksums of what is behind them. Addresses are of headers, wherever they lie.
import {
  difference16,
  fold,
  Icmp,
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  ICMPV6_ECHO_REPLY,
  ICMPV6_ECHO_REQUEST,
  IP_PROTO_ICMP,
  IP_PROTO_ICMPV6,
  IP_PROTO_TCP,
  IP_PROTO_UDP,
  Ipv4,
  Ipv6,
  mend,
  mendUdp,
  sum,
  Tcp,
  Udp,
} from "../sdk";

export const IP_PROTO_FRAGMENT: u32 = 44;
export const FRAGMENT_BYTES: u32 = 8;
/** Of IPv4's flags and offset, in one. */
export const DONT_FRAGMENT: u32 = 0x4000;
export const MORE_FRAGMENTS: u32 = 0x2000;
const TCP_CHECKSUM_END: u32 = 18;

/** What a packet is to leave with: set before it is translated. Only the addresses of its new family count. */
@unmanaged
@final
export class Tuple64 {
  sourceHigh: u64;
  sourceLow: u64;
  destinationHigh: u64;
  destinationLow: u64;
  source: u32;
  destination: u32;
  sourcePort: u32;
  destinationPort: u32;
}

export const leaving = changetype<Tuple64>(memory.data(offsetof<Tuple64>()));

/** Sum of the addresses that leave, as pseudo-headers have them. */
export function sumOfLeaving(isIpv6: bool): u32 {
  return isIpv6
    ? sumOfWords(leaving.sourceHigh, leaving.sourceLow, leaving.destinationHigh, leaving.destinationLow)
    : fold(
        (leaving.source >> 16) +
          (leaving.source & 0xffff) +
          (leaving.destination >> 16) +
          (leaving.destination & 0xffff),
      );
}

function sumOfWords(first: u64, second: u64, third: u64, fourth: u64): u32 {
  const low = (first & 0xffffffff) + (second & 0xffffffff) + (third & 0xffffffff) + (fourth & 0xffffffff);
  const high = (first >> 32) + (second >> 32) + (third >> 32) + (fourth >> 32);
  const all = low + high;
  return fold(<u32>((all & 0xffff) + ((all >> 16) & 0xffff) + (all >> 32)));
}

@inline
export function sumOf6(ip: Ipv6): u32 {
  return sum(ip.address + 8, 32);
}

@inline
export function sumOf4(ip: Ipv4): u32 {
  return sum(ip.address + 12, 8);
}

export function writeIpv4(at: usize, trafficClass: u32, totalLength: u32, identification: u32, flags: u32): Ipv4 {
  const ip = Ipv4.at(at);
  store<u16>(at, bswap<u16>(<u16>(0x4500 | trafficClass)));
  ip.totalLength = totalLength;
  ip.identification = identification;
  store<u16>(at, bswap<u16>(<u16>flags), 6);
  ip.source = leaving.source;
  ip.destination = leaving.destination;
  return ip;
}

/** The addresses that leave. */
export function setAddresses6(ip: Ipv6): void {
  ip.sourceHigh = leaving.sourceHigh;
  ip.sourceLow = leaving.sourceLow;
  ip.destinationHigh = leaving.destinationHigh;
  ip.destinationLow = leaving.destinationLow;
}

/** After all else of the header. */
export function endIpv4(ip: Ipv4, ttl: u32, ipProto: u32): void {
  ip.ttl = ttl;
  ip.ipProto = ipProto;
  ip.checksum = 0;
  ip.checksum = ~sum(ip.address, Ipv4.BYTES) & 0xffff;
}

/** With flow label 0. */
export function writeIpv6(at: usize, trafficClass: u32, payloadLength: u32, nextHeader: u32, hopLimit: u32): void {
  const ip = Ipv6.at(at);
  store<u32>(at, bswap<u32>(0x60000000 | (trafficClass << 20)));
  ip.payloadLength = payloadLength;
  ip.nextHeader = nextHeader;
  ip.hopLimit = hopLimit;
  setAddresses6(ip);
}

/** `flags` as in IPv4, whose offset counts in eights of bytes. */
export function writeFragment(at: usize, nextHeader: u32, flags: u32, identification: u32): void {
  store<u16>(at, bswap<u16>(<u16>(nextHeader << 8)));
  store<u16>(at, bswap<u16>(<u16>(((flags & 0x1fff) << 3) | u32((flags & MORE_FRAGMENTS) != 0))), 2);
  store<u32>(at, bswap<u32>(identification), 4);
}

/** The same protocol, as the other family calls it. */
@inline
export function protoIn(isIpv6: bool, ipProto: u32): u32 {
  if (ipProto == IP_PROTO_ICMP || ipProto == IP_PROTO_ICMPV6) return isIpv6 ? IP_PROTO_ICMPV6 : IP_PROTO_ICMP;
  return ipProto;
}

/**
 * Gives TCP, UDP or an echo its new ports. `before` is the sum of the addresses that it had, `length` of its bytes and all
 * that follows them, `bytes` how many of them are there: a quoted one may end anywhere behind the ports.
 */
export function translateTransport(
  l4: usize,
  ipProto: u32,
  length: u32,
  bytes: u32,
  before: u32,
  fromIpv6: bool,
  isIpv6: bool,
): void {
  const addresses = difference16(before, sumOfLeaving(isIpv6));
  if (ipProto == IP_PROTO_TCP) translateTcp(Tcp.at(l4), bytes, addresses);
  else if (ipProto == IP_PROTO_UDP) translateUdp(Udp.at(l4), bytes, addresses);
  else if (bytes >= Icmp.BYTES && protoIn(false, ipProto) == IP_PROTO_ICMP) {
    if (isEcho(Icmp.at(l4), fromIpv6)) translateEcho(Icmp.at(l4), length, before, fromIpv6, isIpv6);
    else if (isIpv6) Icmp.at(l4).checksum = mend(Icmp.at(l4).checksum, addresses);
  }
}

function isEcho(icmp: Icmp, isIpv6: bool): bool {
  const type = icmp.type;
  return isIpv6
    ? type == ICMPV6_ECHO_REQUEST || type == ICMPV6_ECHO_REPLY
    : type == ICMP_ECHO_REQUEST || type == ICMP_ECHO_REPLY;
}

function translateTcp(tcp: Tcp, bytes: u32, addresses: u32): void {
  const ports = differenceOfPorts(tcp.sourcePort, tcp.destinationPort);
  tcp.sourcePort = leaving.sourcePort;
  tcp.destinationPort = leaving.destinationPort;
  if (bytes >= TCP_CHECKSUM_END) tcp.checksum = mend(tcp.checksum, addresses + ports);
}

function translateUdp(udp: Udp, bytes: u32, addresses: u32): void {
  const ports = differenceOfPorts(udp.sourcePort, udp.destinationPort);
  udp.sourcePort = leaving.sourcePort;
  udp.destinationPort = leaving.destinationPort;
  if (bytes >= Udp.BYTES) udp.checksum = mendUdp(udp.checksum, addresses + ports);
}

@inline
function differenceOfPorts(source: u32, destination: u32): u32 {
  return difference16(source, leaving.sourcePort) + difference16(destination, leaving.destinationPort);
}

/** ICMPv6 has a pseudo-header in its sum, ICMP has none. */
function translateEcho(icmp: Icmp, length: u32, before: u32, fromIpv6: bool, isIpv6: bool): void {
  const isReply = icmp.type == ICMP_ECHO_REPLY || icmp.type == ICMPV6_ECHO_REPLY;
  const type4 = isReply ? ICMP_ECHO_REPLY : ICMP_ECHO_REQUEST;
  const type6 = isReply ? ICMPV6_ECHO_REPLY : ICMPV6_ECHO_REQUEST;
  const pseudo = length + IP_PROTO_ICMPV6;
  const old = fromIpv6 ? fold(before + pseudo) : 0;
  const after = isIpv6 ? fold(sumOfLeaving(true) + pseudo) : 0;
  const type = isIpv6 ? type6 : type4;
  const change =
    difference16(old, after) +
    difference16(icmp.type << 8, type << 8) +
    difference16(icmp.identifier, leaving.sourcePort);
  icmp.type = type;
  icmp.identifier = leaving.sourcePort;
  icmp.checksum = mend(icmp.checksum, change);
}
