// Answers to a packet, sent back out of the port where it came in: TCP segments (RFC 9293) and ICMP errors (RFC 792,
// 1812, 4443). Addresses, ports and MAC addresses are the packet's, swapped; its VLAN tags stay. False if no answer is
// due, the link is neither Ethernet nor bare IP, or the outbox is full.

import { LINK_ETHERNET, LINK_RAW, OFFSET_NONE } from "./abi";
import { copyUp, fill } from "./bytes";
import { checksum, pseudoSum4, pseudoSum6, transportChecksum } from "./checksum";
import { Ethernet } from "./ethernet";
import {
  Icmp,
  ICMP_PARAMETER_PROBLEM,
  ICMP_REDIRECT,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  ICMPV6_PACKET_TOO_BIG,
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_TIME_EXCEEDED,
  ICMPV6_UNREACHABLE,
} from "./icmp";
import { Ipv4 } from "./ipv4";
import { Ipv6 } from "./ipv6";
import { IP_PROTO_ICMP, IP_PROTO_ICMPV6, IP_PROTO_TCP, TCP_ACK, TCP_RST } from "./numbers";
import { outbox } from "./outbox";
import { Packet } from "./packet";
import { Tcp } from "./tcp";

/** The largest error that always arrives: RFC 1812, section 4.3.2.3; RFC 4443, section 2.4 (c). */
const ERROR_BYTES_4: u32 = 576;
const ERROR_BYTES_6: u32 = 1280;
const HOP_LIMIT = 64;
const FRAGMENTATION_NEEDED: u32 = 4;
/** ICMPv6 types below are errors; 137 is a redirect. */
const ICMPV6_INFORMATIONAL: u32 = 128;
const ICMPV6_REDIRECT: u32 = 137;

export namespace reply {
  /** A segment without payload and options. */
  export function tcp(packet: Packet, flags: u32, sequence: u32, acknowledgement: u32): bool {
    const asked = packet.tcp;
    if (asked === null || packet.isFragment || !isAnswerable(packet)) return false;
    const ip = startReply(packet, IP_PROTO_TCP, Tcp.BYTES);
    if (ip == 0) return false;
    const tcp = Tcp.at(ip + headerBytes(packet));
    fill(tcp.address, 0, Tcp.BYTES);
    tcp.sourcePort = asked.destinationPort;
    tcp.destinationPort = asked.sourcePort;
    tcp.sequence = sequence;
    tcp.acknowledgement = acknowledgement;
    tcp.headerLength = Tcp.BYTES;
    tcp.flags = flags;
    tcp.window = flags & TCP_RST ? 0 : 0xffff;
    tcp.checksum = transportChecksum(pseudoSum(packet, ip, IP_PROTO_TCP, Tcp.BYTES), tcp.address, Tcp.BYTES);
    return sendReply(packet, Tcp.BYTES);
  }

  /** What a host says to a segment of a connection that it does not have (RFC 9293, section 3.10.7.1). */
  export function tcpReset(packet: Packet): bool {
    const asked = packet.tcp;
    if (asked === null || asked.rst) return false;
    if (asked.ack) return tcp(packet, TCP_RST, asked.acknowledgement, 0);
    const length = packet.payloadLength + u32(asked.syn) + u32(asked.fin);
    return tcp(packet, TCP_RST | TCP_ACK, 0, asked.sequence + length);
  }

  /** ICMP or ICMPv6 "destination unreachable" with the code of the packet's family. */
  export function unreachable(packet: Packet, code4: u32, code6: u32): bool {
    return packet.ipVersion == 4
      ? sendError(packet, ICMP_UNREACHABLE, code4, 0)
      : sendError(packet, ICMPV6_UNREACHABLE, code6, 0);
  }

  /** ICMP or ICMPv6 "time exceeded": the packet has no hop left. */
  export function timeExceeded(packet: Packet): bool {
    return sendError(packet, packet.ipVersion == 4 ? ICMP_TIME_EXCEEDED : ICMPV6_TIME_EXCEEDED, 0, 0);
  }

  /** ICMP "fragmentation needed" (RFC 1191) or ICMPv6 "packet too big": what is as large as `mtu` would pass. */
  export function packetTooBig(packet: Packet, mtu: u32): bool {
    return packet.ipVersion == 4
      ? sendError(packet, ICMP_UNREACHABLE, FRAGMENTATION_NEEDED, mtu)
      : sendError(packet, ICMPV6_PACKET_TOO_BIG, 0, mtu);
  }

  /** ICMP or ICMPv6 "parameter problem" of code 0: `offset` of the field from the IP header's start. */
  export function parameterProblem(packet: Packet, offset: u32): bool {
    return packet.ipVersion == 4
      ? sendError(packet, ICMP_PARAMETER_PROBLEM, 0, offset << 24)
      : sendError(packet, ICMPV6_PARAMETER_PROBLEM, 0, offset);
  }
}

