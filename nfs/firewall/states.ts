// Where a packet stands in its connection, as rules ask for it.
import {
  EVENT_ICMP_ERROR,
  EVENT_INVALID,
  EVENT_START,
  Flow,
  ICMP_ECHO_REPLY,
  ICMP_PARAMETER_PROBLEM,
  ICMP_REDIRECT,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  ICMPV6_ECHO_REPLY,
  ICMPV6_PARAMETER_PROBLEM,
  IP_PROTO_ICMP,
  IP_PROTO_ICMPV6,
  IP_PROTO_TCP,
  OFFSET_NONE,
  Packet,
  TCP_ACK,
  TCP_FIN,
  TCP_RST,
  TCP_SYN,
} from "../sdk";

/** RFC 4620. */
const ICMPV6_NODE_REPLY: u32 = 140;

/** A rule without states takes the first three. */
export const STATES = ["new", "established", "untracked", "related", "invalid"];
export const NEW: u32 = 0;
export const ESTABLISHED: u32 = 1;
export const UNTRACKED: u32 = 2;
export const RELATED: u32 = 3;
export const INVALID: u32 = 4;

/** The events that tell a packet from one that its flow's decision is for. */
export const OUT_OF_THE_WAY: u32 = EVENT_ICMP_ERROR | EVENT_INVALID;

/**
 * Of a packet whose flow has no decision, or that has no flow. `isOpposite`: what the flow began with was dropped, and this
 * comes from the other side.
 */
export function stateOf(packet: Packet, flow: Flow | null, takesMidstream: bool, isOpposite: bool): u32 {
  const events = packet.events;
  if (events & EVENT_ICMP_ERROR) return RELATED;
  if (events & EVENT_INVALID) return INVALID;
  // An error about nothing that is known.
  if (isIcmpError(packet)) return INVALID;
  if (flow === null) return UNTRACKED;
  const isFirst = isOpposite || packet.direction == 0;
  if (isFirst && isIcmpReply(packet)) return INVALID;
  if (packet.ipProto == IP_PROTO_TCP && isMidstream(packet, flow, isOpposite)) {
    if (!takesMidstream || !canBeMidstream(packet)) return INVALID;
  }
  if (isOpposite || (events & EVENT_START) != 0) return NEW;
  return packet.direction == 1 || flow.isReplied ? ESTABLISHED : NEW;
}

/** TCP whose beginning nobody saw. */
function isMidstream(packet: Packet, flow: Flow, isOpposite: bool): bool {
  if (isOpposite || (packet.events & EVENT_START) != 0) {
    return packet.l4Offset == OFFSET_NONE || (packet.tcpFlags & (TCP_SYN | TCP_ACK)) != TCP_SYN;
  }
  return flow.isMidstream;
}

/** Only what both ends say while a connection is established. */
function canBeMidstream(packet: Packet): bool {
  return packet.l4Offset == OFFSET_NONE || (packet.tcpFlags & (TCP_SYN | TCP_ACK | TCP_FIN | TCP_RST)) == TCP_ACK;
}

/** To what nobody asked, if its flow begins with it. */
function isIcmpReply(packet: Packet): bool {
  if (packet.l4Offset == OFFSET_NONE) return false;
  const type = packet.sourcePort >> 8;
  if (packet.ipProto == IP_PROTO_ICMPV6) return type == <u32>ICMPV6_ECHO_REPLY || type == ICMPV6_NODE_REPLY;
  if (packet.ipProto != IP_PROTO_ICMP) return false;
  // Echo, timestamp, information, address mask: replies have even numbers.
  return type == <u32>ICMP_ECHO_REPLY || type == 14 || type == 16 || type == 18;
}

function isIcmpError(packet: Packet): bool {
  if (packet.l4Offset == OFFSET_NONE) return false;
  const type = packet.sourcePort >> 8;
  if (packet.ipProto == IP_PROTO_ICMPV6) return type <= <u32>ICMPV6_PARAMETER_PROBLEM;
  if (packet.ipProto != IP_PROTO_ICMP) return false;
  const isRouting = type >= <u32>ICMP_UNREACHABLE && type <= <u32>ICMP_REDIRECT;
  return isRouting || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER_PROBLEM;
}
