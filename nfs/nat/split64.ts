// IPv4 packets that may be fragmented and are too large for IPv6's lowest MTU: the first piece stays in its frame, the
// others leave as frames of their own (RFC 7915, section 4).
import { copyUp, Ipv6, outbox, Packet } from "../sdk";
import { FRAGMENT_BYTES } from "./headers";
import { lowestMtu, mtu6 } from "./limits64";

const MORE: u32 = 1;

/** `ip` has a fragment header and `payload` bytes behind it. False if there is no room for all pieces. */
export function splitToIpv6(packet: Packet, ip: usize, payload: u32, port: u32): bool {
  const headers = Ipv6.BYTES + FRAGMENT_BYTES;
  const piece = (min(lowestMtu, mtu6) - headers) & ~7;
  const field = <u32>bswap<u16>(load<u16>(ip, Ipv6.BYTES + 2));
  for (let done = piece; done < payload; done += piece) {
    const bytes = min(piece, payload - done);
    const isLast = done + bytes == payload;
    if (!emitPiece(packet, ip, done, bytes, isLast ? field : field | MORE, port)) return false;
  }
  const size = packet.l3Offset + headers + piece;
  if (packet.size > size) packet.trim(packet.size - size);
  endPiece(ip, piece, field | MORE);
  return true;
}

/** The bytes [done, done + bytes), with the headers and the link header of the packet. */
function emitPiece(packet: Packet, ip: usize, done: u32, bytes: u32, field: u32, port: u32): bool {
  const link = packet.l3Offset;
  const headers = Ipv6.BYTES + FRAGMENT_BYTES;
  const frame = outbox.reserve(link + headers + bytes);
  if (frame == 0) return false;
  copyUp(frame, packet.start, link + headers);
  copyUp(frame + link + headers, ip + headers + done, bytes);
  endPiece(frame + link, bytes, field + done);
  return outbox.emit(port, link + headers + bytes);
}

function endPiece(ip: usize, bytes: u32, field: u32): void {
  Ipv6.at(ip).payloadLength = FRAGMENT_BYTES + bytes;
  store<u16>(ip, bswap<u16>(<u16>field), Ipv6.BYTES + 2);
}
