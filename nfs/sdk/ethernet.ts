// Ethernet and VLAN headers (IEEE 802.3, 802.1Q). MAC addresses are 48-bit numbers: 02:00:00:00:00:01 is 0x020000000001.

import { loadU48, storeU48 } from "./bytes";

/** The header before any VLAN tag. */
@unmanaged
@final
export class Ethernet {
  static readonly BYTES: u32 = 14;

  /** Unchecked: the whole header must be there. */
  @inline
  static at(address: usize): Ethernet {
    return changetype<Ethernet>(address);
  }

  /** The header at `address` if it fits in `bytes`, else null. */
  @inline
  static checked(address: usize, bytes: u32): Ethernet | null {
    return bytes >= Ethernet.BYTES ? Ethernet.at(address) : null;
  }

  @inline
  get address(): usize {
    return changetype<usize>(this);
  }

  @inline
  get destination(): u64 {
    return loadU48(changetype<usize>(this));
  }

  @inline
  set destination(value: u64) {
    storeU48(changetype<usize>(this), value);
  }

  @inline
  get source(): u64 {
    return loadU48(changetype<usize>(this) + 6);
  }

  @inline
  set source(value: u64) {
    storeU48(changetype<usize>(this) + 6, value);
  }

  /** What follows: an ethertype, or a VLAN tag's TPID. */
  @inline
  get etherType(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 12));
  }

  @inline
  set etherType(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 12);
  }

  /** Broadcast included. */
  @inline
  get isMulticast(): bool {
    return (load<u8>(changetype<usize>(this)) & 1) != 0;
  }
}

/** What follows a TPID: the tag control information, and the ethertype of the rest. */
@unmanaged
@final
export class VlanTag {
  static readonly BYTES: u32 = 4;

  /** Unchecked: the whole header must be there. */
  @inline
  static at(address: usize): VlanTag {
    return changetype<VlanTag>(address);
  }

  /** The header at `address` if it fits in `bytes`, else null. */
  @inline
  static checked(address: usize, bytes: u32): VlanTag | null {
    return bytes >= VlanTag.BYTES ? VlanTag.at(address) : null;
  }

  @inline
  get address(): usize {
    return changetype<usize>(this);
  }

  @inline
  get tci(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this)));
  }

  @inline
  set tci(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value));
  }

  /** PCP. */
  @inline
  get priority(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this))) >> 13;
  }

  @inline
  set priority(value: u32) {
    store<u16>(
      changetype<usize>(this),
      bswap<u16>(<u16>((bswap<u16>(load<u16>(changetype<usize>(this))) & 0x1fff) | (value << 13))),
    );
  }

  /** DEI. */
  @inline
  get dropEligible(): bool {
    return (bswap<u16>(load<u16>(changetype<usize>(this))) & 0x1000) != 0;
  }

  @inline
  set dropEligible(value: bool) {
    store<u16>(
      changetype<usize>(this),
      bswap<u16>(<u16>((bswap<u16>(load<u16>(changetype<usize>(this))) & 0xefff) | ((<u32>value) << 12))),
    );
  }

  /** VLAN id. */
  @inline
  get id(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this))) & 0xfff;
  }

  @inline
  set id(value: u32) {
    store<u16>(
      changetype<usize>(this),
      bswap<u16>(<u16>((bswap<u16>(load<u16>(changetype<usize>(this))) & 0xf000) | (value & 0xfff))),
    );
  }

  @inline
  get etherType(): u32 {
    return bswap<u16>(load<u16>(changetype<usize>(this), 2));
  }

  @inline
  set etherType(value: u32) {
    store<u16>(changetype<usize>(this), bswap<u16>(<u16>value), 2);
  }
}
