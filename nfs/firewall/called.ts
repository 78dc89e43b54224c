// Whom a packet called before a nat in front of this function translated it. What is answered in its receiver's name has to
// come from there: the caller knows no other address, and nobody outside is to learn an inside one.
import { Column, difference16, difference32, Flow, mend, mendUdp, Packet } from "../sdk";

const insideAddress = Column.find<u32>("nat.inside_address");
const outsideAddress = Column.find<u32>("nat.outside_address");
const outsidePort = Column.find<u16>("nat.outside_port");

/** Gives the packet back the destination that it came with. For packets that are answered and dropped. */
export function restoreCalled(packet: Packet): void {
  const ip = packet.ipv4;
  const flow = packet.flow;
  if (ip === null || flow === null || packet.direction != 0) return;
  const called = calledAddress(flow, ip.destination);
  if (called == 0) return;
  const addresses = difference32(ip.destination, called);
  ip.destination = called;
  ip.checksum = mend(ip.checksum, addresses);
  if (!packet.isFragment) restorePort(packet, flow, addresses);
}

function calledAddress(flow: Flow, destination: u32): u32 {
  const inside = insideAddress;
  const outside = outsideAddress;
  return inside === null || outside === null || inside.get(flow) != destination ? 0 : outside.get(flow);
}

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
  }
}
