// Flows that are to begin soon because another one said so: who may begin them, and what they are translated to.
//
// One that comes in is for a mapping, which it keeps alive; one that goes out says as which outside address.
import { addressAt, hold, isIpv6, release } from "./addresses";
import { batch, Flow, outbox, Packet } from "../sdk";
import { freePort, holdEndpoint, isFree } from "./endpoints";
import { mappingOfInside, placeMapping } from "./mappings";
import {
  expectationAt,
  expectationBuckets,
  EXPECTATION_BUCKETS,
  Expectation,
  expectations,
  expectsAnything,
  origin,
  sweepAt,
} from "./protocol-store";
import { SourceRule } from "./rules";
import { releaseMapping } from "./sessions";
import { header, mappingAt } from "./store";

const MILLISECOND: u64 = 1_000_000;

/** Of a flow that is expected: set by expectInward and expectOutward, and the same for all that they do. */
@inline
function bucketFor(address: u32, port: u32, ipProto: u32): usize {
  let hash = (((<u64>address) << 24) | (port << 8) | ipProto) ^ header.secret;
  hash *= 0x9e3779b97f4a7c15;
  hash = (hash ^ (hash >> 32)) * 0xd6e8feb86659fd93;
  return expectationBuckets + ((<usize>(hash >> 40)) & (EXPECTATION_BUCKETS - 1)) * 4;
}

@inline
function bucketOfEntry(entry: Expectation): usize {
  return bucketFor(entry.destination, entry.destinationPort, entry.ipProto);
}

/** Lets `source` (0: anybody) call the mapping for so long: once, or as often as it likes. False if there is no room. */
export function expectInward(mapping: u32, source: u32, milliseconds: u32, stays: bool): bool {
  const called = mappingAt(mapping);
  const address = called.outsideAddress;
  const known = search(address, called.outsidePort, called.ipProto, source, 0);
  if (known != 0) {
    expectationAt(known).deadline = batch.time + milliseconds * MILLISECOND;
    return true;
  }
  if (!add(address, called.outsidePort, called.ipProto, source, 0, milliseconds, stays)) return false;
  expectationAt(added).mapping = mapping;
  called.sessions++;
  return true;
}

/** What `source` sends to that endpoint leaves as `translated`. False if there is no room. */
export function expectOutward(
  source: u32,
  address: u32,
  port: u32,
  ipProto: u32,
  translated: u32,
  milliseconds: u32,
): bool {
  const known = search(address, port, ipProto, source, translated);
  if (known == 0) return add(address, port, ipProto, source, translated, milliseconds, false);
  expectationAt(known).deadline = batch.time + milliseconds * MILLISECOND;
  return true;
}

let added: u32 = 0;

function add(
  address: u32,
  port: u32,
  ipProto: u32,
  source: u32,
  translated: u32,
  milliseconds: u32,
  stays: bool,
): bool {
  added = expectations.take();
  if (added == 0) return false;
  const entry = expectationAt(added);
  entry.source = hold(source);
  entry.destination = hold(address);
  entry.destinationPort = <u16>port;
  entry.ipProto = <u8>ipProto;
  entry.translated = hold(translated);
  entry.deadline = batch.time + milliseconds * MILLISECOND;
  entry.stays = u8(stays);
  const bucket = bucketOfEntry(entry);
  entry.next = load<u32>(bucket);
  store<u32>(bucket, added);
  return true;
}

/** The same expectation, 0 if there is none. */
function search(address: u32, port: u32, ipProto: u32, source: u32, translated: u32): u32 {
  let reference = load<u32>(bucketFor(address, port, ipProto));
  while (reference != 0) {
    const entry = expectationAt(reference);
    if (isFor(entry, address, port, ipProto) && entry.source == source && entry.translated == translated) break;
    reference = entry.next;
  }
  return reference;
}

@inline
function isFor(entry: Expectation, address: u32, port: u32, ipProto: u32): bool {
  return entry.destination == address && entry.destinationPort == <u16>port && entry.ipProto == <u8>ipProto;
}

// ---- a flow begins ----

