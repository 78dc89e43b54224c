// How large a packet may be whose payload grows: by the port where it leaves, and by what its receiver and its sender said.
import { Ipv4, Ipv6, Packet, portCount, portMtu, Tcp } from "../sdk";
import { lookAt, mtu6 } from "./limits64";
import { headersOf, lengthOf } from "./payload";
import { outsidePorts } from "./rules";
import { CROSSES, Session } from "./store";

const USUAL_MTU: u32 = 1500;
/** Segments that every way takes (RFC 9293, section 3.7.1). */
const LEAST_4: u32 = 536;
const LEAST_6: u32 = 1220;
/** So that any one edit fits, or nothing would go on. */
const LEAST: u32 = 128;

/** Bytes of payload that the packet may have: as many as it has in any case. */
export function payloadRoom(packet: Packet, session: Session): u32 {
  return max(mtuBehind(packet, session), lengthOf(packet)) - headersOf(packet);
}

/**
 * The same for a TCP segment. `limit`: its receiver's MSS, options included (RFC 6691); 0 if that is not known. What comes
 * again may have been too large for the way, as its sender knows it: it gets no larger than what every way takes.
 */
export function segmentRoom(packet: Packet, tcp: Tcp, session: Session, limit: u32, comesAgain: bool): u32 {
  const headers = headersOf(packet);
  const mtu = mtuBehind(packet, session);
  const options = tcp.headerLength - Tcp.BYTES;
  let most: u32 = mtu - min(mtu, headers);
  if (limit != 0) most = min(most, limit - min(limit, options));
  if (comesAgain) most = min(most, packet.ipVersion == 6 && (session.families & CROSSES) == 0 ? LEAST_6 : LEAST_4);
  return max<u32>(packet.payloadLength, max(most, LEAST));
}

/** MTU of the port where the packet leaves, in the family in which it came. */
function mtuBehind(packet: Packet, session: Session): u32 {
  const forth = packet.direction == 0;
  if ((session.families & CROSSES) != 0 && packet.ipVersion == 4) {
    lookAt(packet.port, session.entryPort);
    return mtu6 - (Ipv6.BYTES - Ipv4.BYTES);
  }
  if (!forth) return mtuOf(session.entryPort);
  return session.hairpins != 0 ? mtuOf(session.exitPort) : lowestAcross(packet.port);
}

@inline
function mtuOf(port: u32): u32 {
  const known = portMtu(port);
  return known == 0 ? USUAL_MTU : known;
}

/** The path says by which port it leaves: one of those on the other side. */
function lowestAcross(port: u32): u32 {
  const side = unchecked(outsidePorts[port]);
  let lowest: u32 = 0xffffffff;
  for (let i: u32 = 0; i < portCount; i++) {
    if (unchecked(outsidePorts[i]) != side) lowest = min(lowest, mtuOf(i));
  }
  return lowest == 0xffffffff ? mtuOf(port) : lowest;
}
