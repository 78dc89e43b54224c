// ICMP (RFC 792) and ICMPv6 (RFC 4443, neighbour discovery RFC 4861). Which fields mean something depends on the type.

export const ICMP_ECHO_REPLY = 0;
export const ICMP_UNREACHABLE = 3;
export const ICMP_REDIRECT = 5;
export const ICMP_ECHO_REQUEST = 8;
export const ICMP_TIME_EXCEEDED = 11;
export const ICMP_PARAMETER_PROBLEM = 12;

export const ICMPV6_UNREACHABLE = 1;
export const ICMPV6_PACKET_TOO_BIG = 2;
export const ICMPV6_TIME_EXCEEDED = 3;
export const ICMPV6_PARAMETER_PROBLEM = 4;
export const ICMPV6_ECHO_REQUEST = 128;
export const ICMPV6_ECHO_REPLY = 129;
export const ICMPV6_ROUTER_SOLICITATION = 133;
export const ICMPV6_ROUTER_ADVERTISEMENT = 134;
export const ICMPV6_NEIGHBOUR_SOLICITATION = 135;
export const ICMPV6_NEIGHBOUR_ADVERTISEMENT = 136;

/** The eight bytes that all messages have. */
@unmanaged
@final
export class Icmp {
  static readonly BYTES: u32 = 8;

  /** Unchecked: the whole header must be there. */
  @inline
  static at(address: usize): Icmp {
    return changetype<Icmp>(address);
  }

  /** The header at `address` if it fits in `bytes`, else null. */
  @inline
  static checked(address: usize, bytes: u32): Icmp | null {
    return bytes >= Icmp.BYTES ? Icmp.at(address) : null;
  }

  @inline
  get address(): usize {
    return changetype<usize>(this);
  }

  @inline
  get type(): u32 {
    return load<u8>(changetype<usize>(this));
  }

  @inline
  set type(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value);
  }

  @inline
  get code(): u32 {
    return load<u8>(changetype<usize>(this), 1);
  }

  @inline
  set code(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value, 1);
  }

  @inline
  get checksum(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 2));
  }

  @inline
  set checksum(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 2);
  }

  /** The four bytes whose meaning the type decides. */
  @inline
  get rest(): u32 {
    return bswap<u32>(load<u32>(changetype<usize>(this), 4));
  }

  @inline
  set rest(value: u32) {
    store<u32>(changetype<usize>(this), bswap<u32>(value), 4);
  }

  /** Of echoes. */
  @inline
  get identifier(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 4));
  }

  @inline
  set identifier(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 4);
  }

  /** Of echoes. */
  @inline
  get sequence(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 6));
  }

  @inline
  set sequence(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 6);
  }

  /** Of redirects. */
  @inline
  get gateway(): u32 {
    return bswap<u32>(load<u32>(changetype<usize>(this), 4));
  }

  @inline
  set gateway(value: u32) {
    store<u32>(changetype<usize>(this), bswap<u32>(value), 4);
  }

  /** Of parameter problems. */
  @inline
  get pointer(): u32 {
    return load<u8>(changetype<usize>(this), 4);
  }

  @inline
  set pointer(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value, 4);
  }

  /** Of unreachable, code 4 (RFC 1191). */
  @inline
  get mtu(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 6));
  }

  @inline
  set mtu(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 6);
  }

  /** Of errors: the packet that they quote. */
  @inline
  get payload(): usize {
    return changetype<usize>(this) + 8;
  }
}

/** The eight bytes that all messages have. */
@unmanaged
@final
export class Icmpv6 {
  static readonly BYTES: u32 = 8;

  /** Unchecked: the whole header must be there. */
  @inline
  static at(address: usize): Icmpv6 {
    return changetype<Icmpv6>(address);
  }

  /** The header at `address` if it fits in `bytes`, else null. */
  @inline
  static checked(address: usize, bytes: u32): Icmpv6 | null {
    return bytes >= Icmpv6.BYTES ? Icmpv6.at(address) : null;
  }

  @inline
  get address(): usize {
    return changetype<usize>(this);
  }

  @inline
  get type(): u32 {
    return load<u8>(changetype<usize>(this));
  }

  @inline
  set type(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value);
  }

  @inline
  get code(): u32 {
    return load<u8>(changetype<usize>(this), 1);
  }

  @inline
  set code(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value, 1);
  }

  @inline
  get checksum(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 2));
  }

  @inline
  set checksum(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 2);
  }

  /** The four bytes whose meaning the type decides. */
  @inline
  get rest(): u32 {
    return bswap<u32>(load<u32>(changetype<usize>(this), 4));
  }

  @inline
  set rest(value: u32) {
    store<u32>(changetype<usize>(this), bswap<u32>(value), 4);
  }

  /** Of echoes. */
  @inline
  get identifier(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 4));
  }

  @inline
  set identifier(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 4);
  }

  /** Of echoes. */
  @inline
  get sequence(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 6));
  }

  @inline
  set sequence(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 6);
  }

  /** Of packet too big. */
  @inline
  get mtu(): u32 {
    return bswap<u32>(load<u32>(changetype<usize>(this), 4));
  }

  @inline
  set mtu(value: u32) {
    store<u32>(changetype<usize>(this), bswap<u32>(value), 4);
  }

  /** Of parameter problems. */
  @inline
  get pointer(): u32 {
    return bswap<u32>(load<u32>(changetype<usize>(this), 4));
  }

  @inline
  set pointer(value: u32) {
    store<u32>(changetype<usize>(this), bswap<u32>(value), 4);
  }

  /** Of errors: the packet that they quote. */
  @inline
  get payload(): usize {
    return changetype<usize>(this) + 8;
  }

  /** Of neighbour messages. Unchecked: 24 bytes must be there. */
  @inline
  get targetHigh(): u64 {
    return bswap<u64>(load<u64>(changetype<usize>(this), 8));
  }

  @inline
  set targetHigh(value: u64) {
    store<u64>(changetype<usize>(this), bswap<u64>(value), 8);
  }

  /** Of neighbour messages. Unchecked: 24 bytes must be there. */
  @inline
  get targetLow(): u64 {
    return bswap<u64>(load<u64>(changetype<usize>(this), 16));
  }

  @inline
  set targetLow(value: u64) {
    store<u64>(changetype<usize>(this), bswap<u64>(value), 16);
  }
}
