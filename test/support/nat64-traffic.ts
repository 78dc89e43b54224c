// Random traffic of both families as bytes, in pieces or whole: built without text, and looked at when it has left.
import { turn } from "../../runtime/dataplane/breathe.ts";
import type { MemoryPort } from "../../runtime/dataplane/native.ts";
import type { FunctionUnderTest } from "../../runtime/testing/function-under-test.ts";

const ETHERNET = 14;
export const [TCP, UDP, ICMP, ICMPV6] = [6, 17, 1, 58] as const;
const FRAGMENT = 44;
const headers: Readonly<Record<number, number>> = { [TCP]: 20, [UDP]: 8, [ICMP]: 8, [ICMPV6]: 8 };
const checksums: Readonly<Record<number, number>> = { [TCP]: 16, [UDP]: 6, [ICMP]: 2, [ICMPV6]: 2 };
const echoes: Readonly<Record<number, readonly [number, number]>> = { [ICMP]: [8, 0], [ICMPV6]: [128, 129] };
const DATA = 16;

/** Addresses are hex digits, 8 or 32 of them: they say the family. Of an echo both ports are the identifier. */
export interface Packet64 {
  readonly ipProto: number;
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
  readonly id: number;
  readonly isReply: boolean;
  readonly isSplit: boolean;
  readonly hasChecksum: boolean;
}

const isIpv6 = (address: string) => address.length === 32;
const isIcmp = (ipProto: number) => ipProto === ICMP || ipProto === ICMPV6;

function sum(bytes: Uint8Array): number {
  let total = 0;
  for (let at = 0; at < bytes.length; at++) total += (bytes[at] as number) << (at & 1 ? 0 : 8);
  return total;
}

function fold(total: number): number {
  let folded = total;
  while (folded > 0xffff) folded = (folded & 0xffff) + Math.floor(folded / 0x10000);
  return folded;
}

const pseudo = (addresses: Uint8Array, ipProto: number, length: number) =>
  ipProto === ICMP ? 0 : sum(addresses) + ipProto + length;

function buildMessage(packet: Packet64, addresses: Uint8Array): Uint8Array {
  const { ipProto, isReply } = packet;
  const header = headers[ipProto] as number;
  const message = new Uint8Array(header + DATA);
  const view = new DataView(message.buffer);
  if (isIcmp(ipProto)) {
    view.setUint8(0, (echoes[ipProto] as readonly [number, number])[isReply ? 1 : 0]);
    view.setUint16(4, packet.sourcePort);
  } else {
    view.setUint16(0, packet.sourcePort);
    view.setUint16(2, packet.destinationPort);
    if (ipProto === UDP) view.setUint16(4, header + DATA);
    else view.setUint16(12, isReply ? 0x5012 : 0x5002);
  }
  view.setUint32(header, packet.id);
  view.setUint32(header + DATA - 4, packet.id);
  const at = checksums[ipProto] as number;
  const total = fold(pseudo(addresses, ipProto, message.length) + sum(message));
  if (packet.hasChecksum) view.setUint16(at, ~total & 0xffff || (ipProto === UDP ? 0xffff : 0));
  return message;
}

function wrapIpv4(packet: Packet64, addresses: Uint8Array, data: Uint8Array, flags: number): Uint8Array {
  const frame = new Uint8Array(ETHERNET + 20 + data.length);
  const view = new DataView(frame.buffer);
  view.setUint16(12, 0x0800);
  view.setUint8(ETHERNET, 0x45);
  view.setUint16(ETHERNET + 2, 20 + data.length);
  view.setUint16(ETHERNET + 4, packet.id & 0xffff);
  view.setUint16(ETHERNET + 6, flags);
  view.setUint8(ETHERNET + 8, 64);
  view.setUint8(ETHERNET + 9, packet.ipProto);
  frame.set(addresses, ETHERNET + 12);
  view.setUint16(ETHERNET + 10, ~fold(sum(frame.subarray(ETHERNET, ETHERNET + 20))) & 0xffff);
  frame.set(data, ETHERNET + 20);
  return frame;
}

function wrapIpv6(packet: Packet64, addresses: Uint8Array, data: Uint8Array, flags: number): Uint8Array {
  const extra = packet.isSplit ? 8 : 0;
  const frame = new Uint8Array(ETHERNET + 40 + extra + data.length);
  const view = new DataView(frame.buffer);
  view.setUint16(12, 0x86dd);
  view.setUint32(ETHERNET, 0x60000000);
  view.setUint16(ETHERNET + 4, extra + data.length);
  view.setUint8(ETHERNET + 6, packet.isSplit ? FRAGMENT : packet.ipProto);
  view.setUint8(ETHERNET + 7, 64);
  frame.set(addresses, ETHERNET + 8);
  if (packet.isSplit) {
    view.setUint8(ETHERNET + 40, packet.ipProto);
    view.setUint16(ETHERNET + 42, ((flags & 0x1fff) << 3) | (flags >> 13));
    view.setUint32(ETHERNET + 44, packet.id);
  }
  frame.set(data, ETHERNET + 40 + extra);
  return frame;
}

