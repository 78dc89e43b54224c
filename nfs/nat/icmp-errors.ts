// ICMP errors about translated flows: their outer addresses, and the packet that they quote, in and out (RFC 5508).
//
// An error that travels in direction d quotes a packet of the other direction as it was behind us: that one is turned
// back into what it was before us, for it is its sender who is to understand it.
import { checksum, Icmp, Ipv4, mend, difference32, OFFSET_NONE, Packet } from "../sdk";
import { turnQuoted } from "./quoted";
import { badError, strayError } from "./reasons";
import { rewrite } from "./rewrite";
import { outsidePorts } from "./rules";
import { CLOSED, UNTRANSLATED } from "./sessions";
import { Session, sessionAt } from "./store";

/** `reference` is that of the quoted packet's session. */
export function translateError(packet: Packet, ip: Ipv4, reference: u32): void {
  if (reference == UNTRANSLATED) return;
  if (reference <= CLOSED) return packet.drop(strayError);
  const icmp = packet.icmp;
  if (icmp === null || packet.isFragment || packet.payloadOffset == OFFSET_NONE) return packet.drop(badError);
  const quote = Ipv4.checked(packet.payload, packet.payloadLength);
  // RFC 5508, REQ-3: what is not whole is not believed. What a capture cut off cannot be checked.
  const isWhole = packet.isCut || checksum(icmp.address, Icmp.BYTES + packet.payloadLength) == 0;
  if (quote === null || !isWhole || !quote.hasValidChecksum) return packet.drop(badError);
  if (!rewriteError(packet, ip, icmp, quote, sessionAt(reference))) packet.drop(strayError);
}

function rewriteError(packet: Packet, ip: Ipv4, icmp: Icmp, quote: Ipv4, session: Session): bool {
  const forth = packet.direction == 0;
  // The quoted packet's tuple as it was sent out by us, and as it came to us.
  const sent = forth ? session.destination : session.newSource;
  const sentTo = forth ? session.source : session.newDestination;
  if (quote.source != sent || quote.destination != sentTo) return false;
  const l4 = quote.payload;
  const bytes = packet.payloadLength - quote.headerLength;
  const change = forth
    ? rewriteQuote(
        quote,
        l4,
        bytes,
        session.newDestination,
        session.newDestinationPort,
        session.newSource,
        session.newSourcePort,
      )
    : rewriteQuote(quote, l4, bytes, session.source, session.sourcePort, session.destination, session.destinationPort);
  icmp.checksum = mend(icmp.checksum, change + turnQuoted(session, forth ? 1 : 0, quote.ipProto, l4, bytes));
  const receiver = quote.source;
  const speaker = quote.destination;
  rewriteOuter(packet, ip, sentTo, speaker, receiver);
  if (session.hairpins != 0) packet.transmit(forth ? session.exitPort : session.entryPort);
  return true;
}

/** Bytes behind 8 of transport header may be missing; those before are what the flow was found by. */
function rewriteQuote(
  quote: Ipv4,
  l4: usize,
  bytes: u32,
  source: u32,
  sourcePort: u32,
  destination: u32,
  destinationPort: u32,
): u32 {
  return rewrite(quote, bytes < 4 ? 0 : l4, bytes, source, sourcePort, destination, destinationPort);
}

/**
 * Who says so: the endpoint itself by the address that the receiver knows; a router outside by its own; a router inside
 * by the address that stands for all inside (RFC 5508, REQ-5).
 */
function rewriteOuter(packet: Packet, ip: Ipv4, endpoint: u32, speaker: u32, receiver: u32): void {
  const isInside = unchecked(outsidePorts[packet.port]) == 0;
  const source = isInside || ip.source == endpoint ? speaker : ip.source;
  const change = difference32(ip.source, source) + difference32(ip.destination, receiver);
  ip.source = source;
  ip.destination = receiver;
  ip.checksum = mend(ip.checksum, change);
  packet.rewritten();
}
