// Zones: where a packet comes from and where it goes, and whether its source can be where it came in.
import { Config, Packet, Prefix } from "../sdk";
import { findPort } from "../sdk/imports";

export const ZONES_LIMIT = 255;
const PREFIXES_LIMIT = 4096;
/** IPv4 addresses among IPv6 ones: ::ffff:0:0/96. */
const MAPPED: u64 = 0xffff00000000;

// By number from 1; 0 is no zone.
const zoneOfPort = memory.data(256);
const zoneOfVlan = memory.data(4096);
const leavesTo = memory.data(256);
const hasPrefixes = memory.data(256);
let names: string[] = [];

/** Address ranges, ascending: each from its start to the next one's. */
let rangeCount: u32 = 0;
let startsHigh: StaticArray<u64> = new StaticArray<u64>(0);
let startsLow: StaticArray<u64> = new StaticArray<u64>(0);
let rangeZones: StaticArray<u8> = new StaticArray<u8>(0);

/** Of the address last asked for. */
export let addressHigh: u64 = 0;
export let addressLow: u64 = 0;

class Bound {
  constructor(
    readonly high: u64,
    readonly low: u64,
    /** Of the prefix, as one of IPv6. */
    readonly lastHigh: u64,
    readonly lastLow: u64,
    readonly length: u32,
    readonly zone: u32,
    readonly from: Config,
  ) {}
}

export function readZones(config: Config): void {
  names = [];
  const bounds: Bound[] = [];
  if (config.has("zones")) {
    const zones = config.object("zones");
    if (zones.length > ZONES_LIMIT) zones.fail("has more than " + ZONES_LIMIT.toString() + " zones");
    for (let i = 0; i < min(zones.length, ZONES_LIMIT); i++) readZone(zones.at(i), bounds);
  }
  buildRanges(bounds);
  if (!config.has("towards")) return;
  const towards = config.object("towards");
  for (let i = 0; i < towards.length; i++) {
    const port = towards.at(i);
    const index = portNamed(port);
    if (index >= 0) store<u8>(leavesTo + index, <u8>readZoneName(port));
  }
}

function readZone(zone: Config, bounds: Bound[]): void {
  names.push(zone.key);
  const number = <u32>names.length;
  if (zone.has("ports")) {
    const ports = zone.list("ports");
    for (let i = 0; i < ports.length; i++) bind(zoneOfPort + ports.at(i).asPort(), number, ports.at(i));
  }
  if (zone.has("vlans")) {
    const vlans = zone.list("vlans");
    for (let i = 0; i < vlans.length; i++) {
      bind(zoneOfVlan + <usize>vlans.at(i).asInteger(0, 4094), number, vlans.at(i));
    }
  }
  if (!zone.has("prefixes")) return;
  const prefixes = zone.list("prefixes");
  store<u8>(hasPrefixes + number, 1);
  for (let i = 0; i < prefixes.length; i++) {
    if (bounds.length == PREFIXES_LIMIT) {
      prefixes.fail("all zones together have more than " + PREFIXES_LIMIT.toString() + " prefixes");
      return;
    }
    bounds.push(boundOf(prefixes.at(i).asPrefix(), number, prefixes.at(i)));
  }
}

function bind(place: usize, zone: u32, from: Config): void {
  const before = load<u8>(place);
  if (before != 0 && before != zone) from.fail("belongs to the zone '" + names[before - 1] + "' already");
  store<u8>(place, <u8>zone);
}

function portNamed(member: Config): i32 {
  const index = findPort(member.key);
  if (index < 0) member.fail("the chain has no port '" + member.key + "'");
  return index;
}

/** The number of the zone that the value names. */
export function readZoneName(value: Config): u32 {
  const number = names.indexOf(value.asText()) + 1;
  if (number == 0 && value.isText) value.fail("there is no zone '" + value.asText() + "'");
  return number;
}

export function zoneCount(): u32 {
  return names.length;
}

export function nameOfZone(zone: u32): string {
  return names[zone - 1];
}

function boundOf(prefix: Prefix, zone: u32, from: Config): Bound {
  const isIpv4 = prefix.address.version == 4;
  const length = isIpv4 ? prefix.length + 96 : prefix.length;
  const low = isIpv4 ? prefix.address.low | MAPPED : prefix.address.low;
  const hostHigh = length >= 64 ? 0 : u64.MAX_VALUE >> length;
  const hostLow = length <= 64 ? u64.MAX_VALUE : length == 128 ? 0 : u64.MAX_VALUE >> (length - 64);
  const high = prefix.address.high;
  return new Bound(high, low, high | hostHigh, low | hostLow, length, zone, from);
}

