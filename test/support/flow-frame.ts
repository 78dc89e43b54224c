// What a flow engine reads of an Ethernet frame (nfs/sdk/ABI.md, section 4; RFC 791, 8200, 792, 4443), one step at a time.
import type { TcpSegment } from "./tcp-states.ts";

export interface Endpoint {
  /** Hexadecimal: 8 digits for IPv4, 32 for IPv6. */
  readonly address: string;
  /** ICMP echo: the identifier; 0 where there are no ports. */
  readonly port: number;
}

export interface Conversation {
  readonly version: 4 | 6;
  readonly proto: number;
  readonly source: Endpoint;
  readonly destination: Endpoint;
}

/** One piece of an IP packet: bytes [start, end) of what was fragmented. */
export interface FragmentPiece {
  readonly identification: number;
  readonly start: number;
  readonly end: number;
  readonly more: boolean;
  /** Bytes of headers before it that count for the length of the whole. */
  readonly before: number;
}

export interface FlowFrame extends Conversation {
  /** Of the outermost tag, 0 for none. */
  readonly vlan: number;
  /** The transport header is in this frame, with its options. */
  readonly hasTransport: boolean;
  /** Absent unless the frame has a TCP header. */
  readonly tcp?: TcpSegment;
  readonly fragment?: FragmentPiece;
  /** What an ICMP error is about, as its sender sent it. */
  readonly quoted?: Conversation;
}

export const protos = { icmp: 1, tcp: 6, udp: 17, fragment: 44, icmp6: 58, sctp: 132 } as const;

/** Undefined for a frame without a sound IP header. */
export function readFlowFrame(bytes: Uint8Array): FlowFrame | undefined {
  const tagged = readTags(bytes);
  const packet = tagged && readIp(bytes.subarray(tagged.offset), tagged.version);
  if (tagged === undefined || packet === undefined) return undefined;
  return { vlan: tagged.vlan, ...readTransport(packet) };
}

const viewOf = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function readTags(bytes: Uint8Array): { vlan: number; version: 4 | 6; offset: number } | undefined {
  const view = viewOf(bytes);
  let vlan: number | undefined;
  for (let offset = 12; offset + 2 <= bytes.length; offset += 4) {
    const etherType = view.getUint16(offset);
    if (etherType === 0x0800 || etherType === 0x86dd) {
      return { vlan: vlan ?? 0, version: etherType === 0x0800 ? 4 : 6, offset: offset + 2 };
    }
    const isTag = etherType === 0x8100 || etherType === 0x88a8 || etherType === 0x9100;
    if (!isTag || offset + 4 > bytes.length) return undefined;
    vlan ??= view.getUint16(offset + 2) & 0xfff;
  }
  return undefined;
}

/** An IP packet up to its transport header. */
interface IpPacket {
  readonly version: 4 | 6;
  readonly source: string;
  readonly destination: string;
  readonly proto: number;
  readonly data: Uint8Array;
  readonly fragment?: FragmentPiece;
}

function readIp(bytes: Uint8Array, version: 4 | 6, isQuote = false): IpPacket | undefined {
  const headerBytes = version === 4 ? 20 : 40;
  if (bytes.length < headerBytes || (bytes[0] as number) >> 4 !== version) return undefined;
  return version === 4 ? readIpv4(bytes, isQuote) : readIpv6(bytes, isQuote);
}

/** A quote is shorter than its length field says; a frame is not. */
function readIpv4(bytes: Uint8Array, isQuote: boolean): IpPacket | undefined {
  const view = viewOf(bytes);
  const headerBytes = (view.getUint8(0) & 15) * 4;
  const total = view.getUint16(2);
  if (headerBytes < 20 || total < headerBytes || bytes.length < headerBytes) return undefined;
  if (total > bytes.length && !isQuote) return undefined;
  const data = bytes.subarray(headerBytes, total);
  const control = view.getUint16(6);
  const start = (control & 0x1fff) * 8;
  const more = (control & 0x2000) !== 0;
  const packet = {
    version: 4 as const,
    source: bytes.subarray(12, 16).toHex(),
    destination: bytes.subarray(16, 20).toHex(),
    proto: view.getUint8(9),
    data,
  };
  if (!more && start === 0) return packet;
  const fragment = { identification: view.getUint16(4), start, end: start + data.length, more, before: headerBytes };
  return { ...packet, fragment };
}

const extensions = { hopByHop: 0, routing: 43, destination: 60, authentication: 51 };

