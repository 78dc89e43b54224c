// Mappings: found by their inside endpoint when a connection begins, by their outside endpoint when a stranger calls.
import { IP_PROTO_ICMP } from "../sdk";
import { hold, isIpv6, release } from "./addresses";
import { holdHost, releaseHost } from "./hosts";
import { ANY, findPlace, findPort, givePort, isTaken, placeOf, portSetOf, sameParity, takePort } from "./ports";
import { ADDRESS_AND_PORT_DEPENDENT, INDEPENDENT, LAST_LOW_PORT, reservedSetOf, SourceRule } from "./rules";
import { blockPort, chosenBlock, choosePortInBlocks, dropEmptyBlock, leaveBlock, OVER_LIMIT } from "./blocks";
import {
  blockAt,
  bucketOf,
  Host,
  hostAt,
  insideBuckets,
  Mapping,
  mappingAt,
  mappings,
  outsideBuckets,
  random,
  unlink,
} from "./store";

/** Why there is no mapping: in place of a reference. */
export const NO_PORT: u32 = 0;
export const LIMIT: u32 = 1;
export const NO_ADDRESS: u32 = 2;
/** References are beyond these. */
export const LEAST_REFERENCE: u32 = 64;

/** What a mapping is asked for: set before findMapping, so that nothing is passed around in objects. */
let insideAddress: u32 = 0;
let insidePort: u32 = 0;
let remoteAddress: u32 = 0;
let remotePort: u32 = 0;
let ipProto: u32 = 0;
/** Whether its outside endpoint is one of IPv6: an IPv6 host may have one of each family. */
let leavesIpv6: bool = false;

@inline
function insideBucket(): usize {
  const endpoint = ((<u64>insideAddress) << 32) | (insidePort << 16) | ipProto;
  return bucketOf(insideBuckets, endpoint, ((<u64>remoteAddress) << 16) | remotePort);
}

@inline
function outsideBucket(address: u32, port: u32, proto: u32): usize {
  return bucketOf(outsideBuckets, ((<u64>address) << 32) | (port << 16) | proto, 0);
}

/** Reference of the mapping that the rule gives to a connection from inside; NO_PORT, LIMIT or NO_ADDRESS if it gives none. */
export function findMapping(
  rule: SourceRule,
  proto: u32,
  source: u32,
  sourcePort: u32,
  destination: u32,
  destinationPort: u32,
): u32 {
  ipProto = proto;
  leavesIpv6 = rule.isIpv6;
  insideAddress = source;
  insidePort = sourcePort;
  remoteAddress = rule.mapping == INDEPENDENT ? 0 : destination;
  remotePort = rule.mapping == ADDRESS_AND_PORT_DEPENDENT ? destinationPort : 0;
  let reference = load<u32>(insideBucket());
  while (reference != 0 && !isAsked(mappingAt(reference))) reference = mappingAt(reference).next;
  return reference != 0 ? reference : makeMapping(rule);
}

function isAsked(mapping: Mapping): bool {
  return (
    mapping.insideAddress == insideAddress &&
    isIpv6(mapping.outsideAddress) == leavesIpv6 &&
    mapping.insidePort == <u16>insidePort &&
    mapping.ipProto == <u8>ipProto &&
    mapping.remoteAddress == remoteAddress &&
    mapping.remotePort == <u16>remotePort
  );
}

/** The mapping that has this outside endpoint, 0 if none has. */
export function mappingOfOutside(address: u32, port: u32, proto: u32): u32 {
  let reference = load<u32>(outsideBucket(address, port, proto));
  while (reference != 0) {
    const mapping = mappingAt(reference);
    if (mapping.outsideAddress == address && mapping.outsidePort == <u16>port && mapping.ipProto == <u8>proto) break;
    reference = mapping.nextOutside;
  }
  return reference;
}

/** The mapping that the inside endpoint has for all destinations in the family of `outside`, 0 if it has none. */
export function mappingOfInside(address: u32, port: u32, proto: u32, outside: u32): u32 {
  ask(address, port, proto, outside);
  let reference = load<u32>(insideBucket());
  while (reference != 0 && !isAsked(mappingAt(reference))) reference = mappingAt(reference).next;
  return reference;
}

