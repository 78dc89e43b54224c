// Checksums over whole packets: the internet checksum (RFC 1071) and SCTP's CRC-32C (RFC 9260, appendix A).
import type { Checksum } from "./packet-model.ts";

/** One's complement sum of big-endian 16-bit words, not folded; an odd last byte is the high one. */
export function sumWords(bytes: Uint8Array, start = 0): number {
  let sum = start;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] as number) << 8) | (bytes[i + 1] ?? 0);
  return sum;
}

export function foldSum(sum: number): number {
  let folded = sum;
  while (folded > 0xffff) folded = (folded % 0x10000) + Math.floor(folded / 0x10000);
  return ~folded & 0xffff;
}

/** RFC 768, RFC 9293 and RFC 8200, section 8.1; the same sum for IPv4, whose length has two bytes. */
export function sumPseudoHeader(source: Uint8Array, destination: Uint8Array, proto: number, length: number): number {
  return sumWords(destination, sumWords(source, proto + (length >>> 16) + (length & 0xffff)));
}

/** A checksum that is wrong for certain: neither the right one nor its other spelling, and never UDP's "none". */
export const spoilChecksum = (right: number): number => (right % 0xffff) + 1;

export function placeChecksum(wanted: Checksum, right: number): number {
  if (wanted === "right") return right;
  return wanted === "bad" ? spoilChecksum(right) : wanted;
}

export function judgeChecksum(found: number, right: number): Checksum {
  if (found === right) return "right";
  return found === spoilChecksum(right) ? "bad" : found;
}

const crc32cTable = Uint32Array.from({ length: 256 }, (_, index) => {
  let crc = index;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  return crc;
});

export function crc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = (crc >>> 8) ^ (crc32cTable[(crc ^ byte) & 0xff] as number);
  return ~crc >>> 0;
}
