// Whole packets cut into fragments, as a router (IPv4) or their sender (IPv6) does.
import fc from "fast-check";

const ETHERNET_BYTES = 14;
const FRAGMENT_PROTO = 44;

/**
 * The fragments of an Ethernet frame that holds an unfragmented IPv4 packet without options, or an IPv6 packet without
 * extension headers. `cuts` are offsets in the IP payload, in units of 8 bytes, ascending. IPv4 header checksums are 0.
 */
export function cutIntoFragments(frame: Uint8Array, cuts: readonly number[], identification: number): Uint8Array[] {
  const version = (frame[ETHERNET_BYTES] as number) >> 4;
  const headerBytes = version === 4 ? 20 : 40;
  const head = frame.subarray(0, ETHERNET_BYTES + headerBytes);
  const data = frame.subarray(ETHERNET_BYTES + headerBytes);
  const starts = [0, ...cuts.map((cut) => cut * 8)];
  return starts.map((start, index) => {
    const end = starts[index + 1] ?? data.length;
    const piece = { start, more: end < data.length, bytes: data.subarray(start, end), identification };
    return version === 4 ? fragment4(head, piece) : fragment6(head, piece);
  });
}

interface Piece {
  readonly start: number;
  readonly more: boolean;
  readonly bytes: Uint8Array;
  readonly identification: number;
}

function fragment4(head: Uint8Array, { start, more, bytes, identification }: Piece): Uint8Array {
  const frame = Uint8Array.from([...head, ...bytes]);
  const ip = new DataView(frame.buffer, ETHERNET_BYTES);
  ip.setUint16(2, 20 + bytes.length);
  ip.setUint16(4, identification & 0xffff);
  ip.setUint16(6, (Number(more) << 13) | (start / 8));
  ip.setUint16(10, 0);
  return frame;
}

function fragment6(head: Uint8Array, { start, more, bytes, identification }: Piece): Uint8Array {
  const frame = Uint8Array.from([...head, ...new Uint8Array(8), ...bytes]);
  const ip = new DataView(frame.buffer, ETHERNET_BYTES);
  ip.setUint16(4, 8 + bytes.length);
  ip.setUint8(40, ip.getUint8(6));
  ip.setUint8(6, FRAGMENT_PROTO);
  ip.setUint16(42, start | Number(more));
  ip.setUint32(44, identification);
  return frame;
}

/** Where to cut `bytes` of IP payload into 2 … 10 fragments, the first of at least 24 bytes. */
export const fragmentCuts = (bytes: number): fc.Arbitrary<number[]> =>
  fc
    .uniqueArray(fc.integer({ min: 3, max: Math.ceil(bytes / 8) - 1 }), { minLength: 1, maxLength: 9 })
    .map((cuts) => cuts.toSorted((a, b) => a - b));