function ask(address: u32, port: u32, proto: u32, outside: u32): void {
  ipProto = proto;
  leavesIpv6 = isIpv6(outside);
  insideAddress = address;
  insidePort = port;
  remoteAddress = 0;
  remotePort = 0;
}

/** A mapping for all destinations to that outside endpoint, which is free; nobody may call it. 0 if there is no room. */
export function placeMapping(address: u32, port: u32, proto: u32, outsideAddress: u32, outsidePort: u32): u32 {
  ask(address, port, proto, outsideAddress);
  const place: i32 = findPlace(outsideAddress);
  const host = place < 0 ? 0 : holdHost(insideAddress);
  if (host == 0) return 0;
  const reference = mappings.take();
  if (reference == 0) {
    releaseHost(host);
    return 0;
  }
  const mapping = mappingAt(reference);
  mapping.insideAddress = address;
  mapping.insidePort = <u16>port;
  mapping.ipProto = <u8>proto;
  mapping.outsideAddress = hold(outsideAddress);
  mapping.outsidePort = <u16>outsidePort;
  mapping.place = <u16>place;
  mapping.filtering = <u8>ADDRESS_AND_PORT_DEPENDENT;
  mapping.hairpins = 1;
  mapping.host = host;
  hostAt(host).mappings++;
  takePort(place, portSetOf(place, proto), outsidePort);
  link(reference);
  return reference;
}

function makeMapping(rule: SourceRule): u32 {
  if (!rule.hasAddress) return NO_ADDRESS;
  const host = holdHost(insideAddress);
  if (host == 0) return NO_PORT;
  if (rule.mappingsPerHost > 0 && hostAt(host).mappings >= rule.mappingsPerHost) return LIMIT;
  const member = rule.blockSize > 0 ? chooseOfBlocks(rule, host) : choosePort(rule, hostAt(host));
  if (member == OVER_LIMIT) return LIMIT;
  const reference = member < 0 ? 0 : mappings.take();
  if (reference == 0) {
    if (member >= 0) dropEmptyBlock();
    releaseHost(host);
    return NO_PORT;
  }
  fillMapping(mappingAt(reference), rule, host, <u32>member);
  link(reference);
  return reference;
}

function fillMapping(mapping: Mapping, rule: SourceRule, host: u32, member: u32): void {
  mapping.insideAddress = insideAddress;
  mapping.insidePort = <u16>insidePort;
  mapping.remoteAddress = hold(remoteAddress);
  mapping.remotePort = <u16>remotePort;
  mapping.ipProto = <u8>ipProto;
  mapping.outsideAddress = hold(unchecked(rule.pool[member]));
  mapping.outsidePort = <u16>chosenPort;
  mapping.place = <u16>unchecked(rule.places[member]);
  mapping.filtering = <u8>rule.filtering;
  mapping.hairpins = u8(rule.hairpins);
  mapping.host = host;
  if (rule.blockSize > 0) {
    mapping.block = chosenBlock;
    blockAt(chosenBlock).mappings++;
  }
  hostAt(host).mappings++;
  hostAt(host).outsideAddress = mapping.outsideAddress;
  takePort(mapping.place, portSetOf(mapping.place, ipProto), chosenPort);
}

function link(reference: u32): void {
  const mapping = mappingAt(reference);
  const inside = insideBucket();
  mapping.next = load<u32>(inside);
  store<u32>(inside, reference);
  const outside = outsideBucket(mapping.outsideAddress, mapping.outsidePort, ipProto);
  mapping.nextOutside = load<u32>(outside);
  store<u32>(outside, reference);
}

