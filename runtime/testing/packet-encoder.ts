// Packets as bytes.
import { crc32c, foldSum, placeChecksum, sumPseudoHeader, sumWords } from "./packet-checksums.ts";
import {
  type ArpBody,
  type Extension,
  type Gre,
  type Icmp,
  type IpBody,
  type IpHeader,
  isIpv6,
  type Packet,
  type Sctp,
  type Tcp,
  type Transport,
  type Udp,
} from "./packet-model.ts";
import { etherTypes, extensionProtos, fragmentProto, protoOf } from "./packet-names.ts";

const u16 = (value: number): number[] => [(value >>> 8) & 0xff, value & 0xff];
const u32 = (value: number): number[] => [...u16(value >>> 16), ...u16(value)];

export function joinBytes(...parts: readonly (Uint8Array | readonly number[])[]): Uint8Array {
  const joined = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let offset = 0;
  for (const part of parts) {
    joined.set(part, offset);
    offset += part.length;
  }
  return joined;
}

/** An Ethernet frame without frame check sequence. */
export function encodeFrame({ ether, vlans, body, trailer, padTo }: Packet): Uint8Array {
  const tags = vlans.flatMap((tag) => [
    ...u16(tag.tpid),
    ...u16((tag.priority << 13) | (Number(tag.dropEligible) << 12) | tag.id),
  ]);
  const frame = joinBytes(ether.destination, ether.source, tags, u16(etherTypeOf(body)), encodeBody(body), trailer);
  return frame.length < padTo ? joinBytes(frame, new Uint8Array(padTo - frame.length)) : frame;
}

function etherTypeOf(body: Packet["body"]): number {
  if (body.kind === "other") return body.etherType;
  if (body.kind === "arp") return etherTypes.arp;
  return isIpv6(body.ip) ? etherTypes.ip6 : etherTypes.ip;
}

function encodeBody(body: Packet["body"]): Uint8Array {
  if (body.kind === "ip") return encodeIp(body);
  return body.kind === "arp" ? encodeArp(body) : body.payload;
}

function encodeArp({ operation, senderMac, senderIp, targetMac, targetIp }: ArpBody): Uint8Array {
  const fixed = [...u16(1), ...u16(etherTypes.ip), 6, 4, ...u16(operation === "request" ? 1 : 2)];
  return joinBytes(fixed, senderMac, senderIp, targetMac, targetIp);
}

/** The IP packet alone. */
export function encodeIp({ ip, transport, payload }: IpBody): Uint8Array {
  const data = joinBytes(encodeTransport(ip, transport, payload), payload);
  return isIpv6(ip) ? encodeIpv6(ip, protoOf(transport), data) : encodeIpv4(ip, protoOf(transport), data);
}

function encodeIpv4(ip: IpHeader, proto: number, data: Uint8Array): Uint8Array {
  const headerLength = 20 + ip.options.length;
  const control = (Number(ip.dontFragment) << 14) | (Number(ip.moreFragments) << 13) | (ip.fragmentOffset >> 3);
  const header = joinBytes(
    [0x40 | (headerLength >> 2), (ip.dscp << 2) | ip.ecn, ...u16(headerLength + data.length)],
    [...u16(ip.identification), ...u16(control), ip.ttl, proto, 0, 0],
    ip.source,
    ip.destination,
    ip.options,
  );
  header.set(u16(placeChecksum(ip.checksum, foldSum(sumWords(header)))), 10);
  return joinBytes(header, data);
}

function encodeIpv6(ip: IpHeader, proto: number, data: Uint8Array): Uint8Array {
  const protos = [...ip.extensions.map(extensionProto), proto];
  const extensions = ip.extensions.map((extension, index) => encodeExtension(extension, protos[index + 1] as number));
  const rest = joinBytes(...extensions, data);
  const word = 0x60000000 + ((ip.dscp << 2) | ip.ecn) * 0x100000 + ip.flowLabel;
  return joinBytes([...u32(word), ...u16(rest.length), protos[0] as number, ip.ttl], ip.source, ip.destination, rest);
}

