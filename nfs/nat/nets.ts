// Networks of either family, as rules name them.
import { Prefix } from "../sdk";
import { addressAt, isIpv6 } from "./addresses";

/** Addresses that agree with `high` and `low` in the bits of the masks; of IPv4 with the low 32 bits. */
export class Net {
  readonly isIpv6: bool;
  readonly high: u64;
  readonly low: u64;
  readonly highMask: u64;
  readonly lowMask: u64;

  constructor(prefix: Prefix) {
    this.isIpv6 = prefix.address.version == 6;
    this.high = prefix.address.high;
    this.low = prefix.address.low;
    this.highMask = this.isIpv6 ? maskOf(min(prefix.length, 64)) : 0;
    this.lowMask = this.isIpv6 ? maskOf(max(prefix.length, 64) - 64) : maskOf(32 + prefix.length) & 0xffffffff;
  }

  @inline
  has(address: u32): bool {
    if (isIpv6(address)) return this.isIpv6 && this.has6(addressAt(address).high, addressAt(address).low);
    return !this.isIpv6 && ((<u64>address) & this.lowMask) == this.low;
  }

  @inline
  has6(high: u64, low: u64): bool {
    return (high & this.highMask) == this.high && (low & this.lowMask) == this.low;
  }
}

function maskOf(length: u32): u64 {
  return length == 0 ? 0 : ~(<u64>0) << (64 - length);
}
