// The IPv4 header (RFC 791) and its options. Addresses are numbers in host order: 10.0.0.1 is 0x0a000001.

import { checksum } from "./checksum";
import { Option } from "./option";

/** The header and its options. */
@unmanaged
@final
export class Ipv4 {
  static readonly BYTES: u32 = 20;

  /** Unchecked: the whole header must be there. */
  @inline
  static at(address: usize): Ipv4 {
    return changetype<Ipv4>(address);
  }

  /** The header at `address` if it fits in `bytes`, else null. */
  @inline
  static checked(address: usize, bytes: u32): Ipv4 | null {
    return bytes >= Ipv4.BYTES && Ipv4.at(address).fits(bytes) ? Ipv4.at(address) : null;
  }

  private fits(bytes: u32): bool {
    return this.version == 4 && this.headerLength >= Ipv4.BYTES && this.headerLength <= bytes;
  }

  @inline
  get address(): usize {
    return changetype<usize>(this);
  }

  @inline
  get version(): u32 {
    return load<u8>(changetype<usize>(this)) >> 4;
  }

  @inline
  set version(value: u32) {
    store<u8>(changetype<usize>(this), <u8>((load<u8>(changetype<usize>(this)) & 0xf) | (value << 4)));
  }

  /** Bytes, options included: 20 … 60. */
  @inline
  get headerLength(): u32 {
    return (load<u8>(changetype<usize>(this)) & 0xf) << 2;
  }

  @inline
  set headerLength(value: u32) {
    store<u8>(changetype<usize>(this), <u8>((load<u8>(changetype<usize>(this)) & 0xf0) | ((value >> 2) & 0xf)));
  }

  /** DSCP << 2 | ECN. */
  @inline
  get trafficClass(): u32 {
    return load<u8>(changetype<usize>(this), 1);
  }

  @inline
  set trafficClass(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value, 1);
  }

  /** RFC 2474. */
  @inline
  get dscp(): u32 {
    return load<u8>(changetype<usize>(this), 1) >> 2;
  }

  @inline
  set dscp(value: u32) {
    store<u8>(changetype<usize>(this), <u8>((load<u8>(changetype<usize>(this), 1) & 0x3) | (value << 2)), 1);
  }

  /** RFC 3168. */
  @inline
  get ecn(): u32 {
    return load<u8>(changetype<usize>(this), 1) & 0x3;
  }

  @inline
  set ecn(value: u32) {
    store<u8>(changetype<usize>(this), <u8>((load<u8>(changetype<usize>(this), 1) & 0xfc) | (value & 0x3)), 1);
  }

  /** Bytes of header and payload. */
  @inline
  get totalLength(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 2));
  }

  @inline
  set totalLength(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 2);
  }

  @inline
  get identification(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 4));
  }

  @inline
  set identification(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 4);
  }

  @inline
  get reservedFlag(): bool {
    return (bswap<u16>(load<u16>(changetype<usize>(this), 6)) & 0x8000) != 0;
  }

  @inline
  set reservedFlag(value: bool) {
    store<u16>(
      changetype<usize>(this),
      bswap<u16>(<u16>((bswap<u16>(load<u16>(changetype<usize>(this), 6)) & 0x7fff) | ((<u32>value) << 15))),
      6,
    );
  }

  @inline
  get dontFragment(): bool {
    return (bswap<u16>(load<u16>(changetype<usize>(this), 6)) & 0x4000) != 0;
  }

  @inline
  set dontFragment(value: bool) {
    store<u16>(
      changetype<usize>(this),
      bswap<u16>(<u16>((bswap<u16>(load<u16>(changetype<usize>(this), 6)) & 0xbfff) | ((<u32>value) << 14))),
      6,
    );
  }

  @inline
  get moreFragments(): bool {
    return (bswap<u16>(load<u16>(changetype<usize>(this), 6)) & 0x2000) != 0;
  }

  @inline
  set moreFragments(value: bool) {
    store<u16>(
      changetype<usize>(this),
      bswap<u16>(<u16>((bswap<u16>(load<u16>(changetype<usize>(this), 6)) & 0xdfff) | ((<u32>value) << 13))),
      6,
    );
  }

  /** Bytes from the start of the whole; a multiple of 8. */
  @inline
  get fragmentOffset(): u32 {
    return (bswap<u16>(load<u16>(changetype<usize>(this), 6)) & 0x1fff) << 3;
  }

  @inline
  set fragmentOffset(value: u32) {
    store<u16>(
      changetype<usize>(this),
      bswap<u16>(<u16>((bswap<u16>(load<u16>(changetype<usize>(this), 6)) & 0xe000) | ((value >> 3) & 0x1fff))),
      6,
    );
  }

  @inline
  get ttl(): u32 {
    return load<u8>(changetype<usize>(this), 8);
  }

  @inline
  set ttl(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value, 8);
  }

  @inline
  get ipProto(): u32 {
    return load<u8>(changetype<usize>(this), 9);
  }

  @inline
  set ipProto(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value, 9);
  }

  @inline
  get checksum(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 10));
  }

  @inline
  set checksum(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 10);
  }

  @inline
  get source(): u32 {
    return bswap<u32>(load<u32>(changetype<usize>(this), 12));
  }

  @inline
  set source(value: u32) {
    store<u32>(changetype<usize>(this), bswap<u32>(value), 12);
  }

  @inline
  get destination(): u32 {
    return bswap<u32>(load<u32>(changetype<usize>(this), 16));
  }

  @inline
  set destination(value: u32) {
    store<u32>(changetype<usize>(this), bswap<u32>(value), 16);
  }

  @inline
  get payload(): usize {
    return changetype<usize>(this) + this.headerLength;
  }

  /** The first option, or null. Padding (kind 1) is skipped; a broken option ends the list. */
  get firstOption(): Option | null {
    return Option.first(changetype<usize>(this) + Ipv4.BYTES, this.payload);
  }

  /** The option after that one, or null. */
  optionAfter(option: Option | null): Option | null {
    return option === null ? null : Option.first(option.end, this.payload);
  }

  /** Takes one off the TTL and mends the checksum (RFC 1624). Unchecked: the TTL must not be 0. */
  @inline
  decrementTtl(): void {
    const sum = this.checksum + 0x0100;
    this.ttl = this.ttl - 1;
    this.checksum = sum + (sum >> 16);
  }

  /** Computes the checksum from scratch. */
  fillChecksum(): void {
    this.checksum = 0;
    this.checksum = checksum(changetype<usize>(this), this.headerLength);
  }

  get hasValidChecksum(): bool {
    return checksum(changetype<usize>(this), this.headerLength) == 0;
  }
}
