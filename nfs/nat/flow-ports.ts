// Ports of packets of either family, as sessions name them: of echoes the identifier.
import {
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  ICMPV6_ECHO_REPLY,
  ICMPV6_ECHO_REQUEST,
  IP_PROTO_ICMP,
  IP_PROTO_ICMPV6,
  IP_PROTO_TCP,
  IP_PROTO_UDP,
  OFFSET_NONE,
  Packet,
} from "../sdk";

@inline
export function isIcmp(packet: Packet): bool {
  return packet.ipProto == IP_PROTO_ICMP || packet.ipProto == IP_PROTO_ICMPV6;
}

/** Whether the packet has what a session's ports stand for. */
export function hasPorts6(packet: Packet): bool {
  const proto = packet.ipProto;
  if (packet.l4Offset == OFFSET_NONE) return false;
  if (proto == IP_PROTO_TCP || proto == IP_PROTO_UDP) return true;
  const type = <i32>(packet.sourcePort >> 8);
  if (proto == IP_PROTO_ICMPV6) return type == ICMPV6_ECHO_REQUEST || type == ICMPV6_ECHO_REPLY;
  return proto == IP_PROTO_ICMP && (type == ICMP_ECHO_REQUEST || type == ICMP_ECHO_REPLY);
}

/** The port of the packet's sender. */
@inline
export function innerPort6(packet: Packet): u32 {
  return isIcmp(packet) ? packet.destinationPort : packet.sourcePort;
}
