// Where a packet stands in its connection, as rules ask for it.
import {
  EVENT_ICMP_ERROR,
  EVENT_INVALID,
  EVENT_START,
  Flow,
  ICMP_PARAMETER_PROBLEM,
  ICMP_REDIRECT,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  ICMPV6_PARAMETER_PROBLEM,
  IP_PROTO_ICMP,
  IP_PROTO_ICMPV6,
  IP_PROTO_TCP,
  OFFSET_NONE,
  Packet,
  TCP_ACK,
  TCP_SYN,
} from "../sdk";

/** A rule without states takes the first three. */
export const STATES = ["new", "established", "untracked", "related", "invalid"];
export const NEW: u32 = 0;
export const ESTABLISHED: u32 = 1;
export const UNTRACKED: u32 = 2;
export const RELATED: u32 = 3;
export const INVALID: u32 = 4;

/** The events that tell a packet from one that its flow's decision is for. */
export const OUT_OF_THE_WAY: u32 = EVENT_ICMP_ERROR | EVENT_INVALID;

/** Of a packet whose flow has no decision, or that has no flow. */
export function stateOf(packet: Packet, flow: Flow | null, takesMidstream: bool): u32 {
  const events = packet.events;
  if (events & EVENT_ICMP_ERROR) return RELATED;
  if (events & EVENT_INVALID) return INVALID;
  // An error about nothing that is known.
  if (isIcmpError(packet)) return INVALID;
  if (flow === null) return UNTRACKED;
  if (!takesMidstream && isMidstream(packet, flow)) return INVALID;
  if (events & EVENT_START) return NEW;
  return packet.direction == 1 || flow.isReplied ? ESTABLISHED : NEW;
}

/** TCP whose beginning nobody saw. */
function isMidstream(packet: Packet, flow: Flow): bool {
  if (packet.ipProto != IP_PROTO_TCP) return false;
  if (packet.events & EVENT_START) {
    return packet.l4Offset == OFFSET_NONE || (packet.tcpFlags & (TCP_SYN | TCP_ACK)) != TCP_SYN;
  }
  return flow.isMidstream;
}

function isIcmpError(packet: Packet): bool {
  if (packet.l4Offset == OFFSET_NONE) return false;
  const type = packet.sourcePort >> 8;
  if (packet.ipProto == IP_PROTO_ICMPV6) return type <= <u32>ICMPV6_PARAMETER_PROBLEM;
  if (packet.ipProto != IP_PROTO_ICMP) return false;
  const isRouting = type >= <u32>ICMP_UNREACHABLE && type <= <u32>ICMP_REDIRECT;
  return isRouting || type == ICMP_TIME_EXCEEDED || type == ICMP_PARAMETER_PROBLEM;
}
