// What the firewall remembers of sources: rates, connections, and who proved to be where it says. The table is a segment,
// since flows that were counted outlive the rules that counted them.
//
// A source is an IPv4 address or the upper 64 bits of an IPv6 address, whose owner has them all. An entry is for one
// rule and source; the table has no place for it if all that hash near it have live connections.
import { Column, Counter, Flow, flowCapacity, Segment } from "../sdk";
import { Rate } from "./outcomes";

const ENTRY_BYTES: usize = 40;
const KEY = 0; // u64: the upper half of an IPv6 address, or an IPv4 address
const IS_IPV4 = 8; // u32
const RULE = 12; // u32: its number, from 1
const CONNECTIONS = 16; // u32
const NEXT = 24; // u64: see Rate
const LAST = 32; // u64: when it was asked for

const PROBES: u32 = 16;
/** In place of a rule's number: a source that answered a challenge; NEXT is until when that holds. */
const VERIFIED: u32 = 0xffffffff;
const VERIFIED_NS: u64 = 600_000_000_000;

const segment = new Segment("sources");
const entries: u32 = segment.bytes / <u32>ENTRY_BYTES;
/** Which entry counted the flow, from 1. */
const countedBy = new Column<u32>("firewall.source");
const tableFull = new Counter("sources_full");

const RECOUNT_NS: u64 = 10_000_000_000;
let isDoubtful = false;
let recountedAt: u64 = 0;

/** The entry, or 0 if there is no room. */
function entryOf(high: u64, low: u64, rule: u32, now: u64): usize {
  const isIpv4 = high == 0 && low >> 32 == 0xffff;
  const key = isIpv4 ? low & 0xffffffff : high;
  const start = <u32>(hash(key, rule) % entries);
  let victim: usize = 0;
  for (let probe: u32 = 0; probe < PROBES; probe++) {
    const entry = segment.address + <usize>((start + probe) % entries) * ENTRY_BYTES;
    if (load<u64>(entry, KEY) == key && load<u32>(entry, RULE) == rule && load<u32>(entry, IS_IPV4) == u32(isIpv4)) {
      store<u64>(entry, now, LAST);
      return entry;
    }
    if (load<u32>(entry, CONNECTIONS) != 0) continue;
    if (victim == 0 || load<u64>(entry, LAST) < load<u64>(victim, LAST)) victim = entry;
  }
  if (victim == 0) {
    tableFull.add();
    return 0;
  }
  store<u64>(victim, key, KEY);
  store<u32>(victim, u32(isIpv4), IS_IPV4);
  store<u32>(victim, rule, RULE);
  store<u64>(victim, 0, NEXT);
  store<u64>(victim, now, LAST);
  return victim;
}

function hash(key: u64, rule: u32): u64 {
  let h = (key ^ ((<u64>rule) << 40)) * 0x9e3779b97f4a7c15;
  h ^= h >> 32;
  h *= 0xd6e8feb86659fd93;
  return h ^ (h >> 32);
}

/** The rule's rate, kept for each source. */
export function takeOfSource(high: u64, low: u64, rule: u32, rate: Rate, now: u64): bool {
  const entry = entryOf(high, low, rule, now);
  if (entry == 0) return false;
  const next = max(load<u64>(entry, NEXT), now) + rate.intervalNs;
  if (next - now > rate.burstNs) return false;
  store<u64>(entry, next, NEXT);
  return true;
}

/** Counts the flow as one of its source's; false if that has as many as it may. */
export function openConnection(high: u64, low: u64, rule: u32, limit: u32, flow: Flow, now: u64): bool {
  if (countedBy.get(flow) != 0) return true;
  const entry = entryOf(high, low, rule, now);
  if (entry == 0) return false;
  const connections = load<u32>(entry, CONNECTIONS);
  if (connections >= limit) {
    isDoubtful = true;
    return false;
  }
  store<u32>(entry, connections + 1, CONNECTIONS);
  countedBy.set(flow, <u32>((entry - segment.address) / ENTRY_BYTES) + 1);
  return true;
}

/** Of a flow that has ended. */
export function closeConnection(flow: Flow): void {
  const index = countedBy.get(flow);
  if (index == 0 || index > entries) return;
  countedBy.set(flow, 0);
  const entry = segment.address + <usize>(index - 1) * ENTRY_BYTES;
  const connections = load<u32>(entry, CONNECTIONS);
  if (connections != 0) store<u32>(entry, connections - 1, CONNECTIONS);
}

/**
 * Not every end is told of in time: a number may belong to a new flow by then, or a function closed the flow. So where a
 * source has as many connections as it may, they are counted anew from time to time.
 */
export function recountIfDoubtful(now: u64): void {
  if (!isDoubtful || now < recountedAt + RECOUNT_NS) return;
  isDoubtful = false;
  recountedAt = now;
  recount();
}

/** From the flows themselves. */
export function recount(): void {
  for (let i: u32 = 0; i < entries; i++) store<u32>(segment.address + <usize>i * ENTRY_BYTES, 0, CONNECTIONS);
  for (let number: u32 = 1; number <= flowCapacity; number++) {
    const flow = changetype<Flow>(<usize>number);
    const index = countedBy.get(flow);
    if (index == 0 || index > entries || flow.state == 0 || flow.end != 0) continue;
    const entry = segment.address + <usize>(index - 1) * ENTRY_BYTES;
    store<u32>(entry, load<u32>(entry, CONNECTIONS) + 1, CONNECTIONS);
  }
}

export function verify(high: u64, low: u64, now: u64): void {
  const entry = entryOf(high, low, VERIFIED, now);
  if (entry != 0) store<u64>(entry, now + VERIFIED_NS, NEXT);
}

export function isVerified(high: u64, low: u64, now: u64): bool {
  const entry = entryOf(high, low, VERIFIED, now);
  return entry != 0 && load<u64>(entry, NEXT) > now;
}
