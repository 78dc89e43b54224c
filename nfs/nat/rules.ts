// The rules as the packet path wants them. Read while configuring; a rule is looked for once per flow.
import { Counter, IP_PROTO_TCP } from "../sdk";
import { addressAt, isIpv6, keep6 } from "./addresses";
import { wordOf } from "./fixed";
import { Net } from "./nets";
import { PLACES, PORT_SETS, PORT_SET_BYTES } from "./store";

/** Mapping and filtering behaviour (RFC 4787, sections 4.1 and 5), by index of the words in the configuration. */
export const INDEPENDENT = 0;
export const ADDRESS_DEPENDENT = 1;
export const ADDRESS_AND_PORT_DEPENDENT = 2;

/** What is below 1024 (RFC 4787, REQ-3a). */
export const LAST_LOW_PORT: u32 = 1023;

export const BEHAVIOURS = ["endpoint-independent", "address-dependent", "address-and-port-dependent"];

/** Rules of one kind at the most. */
export const RULES = 256;

/** Inside hosts that have outside addresses of a pool. */
export class SourceRule {
  sources: Net[] = [];
  /** Outside addresses, and where each stands in the directory as far as that is known. */
  pool: u32[] = [];
  /** Whether they are of IPv6; then the numbers by which `fix6` knows them. */
  isIpv6: bool = false;
  fixed: u32[] = [];
  places: StaticArray<i32> = new StaticArray<i32>(PLACES);
  mapping: i32 = INDEPENDENT;
  filtering: i32 = ADDRESS_DEPENDENT;
  lowPort: u32 = 1024;
  highPort: u32 = 65535;
  parity: bool = true;
  preserves: bool = false;
  paired: bool = true;
  otherAddress: bool = false;
  hairpins: bool = true;
  mappingsPerHost: u32 = 0;
  sessionsPerHost: u32 = 0;
  /** Whether inside ports below 1024 get outside ports below 1024 (RFC 4787, REQ-3a). */
  keepsLow: bool = false;
  /** Whether one outside port may stand for several inside endpoints, towards different remote ones (RFC 7857, section 3). */
  sharesPorts: bool = false;
  /** Ports of a block, 0 for ports one by one; and how many blocks a host may have. */
  blockSize: u32 = 0;
  blocksPerHost: u32 = 0;
  /** The chain's port whose address is the pool, and stays there until the port has another one; -1 for a pool of its own. */
  ownPort: i32 = -1;
  /** Whether new mappings have an address to go to. */
  hasAddress: bool = true;

  constructor(
    readonly translated: Counter,
    readonly refused: Counter,
  ) {}

  settle(): void {
    // Assigning to an element of an array could make it longer.
    const first = this.pool.dataStart;
    for (let i = 0; i < this.fixed.length; i++) store<u32>(first + ((<usize>i) << 2), wordOf(unchecked(this.fixed[i])));
  }

  matches(address: u32): bool {
    for (let i = 0; i < this.sources.length; i++) {
      if (unchecked(this.sources[i]).has(address)) return true;
    }
    return false;
  }
}

/** Ports of an outside address that lead to an inside host. */
export class Forward {
  constructor(
    /** 0 if it is that of a port which is not known yet. */
    public address: u32,
    /** The chain's port that has the address, -1 if it is configured. */
    readonly ownPort: i32,
    readonly ipProto: u32,
    readonly lowPort: u32,
    readonly highPort: u32,
    public to: u32,
    readonly toPort: u32,
    readonly isIpv6: bool,
    readonly translated: Counter,
  ) {
    this.fixedAddress = address;
    this.fixedTo = to;
  }

  /** Of IPv6: the numbers by which `fix6` knows them. */
  private fixedAddress: u32 = 0;
  private fixedTo: u32 = 0;

  settle(): void {
    if (!this.isIpv6) return;
    if (this.ownPort < 0) this.address = wordOf(this.fixedAddress);
    this.to = wordOf(this.fixedTo);
  }

  /** Whether the two may be meant by one packet. */
  overlaps(other: Forward): bool {
    const isOfOne = this.ownPort == other.ownPort && this.isIpv6 == other.isIpv6;
    const isSame = isOfOne && (this.ownPort >= 0 || this.address == other.address);
    const ports = this.lowPort <= other.highPort && other.lowPort <= this.highPort;
    return isSame && ports && this.ipProto == other.ipProto;
  }

  @inline
  matches(address: u32, ipProto: u32, port: u32): bool {
    return address == this.address && ipProto == this.ipProto && port >= this.lowPort && port <= this.highPort;
  }

  @inline
  portOf(port: u32): u32 {
    return this.toPort + port - this.lowPort;
  }
}

/** Two networks of one size, address by address. */
export class OneToOne {
  constructor(
    readonly inside: Net,
    readonly outside: Net,
    readonly translated: Counter,
  ) {}

  /** Kept for the packet, if it is of IPv6; 0 if there is no room. */
  outward(address: u32): u32 {
    return swap(address, this.inside, this.outside);
  }

  inward(address: u32): u32 {
    return swap(address, this.outside, this.inside);
  }

  /** Whether the two stand for each other. */
  joins(inside: u32, outside: u32): bool {
    return this.inside.has(inside) && this.outside.has(outside) && agree(inside, outside, this.inside);
  }
}

