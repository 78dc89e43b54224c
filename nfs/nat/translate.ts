// IPv4: a flow's first packet finds a rule and gets a session, all others are rewritten as their session says.
import { EVENT_ICMP_ERROR, Flow, IP_PROTO_ICMP, IP_PROTO_TCP, IP_PROTO_UDP, Ipv4, OFFSET_NONE, Packet } from "../sdk";
import { isIpv6, letGo } from "./addresses";
import { isEnded } from "./ended";
import { translateError4 } from "./icmp64";
import { translateError } from "./icmp-errors";
import { follow4 } from "./nat64";
import { begin, dropIfOurs } from "./open";
import { rewritePayload } from "./protocols";
import { mismatch, noFlow } from "./reasons";
import { renumber } from "./renumber";
import { rewrite } from "./rewrite";
import { outsidePorts } from "./rules";
import { CLOSED, leaveAlone, sessionReferenceOf, UNTRANSLATED } from "./sessions";
import { mayBeOwn } from "./settings";
import { Session, sessionAt } from "./store";

export function translate4(packet: Packet, ip: Ipv4): void {
  const flow = packet.flow;
  if (flow === null) {
    if (!isIpv6(ip.source) && !isIpv6(ip.destination)) dropIfOurs(packet, ip.source, ip.destination, noFlow);
    return;
  }
  let reference = sessionReferenceOf(flow);
  if (packet.has(EVENT_ICMP_ERROR)) return translateErrorOf(packet, ip, reference);
  if (reference == UNTRANSLATED || isEnded(packet, flow, reference)) return;
  if (reference == 0) reference = begin4(packet, ip, flow);
  if (reference <= UNTRANSLATED) return;
  const session = sessionAt(reference);
  if (session.families != 0) return follow4(packet, ip, session);
  follow(packet, ip, session);
}

/** What begins with the octet 0 is no host's (RFC 1122, section 3.2.1.3), and would be taken for an IPv6 address's number. */
function begin4(packet: Packet, ip: Ipv4, flow: Flow): u32 {
  if (isIpv6(ip.source) || isIpv6(ip.destination)) {
    leaveAlone(flow);
    return UNTRANSLATED;
  }
  const reference = begin(packet, flow, ip.source, ip.destination, null);
  letGo();
  return reference;
}

function translateErrorOf(packet: Packet, ip: Ipv4, reference: u32): void {
  if (reference > CLOSED && sessionAt(reference).families != 0) {
    translateError4(packet, ip, sessionAt(reference));
  } else if (reference != 0 || !mayBeOwn(ip.destination)) {
    translateError(packet, ip, reference);
  }
}

// ---- packets of a session ----

@inline
function follow(packet: Packet, ip: Ipv4, session: Session): void {
  const forth = packet.direction == 0;
  const source = forth ? session.source : session.newDestination;
  const sourcePort: u32 = forth ? session.sourcePort : session.newDestinationPort;
  const destination = forth ? session.destination : session.newSource;
  const destinationPort: u32 = forth ? session.destinationPort : session.newSourcePort;
  const isPorted = hasPorts(packet);
  const isExpected = ip.source == source && ip.destination == destination;
  if (!isExpected || (isPorted && (innerPort(packet) != sourcePort || outerPort(packet) != destinationPort))) {
    return packet.drop(mismatch);
  }
  const l4: usize = packet.l4Offset == OFFSET_NONE ? 0 : packet.l4;
  if (session.control != 0 && l4 != 0 && !rewritePayload(packet, ip, session)) return;
  if (forth) {
    const ports = session.newDestinationPort;
    rewrite(ip, l4, 20, session.newSource, session.newSourcePort, session.newDestination, ports);
  } else {
    rewrite(ip, l4, 20, session.destination, session.destinationPort, session.source, session.sourcePort);
  }
  if (packet.isFragment && unchecked(outsidePorts[packet.port]) == 0) renumber(ip, session.flow);
  packet.rewritten();
  if (session.hairpins != 0) packet.transmit(forth ? session.exitPort : session.entryPort);
}

/** Whether the packet has what a session's ports stand for. */
@inline
function hasPorts(packet: Packet): bool {
  const proto = packet.ipProto;
  return packet.l4Offset != OFFSET_NONE && (proto == IP_PROTO_TCP || proto == IP_PROTO_UDP || isEcho(packet));
}

@inline
function isEcho(packet: Packet): bool {
  const type = packet.sourcePort >> 8;
  return packet.ipProto == IP_PROTO_ICMP && (type == 8 || type == 0);
}

/** The port of the packet's sender; of an ICMP echo its identifier. */
@inline
function innerPort(packet: Packet): u32 {
  return packet.ipProto == IP_PROTO_ICMP ? packet.destinationPort : packet.sourcePort;
}

@inline
function outerPort(packet: Packet): u32 {
  return packet.destinationPort;
}
