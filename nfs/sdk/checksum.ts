// Internet checksums: from scratch (RFC 1071), and mended after a change of single fields (RFC 1624, equation 3).
//
// A change is a difference: `difference32(old, new)`. Differences of several fields add up, and one sum mends several
// checksums: a NAT adds those of address and port, mends the transport checksum with both and IPv4's with the first.

import { Ipv4 } from "./ipv4";
import { Ipv6 } from "./ipv6";

/** One's complement sum of 16 bits. */
@inline
export function fold(sum: u32): u32 {
  const once = (sum & 0xffff) + (sum >> 16);
  return (once & 0xffff) + (once >> 16);
}

/** What changing a 16-bit field from `before` to `after` does to a sum. Fields must start at an even offset. */
@inline
export function difference16(before: u32, after: u32): u32 {
  return (~before & 0xffff) + after;
}

/** The same for 32 bits. */
@inline
export function difference32(before: u32, after: u32): u32 {
  return (~before >> 16) + (~before & 0xffff) + (after >> 16) + (after & 0xffff);
}

/** The same for 128 bits, each given as its high and low 64. */
export function difference128(beforeHigh: u64, beforeLow: u64, afterHigh: u64, afterLow: u64): u32 {
  return difference64(beforeHigh, afterHigh) + difference64(beforeLow, afterLow);
}

@inline
function difference64(before: u64, after: u64): u32 {
  return difference32(<u32>(before >> 32), <u32>(after >> 32)) + difference32(<u32>before, <u32>after);
}

/** The checksum after a change. Not for UDP. */
@inline
export function mend(checksum: u32, difference: u32): u32 {
  return ~fold((~checksum & 0xffff) + difference) & 0xffff;
}

/** The same for UDP: 0 stays 0, since it means "none"; a result of 0 is sent as 0xffff (RFC 768). */
@inline
export function mendUdp(checksum: u32, difference: u32): u32 {
  if (checksum == 0) return 0;
  return udpField(mend(checksum, difference));
}

/** Sum of `bytes` bytes in network order, less than 2^16. An odd last byte is padded with 0. */
export function sum(address: usize, bytes: u32): u32 {
  let total: u64 = 0;
  let left = bytes;
  for (; left >= 8; left -= 8) {
    const word = load<u64>(address);
    total += (word & 0xffffffff) + (word >> 32);
    address += 8;
  }
  for (; left >= 2; left -= 2) {
    total += load<u16>(address);
    address += 2;
  }
  if (left == 1) total += load<u8>(address);
  total = (total & 0xffffffff) + (total >> 32);
  total = (total & 0xffffffff) + (total >> 32);
  return bswap<u16>(<u16>fold(<u32>total));
}

/** The checksum of `bytes` bytes; 0 if they contain their own valid checksum. */
@inline
export function checksum(address: usize, bytes: u32): u32 {
  return ~sum(address, bytes) & 0xffff;
}

/** Sum of the pseudo-header over IPv4 (RFC 768, RFC 9293). `bytes` is the length of transport header and payload. */
export function pseudoSum4(ip: Ipv4, ipProto: u32, bytes: u32): u32 {
  return fold(sum(ip.address + 12, 8) + ipProto + bytes);
}

/** The same over IPv6 (RFC 8200, section 8.1). */
export function pseudoSum6(ip: Ipv6, ipProto: u32, bytes: u32): u32 {
  return fold(sum(ip.address + 8, 32) + ipProto + (bytes >> 16) + (bytes & 0xffff));
}

/**
 * The checksum of a TCP, UDP or ICMPv6 message of `bytes` bytes, whose checksum field is 0 while it is computed; over a
 * message with its checksum in place the result is 0 if that is valid. `pseudo` comes from pseudoSum4 or pseudoSum6.
 */
export function transportChecksum(pseudo: u32, address: usize, bytes: u32): u32 {
  return ~fold(pseudo + sum(address, bytes)) & 0xffff;
}

/** What to write into a UDP header for a computed checksum: 0 is sent as 0xffff, since 0 means "none" (RFC 768). */
@inline
export function udpField(checksum: u32): u32 {
  return checksum == 0 ? 0xffff : checksum;
}
