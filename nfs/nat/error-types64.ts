// What an ICMP error is called in the other family (RFC 7915, figures 3 to 6).
import {
  Icmp,
  ICMP_PARAMETER_PROBLEM,
  ICMP_TIME_EXCEEDED,
  ICMP_UNREACHABLE,
  Icmpv6,
  ICMPV6_PACKET_TOO_BIG,
  ICMPV6_PARAMETER_PROBLEM,
  ICMPV6_TIME_EXCEEDED,
  ICMPV6_UNREACHABLE,
  Ipv4,
} from "../sdk";
import { mtu6 } from "./limits64";

const NONE: i32 = -1;
/** IPv6's header is that much longer. */
const GROWTH: u32 = 20;
const LEAST_MTU6: u32 = 1280;
const LEAST_MTU4: u32 = 68;
const NEXT_HEADER: u32 = 6;
const FRAGMENTATION_NEEDED: u32 = 4;
const PROTOCOL_UNREACHABLE: u32 = 2;

// What the error becomes.
export let typeAfter: u32 = 0;
export let codeAfter: u32 = 0;

/** By code of "destination unreachable": of ICMPv6's, NONE for what has no counterpart. 2 and 4 are special. */
const UNREACHABLE_4: StaticArray<i32> = [0, 0, NONE, 4, NONE, 0, 0, 0, 0, 1, 1, 0, 0, 1, NONE, 1];
/** The same from ICMPv6. */
const UNREACHABLE_6: StaticArray<i32> = [1, 10, 1, 1, 3];
/** By byte of IPv4's header: where the same stands in IPv6's. */
const POINTERS_4: StaticArray<i32> = [0, 1, 4, 4, NONE, NONE, NONE, NONE, 7, 6, NONE, NONE, 8, 8, 8, 8, 24, 24, 24, 24];
/** The other way, for IPv6's first 8 bytes. */
const POINTERS_6: StaticArray<i32> = [0, 1, NONE, NONE, 2, 2, 9, 8];

/** Sets typeAfter and codeAfter; false if IPv6 has no such error. */
export function translateType4(icmp: Icmp, quote: Ipv4): bool {
  const type = <i32>icmp.type;
  const code = icmp.code;
  if (type == ICMP_TIME_EXCEEDED) return become(ICMPV6_TIME_EXCEEDED, code);
  if (type == ICMP_PARAMETER_PROBLEM)
    return (code == 0 || code == 2) && pointer4(icmp.pointer) != NONE && become(ICMPV6_PARAMETER_PROBLEM, 0);
  if (type != ICMP_UNREACHABLE) return false;
  if (code == PROTOCOL_UNREACHABLE) return become(ICMPV6_PARAMETER_PROBLEM, 1);
  if (code == FRAGMENTATION_NEEDED) return become(ICMPV6_PACKET_TOO_BIG, 0);
  if (code >= <u32>UNREACHABLE_4.length || unchecked(UNREACHABLE_4[code]) == NONE) return false;
  return become(ICMPV6_UNREACHABLE, unchecked(UNREACHABLE_4[code]));
}

function become(type: u32, code: u32): bool {
  typeAfter = type;
  codeAfter = code;
  return true;
}

function pointer4(pointer: u32): i32 {
  return pointer < <u32>POINTERS_4.length ? unchecked(POINTERS_4[pointer]) : NONE;
}

function pointer6(pointer: u32): i32 {
  if (pointer >= 40) return NONE;
  if (pointer >= 24) return 16;
  return pointer >= 8 ? 12 : unchecked(POINTERS_6[pointer]);
}

/** The four bytes before the quote, after translateType4: MTU, pointer, or nothing. */
export function restOf4(icmp: Icmp, quote: Ipv4): u32 {
  if (typeAfter == ICMPV6_PACKET_TOO_BIG) {
    const mtu = icmp.mtu != 0 ? icmp.mtu : plateauBelow(quote.totalLength);
    return max(LEAST_MTU6, min(mtu + GROWTH, mtu6));
  }
  if (typeAfter != ICMPV6_PARAMETER_PROBLEM) return 0;
  return codeAfter == 1 ? NEXT_HEADER : pointer4(icmp.pointer);
}

/** For routers that do not say their MTU (RFC 1191, section 7.1). */
function plateauBelow(length: u32): u32 {
  const plateaus: StaticArray<u32> = PLATEAUS;
  for (let i = 0; i < plateaus.length; i++) {
    if (unchecked(plateaus[i]) < length) return unchecked(plateaus[i]);
  }
  return LEAST_MTU4;
}

const PLATEAUS: StaticArray<u32> = [32000, 17914, 8166, 4352, 2002, 1492, 1006, 508, 296, 68];

/** Sets typeAfter and codeAfter; false if IPv4 has no such error. */
export function translateType6(icmp: Icmpv6): bool {
  const type = <i32>icmp.type;
  const code = icmp.code;
  if (type == ICMPV6_TIME_EXCEEDED) return become(ICMP_TIME_EXCEEDED, code);
  if (type == ICMPV6_PACKET_TOO_BIG) return become(ICMP_UNREACHABLE, FRAGMENTATION_NEEDED);
  if (type == ICMPV6_PARAMETER_PROBLEM) {
    if (code == 1) return become(ICMP_UNREACHABLE, PROTOCOL_UNREACHABLE);
    return code == 0 && pointer6(icmp.pointer) != NONE && become(ICMP_PARAMETER_PROBLEM, 0);
  }
  if (type != ICMPV6_UNREACHABLE || code >= <u32>UNREACHABLE_6.length) return false;
  return become(ICMP_UNREACHABLE, unchecked(UNREACHABLE_6[code]));
}

/** The four bytes before the quote, after translateType6. */
export function restOf6(icmp: Icmpv6): u32 {
  if (<i32>icmp.type == ICMPV6_PACKET_TOO_BIG) return min(max(icmp.mtu, LEAST_MTU6), mtu6) - GROWTH;
  return typeAfter == ICMP_PARAMETER_PROBLEM ? (<u32>pointer6(icmp.pointer)) << 24 : 0;
}