/** Prefixes nest: the longest around the start of a range is that of the whole range. */
function buildRanges(bounds: Bound[]): void {
  const highs: u64[] = [0];
  const lows: u64[] = [0];
  for (let i = 0; i < bounds.length; i++) {
    const bound = bounds[i];
    highs.push(bound.high);
    lows.push(bound.low);
    if ((bound.lastHigh & bound.lastLow) == u64.MAX_VALUE) continue;
    highs.push(bound.lastHigh + u64(bound.lastLow == u64.MAX_VALUE));
    lows.push(bound.lastLow + 1);
  }
  const order = new StaticArray<i32>(highs.length);
  for (let i = 0; i < order.length; i++) order[i] = i;
  sortedHigh = highs;
  sortedLow = lows;
  order.sort((a, b) => compareStarts(a, b));
  rangeCount = order.length;
  startsHigh = new StaticArray<u64>(rangeCount);
  startsLow = new StaticArray<u64>(rangeCount);
  rangeZones = new StaticArray<u8>(rangeCount);
  for (let i: u32 = 0; i < rangeCount; i++) {
    startsHigh[i] = highs[order[i]];
    startsLow[i] = lows[order[i]];
    rangeZones[i] = <u8>longestAround(bounds, startsHigh[i], startsLow[i]);
  }
}

let sortedHigh: u64[] = [];
let sortedLow: u64[] = [];

function compareStarts(a: i32, b: i32): i32 {
  if (sortedHigh[a] != sortedHigh[b]) return sortedHigh[a] < sortedHigh[b] ? -1 : 1;
  if (sortedLow[a] != sortedLow[b]) return sortedLow[a] < sortedLow[b] ? -1 : 1;
  return 0;
}

function longestAround(bounds: Bound[], high: u64, low: u64): u32 {
  let found: Bound | null = null;
  for (let i = 0; i < bounds.length; i++) {
    const bound = bounds[i];
    if (isBelow(high, low, bound.high, bound.low) || isBelow(bound.lastHigh, bound.lastLow, high, low)) continue;
    if (found === null || bound.length > found.length) {
      found = bound;
    } else if (bound.length == found.length && bound.zone != found.zone) {
      bound.from.fail("belongs to the zone '" + names[found.zone - 1] + "' already");
    }
  }
  return found === null ? 0 : found.zone;
}

@inline
function isBelow(high: u64, low: u64, otherHigh: u64, otherLow: u64): bool {
  return high == otherHigh ? low < otherLow : high < otherHigh;
}

// ---- the packet path ----

/** The zone that VLAN or port put the packet into; 0 for none. */
@inline
export function ingressZone(packet: Packet): u32 {
  const vlan = packet.vlanId;
  const byVlan = vlan >= 0 ? load<u8>(zoneOfVlan + <usize>vlan) : 0;
  return byVlan != 0 ? byVlan : load<u8>(zoneOfPort + <usize>packet.port);
}

/** The zone of the source's prefix; leaves the address in addressHigh and addressLow. */
export function zoneOfSource(packet: Packet): u32 {
  const ipv4 = packet.ipv4;
  const ipv6 = packet.ipv6;
  if (ipv4 !== null) setAddress(0, MAPPED | ipv4.source);
  else if (ipv6 !== null) setAddress(ipv6.sourceHigh, ipv6.sourceLow);
  else setAddress(0, 0);
  return zoneOfAddress();
}

/** Where the packet goes: the zone of its destination's prefix, or else that which `towards` says of its port. */
export function egressZone(packet: Packet): u32 {
  const ipv4 = packet.ipv4;
  const ipv6 = packet.ipv6;
  if (ipv4 !== null) setAddress(0, MAPPED | ipv4.destination);
  else if (ipv6 !== null) setAddress(ipv6.destinationHigh, ipv6.destinationLow);
  else return load<u8>(leavesTo + <usize>packet.port);
  const zone = zoneOfAddress();
  return zone != 0 ? zone : load<u8>(leavesTo + <usize>packet.port);
}

/** Reverse path by zone: the source's prefix belongs to another zone than that where the packet came in. */
export function isSpoofed(packet: Packet, ingress: u32): bool {
  const zone = zoneOfSource(packet);
  if (ingress == 0 || packet.ipVersion == 0 || hasNoNetwork()) return false;
  return zone != 0 ? zone != ingress : load<u8>(hasPrefixes + ingress) != 0;
}

/** Unspecified (DHCP, duplicate address detection) and link-local addresses are of no zone. */
function hasNoNetwork(): bool {
  if (addressHigh >> 54 == 0x3fa) return true;
  return addressHigh == 0 && (addressLow == 0 || addressLow == MAPPED);
}

@inline
function setAddress(high: u64, low: u64): void {
  addressHigh = high;
  addressLow = low;
}

function zoneOfAddress(): u32 {
  let first: u32 = 0;
  let count = rangeCount;
  // The last range that starts at or below the address.
  while (count > 1) {
    const half = count >> 1;
    const middle = first + half;
    if (isBelow(addressHigh, addressLow, unchecked(startsHigh[middle]), unchecked(startsLow[middle]))) {
      count = half;
    } else {
      first = middle;
      count -= half;
    }
  }
  return unchecked(rangeZones[first]);
}
