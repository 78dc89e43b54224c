// IPv6's extension headers: where what is behind them begins, and what the fragment header says. On the way to IPv4, which
// has none, they are left out (RFC 7915, section 5.1).
import { Ipv6 } from "../sdk";
import { IP_PROTO_FRAGMENT } from "./headers";

const HOP_BY_HOP: u32 = 0;
const ROUTING: u32 = 43;
const DESTINATION: u32 = 60;

// What walkExtensions found.
/** Bytes from the IPv6 header's start to what IPv4 would carry. */
export let upperOffset: u32 = 0;
export let upperProto: u32 = 0;
/** Address of the fragment header, 0 if there is none. */
export let fragmentHeader: usize = 0;
/** Where a routing header says that the packet is not where it is bound for; 0 if none does. */
export let segmentsOffset: u32 = 0;

/**
 * Goes through the headers of a packet of which `bytes` bytes are there. False if they are not complete, or a fragment
 * begins with one: then it is not known what belongs behind IPv4's header.
 */
export function walkExtensions(ip: Ipv6, bytes: u32): bool {
  upperProto = ip.nextHeader;
  upperOffset = Ipv6.BYTES;
  fragmentHeader = 0;
  segmentsOffset = 0;
  while (isExtension(upperProto)) {
    if (fragmentHeader != 0 || upperOffset + 8 > bytes) return false;
    const at = ip.address + upperOffset;
    const length: u32 = upperProto == IP_PROTO_FRAGMENT ? 8 : 8 + 8 * <u32>load<u8>(at, 1);
    if (upperProto == IP_PROTO_FRAGMENT) fragmentHeader = at;
    if (upperProto == ROUTING && load<u8>(at, 3) != 0) segmentsOffset = upperOffset + 3;
    upperProto = load<u8>(at);
    upperOffset += length;
  }
  return upperOffset <= bytes;
}

function isExtension(nextHeader: u32): bool {
  return (
    nextHeader == HOP_BY_HOP || nextHeader == ROUTING || nextHeader == DESTINATION || nextHeader == IP_PROTO_FRAGMENT
  );
}

/** The flags and the offset as IPv4 has them, in one. */
export function flagsOfFragment(header: usize): u32 {
  const field = <u32>bswap<u16>(load<u16>(header, 2));
  return (field >> 3) | ((field & 1) << 13);
}

export function identificationOf(header: usize): u32 {
  return bswap<u32>(load<u32>(header, 4));
}