const extensionProto = (extension: Extension): number =>
  extension.kind === "fragment" ? fragmentProto : extensionProtos[extension.kind];

function encodeExtension(extension: Extension, next: number): Uint8Array {
  if (extension.kind === "fragment") {
    return joinBytes([next, 0, ...u16(extension.offset | Number(extension.more)), ...u32(extension.identification)]);
  }
  const bytes = extension.body.length + 2;
  return joinBytes([next, extension.kind === "auth" ? bytes / 4 - 2 : bytes / 8 - 1], extension.body);
}

function encodeTransport(ip: IpHeader, transport: Transport, payload: Uint8Array): Uint8Array {
  switch (transport.kind) {
    case "udp":
      return encodeUdp(ip, transport, payload);
    case "tcp":
      return encodeTcp(ip, transport, payload);
    case "icmp":
    case "icmp6":
      return encodeIcmp(ip, transport, payload);
    case "sctp":
      return encodeSctp(transport, payload);
    case "gre":
      return encodeGre(transport);
    case "bare":
      return new Uint8Array(0);
  }
}

/** Of header and payload as they stand in this frame, with the header's checksum zero. */
function transportChecksum(ip: IpHeader, proto: number, header: Uint8Array, payload: Uint8Array): number {
  const pseudo = sumPseudoHeader(ip.source, ip.destination, proto, header.length + payload.length);
  return foldSum(sumWords(payload, sumWords(header, pseudo)));
}

function encodeUdp(ip: IpHeader, udp: Udp, payload: Uint8Array): Uint8Array {
  const length = udp.length ?? 8 + payload.length;
  const header = joinBytes([...u16(udp.sourcePort), ...u16(udp.destinationPort), ...u16(length), 0, 0]);
  // RFC 768: zero means "none", so a sum of zero is sent as its other spelling.
  const right = transportChecksum(ip, protoOf(udp), header, payload) || 0xffff;
  header.set(u16(placeChecksum(udp.checksum, right)), 6);
  return header;
}

function encodeTcp(ip: IpHeader, tcp: Tcp, payload: Uint8Array): Uint8Array {
  const header = joinBytes(
    [...u16(tcp.sourcePort), ...u16(tcp.destinationPort), ...u32(tcp.sequence), ...u32(tcp.acknowledgement)],
    [((20 + tcp.options.length) / 4) << 4, tcp.flags, ...u16(tcp.window), 0, 0, ...u16(tcp.urgent)],
    tcp.options,
  );
  header.set(u16(placeChecksum(tcp.checksum, transportChecksum(ip, protoOf(tcp), header, payload))), 16);
  return header;
}

function encodeIcmp(ip: IpHeader, icmp: Icmp, payload: Uint8Array): Uint8Array {
  const header = joinBytes([icmp.type, icmp.code, 0, 0, ...u32(icmp.rest)]);
  const right =
    icmp.kind === "icmp"
      ? foldSum(sumWords(payload, sumWords(header)))
      : transportChecksum(ip, protoOf(icmp), header, payload);
  header.set(u16(placeChecksum(icmp.checksum, right)), 2);
  return header;
}

function encodeSctp(sctp: Sctp, payload: Uint8Array): Uint8Array {
  const header = joinBytes([...u16(sctp.sourcePort), ...u16(sctp.destinationPort), ...u32(sctp.tag), 0, 0, 0, 0]);
  // The CRC is the one field on the wire that is little-endian.
  const checksum = placeChecksum(sctp.checksum, crc32c(joinBytes(header, payload)));
  header.set(u32(checksum).reverse(), 8);
  return header;
}

function encodeGre({ etherType, key, sequence }: Gre): Uint8Array {
  const flags = (key === undefined ? 0 : 0x2000) | (sequence === undefined ? 0 : 0x1000);
  return joinBytes(
    [...u16(flags), ...u16(etherType)],
    key === undefined ? [] : u32(key),
    sequence === undefined ? [] : u32(sequence),
  );
}
