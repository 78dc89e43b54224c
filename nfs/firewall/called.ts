// Whom a packet called before a nat in front of this function translated it. What is answered in its receiver's name has to
// come from there: the caller knows no other address, and nobody outside is to learn an inside one.
import {
  Column,
  difference128,
  difference16,
  difference32,
  Flow,
  Icmpv6,
  IP_PROTO_ICMPV6,
  Ipv4,
  Ipv6,
  mend,
  mendUdp,
  OFFSET_NONE,
  Packet,
} from "../sdk";

const insideAddress = Column.find<u32>("nat.inside_address");
const insideHigh = Column.find<u64>("nat.inside_high");
const insideLow = Column.find<u64>("nat.inside_low");
const outsideAddress = Column.find<u32>("nat.outside_address");
const outsideHigh = Column.find<u64>("nat.outside_high");
const outsideLow = Column.find<u64>("nat.outside_low");
const outsidePort = Column.find<u16>("nat.outside_port");

/** Gives the packet back the destination that it came with. For packets that are answered and dropped. */
export function restoreCalled(packet: Packet): void {
  const flow = packet.flow;
  if (flow === null || packet.direction != 0) return;
  const ipv4 = packet.ipv4;
  if (ipv4 !== null) return restore4(packet, ipv4, flow);
  const ipv6 = packet.ipv6;
  if (ipv6 !== null) restore6(packet, ipv6, flow);
}

function restore4(packet: Packet, ip: Ipv4, flow: Flow): void {
  const inside = insideAddress;
  const outside = outsideAddress;
  if (inside === null || outside === null || inside.get(flow) != ip.destination) return;
  const called = outside.get(flow);
  if (called == 0) return;
  const addresses = difference32(ip.destination, called);
  ip.destination = called;
  ip.checksum = mend(ip.checksum, addresses);
  restorePort(packet, flow, addresses);
}

/** A host that is called by an IPv4 address has none of IPv6 in these columns: its caller is not to be answered here. */
function restore6(packet: Packet, ip: Ipv6, flow: Flow): void {
  if (!isOf(insideHigh, insideLow, flow, ip.destinationHigh, ip.destinationLow)) return;
  if (isOf(outsideHigh, outsideLow, flow, 0, 0)) return;
  const high = valueOf(outsideHigh, flow);
  const low = valueOf(outsideLow, flow);
  const addresses = difference128(ip.destinationHigh, ip.destinationLow, high, low);
  ip.destinationHigh = high;
  ip.destinationLow = low;
  restorePort(packet, flow, addresses);
}

@inline
function valueOf(column: Column<u64> | null, flow: Flow): u64 {
  return column === null ? 0 : column.get(flow);
}

@inline
function isOf(highs: Column<u64> | null, lows: Column<u64> | null, flow: Flow, high: u64, low: u64): bool {
  return valueOf(highs, flow) == high && valueOf(lows, flow) == low;
}

/** Of fragments the first one has ports; its checksum is that of the whole. */
function restorePort(packet: Packet, flow: Flow, addresses: u32): void {
  const ports = outsidePort;
  const port: u32 = ports === null ? 0 : ports.get(flow);
  const tcp = packet.tcp;
  const udp = packet.udp;
  if (tcp !== null) {
    tcp.checksum = mend(tcp.checksum, addresses + difference16(tcp.destinationPort, port));
    tcp.destinationPort = port;
  } else if (udp !== null) {
    udp.checksum = mendUdp(udp.checksum, addresses + difference16(udp.destinationPort, port));
    udp.destinationPort = port;
  } else if (packet.ipProto == IP_PROTO_ICMPV6 && packet.l4Offset != OFFSET_NONE) {
    const icmp = Icmpv6.at(packet.l4);
    icmp.checksum = mend(icmp.checksum, addresses);
  }
}
