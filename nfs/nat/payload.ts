// A payload in place of another, and the lengths and checksums that follow from it.
import {
  IP_PROTO_TCP,
  Ipv4,
  Ipv6,
  Packet,
  pseudoSum4,
  pseudoSum6,
  Reason,
  sum,
  Tcp,
  transportChecksum,
  Udp,
  udpField,
} from "../sdk";

const noRoom = new Reason("no-room");

/** Where payloads are put together: twice so many bytes. */
export const SCRATCH_BYTES: u32 = 66000;
export const scratch: usize = memory.data(132000, 16);

/** From the IP header to the payload. */
@inline
export function headersOf(packet: Packet): u32 {
  return <u32>(packet.payload - packet.l3);
}

export function lengthOf(packet: Packet): u32 {
  const at = packet.l3;
  return packet.ipVersion == 4 ? Ipv4.at(at).totalLength : Ipv6.BYTES + Ipv6.at(at).payloadLength;
}

function setLength(packet: Packet, bytes: u32): void {
  if (packet.ipVersion == 6) {
    Ipv6.at(packet.l3).payloadLength = bytes - Ipv6.BYTES;
    return;
  }
  const ip = Ipv4.at(packet.l3);
  ip.totalLength = bytes;
  ip.checksum = 0;
  ip.checksum = ~sum(ip.address, ip.headerLength) & 0xffff;
}

function pseudoSum(packet: Packet, bytes: u32): u32 {
  const at = packet.l3;
  const ipProto = packet.ipProto;
  return packet.ipVersion == 4 ? pseudoSum4(Ipv4.at(at), ipProto, bytes) : pseudoSum6(Ipv6.at(at), ipProto, bytes);
}

/** Whether the transport checksum is right: what is computed anew must not hide that something was damaged. */
export function isSound(packet: Packet): bool {
  const isTcp = packet.ipProto == IP_PROTO_TCP;
  if (!isTcp && Udp.at(packet.l4).checksum == 0) return true;
  const bytes = <u32>(packet.payload - packet.l4) + packet.payloadLength;
  return transportChecksum(pseudoSum(packet, bytes), packet.l4, bytes) == 0;
}

/** Gives the packet the payload at `from`. False if there is no room in its slot: it is dropped then. */
export function resizePayload(packet: Packet, from: usize, bytes: u32): bool {
  const headers = headersOf(packet);
  if (!resizeFrame(packet, packet.l3Offset + headers + bytes)) {
    packet.drop(noRoom);
    return false;
  }
  const to = packet.payload;
  for (let i: u32 = 0; i < bytes; i++) store<u8>(to + i, load<u8>(from + i));
  setLength(packet, headers + bytes);
  sumTransport(packet, <u32>(to - packet.l4) + bytes);
  return true;
}

function resizeFrame(packet: Packet, size: u32): bool {
  const before = packet.size;
  if (size > before) return packet.extend(size - before) != 0;
  return size == before || packet.trim(before - size);
}

function sumTransport(packet: Packet, bytes: u32): void {
  const pseudo = pseudoSum(packet, bytes);
  if (packet.ipProto == IP_PROTO_TCP) {
    const tcp = Tcp.at(packet.l4);
    tcp.checksum = 0;
    tcp.checksum = transportChecksum(pseudo, packet.l4, bytes);
    return;
  }
  const udp = Udp.at(packet.l4);
  udp.length = bytes;
  if (udp.checksum == 0) return;
  udp.checksum = 0;
  udp.checksum = udpField(transportChecksum(pseudo, packet.l4, bytes));
}
