// NAT64's rules, and how IPv4 addresses stand in IPv6 ones (RFC 6052, section 2.2).
import { Counter, Ipv6, Prefix } from "../sdk";
import { Net } from "./nets";
import { SourceRule } from "./rules";

/** 64:ff9b::/96 (RFC 6052, section 2.1). */
const WELL_KNOWN_HIGH: u64 = 0x0064ff9b00000000;

/** IPv6 hosts that reach IPv4 by addresses with a prefix, and get outside addresses of a pool. */
export class Nat64Rule extends SourceRule {
  /** Bits of the IPv4 address that stand behind the octet that has to be 0; not for prefixes of 96 bits. */
  readonly lowBits: u32;
  readonly isLong: bool;
  readonly isWellKnown: bool;
  readonly net: Net;

  constructor(prefix: Prefix, translated: Counter, refused: Counter) {
    super(translated, refused);
    this.net = new Net(prefix);
    this.isLong = prefix.length == 96;
    this.lowBits = prefix.length < 96 ? prefix.length - 32 : 0;
    this.isWellKnown = this.isLong && prefix.address.high == WELL_KNOWN_HIGH && prefix.address.low == 0;
  }

  hasHost(high: u64, low: u64): bool {
    for (let i = 0; i < this.sources.length; i++) {
      if (unchecked(this.sources[i]).has6(high, low)) return true;
    }
    return false;
  }

  highOf(address: u32): u64 {
    return this.isLong ? this.net.high : this.net.high | ((<u64>address) >> this.lowBits);
  }

  lowOf(address: u32): u64 {
    if (this.isLong) return this.net.low | address;
    const bits = (<u64>address) & (((<u64>1) << this.lowBits) - 1);
    return bits << (56 - this.lowBits);
  }

  addressIn(high: u64, low: u64): u32 {
    if (this.isLong) return <u32>low;
    const bits = (low >> (56 - this.lowBits)) & (((<u64>1) << this.lowBits) - 1);
    return <u32>(((high & ~this.net.highMask) << this.lowBits) | bits);
  }
}

export const nat64Rules: Nat64Rule[] = [];

/** The rule whose prefix the packet's destination has, if it is for its sender. */
export function findRule64(ip: Ipv6): Nat64Rule | null {
  for (let i = 0; i < nat64Rules.length; i++) {
    const rule = unchecked(nat64Rules[i]);
    const isMeant = rule.net.has6(ip.destinationHigh, ip.destinationLow);
    if (isMeant && rule.hasHost(ip.sourceHigh, ip.sourceLow)) return rule;
  }
  return null;
}

/** A rule that gives this outside address to inside hosts. */
export function findRuleOfPool(address: u32): Nat64Rule | null {
  for (let i = 0; i < nat64Rules.length; i++) {
    const rule = unchecked(nat64Rules[i]);
    if (rule.pool.includes(address)) return rule;
  }
  return null;
}

export function hasPrefix64(high: u64, low: u64): bool {
  for (let i = 0; i < nat64Rules.length; i++) {
    if (unchecked(nat64Rules[i]).net.has6(high, low)) return true;
  }
  return false;
}

/** What the well-known prefix must not stand before: addresses that mean nothing elsewhere (RFC 6052, section 3.1). */
export function isLocal4(address: u32): bool {
  const first = address >> 24;
  if (first == 0 || first == 10 || first == 127 || first >= 224) return true;
  const second = address >> 16;
  return second == 0xa9fe || second == 0xc0a8 || (second & 0xfff0) == 0xac10;
}
