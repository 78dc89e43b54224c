// The TCP header (RFC 9293) and its options.

import { Option } from "./option";

export const TCP_OPTION_MSS = 2;
export const TCP_OPTION_WINDOW_SCALE = 3;
export const TCP_OPTION_SACK_PERMITTED = 4;
export const TCP_OPTION_SACK = 5;
export const TCP_OPTION_TIMESTAMPS = 8;

/** The header and its options. */
@unmanaged
@final
export class Tcp {
  static readonly BYTES: u32 = 20;

  /** Unchecked: the whole header must be there. */
  @inline
  static at(address: usize): Tcp {
    return changetype<Tcp>(address);
  }

  /** The header at `address` if it fits in `bytes`, else null. */
  @inline
  static checked(address: usize, bytes: u32): Tcp | null {
    return bytes >= Tcp.BYTES && Tcp.at(address).fits(bytes) ? Tcp.at(address) : null;
  }

  private fits(bytes: u32): bool {
    return this.headerLength >= Tcp.BYTES && this.headerLength <= bytes;
  }

  @inline
  get address(): usize {
    return changetype<usize>(this);
  }

  @inline
  get sourcePort(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this)));
  }

  @inline
  set sourcePort(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value));
  }

  @inline
  get destinationPort(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 2));
  }

  @inline
  set destinationPort(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 2);
  }

  @inline
  get sequence(): u32 {
    return bswap<u32>(load<u32>(changetype<usize>(this), 4));
  }

  @inline
  set sequence(value: u32) {
    store<u32>(changetype<usize>(this), bswap<u32>(value), 4);
  }

  @inline
  get acknowledgement(): u32 {
    return bswap<u32>(load<u32>(changetype<usize>(this), 8));
  }

  @inline
  set acknowledgement(value: u32) {
    store<u32>(changetype<usize>(this), bswap<u32>(value), 8);
  }

  /** Bytes, options included: 20 … 60. */
  @inline
  get headerLength(): u32 {
    return (load<u8>(changetype<usize>(this), 12) >> 4) << 2;
  }

  @inline
  set headerLength(value: u32) {
    store<u8>(changetype<usize>(this), <u8>((load<u8>(changetype<usize>(this), 12) & 0xf) | ((value >> 2) << 4)), 12);
  }

  /** The four bits after the data offset; the last is AE (RFC 7560). */
  @inline
  get reserved(): u32 {
    return load<u8>(changetype<usize>(this), 12) & 0xf;
  }

  @inline
  set reserved(value: u32) {
    store<u8>(changetype<usize>(this), <u8>((load<u8>(changetype<usize>(this), 12) & 0xf0) | (value & 0xf)), 12);
  }

  /** CWR ECE URG ACK PSH RST SYN FIN: TCP_* bits. */
  @inline
  get flags(): u32 {
    return load<u8>(changetype<usize>(this), 13);
  }

  @inline
  set flags(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value, 13);
  }

  @inline
  get fin(): bool {
    return (load<u8>(changetype<usize>(this), 13) & 0x1) != 0;
  }

  @inline
  set fin(value: bool) {
    store<u8>(changetype<usize>(this), <u8>((load<u8>(changetype<usize>(this), 13) & 0xfe) | (<u32>value)), 13);
  }

  @inline
  get syn(): bool {
    return (load<u8>(changetype<usize>(this), 13) & 0x2) != 0;
  }

  @inline
  set syn(value: bool) {
    store<u8>(changetype<usize>(this), <u8>((load<u8>(changetype<usize>(this), 13) & 0xfd) | ((<u32>value) << 1)), 13);
  }

  @inline
  get rst(): bool {
    return (load<u8>(changetype<usize>(this), 13) & 0x4) != 0;
  }

  @inline
  set rst(value: bool) {
    store<u8>(changetype<usize>(this), <u8>((load<u8>(changetype<usize>(this), 13) & 0xfb) | ((<u32>value) << 2)), 13);
  }

  @inline
  get psh(): bool {
    return (load<u8>(changetype<usize>(this), 13) & 0x8) != 0;
  }

  @inline
  set psh(value: bool) {
    store<u8>(changetype<usize>(this), <u8>((load<u8>(changetype<usize>(this), 13) & 0xf7) | ((<u32>value) << 3)), 13);
  }

  @inline
  get ack(): bool {
    return (load<u8>(changetype<usize>(this), 13) & 0x10) != 0;
  }

  @inline
  set ack(value: bool) {
    store<u8>(changetype<usize>(this), <u8>((load<u8>(changetype<usize>(this), 13) & 0xef) | ((<u32>value) << 4)), 13);
  }

  @inline
  get urg(): bool {
    return (load<u8>(changetype<usize>(this), 13) & 0x20) != 0;
  }

  @inline
  set urg(value: bool) {
    store<u8>(changetype<usize>(this), <u8>((load<u8>(changetype<usize>(this), 13) & 0xdf) | ((<u32>value) << 5)), 13);
  }

  @inline
  get ece(): bool {
    return (load<u8>(changetype<usize>(this), 13) & 0x40) != 0;
  }

  @inline
  set ece(value: bool) {
    store<u8>(changetype<usize>(this), <u8>((load<u8>(changetype<usize>(this), 13) & 0xbf) | ((<u32>value) << 6)), 13);
  }

  @inline
  get cwr(): bool {
    return (load<u8>(changetype<usize>(this), 13) & 0x80) != 0;
  }

  @inline
  set cwr(value: bool) {
    store<u8>(changetype<usize>(this), <u8>((load<u8>(changetype<usize>(this), 13) & 0x7f) | ((<u32>value) << 7)), 13);
  }

  @inline
  get window(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 14));
  }

  @inline
  set window(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 14);
  }

  @inline
  get checksum(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 16));
  }

  @inline
  set checksum(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 16);
  }

  @inline
  get urgentPointer(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 18));
  }

  @inline
  set urgentPointer(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 18);
  }

  @inline
  get payload(): usize {
    return changetype<usize>(this) + this.headerLength;
  }

  /** The first option, or null. Padding (kind 1) is skipped; a broken option ends the list. */
  get firstOption(): Option | null {
    return Option.first(changetype<usize>(this) + Tcp.BYTES, this.payload);
  }

  /** The option after that one, or null. */
  optionAfter(option: Option | null): Option | null {
    return option === null ? null : Option.first(option.end, this.payload);
  }

  findOption(kind: u32): Option | null {
    let option = this.firstOption;
    while (option !== null && option.kind != kind) option = this.optionAfter(option);
    return option;
  }
}
