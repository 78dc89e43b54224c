// Addresses that are not configured but followed: those of the chain's own ports (masquerade). A change ends what has the
// old address: nobody outside will answer to it.
import { Counter, portAddress4, portAddress6 } from "../sdk";
import { addressAt, hold, hold6, release } from "./addresses";
import { endSessionsOf } from "./ended";
import { endExpectationsOf } from "./expectations";
import { holdFixed, isUnsettled, needNumbers } from "./fixed";
import { forwards, poolRules, reserveAll, settleRules } from "./rules";
import { ownAddresses } from "./store";

const PORTS: u32 = 256;

/** What rules follow: a port's address of one family, as it is and as it was last. */
class Followed {
  /** The IPv4 address, or the halves of the IPv6 address as the host has them; 0 for none. */
  first: u64 = 0;
  second: u64 = 0;
  /** The last one that it had. */
  known: u32 = 0;

  constructor(
    readonly port: u32,
    readonly isIpv6: bool,
  ) {}
}

const all: Followed[] = [];
let renumbered: Counter | null = null;

/** While configuring: a rule follows that port's address of the family. */
export function follow(port: u32, isIpv6: bool): void {
  for (let i = 0; i < all.length; i++) {
    if (all[i].port == port && all[i].isIpv6 == isIpv6) return;
  }
  if (renumbered === null) renumbered = new Counter("renumbered");
  if (isIpv6) needNumbers();
  all.push(new Followed(port, isIpv6));
}

/** Between two batches, all of it may have changed. */
@inline
export function followAddresses(): void {
  if (isUnsettled()) settle();
  for (let i = 0; i < all.length; i++) {
    const followed = unchecked(all[i]);
    if (followed.isIpv6) look6(followed);
    else look4(followed);
  }
}

/** The segment is this instance's now, perhaps again: numbers of addresses may mean others than before. */
function settle(): void {
  if (holdFixed()) settleRules();
  for (let i = 0; i < all.length; i++) {
    const followed = unchecked(all[i]);
    if (!followed.isIpv6 || isStillKnown(followed)) continue;
    followed.first = 0;
    followed.second = 0;
    followed.known = load<u32>(placeOf(followed));
    // Until the port is looked at: what the rules have may be another's number by now.
    for (let j = 0; j < poolRules.length; j++) {
      const rule = unchecked(poolRules[j]);
      if (rule.ownPort == <i32>followed.port && rule.isIpv6) rule.hasAddress = false;
    }
  }
}

/** Whether the segment has the address that the port has now, by the number that the rules have. */
function isStillKnown(followed: Followed): bool {
  const known = load<u32>(placeOf(followed));
  if (known == 0 || known != followed.known) return false;
  const address = addressAt(known);
  return bswap<u64>(address.high) == followed.first && bswap<u64>(address.low) == followed.second;
}

@inline
function look4(followed: Followed): void {
  const now = portAddress4(followed.port);
  if (now == <u32>followed.first) return;
  followed.first = now;
  change(followed, now);
}

@inline
function look6(followed: Followed): void {
  const at = portAddress6(followed.port);
  const first = load<u64>(at);
  const second = load<u64>(at, 8);
  if (first == followed.first && second == followed.second) return;
  const now = (first | second) == 0 ? 0 : hold6(bswap<u64>(first), bswap<u64>(second));
  // Without room it is looked at again.
  if (now == 0 && (first | second) != 0) return;
  followed.first = first;
  followed.second = second;
  change(followed, now);
  release(now);
}

/** Whether rules follow a port that has the address, or had it and has none now. */
export function isOwnAddress(address: u32): bool {
  for (let i = 0; i < all.length; i++) {
    if (unchecked(all[i]).known == address) return address != 0;
  }
  return false;
}

function change(followed: Followed, now: u32): void {
  const port = followed.port;
  const isIpv6 = followed.isIpv6;
  for (let i = 0; i < poolRules.length; i++) {
    const rule = unchecked(poolRules[i]);
    if (rule.ownPort != <i32>port || rule.isIpv6 != isIpv6) continue;
    rule.hasAddress = now != 0;
    // Assigning to an element of an array could make it longer.
    if (now != 0) store<u32>(rule.pool.dataStart, now);
  }
  // What is gone may come back: until there is another one, what has it stays.
  if (now == 0) return;
  followed.known = now;
  for (let i = 0; i < forwards.length; i++) {
    const rule = unchecked(forwards[i]);
    if (rule.ownPort == <i32>port && rule.isIpv6 == isIpv6) rule.address = now;
  }
  reserveAll();
  leave(followed, now);
}

@inline
function placeOf(followed: Followed): usize {
  const place = (followed.isIpv6 ? PORTS : 0) + followed.port;
  return ownAddresses + ((<usize>place) << 2);
}

/** The address before is in the segment, which holds it: it may be one that an earlier instance saw. */
function leave(followed: Followed, now: u32): void {
  const at = placeOf(followed);
  const before = load<u32>(at);
  store<u32>(at, hold(now));
  if (before != 0 && before != now && !isPooled(before)) {
    endExpectationsOf(before);
    const counter = renumbered;
    const ended = endSessionsOf(before);
    if (counter !== null) counter.add(ended);
  }
  release(before);
}

function isPooled(address: u32): bool {
  for (let i = 0; i < poolRules.length; i++) {
    if (unchecked(poolRules[i]).pool.includes(address)) return true;
  }
  return false;
}
