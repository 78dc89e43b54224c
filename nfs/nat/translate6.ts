// IPv6: a flow's first packet finds a rule and gets a session, all others are translated as their session says, to the same
// family or to IPv4.
import { EVENT_ICMP_ERROR, Flow, IP_PROTO_ICMPV6, Ipv6, OFFSET_NONE, Packet, Reason } from "../sdk";
import { keep6, letGo } from "./addresses";
import { isEnded } from "./ended";
import { translateError6 } from "./icmp64";
import { begin64 } from "./nat64";
import { begin, dropIfOurs } from "./open";
import { hasPorts6 } from "./flow-ports";
import { rewritePayload } from "./protocols";
import { mismatch, noFlow, noSession, strayError } from "./reasons";
import { renumber6 } from "./renumber";
import { hasRules6, outsidePorts } from "./rules";
import { findRule64, hasPrefix64 } from "./rules64";
import { CLOSED, leaveAlone, sessionReferenceOf, UNTRANSLATED } from "./sessions";
import { CROSSES, Session, sessionAt } from "./store";
import { alongIpv6, toIpv4 } from "./translate64";
import { hasFamily, hasPortsOf, isBetween, send, setLeaving } from "./tuples";

/** False if no rule with sessions is for the packet. */
export function translate6(packet: Packet, ip: Ipv6): bool {
  const flow = packet.flow;
  if (flow === null) return refuseStray(packet, ip);
  let reference = sessionReferenceOf(flow);
  if (packet.has(EVENT_ICMP_ERROR)) return translateErrorOf(packet, ip, reference);
  if (reference == UNTRANSLATED) return false;
  if (isEnded(packet, flow, reference)) return true;
  if (reference == 0) reference = begin6(packet, ip, flow);
  if (reference == UNTRANSLATED) return false;
  if (reference > UNTRANSLATED) follow6(packet, ip, sessionAt(reference));
  return true;
}

function begin6(packet: Packet, ip: Ipv6, flow: Flow): u32 {
  const rule = findRule64(ip);
  if (rule !== null) return begin64(packet, ip, flow, rule);
  if (!hasRules6 || isOfLink(packet, ip)) {
    leaveAlone(flow);
    return UNTRANSLATED;
  }
  const reference = keepAddresses(packet, ip) ? begin(packet, flow, source, destination, null) : 0;
  letGo();
  return reference;
}

let source: u32 = 0;
let destination: u32 = 0;

/** False, and dropped, if there is no room for them. */
function keepAddresses(packet: Packet, ip: Ipv6): bool {
  source = keep6(ip.sourceHigh, ip.sourceLow);
  destination = keep6(ip.destinationHigh, ip.destinationLow);
  if (source != 0 && destination != 0) return true;
  packet.drop(noSession);
  return false;
}

const LINK_LOCAL: u64 = 0xfe80000000000000 >> 54;
const MULTICAST: u64 = 0xff;
/** Of ICMPv6: listeners and neighbours (RFC 2710, 4861), and listeners anew (RFC 3810). */
const FIRST_OF_LINK: u32 = 130;
const LAST_OF_LINK: u32 = 137;
const LISTENERS: u32 = 143;

/** What concerns only those on one link is not translated, whoever says it. */
function isOfLink(packet: Packet, ip: Ipv6): bool {
  const from = ip.sourceHigh;
  const to = ip.destinationHigh;
  if (to >> 56 == MULTICAST || from >> 54 == LINK_LOCAL || to >> 54 == LINK_LOCAL) return true;
  if ((from | ip.sourceLow) == 0) return true;
  if (packet.ipProto != IP_PROTO_ICMPV6 || packet.l4Offset == OFFSET_NONE) return false;
  const type = packet.sourcePort >> 8;
  return (type >= FIRST_OF_LINK && type <= LAST_OF_LINK) || type == LISTENERS;
}

/** Whether a packet without a session is dropped: a rule is for it, and it must not pass with an inside address. */
function dropIfOurs6(packet: Packet, ip: Ipv6, reason: Reason): bool {
  if (!hasRules6 || isOfLink(packet, ip)) return false;
  const isDropped = !keepAddresses(packet, ip) || dropIfOurs(packet, source, destination, reason);
  letGo();
  return isDropped;
}

function refuseStray(packet: Packet, ip: Ipv6): bool {
  if (!hasPrefix64(ip.destinationHigh, ip.destinationLow)) return dropIfOurs6(packet, ip, noFlow);
  packet.drop(noFlow);
  return true;
}

function translateErrorOf(packet: Packet, ip: Ipv6, reference: u32): bool {
  if (reference == UNTRANSLATED) return false;
  if (reference <= CLOSED) return dropIfOurs6(packet, ip, strayError);
  translateError6(packet, ip, sessionAt(reference));
  return true;
}

// ---- packets of a session ----

function follow6(packet: Packet, ip: Ipv6, session: Session): void {
  const forth = packet.direction == 0;
  const crosses = (session.families & CROSSES) != 0;
  const isExpected = hasFamily(session, forth, true) && isOf(ip, session, forth);
  const isPorted = crosses ? packet.l4Offset != OFFSET_NONE : hasPorts6(packet);
  if (!isExpected || (isPorted && !hasPortsOf(packet, session, forth))) return packet.drop(mismatch);
  if (session.control != 0 && packet.l4Offset != OFFSET_NONE && !rewritePayload(packet, session)) return;
  setLeaving(session, forth);
  const isPassed = hasFamily(session, !forth, true) ? alongIpv6(packet, ip, crosses) : toIpv4(packet, ip);
  if (!isPassed) return;
  if (packet.isFragment && !crosses && unchecked(outsidePorts[packet.port]) == 0) renumber6(ip, packet, session.flow);
  send(packet, session, forth);
}

@inline
function isOf(ip: Ipv6, session: Session, forth: bool): bool {
  return forth
    ? isBetween(ip, session.source, session.destination)
    : isBetween(ip, session.newDestination, session.newSource);
}
