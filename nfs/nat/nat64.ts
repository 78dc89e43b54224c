// NAT64 (RFC 6146): a flow's first packet gets a session whose two tuples are of two families, all others are translated
// as their session says. Hairpinned flows are of IPv6 on both sides.
import { EVENT_ICMP_ERROR, Flow, Ipv4, Ipv6, OFFSET_NONE, Packet } from "../sdk";
import { translateError6 } from "./icmp64";
import { begin6 } from "./open64";
import { innerPort6, hasPorts6 } from "./ports64";
import { isEnded } from "./ended";
import { CLOSED, leaveAlone, sessionReferenceOf, UNTRANSLATED } from "./sessions";
import { ENTERS_IPV6, LEAVES_IPV6, pairAt, Session, sessionAt } from "./store";
import { setLeaving } from "./tuples64";
import { mismatch, noFlow } from "./reasons";
import { alongIpv6, toIpv4, toIpv6 } from "./translate64";
import { hasPrefix64 } from "./rules64";

/** False if the packet is none of NAT64's. */
export function translate64(packet: Packet, ip: Ipv6): bool {
  const flow = packet.flow;
  if (flow === null) {
    if (!hasPrefix64(ip.destinationHigh, ip.destinationLow)) return false;
    packet.drop(noFlow);
    return true;
  }
  let reference = sessionReferenceOf(flow);
  if (packet.has(EVENT_ICMP_ERROR) && reference > CLOSED) {
    translateError6(packet, ip, sessionAt(reference));
    return true;
  }
  if (reference == UNTRANSLATED || packet.has(EVENT_ICMP_ERROR)) return false;
  if (isEnded(packet, flow, reference)) return true;
  if (reference == 0) {
    reference = begin6(packet, ip, flow);
    if (reference == UNTRANSLATED) {
      leaveAlone(flow);
      return false;
    }
  }
  if (reference > UNTRANSLATED) follow6(packet, ip, sessionAt(reference));
  return true;
}

/** Of a session that is not of IPv4 alone. */
export function follow4(packet: Packet, ip: Ipv4, session: Session): void {
  const forth = packet.direction == 0;
  const source = forth ? session.source : session.newDestination;
  const destination = forth ? session.destination : session.newSource;
  const isExpected = ip.source == source && ip.destination == destination && hasFamily(session, forth, false);
  if (!isExpected || (packet.l4Offset != OFFSET_NONE && !hasPortsOf(packet, session, forth))) {
    return packet.drop(mismatch);
  }
  setLeaving(session, forth);
  if (toIpv6(packet, ip, forth ? session.exitPort : session.entryPort)) send(packet, session, forth);
}

function follow6(packet: Packet, ip: Ipv6, session: Session): void {
  const forth = packet.direction == 0;
  if (!hasFamily(session, forth, true) || !isOf(ip, session, forth)) return packet.drop(mismatch);
  if (packet.l4Offset != OFFSET_NONE && !hasPortsOf(packet, session, forth)) return packet.drop(mismatch);
  setLeaving(session, forth);
  const crosses = session.families != (ENTERS_IPV6 | LEAVES_IPV6);
  if (crosses ? toIpv4(packet, ip) : alongIpv6(packet, ip)) send(packet, session, forth);
}

/** Whether packets of that direction come in as IPv6. */
@inline
function hasFamily(session: Session, forth: bool, isIpv6: bool): bool {
  return ((session.families & (forth ? ENTERS_IPV6 : LEAVES_IPV6)) != 0) == isIpv6;
}

@inline
function isOf(ip: Ipv6, session: Session, forth: bool): bool {
  const pair = pairAt(forth ? session.source : session.newSource);
  return forth
    ? isTuple(ip, pair.sourceHigh, pair.sourceLow, pair.destinationHigh, pair.destinationLow)
    : isTuple(ip, pair.destinationHigh, pair.destinationLow, pair.sourceHigh, pair.sourceLow);
}

@inline
function isTuple(ip: Ipv6, high: u64, low: u64, toHigh: u64, toLow: u64): bool {
  return ip.sourceHigh == high && ip.sourceLow == low && ip.destinationHigh == toHigh && ip.destinationLow == toLow;
}

@inline
function hasPortsOf(packet: Packet, session: Session, forth: bool): bool {
  const source: u32 = forth ? session.sourcePort : session.newDestinationPort;
  const destination: u32 = forth ? session.destinationPort : session.newSourcePort;
  return hasPorts6(packet) && innerPort6(packet) == source && packet.destinationPort == destination;
}

@inline
function send(packet: Packet, session: Session, forth: bool): void {
  if (session.hairpins != 0) packet.transmit(forth ? session.exitPort : session.entryPort);
}
