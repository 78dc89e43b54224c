// Bytes as packets. A decoder says undefined where the bytes have no text of their own; the caller encodes what it got
// and compares, so a decoder may leave out what it cannot express.
import { foldSum, judgeChecksum, sumWords } from "./packet-checksums.ts";
import type { ArpBody, Extension, IpBody, IpHeader, Packet, PlainExtensionKind, VlanTag } from "./packet-model.ts";
import { etherTypes, extensionProtos, fragmentProto, viewOf, vlanTpids } from "./packet-names.ts";
import { decodeTransport } from "./packet-transport-decoder.ts";

const none = new Uint8Array(0);

export function decodeFrame(bytes: Uint8Array): Packet | undefined {
  if (bytes.length < 14) return undefined;
  const ether = { destination: bytes.slice(0, 6), source: bytes.slice(6, 12) };
  const { vlans, offset } = decodeVlans(bytes);
  if (bytes.length < offset) return undefined;
  const etherType = viewOf(bytes).getUint16(offset - 2);
  const rest = bytes.slice(offset);
  const body = decodeBody(etherType, rest) ?? { kind: "other", etherType, payload: rest };
  return { ether, vlans, body, ...decodeTrailer(bytes, rest.subarray(bodyLength(body, rest))) };
}

function decodeTrailer(bytes: Uint8Array, trailer: Uint8Array): Pick<Packet, "trailer" | "padTo"> {
  const zeros = trailer.every((byte) => byte === 0);
  return zeros ? { trailer: none, padTo: trailer.length > 0 ? bytes.length : 0 } : { trailer, padTo: 0 };
}

/** `offset` is behind the last ethertype; beyond the bytes if a tag is cut short. */
function decodeVlans(bytes: Uint8Array): { vlans: VlanTag[]; offset: number } {
  const vlans: VlanTag[] = [];
  const view = viewOf(bytes);
  let offset = 14;
  while (offset <= bytes.length && vlanTpids.includes(view.getUint16(offset - 2))) {
    const tci = bytes.length >= offset + 2 ? view.getUint16(offset) : 0;
    const tpid = view.getUint16(offset - 2);
    vlans.push({ id: tci & 0xfff, priority: tci >> 13, dropEligible: (tci & 0x1000) !== 0, tpid });
    offset += 4;
  }
  return { vlans, offset };
}

function decodeBody(etherType: number, rest: Uint8Array): IpBody | ArpBody | undefined {
  if (etherType === etherTypes.arp) return decodeArp(rest);
  if (etherType !== etherTypes.ip && etherType !== etherTypes.ip6) return undefined;
  const body = decodeIp(rest);
  return body?.ip.source.length === (etherType === etherTypes.ip ? 4 : 16) ? body : undefined;
}

function bodyLength(body: Packet["body"], rest: Uint8Array): number {
  if (body.kind === "other") return rest.length;
  return body.kind === "arp" ? 28 : ipLength(rest);
}

function decodeArp(bytes: Uint8Array): ArpBody | undefined {
  if (bytes.length < 28) return undefined;
  const view = viewOf(bytes);
  const operation = view.getUint16(6);
  if (view.getUint32(0) !== 0x10800 || view.getUint16(4) !== 0x604 || (operation !== 1 && operation !== 2)) {
    return undefined;
  }
  return {
    kind: "arp",
    operation: operation === 1 ? "request" : "reply",
    senderMac: bytes.slice(8, 14),
    senderIp: bytes.slice(14, 18),
    targetMac: bytes.slice(18, 24),
    targetIp: bytes.slice(24, 28),
  };
}

/** By the header's own length field. */
const ipLength = (bytes: Uint8Array): number =>
  (bytes[0] as number) >> 4 === 4 ? viewOf(bytes).getUint16(2) : 40 + viewOf(bytes).getUint16(4);