function readIpv6(bytes: Uint8Array, isQuote: boolean): IpPacket | undefined {
  const view = viewOf(bytes);
  const total = 40 + view.getUint16(4);
  if (total > bytes.length && !isQuote) return undefined;
  const addresses = { source: bytes.subarray(8, 24).toHex(), destination: bytes.subarray(24, 40).toHex() };
  let proto = view.getUint8(6);
  let data = bytes.subarray(40, total);
  let fragment: FragmentPiece | undefined;
  while (fragment === undefined || fragment.start === 0) {
    const length = extensionLength(proto, data);
    if (length === undefined) break;
    if (data.length < length) return undefined;
    if (proto === protos.fragment) fragment = readFragmentHeader(data, total - 40 - data.length);
    proto = data[0] as number;
    data = data.subarray(length);
  }
  const packet = { version: 6 as const, ...addresses, proto, data };
  const isAtomic = fragment !== undefined && fragment.start === 0 && !fragment.more;
  return fragment === undefined || isAtomic ? packet : { ...packet, fragment };
}

/** Undefined for what is no extension header. */
function extensionLength(proto: number, data: Uint8Array): number | undefined {
  const units = data[1] ?? 0;
  if (proto === protos.fragment) return 8;
  if (proto === extensions.authentication) return Math.max(8, (units + 2) * 4);
  return Object.values(extensions).includes(proto) ? (units + 1) * 8 : undefined;
}

function readFragmentHeader(data: Uint8Array, before: number): FragmentPiece {
  const view = viewOf(data);
  const start = view.getUint16(2) & 0xfff8;
  const end = start + data.length - 8;
  return { identification: view.getUint32(4), start, end, more: (view.getUint16(2) & 1) === 1, before };
}

type TransportFields = Omit<FlowFrame, "vlan">;

function readTransport({ version, proto, source, destination, data, fragment }: IpPacket): TransportFields {
  const isLater = fragment !== undefined && fragment.start > 0;
  const hasFixed = !isLater && data.length >= fixedBytes(proto);
  const [sourcePort, destinationPort] = hasFixed ? readPorts(proto, data) : [0, 0];
  const quoted = hasFixed ? readQuoted(version, proto, data) : undefined;
  return {
    version,
    proto,
    source: { address: source, port: sourcePort },
    destination: { address: destination, port: destinationPort },
    hasTransport: hasFixed && (proto !== protos.tcp || data.length >= ((data[12] as number) >> 4) * 4),
    ...(hasFixed && proto === protos.tcp && { tcp: readTcp(data) }),
    ...(fragment && { fragment }),
    ...(quoted && { quoted }),
  };
}

/** Of the transport header, without options. */
function fixedBytes(proto: number): number {
  if (proto === protos.tcp) return 20;
  if (proto === protos.sctp) return 12;
  return proto === protos.udp || isIcmp(proto) ? 8 : 0;
}

function readTcp(data: Uint8Array): TcpSegment {
  const view = viewOf(data);
  const payload = Math.max(0, data.length - (view.getUint8(12) >> 4) * 4);
  return { flags: view.getUint8(13), seq: view.getUint32(4), ack: view.getUint32(8), payload };
}

const isIcmp = (proto: number) => proto === protos.icmp || proto === protos.icmp6;

const isEcho = (proto: number, type: number) => (proto === protos.icmp ? [0, 8] : [128, 129]).includes(type);

const isError = (proto: number, type: number) =>
  proto === protos.icmp ? [3, 4, 5, 11, 12].includes(type) : type >= 1 && type <= 4;

function readPorts(proto: number, data: Uint8Array): readonly [number, number] {
  const view = viewOf(data);
  if (isIcmp(proto)) {
    const identifier = isEcho(proto, view.getUint8(0)) ? view.getUint16(4) : 0;
    return [identifier, identifier];
  }
  const hasPorts = proto === protos.tcp || proto === protos.udp || proto === protos.sctp;
  return hasPorts ? [view.getUint16(0), view.getUint16(2)] : [0, 0];
}

function readQuoted(version: 4 | 6, proto: number, message: Uint8Array): Conversation | undefined {
  if (proto !== (version === 4 ? protos.icmp : protos.icmp6) || !isError(proto, message[0] as number)) return undefined;
  const packet = readIp(message.subarray(8), version, true);
  if (packet === undefined || (packet.fragment?.start ?? 0) > 0) return undefined;
  if (packet.data.length < quotedBytes(packet)) return undefined;
  if (isIcmp(packet.proto) && isError(packet.proto, packet.data[0] as number)) return undefined;
  const [sourcePort, destinationPort] = readPorts(packet.proto, packet.data);
  return {
    version,
    proto: packet.proto,
    source: { address: packet.source, port: sourcePort },
    destination: { address: packet.destination, port: destinationPort },
  };
}

/** A quote may end behind the ports, or behind an echo's identifier. */
function quotedBytes({ proto, data }: IpPacket): number {
  if (isIcmp(proto)) return isEcho(proto, data[0] ?? -1) ? 6 : 1;
  return fixedBytes(proto) > 0 ? 4 : 0;
}