/** Whether the two agree in all bits that are no prefix's. */
function agree(one: u32, other: u32, net: Net): bool {
  if (!isIpv6(one)) return ((one ^ other) & ~(<u32>net.lowMask)) == 0;
  const a = addressAt(one);
  const b = addressAt(other);
  return (((a.high ^ b.high) & ~net.highMask) | ((a.low ^ b.low) & ~net.lowMask)) == 0;
}

function swap(address: u32, from: Net, to: Net): u32 {
  if (!isIpv6(address)) return <u32>(to.low | (address & ~from.lowMask));
  const entry = addressAt(address);
  return keep6(to.high | (entry.high & ~from.highMask), to.low | (entry.low & ~from.lowMask));
}

export const sourceRules: SourceRule[] = [];
/** All rules that have pools: those above, and NAT64's. */
export const poolRules: SourceRule[] = [];
export const forwards: Forward[] = [];
export const oneToOnes: OneToOne[] = [];
/** By port of the chain: whether what enters there comes from outside. */
export const outsidePorts = new StaticArray<u8>(256);

/** Whether any of these is for IPv6. */
export let hasRules6: bool = false;

export function addIpv6(): void {
  hasRules6 = true;
}

export function findSourceRule(address: u32): SourceRule | null {
  for (let i = 0; i < sourceRules.length; i++) {
    const rule = unchecked(sourceRules[i]);
    if (rule.matches(address)) return rule;
  }
  return null;
}

export function findForward(address: u32, ipProto: u32, port: u32): Forward | null {
  for (let i = 0; i < forwards.length; i++) {
    const rule = unchecked(forwards[i]);
    if (rule.matches(address, ipProto, port)) return rule;
  }
  return null;
}

export function findOutward(address: u32): OneToOne | null {
  for (let i = 0; i < oneToOnes.length; i++) {
    const rule = unchecked(oneToOnes[i]);
    if (rule.inside.has(address)) return rule;
  }
  return null;
}

export function findInward(address: u32): OneToOne | null {
  for (let i = 0; i < oneToOnes.length; i++) {
    const rule = unchecked(oneToOnes[i]);
    if (rule.outside.has(address)) return rule;
  }
  return null;
}

/** A rule that may give that port of the address to a mapping. */
export function findGiver(address: u32, port: u32): SourceRule | null {
  for (let i = 0; i < poolRules.length; i++) {
    const rule = unchecked(poolRules[i]);
    const isInRange = (port >= rule.lowPort && port <= rule.highPort) || (rule.keepsLow && port <= LAST_LOW_PORT);
    if (isInRange && rule.hasAddress && rule.pool.includes(address)) return rule;
  }
  return null;
}

/** Whether the address is one that the rules give to inside hosts. */
export function isClaimed(address: u32): bool {
  for (let i = 0; i < poolRules.length; i++) {
    if (unchecked(poolRules[i]).pool.includes(address)) return true;
  }
  for (let i = 0; i < forwards.length; i++) {
    if (unchecked(forwards[i]).address == address) return true;
  }
  return false;
}

// Ports that forwards use, as port sets by address: no mapping may have them.
const reservedAddresses = new StaticArray<u32>(RULES);
const reservedSets: usize[] = [];
let reservedCount = 0;

/** The set of forwarded ports of that address, 0 if it has none. */
export function reservedSetOf(address: u32, ipProto: u32): usize {
  const kind: usize = ipProto == IP_PROTO_TCP ? 0 : 1;
  for (let i = 0; i < reservedCount; i++) {
    if (unchecked(reservedAddresses[i]) == address) return unchecked(reservedSets[i]) + kind * PORT_SET_BYTES;
  }
  return 0;
}

/** While configuring: another rule, with room for its address if no rule before has the same. */
export function addForward(rule: Forward): void {
  let isNew = true;
  for (let i = 0; i < forwards.length; i++) {
    const other = forwards[i];
    const isOfOne = other.ownPort == rule.ownPort && other.isIpv6 == rule.isIpv6;
    if (isOfOne && other.address == rule.address) isNew = false;
  }
  forwards.push(rule);
  if (isNew) {
    reservedSets.push(heap.alloc(PORT_SETS * PORT_SET_BYTES));
  }
  reserveAll();
}

/** Gives all rules the numbers of their IPv6 addresses. */
export function settleRules(): void {
  for (let i = 0; i < sourceRules.length; i++) unchecked(sourceRules[i]).settle();
  for (let i = 0; i < forwards.length; i++) unchecked(forwards[i]).settle();
  reserveAll();
}

/** The addresses of forwards have changed. */
export function reserveAll(): void {
  reservedCount = 0;
  for (let i = 0; i < forwards.length; i++) {
    const rule = unchecked(forwards[i]);
    if (rule.address != 0) reserve(rule);
  }
}

function reserve(rule: Forward): void {
  if (reservedSetOf(rule.address, rule.ipProto) == 0) {
    memory.fill(unchecked(reservedSets[reservedCount]), 0, PORT_SETS * PORT_SET_BYTES);
    unchecked((reservedAddresses[reservedCount] = rule.address));
    reservedCount++;
  }
  const set = reservedSetOf(rule.address, rule.ipProto);
  for (let port = rule.lowPort; port <= rule.highPort; port++) {
    const at = set + ((<usize>port) >> 3);
    const bit: u32 = 1 << (port & 7);
    store<u8>(at, <u8>(load<u8>(at) | bit));
  }
}
