// The two tuples of a session that is not of IPv4 alone, by direction.
import { Ipv6, Packet } from "../sdk";
import { addressAt } from "./addresses";
import { leaving } from "./headers";
import { hasPorts6, innerPort6 } from "./flow-ports";
import { ENTERS_IPV6, LEAVES_IPV6, Session } from "./store";

/** Whether packets of that direction come in as IPv6. */
@inline
export function hasFamily(session: Session, forth: bool, isIpv6: bool): bool {
  return ((session.families & (forth ? ENTERS_IPV6 : LEAVES_IPV6)) != 0) == isIpv6;
}

/** Whether the header has these addresses. */
@inline
export function isBetween(ip: Ipv6, source: u32, destination: u32): bool {
  const from = addressAt(source);
  const to = addressAt(destination);
  const isSource = ip.sourceHigh == from.high && ip.sourceLow == from.low;
  return isSource && ip.destinationHigh == to.high && ip.destinationLow == to.low;
}

@inline
export function hasPortsOf(packet: Packet, session: Session, forth: bool): bool {
  const source: u32 = forth ? session.sourcePort : session.newDestinationPort;
  const destination: u32 = forth ? session.destinationPort : session.newSourcePort;
  return innerPort6(packet) == source && packet.destinationPort == destination && hasPorts6(packet);
}

/** The tuple that packets of that direction leave with. */
export function setLeaving(session: Session, forth: bool): void {
  leaving.sourcePort = forth ? session.newSourcePort : session.destinationPort;
  leaving.destinationPort = forth ? session.newDestinationPort : session.sourcePort;
  const source = forth ? session.newSource : session.destination;
  const destination = forth ? session.newDestination : session.source;
  if (hasFamily(session, !forth, true)) return setAddresses6(source, destination);
  leaving.source = source;
  leaving.destination = destination;
}

function setAddresses6(source: u32, destination: u32): void {
  leaving.sourceHigh = addressAt(source).high;
  leaving.sourceLow = addressAt(source).low;
  leaving.destinationHigh = addressAt(destination).high;
  leaving.destinationLow = addressAt(destination).low;
}

@inline
export function send(packet: Packet, session: Session, forth: bool): void {
  if (session.hairpins != 0) packet.transmit(forth ? session.exitPort : session.entryPort);
}
