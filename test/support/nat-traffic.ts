// Random traffic as bytes, a million packets in seconds: built without text, and looked at when it has left.
import { turn } from "../../runtime/dataplane/breathe.ts";
import type { MemoryPort } from "../../runtime/dataplane/native.ts";
import type { FunctionUnderTest } from "../../runtime/testing/function-under-test.ts";

const [ETHERNET, IPV4, DATA] = [14, 20, 8] as const;
export const [TCP, UDP, ICMP] = [6, 17, 1] as const;
const headers: Readonly<Record<number, number>> = { [TCP]: 20, [UDP]: 8, [ICMP]: 8 };

/** One direction of a conversation; of an ICMP echo the source port is the identifier. */
export interface Tuple {
  readonly ipProto: number;
  readonly source: number;
  readonly sourcePort: number;
  readonly destination: number;
  readonly destinationPort: number;
}

function sum(view: DataView, from: number, to: number): number {
  let total = 0;
  for (let at = from; at + 1 < to; at += 2) total += view.getUint16(at);
  return total;
}

function fold(total: number): number {
  let folded = total;
  while (folded > 0xffff) folded = (folded & 0xffff) + (folded >>> 16);
  return folded;
}

const pseudo = (view: DataView, ipProto: number, length: number) =>
  ipProto === ICMP ? 0 : sum(view, ETHERNET + 12, ETHERNET + IPV4) + ipProto + length;

const checksumOffset = (ipProto: number) => (ipProto === TCP ? 16 : ipProto === UDP ? 6 : 2);

/** A frame whose payload is `id`. A reply of ICMP is an echo reply; UDP may have no checksum. */
export function buildFrame(tuple: Tuple, id: number, isReply: boolean, hasChecksum = true): Uint8Array {
  const { ipProto } = tuple;
  const header = headers[ipProto] as number;
  const view = new DataView(new ArrayBuffer(ETHERNET + IPV4 + header + DATA));
  const l4 = ETHERNET + IPV4;
  view.setUint16(12, 0x0800);
  view.setUint8(ETHERNET, 0x45);
  view.setUint16(ETHERNET + 2, IPV4 + header + DATA);
  view.setUint8(ETHERNET + 8, 64);
  view.setUint8(ETHERNET + 9, ipProto);
  view.setUint32(ETHERNET + 12, tuple.source);
  view.setUint32(ETHERNET + 16, tuple.destination);
  view.setUint16(ETHERNET + 10, ~fold(sum(view, ETHERNET, l4)) & 0xffff);
  if (ipProto === ICMP) {
    view.setUint8(l4, isReply ? 0 : 8);
    view.setUint16(l4 + 4, tuple.sourcePort);
  } else {
    view.setUint16(l4, tuple.sourcePort);
    view.setUint16(l4 + 2, tuple.destinationPort);
    if (ipProto === UDP) view.setUint16(l4 + 4, header + DATA);
    else view.setUint16(l4 + 12, isReply ? 0x5012 : 0x5002);
  }
  view.setUint32(l4 + header, id);
  if (hasChecksum) {
    const total = pseudo(view, ipProto, header + DATA) + sum(view, l4, view.byteLength);
    view.setUint16(l4 + checksumOffset(ipProto), ~fold(total) & 0xffff || (ipProto === UDP ? 0xffff : 0));
  }
  return new Uint8Array(view.buffer);
}

export interface Seen {
  readonly id: number;
  readonly tuple: Tuple;
  /** Of IP and transport, or the transport's is absent. */
  readonly isSound: boolean;
  readonly hasChecksum: boolean;
}

export function readFrame(bytes: Uint8Array): Seen {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const l4 = ETHERNET + IPV4;
  const ipProto = view.getUint8(ETHERNET + 9);
  const header = headers[ipProto] as number;
  const [source, destination] = [view.getUint32(ETHERNET + 12), view.getUint32(ETHERNET + 16)];
  const identifier = view.getUint16(l4 + 4);
  const sourcePort = ipProto === ICMP ? identifier : view.getUint16(l4);
  const destinationPort = ipProto === ICMP ? identifier : view.getUint16(l4 + 2);
  const hasChecksum = view.getUint16(l4 + checksumOffset(ipProto)) !== 0 || ipProto !== UDP;
  const total = pseudo(view, ipProto, header + DATA) + sum(view, l4, bytes.byteLength);
  const isSound = fold(sum(view, ETHERNET, l4)) === 0xffff && (!hasChecksum || fold(total) === 0xffff);
  return {
    id: view.getUint32(l4 + header),
    tuple: { ipProto, source, sourcePort, destination, destinationPort },
    isSound,
    hasChecksum,
  };
}

/** Sends frames from a port, `lan` or `wan`, and says what left, whichever way. */
export function exchange(fn: FunctionUnderTest, port: 0 | 1, frames: readonly Uint8Array[], timeNs: bigint): Seen[] {
  const ports = fn.lane.ports as readonly MemoryPort[];
  for (const frame of frames) (ports[port] as MemoryPort).inject(frame, timeNs);
  while (turn(fn.lane)) fn.lane.takeLog();
  return ports.flatMap((each) => each.drain().map(({ bytes }) => readFrame(bytes)));
}