/** Whether the caller was expected at the mapping. The flow that is about to begin holds the mapping from then on. */
export function takeInward(mapping: u32, caller: u32): bool {
  if (!expectsAnything()) return false;
  const called = mappingAt(mapping);
  let reference = load<u32>(bucketFor(called.outsideAddress, called.outsidePort, called.ipProto));
  while (reference != 0 && !isWaited(expectationAt(reference), mapping, caller)) {
    reference = expectationAt(reference).next;
  }
  if (reference == 0) return false;
  if (expectationAt(reference).stays != 0) return true;
  // What calls the mapping now may be refused for other reasons: its hold is given back by the sweep, not here.
  expectationAt(reference).deadline = batch.time;
  return true;
}

@inline
function isWaited(entry: Expectation, mapping: u32, caller: u32): bool {
  return entry.mapping == mapping && entry.deadline > batch.time && (entry.source == 0 || entry.source == caller);
}

/** The outside address that the packet was expected to leave as, 0 if it was not. The rule may give it the same. */
export function takeOutward(packet: Packet, source: u32, destination: u32): u32 {
  if (!expectsAnything()) return 0;
  let reference = load<u32>(bucketFor(destination, packet.destinationPort, packet.ipProto));
  while (reference != 0) {
    const entry = expectationAt(reference);
    const isMine = isFor(entry, destination, packet.destinationPort, packet.ipProto) && entry.source == source;
    if (isMine && entry.translated != 0 && entry.deadline > batch.time) break;
    reference = entry.next;
  }
  if (reference == 0) return 0;
  expectationAt(reference).deadline = batch.time;
  return expectationAt(reference).translated;
}

/** Reference of a mapping for the sender to that outside address, with its own port if that is free; 0 if there is none. */
export function holdOutward(address: u32, port: u32, ipProto: u32, outside: u32, rule: SourceRule | null): u32 {
  const known = mappingOfInside(address, port, ipProto, outside);
  if (known != 0 && mappingAt(known).outsideAddress == outside) return known;
  if (rule !== null && rule.blockSize > 0) return holdEndpoint(address, port, ipProto, outside);
  if (isFree(outside, port, ipProto)) return placeMapping(address, port, ipProto, outside, port);
  const other: i32 = freePort(outside, ipProto, rule, port, false);
  return other < 0 ? 0 : placeMapping(address, port, ipProto, outside, other);
}

// ---- ends ----

/** Looks at the next so many places of expectations, and ends those whose time is over. */
export function sweepExpectations(count: u32): void {
  const used = expectations.used;
  const first = <u32>(expectations.first - origin);
  for (let i: u32 = 0; i < count && i < used && expectsAnything(); i++) {
    const at = load<u32>(sweepAt) < used ? load<u32>(sweepAt) : 0;
    store<u32>(sweepAt, at + 1);
    const reference = first + at * expectations.bytes;
    const entry = expectationAt(reference);
    if (entry.ipProto != 0 && entry.deadline <= batch.time) end(reference);
  }
}

/** Ends those that lead to that outside address, or out of it. */
export function endExpectationsOf(address: u32): void {
  const first = <u32>(expectations.first - origin);
  for (let i: u32 = 0; i < expectations.used; i++) {
    const reference = first + i * expectations.bytes;
    const entry = expectationAt(reference);
    const isOf = entry.destination == address || entry.translated == address;
    if (entry.ipProto != 0 && isOf) end(reference);
  }
}

function end(reference: u32): void {
  const entry = expectationAt(reference);
  let at = bucketOfEntry(entry);
  while (load<u32>(at) != reference && load<u32>(at) != 0) at = origin + load<u32>(at);
  if (load<u32>(at) == reference) store<u32>(at, entry.next);
  if (entry.mapping != 0) releaseMapping(entry.mapping);
  release(entry.source);
  release(entry.destination);
  release(entry.translated);
  expectations.give(reference);
}

/** Tells the host, so that other functions of the chain know the flow as a related one. */
export function tellExpected(
  flow: Flow,
  ipProto: u32,
  source: u32,
  destination: u32,
  port: u32,
  milliseconds: u32,
): void {
  if (!isIpv6(destination)) {
    outbox.expect4(flow, ipProto, source, 0, destination, port, milliseconds);
    return;
  }
  const to = addressAt(destination);
  const high = source == 0 ? 0 : addressAt(source).high;
  const low = source == 0 ? 0 : addressAt(source).low;
  outbox.expect6(flow, ipProto, high, low, 0, to.high, to.low, port, milliseconds);
}