/** `rest` are the four bytes between the error's checksum and what it quotes. */
function sendError(packet: Packet, type: u32, code: u32, rest: u32): bool {
  if (!isAnswerable(packet) || packet.fragmentOffset != 0 || isIcmpError(packet)) return false;
  const isIpv4 = packet.ipVersion == 4;
  const ipProto = isIpv4 ? IP_PROTO_ICMP : IP_PROTO_ICMPV6;
  const limit = (isIpv4 ? ERROR_BYTES_4 : ERROR_BYTES_6) - headerBytes(packet) - Icmp.BYTES;
  const quoted = min(quotable(packet), limit);
  const ip = startReply(packet, ipProto, Icmp.BYTES + quoted);
  if (ip == 0) return false;
  const icmp = Icmp.at(ip + headerBytes(packet));
  icmp.type = type;
  icmp.code = code;
  icmp.checksum = 0;
  icmp.rest = rest;
  copyUp(icmp.payload, packet.l3, quoted);
  const bytes = Icmp.BYTES + quoted;
  const pseudo = isIpv4 ? 0 : pseudoSum(packet, ip, ipProto, bytes);
  icmp.checksum = isIpv4 ? checksum(icmp.address, bytes) : transportChecksum(pseudo, icmp.address, bytes);
  return sendReply(packet, bytes);
}

/** Nobody answers a group, or to one (RFC 1122, section 3.2.2; RFC 4443, section 2.4 (e)). */
function isAnswerable(packet: Packet): bool {
  if (packet.isMulticast || packet.isBroadcast || packet.malformed != 0) return false;
  const ipv4 = packet.ipv4;
  if (ipv4 !== null) return isHost4(ipv4.source) && isHost4(ipv4.destination);
  const ipv6 = packet.ipv6;
  if (ipv6 === null || (ipv6.sourceHigh | ipv6.sourceLow) == 0) return false;
  return ipv6.sourceHigh >> 56 != 0xff && ipv6.destinationHigh >> 56 != 0xff;
}

function isHost4(address: u32): bool {
  return address >> 24 != 0 && address >> 24 != 127 && address < 0xe0000000;
}

/** What must not be answered by an error, so that errors do not make errors. */
function isIcmpError(packet: Packet): bool {
  const type = packet.sourcePort >> 8;
  if (packet.ipProto == IP_PROTO_ICMPV6) return type < ICMPV6_INFORMATIONAL || type == ICMPV6_REDIRECT;
  if (packet.ipProto != IP_PROTO_ICMP) return false;
  const isRouting = type >= <u32>ICMP_UNREACHABLE && type <= <u32>ICMP_REDIRECT;
  return isRouting || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER_PROBLEM;
}

/** Bytes of the IP packet that are in the frame. */
function quotable(packet: Packet): u32 {
  const present = packet.length - packet.l3Offset;
  const ipv4 = packet.ipv4;
  if (ipv4 !== null) return min(present, ipv4.totalLength);
  const ipv6 = packet.ipv6;
  return ipv6 === null ? 0 : min(present, Ipv6.BYTES + ipv6.payloadLength);
}

@inline
function headerBytes(packet: Packet): u32 {
  return packet.ipVersion == 4 ? Ipv4.BYTES : Ipv6.BYTES;
}

@inline
function pseudoSum(packet: Packet, ip: usize, ipProto: u32, bytes: u32): u32 {
  return packet.ipVersion == 4 ? pseudoSum4(Ipv4.at(ip), ipProto, bytes) : pseudoSum6(Ipv6.at(ip), ipProto, bytes);
}

/** Writes link and IP header of an answer with so many bytes behind them; the IP header's address, or 0. */
function startReply(packet: Packet, ipProto: u32, bytes: u32): usize {
  const isEthernet = packet.link == LINK_ETHERNET;
  if ((!isEthernet && packet.link != LINK_RAW) || packet.l3Offset == OFFSET_NONE) return 0;
  const link = packet.l3Offset;
  const frame = outbox.reserve(link + headerBytes(packet) + bytes);
  if (frame == 0) return 0;
  copyUp(frame, packet.frame, link);
  if (isEthernet) {
    const asked = Ethernet.at(packet.frame);
    const answer = Ethernet.at(frame);
    answer.destination = asked.source;
    answer.source = asked.destination;
  }
  const ip = frame + link;
  if (packet.ipVersion == 4) writeIpv4(packet, Ipv4.at(ip), ipProto, bytes);
  else writeIpv6(packet, Ipv6.at(ip), ipProto, bytes);
  return ip;
}

function writeIpv4(packet: Packet, ip: Ipv4, ipProto: u32, bytes: u32): void {
  const asked = Ipv4.at(packet.l3);
  fill(ip.address, 0, Ipv4.BYTES);
  ip.version = 4;
  ip.headerLength = Ipv4.BYTES;
  ip.totalLength = Ipv4.BYTES + bytes;
  ip.dontFragment = true;
  ip.ttl = HOP_LIMIT;
  ip.ipProto = ipProto;
  ip.source = asked.destination;
  ip.destination = asked.source;
  ip.fillChecksum();
}

function writeIpv6(packet: Packet, ip: Ipv6, ipProto: u32, bytes: u32): void {
  const asked = Ipv6.at(packet.l3);
  fill(ip.address, 0, Ipv6.BYTES);
  ip.version = 6;
  ip.payloadLength = bytes;
  ip.nextHeader = ipProto;
  ip.hopLimit = HOP_LIMIT;
  ip.sourceHigh = asked.destinationHigh;
  ip.sourceLow = asked.destinationLow;
  ip.destinationHigh = asked.sourceHigh;
  ip.destinationLow = asked.sourceLow;
}

function sendReply(packet: Packet, bytes: u32): bool {
  return outbox.emit(packet.port, packet.l3Offset + headerBytes(packet) + bytes);
}
