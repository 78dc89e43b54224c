// NAT64 (RFC 6146): a flow's first packet gets a session whose two tuples are of two families, all others are translated
// as their session says. Hairpinned flows are of IPv6 on both sides.
import { Flow, Ipv4, Ipv6, OFFSET_NONE, Packet } from "../sdk";
import { isIpv6, keep6, letGo } from "./addresses";
import { begin } from "./open";
import { hasPorts6, isIcmp } from "./flow-ports";
import { rewritePayload } from "./protocols";
import { badDestination, badSource, ipProtoReason, lateFragment, mismatch, noSession, strayError } from "./reasons";
import { hasPrefix64, isLocal4, Nat64Rule } from "./rules64";
import { Session } from "./store";
import { toIpv6 } from "./translate64";
import { hasFamily, hasPortsOf, send, setLeaving } from "./tuples";

/** Reference of the flow's session, 0 if the packet's verdict is given. */
export function begin64(packet: Packet, ip: Ipv6, flow: Flow, rule: Nat64Rule): u32 {
  if (!isAcceptable(packet, ip, rule)) return 0;
  const source = keep6(ip.sourceHigh, ip.sourceLow);
  const destination = keep6(ip.destinationHigh, ip.destinationLow);
  let reference: u32 = 0;
  if (source == 0 || destination == 0) packet.drop(noSession);
  else reference = begin(packet, flow, source, destination, rule);
  letGo();
  return reference;
}

/** RFC 6146, section 3.5: what comes from the prefix itself would go round for ever. */
function isAcceptable(packet: Packet, ip: Ipv6, rule: Nat64Rule): bool {
  if (hasPrefix64(ip.sourceHigh, ip.sourceLow)) packet.drop(badSource);
  else if (packet.isFragment && packet.l4Offset == OFFSET_NONE) packet.drop(lateFragment);
  else if (!hasPorts6(packet)) packet.drop(isIcmp(packet) ? strayError : ipProtoReason, packet.ipProto);
  else if (!isCallable(rule, rule.addressIn(ip.destinationHigh, ip.destinationLow))) packet.drop(badDestination);
  else return true;
  return false;
}

/** Nobody has an address that begins with 0, whatever the prefix before it, and none is a word of the store. */
function isCallable(rule: Nat64Rule, address: u32): bool {
  return !isIpv6(address) && !(rule.isWellKnown && isLocal4(address));
}

/** An IPv4 packet of a session that is not of IPv4 alone. */
export function follow4(packet: Packet, ip: Ipv4, session: Session): void {
  const forth = packet.direction == 0;
  const source = forth ? session.source : session.newDestination;
  const destination = forth ? session.destination : session.newSource;
  const isExpected = ip.source == source && ip.destination == destination && hasFamily(session, forth, false);
  if (!isExpected || (packet.l4Offset != OFFSET_NONE && !hasPortsOf(packet, session, forth))) {
    return packet.drop(mismatch);
  }
  if (session.control != 0 && packet.l4Offset != OFFSET_NONE && !rewritePayload(packet, session)) return;
  setLeaving(session, forth);
  if (toIpv6(packet, ip, forth ? session.exitPort : session.entryPort)) send(packet, session, forth);
}