/** An IP packet, perhaps with bytes behind it. */
export function decodeIp(bytes: Uint8Array): IpBody | undefined {
  const version = bytes.length < 20 ? 0 : (bytes[0] as number) >> 4;
  const complete = (version === 4 || (version === 6 && bytes.length >= 40)) && bytes.length >= ipLength(bytes);
  if (!complete) return undefined;
  const packet = bytes.slice(0, ipLength(bytes));
  return version === 4 ? decodeIpv4(packet) : decodeIpv6(packet);
}

function decodeIpv4(bytes: Uint8Array): IpBody | undefined {
  const headerLength = ((bytes[0] as number) & 15) * 4;
  if (headerLength < 20 || bytes.length < headerLength) return undefined;
  const view = viewOf(bytes);
  const control = view.getUint16(6);
  const header = bytes.slice(0, headerLength);
  header.fill(0, 10, 12);
  const ip: IpHeader = {
    source: bytes.slice(12, 16),
    destination: bytes.slice(16, 20),
    ttl: view.getUint8(8),
    dscp: view.getUint8(1) >> 2,
    ecn: view.getUint8(1) & 3,
    identification: view.getUint16(4),
    dontFragment: (control & 0x4000) !== 0,
    moreFragments: (control & 0x2000) !== 0,
    fragmentOffset: (control & 0x1fff) * 8,
    options: bytes.slice(20, headerLength),
    checksum: judgeChecksum(view.getUint16(10), foldSum(sumWords(header))),
    flowLabel: 0,
    extensions: [],
  };
  return withTransport(ip, view.getUint8(9), bytes.slice(headerLength), ip.fragmentOffset > 0);
}

function decodeIpv6(bytes: Uint8Array): IpBody {
  const view = viewOf(bytes);
  const word = view.getUint32(0);
  const { extensions, proto, data } = decodeExtensions(view.getUint8(6), bytes.slice(40));
  const ip: IpHeader = {
    source: bytes.slice(8, 24),
    destination: bytes.slice(24, 40),
    ttl: view.getUint8(7),
    dscp: (word >>> 22) & 0x3f,
    ecn: (word >>> 20) & 3,
    identification: 0,
    dontFragment: false,
    moreFragments: false,
    fragmentOffset: 0,
    options: none,
    checksum: "right",
    flowLabel: word & 0xfffff,
    extensions,
  };
  return withTransport(ip, proto, data, extensions.some(isLaterFragment));
}

const isLaterFragment = (extension: Extension): boolean => extension.kind === "fragment" && extension.offset > 0;

const extensionKinds = new Map(
  Object.entries(extensionProtos).map(([kind, proto]) => [proto, kind as PlainExtensionKind]),
);

function decodeExtensions(first: number, bytes: Uint8Array) {
  const extensions: Extension[] = [];
  let proto = first;
  let data = bytes;
  for (;;) {
    const decoded = extensions.some(isLaterFragment) ? undefined : decodeExtension(proto, data);
    if (decoded === undefined) return { extensions, proto, data };
    extensions.push(decoded.extension);
    proto = data[0] as number;
    data = data.slice(decoded.length);
  }
}

function decodeExtension(proto: number, data: Uint8Array): { extension: Extension; length: number } | undefined {
  if (data.length < 8) return undefined;
  if (proto === fragmentProto) {
    const view = viewOf(data);
    const control = view.getUint16(2);
    const identification = view.getUint32(4);
    const extension = {
      kind: "fragment",
      identification,
      offset: control & 0xfff8,
      more: (control & 1) === 1,
    } as const;
    return { extension, length: 8 };
  }
  const kind = extensionKinds.get(proto);
  const units = data[1] as number;
  const length = kind === "auth" ? (units + 2) * 4 : (units + 1) * 8;
  if (kind === undefined || data.length < length) return undefined;
  return { extension: { kind, body: data.slice(2, length) }, length };
}

function withTransport(ip: IpHeader, proto: number, data: Uint8Array, laterFragment: boolean): IpBody {
  const found = laterFragment ? undefined : decodeTransport(ip, proto, data);
  const { transport, length } = found ?? { transport: { kind: "bare", proto } as const, length: 0 };
  return { kind: "ip", ip, transport, payload: data.slice(length) };
}
