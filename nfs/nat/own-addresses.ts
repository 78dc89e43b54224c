// Addresses that are not configured but followed: those of the chain's own ports (masquerade). A change ends what has the
// old address: nobody outside will answer to it.
import { Counter, portAddress4 } from "../sdk";
import { endSessionsOf } from "./ended";
import { endExpectationsOf } from "./expectations";
import { forwards, poolRules, reserveAll } from "./rules";
import { ownAddresses } from "./store";

/** Ports that rules follow; by their places the address that each has (0 for none), and the last one that it had. */
const ports: u32[] = [];
const seen = new StaticArray<u32>(256);
const known = new StaticArray<u32>(256);
let renumbered: Counter | null = null;

/** While configuring: a rule follows that port's address. */
export function follow(port: u32): void {
  if (ports.includes(port)) return;
  if (renumbered === null) renumbered = new Counter("renumbered");
  ports.push(port);
}

/** Between two batches, all of it may have changed. */
@inline
export function followAddresses(): void {
  for (let i = 0; i < ports.length; i++) {
    const now = portAddress4(unchecked(ports[i]));
    if (now != unchecked(seen[i])) change(i, now);
  }
}

/** Whether rules follow a port that has the address, or had it and has none now. */
export function isOwnAddress(address: u32): bool {
  for (let i = 0; i < ports.length; i++) {
    if (unchecked(known[i]) == address) return address != 0;
  }
  return false;
}

function change(index: i32, now: u32): void {
  const port = unchecked(ports[index]);
  unchecked((seen[index] = now));
  for (let i = 0; i < poolRules.length; i++) {
    const rule = unchecked(poolRules[i]);
    if (rule.ownPort != port) continue;
    rule.hasAddress = now != 0;
    // Assigning to an element of an array could make it longer.
    if (now != 0) store<u32>(rule.pool.dataStart, now);
  }
  // What is gone may come back: until there is another one, what has it stays.
  if (now == 0) return;
  unchecked((known[index] = now));
  for (let i = 0; i < forwards.length; i++) {
    const rule = unchecked(forwards[i]);
    if (rule.ownPort == port) rule.address = now;
  }
  reserveAll();
  leave(port, now);
}

/** The address before is in the segment: it may be one that an earlier instance saw. */
function leave(port: u32, now: u32): void {
  const at = ownAddresses + ((<usize>port) << 2);
  const before = load<u32>(at);
  store<u32>(at, now);
  if (before == 0 || before == now || isPooled(before)) return;
  endExpectationsOf(before);
  const counter = renumbered;
  const ended = endSessionsOf(before);
  if (counter !== null) counter.add(ended);
}

function isPooled(address: u32): bool {
  for (let i = 0; i < poolRules.length; i++) {
    if (unchecked(poolRules[i]).pool.includes(address)) return true;
  }
  return false;
}