/** One frame, or two. */
export function buildFrames(packet: Packet64): Uint8Array[] {
  const addresses = Uint8Array.fromHex(packet.source + packet.destination);
  const message = buildMessage(packet, addresses);
  const wrap = isIpv6(packet.source) ? wrapIpv6 : wrapIpv4;
  if (!packet.isSplit) return [wrap(packet, addresses, message, 0)];
  const first = ((headers[packet.ipProto] as number) + 8) & ~7;
  const [head, tail] = [message.subarray(0, first), message.subarray(first)];
  return [wrap(packet, addresses, head, 0x2000), wrap(packet, addresses, tail, first >> 3)];
}

export interface Seen64 extends Packet64 {
  readonly isSound: boolean;
}

interface Piece {
  readonly key: string;
  readonly ipProto: number;
  readonly addresses: Uint8Array;
  readonly data: Uint8Array;
  readonly offset: number;
  readonly more: boolean;
  readonly isSound: boolean;
}

function readPiece(frame: Uint8Array): Piece {
  const view = new DataView(frame.buffer, frame.byteOffset, frame.byteLength);
  const ip = frame.subarray(ETHERNET);
  if (view.getUint16(12) === 0x0800) {
    const flags = view.getUint16(ETHERNET + 6);
    const addresses = ip.slice(12, 20);
    const isSound = fold(sum(ip.subarray(0, 20))) === 0xffff && view.getUint16(ETHERNET + 2) === ip.length;
    const key = `${addresses.toHex()} ${view.getUint16(ETHERNET + 4)}`;
    const place = { offset: (flags & 0x1fff) * 8, more: (flags & 0x2000) !== 0 };
    return { key, ipProto: ip[9] as number, addresses, data: ip.slice(20), ...place, isSound };
  }
  const addresses = ip.slice(8, 40);
  const isPiece = ip[6] === FRAGMENT;
  const isSound = view.getUint16(12) === 0x86dd && view.getUint16(ETHERNET + 4) === ip.length - 40;
  const field = isPiece ? view.getUint16(ETHERNET + 42) : 0;
  const key = `${addresses.toHex()} ${isPiece ? view.getUint32(ETHERNET + 44) : Math.random()}`;
  const place = { offset: field & 0xfff8, more: (field & 1) !== 0 };
  const ipProto = ip[isPiece ? 40 : 6] as number;
  return { key, ipProto, addresses, data: ip.slice(isPiece ? 48 : 40), ...place, isSound };
}

function readMessage({ ipProto, addresses, data, isSound }: Piece, isSplit: boolean): Seen64 {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const header = headers[ipProto] as number;
  const half = addresses.length / 2;
  const hasChecksum = ipProto !== UDP || view.getUint16(6) !== 0;
  const isRight = fold(pseudo(addresses, ipProto, data.length) + sum(data)) === 0xffff;
  const icmp = isIcmp(ipProto);
  const isWhole = data.length === header + DATA && view.getUint32(header) === view.getUint32(header + DATA - 4);
  return {
    ipProto,
    source: addresses.subarray(0, half).toHex(),
    sourcePort: view.getUint16(icmp ? 4 : 0),
    destination: addresses.subarray(half).toHex(),
    destinationPort: view.getUint16(icmp ? 4 : 2),
    id: view.getUint32(header),
    isReply: icmp && view.getUint8(0) === (echoes[ipProto] as readonly [number, number])[1],
    isSplit,
    hasChecksum,
    isSound: isSound && isWhole && (!hasChecksum || isRight),
  };
}

/** What the frames are together: each first piece with the one that follows it. */
export function readFrames(frames: readonly Uint8Array[]): Seen64[] {
  const pieces = frames.map(readPiece);
  const rest = new Map(pieces.filter(({ offset }) => offset > 0).map((piece) => [piece.key, piece]));
  return pieces
    .filter(({ offset }) => offset === 0)
    .map((first) => {
      const second = first.more ? rest.get(first.key) : undefined;
      if (second === undefined) return readMessage(first, false);
      const data = new Uint8Array(second.offset + second.data.length);
      data.set(first.data);
      data.set(second.data, second.offset);
      const isSound = first.isSound && second.isSound && second.offset === first.data.length && !second.more;
      return readMessage({ ...first, data, isSound }, true);
    });
}

/** Sends packets from a port, `lan` or `wan`, and says what left, whichever way. */
export function exchange64(fn: FunctionUnderTest, port: 0 | 1, packets: readonly Packet64[], timeNs: bigint): Seen64[] {
  const ports = fn.lane.ports as readonly MemoryPort[];
  for (const frame of packets.flatMap(buildFrames)) (ports[port] as MemoryPort).inject(frame, timeNs);
  while (turn(fn.lane)) fn.lane.takeLog();
  return readFrames(ports.flatMap((each) => each.drain().map(({ bytes }) => bytes)));
}