/** The last session has ended: the outside port is free again. */
export function dropMapping(reference: u32): void {
  const mapping = mappingAt(reference);
  ipProto = mapping.ipProto;
  insideAddress = mapping.insideAddress;
  insidePort = mapping.insidePort;
  remoteAddress = mapping.remoteAddress;
  remotePort = mapping.remotePort;
  unlink(insideBucket(), reference, offsetof<Mapping>("next"));
  const outside = outsideBucket(mapping.outsideAddress, mapping.outsidePort, ipProto);
  unlink(outside, reference, offsetof<Mapping>("nextOutside"));
  const isShared = mappingOfOutside(mapping.outsideAddress, mapping.outsidePort, ipProto) != 0;
  givePort(mapping.place, portSetOf(mapping.place, ipProto), mapping.outsidePort, isShared);
  if (mapping.block != 0) leaveBlock(mapping.block);
  hostAt(mapping.host).mappings--;
  releaseHost(mapping.host);
  release(mapping.outsideAddress);
  release(mapping.remoteAddress);
  mappings.give(reference);
}

// ---- which address and port ----

let chosenPort: u32 = 0;

/** Ports looked at for one that can be shared. */
const SHARED_TRIES = 128;

/** Which address of the pool has a port for the connection, which is then `chosenPort`; -1 if there is none. */
function choosePort(rule: SourceRule, host: Host): i32 {
  const count = <u32>rule.pool.length;
  const pairs = rule.paired && host.mappings > 0 ? rule.pool.indexOf(host.outsideAddress) : -1;
  const first: u32 = pairs >= 0 ? <u32>pairs : random(count);
  const tries: u32 = pairs >= 0 && !rule.otherAddress ? 1 : count;
  for (let i: u32 = 0; i < tries; i++) {
    const member = (first + i) % count;
    if (choosePortOf(rule, member)) return member;
  }
  return -1;
}

function choosePortOf(rule: SourceRule, member: u32): bool {
  const place: i32 = placeOf(rule, member);
  if (place < 0) return false;
  const set = portSetOf(place, ipProto);
  // Identifiers of ICMP echoes are no ports: every number will do.
  const isPort = ipProto != IP_PROTO_ICMP;
  const staysLow = rule.keepsLow && isPort && insidePort <= LAST_LOW_PORT;
  const low: u32 = staysLow ? 1 : isPort ? rule.lowPort : 0;
  const high: u32 = staysLow ? LAST_LOW_PORT : isPort ? rule.highPort : 65535;
  const reserved = isPort ? reservedSetOf(unchecked(rule.pool[member]), ipProto) : 0;
  const wanted = rule.parity && isPort ? sameParity(insidePort) : ANY;
  const own = insidePort >= low && insidePort <= high && rule.preserves;
  const port: i32 = findPort(set, reserved, low, high, own ? insidePort : low + random(high - low + 1), wanted);
  if (port < 0) return rule.sharesPorts && isPort && sharePort(rule, member, set, reserved, low, high);
  chosenPort = port;
  return !isTaken(set, port);
}

/** A port that others have towards other remote endpoints: of some at random, the first that will do. */
function sharePort(rule: SourceRule, member: u32, set: usize, reserved: usize, low: u32, high: u32): bool {
  const address = unchecked(rule.pool[member]);
  for (let i = 0; i < SHARED_TRIES; i++) {
    let port = low + random(high - low + 1);
    if (rule.parity && ((port ^ insidePort) & 1) != 0) port ^= 1;
    if (port < low || port > high || !isTaken(set, port)) continue;
    if (reserved != 0 && isTaken(reserved, port)) continue;
    if (!isSharable(address, port)) continue;
    chosenPort = port;
    return true;
  }
  return false;
}

/** Whether all that have the outside endpoint have it towards one remote endpoint each, and none towards this one. */
function isSharable(address: u32, port: u32): bool {
  let reference = load<u32>(outsideBucket(address, port, ipProto));
  for (; reference != 0; reference = mappingAt(reference).nextOutside) {
    const other = mappingAt(reference);
    if (other.outsideAddress != address || other.outsidePort != <u16>port || other.ipProto != <u8>ipProto) continue;
    if (other.remotePort == 0 || other.filtering != <u8>ADDRESS_AND_PORT_DEPENDENT) return false;
    if (other.remoteAddress == remoteAddress && other.remotePort == <u16>remotePort) return false;
  }
  return true;
}

/** The same of the host's blocks, or of a new one. */
function chooseOfBlocks(rule: SourceRule, host: u32): i32 {
  const member = choosePortInBlocks(rule, host, ipProto, insidePort);
  chosenPort = blockPort;
  return member;
}
