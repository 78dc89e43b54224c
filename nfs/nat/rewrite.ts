// Addresses and ports changed in place; checksums mended by what changed (RFC 1624), never computed anew.
import {
  difference16,
  difference32,
  Icmp,
  ICMP_ECHO_REPLY,
  ICMP_ECHO_REQUEST,
  IP_PROTO_ICMP,
  IP_PROTO_TCP,
  IP_PROTO_UDP,
  Ipv4,
  mend,
  mendUdp,
  Tcp,
  Udp,
} from "../sdk";

const TCP_CHECKSUM_END: u32 = 18;

/**
 * Gives a packet, or one that an ICMP error quotes, another tuple. `l4` is its transport header, of which `bytes` bytes
 * are there; 0 for a later fragment. Returns what that does to the sum of all bytes that were changed.
 */
export function rewrite(
  ip: Ipv4,
  l4: usize,
  bytes: u32,
  source: u32,
  sourcePort: u32,
  destination: u32,
  destinationPort: u32,
): u32 {
  const addresses = difference32(ip.source, source) + difference32(ip.destination, destination);
  const before = ip.checksum;
  const proto = ip.ipProto;
  ip.source = source;
  ip.destination = destination;
  ip.checksum = mend(before, addresses);
  const header = addresses + difference16(before, ip.checksum);
  if (l4 == 0) return header;
  if (proto == IP_PROTO_TCP) return header + rewriteTcp(Tcp.at(l4), bytes, addresses, sourcePort, destinationPort);
  if (proto == IP_PROTO_UDP) return header + rewriteUdp(Udp.at(l4), bytes, addresses, sourcePort, destinationPort);
  return proto == IP_PROTO_ICMP ? header + rewriteEcho(Icmp.at(l4), bytes, sourcePort) : header;
}

/** A quoted header may end behind the sequence number: it has no checksum then. */
function rewriteTcp(tcp: Tcp, bytes: u32, addresses: u32, sourcePort: u32, destinationPort: u32): u32 {
  const ports = difference16(tcp.sourcePort, sourcePort) + difference16(tcp.destinationPort, destinationPort);
  tcp.sourcePort = sourcePort;
  tcp.destinationPort = destinationPort;
  if (bytes < TCP_CHECKSUM_END) return ports;
  const before = tcp.checksum;
  tcp.checksum = mend(before, addresses + ports);
  return ports + difference16(before, tcp.checksum);
}

function rewriteUdp(udp: Udp, bytes: u32, addresses: u32, sourcePort: u32, destinationPort: u32): u32 {
  const ports = difference16(udp.sourcePort, sourcePort) + difference16(udp.destinationPort, destinationPort);
  udp.sourcePort = sourcePort;
  udp.destinationPort = destinationPort;
  if (bytes < Udp.BYTES) return ports;
  const before = udp.checksum;
  udp.checksum = mendUdp(before, addresses + ports);
  return ports + difference16(before, udp.checksum);
}

function rewriteEcho(icmp: Icmp, bytes: u32, identifier: u32): u32 {
  if (bytes < Icmp.BYTES || (icmp.type != ICMP_ECHO_REQUEST && icmp.type != ICMP_ECHO_REPLY)) return 0;
  const change = difference16(icmp.identifier, identifier);
  icmp.identifier = identifier;
  const before = icmp.checksum;
  icmp.checksum = mend(before, change);
  return change + difference16(before, icmp.checksum);
}
