// ARP for IPv4 over Ethernet (RFC 826).

import { loadU48, storeU48 } from "./bytes";

export const ARP_REQUEST = 1;
export const ARP_REPLY = 2;

/** Addresses are numbers in host order: 10.0.0.1 is 0x0a000001. */
@unmanaged
@final
export class Arp {
  static readonly BYTES: u32 = 28;

  /** Unchecked: the whole header must be there. */
  @inline
  static at(address: usize): Arp {
    return changetype<Arp>(address);
  }

  /** The header at `address` if it fits in `bytes`, else null. */
  @inline
  static checked(address: usize, bytes: u32): Arp | null {
    return bytes >= Arp.BYTES ? Arp.at(address) : null;
  }

  @inline
  get address(): usize {
    return changetype<usize>(this);
  }

  @inline
  get hardwareType(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this)));
  }

  @inline
  set hardwareType(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value));
  }

  @inline
  get protocolType(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 2));
  }

  @inline
  set protocolType(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 2);
  }

  @inline
  get hardwareLength(): u32 {
    return load<u8>(changetype<usize>(this), 4);
  }

  @inline
  set hardwareLength(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value, 4);
  }

  @inline
  get protocolLength(): u32 {
    return load<u8>(changetype<usize>(this), 5);
  }

  @inline
  set protocolLength(value: u32) {
    store<u8>(changetype<usize>(this), <u8>value, 5);
  }

  /** ARP_REQUEST, ARP_REPLY. */
  @inline
  get operation(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 6));
  }

  @inline
  set operation(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 6);
  }

  @inline
  get senderMac(): u64 {
    return loadU48(changetype<usize>(this) + 8);
  }

  @inline
  set senderMac(value: u64) {
    storeU48(changetype<usize>(this) + 8, value);
  }

  @inline
  get senderAddress(): u32 {
    return bswap<u32>(load<u32>(changetype<usize>(this), 14));
  }

  @inline
  set senderAddress(value: u32) {
    store<u32>(changetype<usize>(this), bswap<u32>(value), 14);
  }

  @inline
  get targetMac(): u64 {
    return loadU48(changetype<usize>(this) + 18);
  }

  @inline
  set targetMac(value: u64) {
    storeU48(changetype<usize>(this) + 18, value);
  }

  @inline
  get targetAddress(): u32 {
    return bswap<u32>(load<u32>(changetype<usize>(this), 24));
  }

  @inline
  set targetAddress(value: u32) {
    store<u32>(changetype<usize>(this), bswap<u32>(value), 24);
  }

  /** The fields after `operation` mean what they say only then. */
  @inline
  get isIpv4OverEthernet(): bool {
    return load<u32>(changetype<usize>(this)) == 0x00080100 && load<u16>(changetype<usize>(this), 4) == 0x0406;
  }
}
