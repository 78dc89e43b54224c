// Packets that nobody means: dropped by name before any rule.
import {
  Config,
  IP_PROTO_DESTINATION_OPTIONS,
  IP_PROTO_HOP_BY_HOP,
  IP_PROTO_ROUTING,
  IP_PROTO_TCP,
  Ipv4,
  Ipv6,
  MALFORMED_NONE,
  OFFSET_NONE,
  Packet,
  Reason,
  TCP_ACK,
  TCP_FIN,
  TCP_RST,
  TCP_SYN,
} from "../sdk";
import {
  MALFORMED_ARP_SHORT,
  MALFORMED_EXTENSION_SHORT,
  MALFORMED_GRE_SHORT,
  MALFORMED_ICMP_SHORT,
  MALFORMED_IP_SHORT,
  MALFORMED_IP_TOTAL_LENGTH,
  MALFORMED_LINK_SHORT,
  MALFORMED_SCTP_SHORT,
  MALFORMED_TCP_SHORT,
  MALFORMED_UDP_LENGTH,
  MALFORMED_UDP_SHORT,
  MALFORMED_VLAN_SHORT,
} from "../sdk/abi";

const truncated = new Reason("truncated");
const malformed = new Reason("malformed");
const land = new Reason("land");
const badFlags = new Reason("bad-flags");
const badSource = new Reason("bad-source");
const sourceRoute = new Reason("source-route");
const badOption = new Reason("ip-option");
const tinyFragment = new Reason("tiny-fragment");

/** What IP options and extension headers may be. */
export const OPTION_POLICIES = ["accept", "no-source-routes", "drop"];
const OPTIONS_ACCEPT = 0;
const OPTIONS_DROP = 2;
/** IPv4: loose and strict source route (RFC 791). */
const LOOSE_SOURCE_ROUTE: u32 = 131;
const STRICT_SOURCE_ROUTE: u32 = 137;

let checksHeaders = true;
let checksLand = true;
let checksFlags = true;
let checksSource = true;
let optionPolicy = 1;

export function readChecks(config: Config): void {
  optionPolicy = config.choiceOr("ipOptions", 1, OPTION_POLICIES);
  const has = config.has("checks");
  const checks = has ? config.object("checks") : config;
  checksHeaders = has ? checks.flagOr("headers", true) : true;
  checksLand = has ? checks.flagOr("land", true) : true;
  checksFlags = has ? checks.flagOr("tcpFlags", true) : true;
  checksSource = has ? checks.flagOr("sources", true) : true;
}

/** True if the packet was dropped. */
export function refuse(packet: Packet): bool {
  if (packet.malformed != MALFORMED_NONE) {
    if (!checksHeaders) return false;
    return drop(packet, isTooShort(packet.malformed) ? truncated : malformed, packet.malformed);
  }
  if (packet.ipVersion == 0) return false;
  if (packet.ipProto == IP_PROTO_TCP) {
    // It would overwrite the flags of a header that was judged already (RFC 1858, section 3.2.2).
    if (packet.fragmentOffset == 8) return drop(packet, tinyFragment);
    if (checksFlags && packet.l4Offset != OFFSET_NONE && !areSound(packet.tcpFlags)) {
      return drop(packet, badFlags, packet.tcpFlags);
    }
  }
  if (packet.hasOptions && optionPolicy != OPTIONS_ACCEPT && refuseOptions(packet)) return true;
  const ipv4 = packet.ipv4;
  if (ipv4 !== null) return refuseAddresses4(packet, ipv4);
  const ipv6 = packet.ipv6;
  return ipv6 !== null && refuseAddresses6(packet, ipv6);
}

function drop(packet: Packet, reason: Reason, detail: u32 = 0): bool {
  packet.drop(reason, detail);
  return true;
}

function isTooShort(fault: u32): bool {
  switch (fault) {
    case MALFORMED_LINK_SHORT:
    case MALFORMED_VLAN_SHORT:
    case MALFORMED_ARP_SHORT:
    case MALFORMED_IP_SHORT:
    case MALFORMED_IP_TOTAL_LENGTH:
    case MALFORMED_EXTENSION_SHORT:
    case MALFORMED_TCP_SHORT:
    case MALFORMED_UDP_SHORT:
    case MALFORMED_UDP_LENGTH:
    case MALFORMED_ICMP_SHORT:
    case MALFORMED_SCTP_SHORT:
    case MALFORMED_GRE_SHORT:
      return true;
    default:
      return false;
  }
}

/** One of SYN, RST and ACK at least, and no two that contradict each other (RFC 9293, section 3.10.7). */
@inline
function areSound(flags: u32): bool {
  const sync = flags & (TCP_SYN | TCP_FIN | TCP_RST);
  if ((sync & (sync - 1)) != 0) return false;
  return (flags & (TCP_ACK | TCP_RST | TCP_SYN)) != 0;
}

function refuseOptions(packet: Packet): bool {
  if (hasSourceRoute(packet)) return drop(packet, sourceRoute);
  if (optionPolicy != OPTIONS_DROP) return false;
  const ipv6 = packet.ipv6;
  // A fragment header is no option.
  const isOption = ipv6 === null || hasOptionHeader(packet, ipv6);
  return isOption && drop(packet, badOption);
}

function hasSourceRoute(packet: Packet): bool {
  const ipv4 = packet.ipv4;
  if (ipv4 !== null) {
    for (let option = ipv4.firstOption; option !== null; option = ipv4.optionAfter(option)) {
      if (option.kind == LOOSE_SOURCE_ROUTE || option.kind == STRICT_SOURCE_ROUTE) return true;
    }
    return false;
  }
  const ipv6 = packet.ipv6;
  if (ipv6 === null) return false;
  const routing = ipv6.findExtension(IP_PROTO_ROUTING, endOfHeaders(packet));
  // Type 0 is forbidden (RFC 5095); others that have nowhere left to go are harmless.
  return routing !== null && (routing.routingType == 0 || routing.segmentsLeft != 0);
}

function hasOptionHeader(packet: Packet, ipv6: Ipv6): bool {
  const end = endOfHeaders(packet);
  if (ipv6.findExtension(IP_PROTO_ROUTING, end) !== null) return true;
  if (ipv6.findExtension(IP_PROTO_HOP_BY_HOP, end) !== null) return true;
  return ipv6.findExtension(IP_PROTO_DESTINATION_OPTIONS, end) !== null;
}

function endOfHeaders(packet: Packet): usize {
  return packet.l4Offset != OFFSET_NONE ? packet.l4 : packet.frame + packet.length;
}

function refuseAddresses4(packet: Packet, ip: Ipv4): bool {
  const source = ip.source;
  if (checksLand && source == ip.destination) return drop(packet, land);
  // A group, all, or this host itself (RFC 1122, section 3.2.1.3).
  const isBad = source >= 0xe0000000 || source >> 24 == 127;
  return checksSource && isBad && drop(packet, badSource);
}

function refuseAddresses6(packet: Packet, ip: Ipv6): bool {
  if (checksLand && ip.sourceHigh == ip.destinationHigh && ip.sourceLow == ip.destinationLow) {
    return drop(packet, land);
  }
  const isBad = ip.sourceHigh >> 56 == 0xff || (ip.sourceHigh == 0 && ip.sourceLow == 1);
  return checksSource && isBad && drop(packet, badSource);
}
