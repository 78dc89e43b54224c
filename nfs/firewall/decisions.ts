// What was decided of a flow, in a column: all that its later packets cost.
//
//   bits 0-14 outcome + 1   15 accepted   16-23 from zone   24-31 to zone   32-63 generation of the configuration
import { Column, Flow, Segment } from "../sdk";

const decisions = new Column<u64>("firewall.decision");
const segment = new Segment("configuration");
const GENERATION = 0; // u32
const DIGEST = 8; // u64

const ACCEPTED: u64 = 0x8000;

let generation: u64 = 0;

/** A new configuration has a new generation; the same one, in a new instance, the same. */
export function beginGeneration(json: string): void {
  const digest = digestOf(json);
  const before = load<u32>(segment.address, GENERATION);
  const isSame = before != 0 && load<u64>(segment.address, DIGEST) == digest;
  const current = isSame ? before : before + 1 == 0 ? 1 : before + 1;
  store<u32>(segment.address, current, GENERATION);
  store<u64>(segment.address, digest, DIGEST);
  generation = current;
}

/** FNV-1a over the text's code units. */
function digestOf(text: string): u64 {
  let digest: u64 = 0xcbf29ce484222325;
  for (let i = 0; i < text.length; i++) digest = (digest ^ text.charCodeAt(i)) * 0x100000001b3;
  return digest;
}

@inline
export function decisionOf(flow: Flow): u64 {
  return decisions.get(flow);
}

@inline
export function isCurrent(decision: u64): bool {
  return decision >> 32 == generation;
}

@inline
export function wasAccepted(decision: u64): bool {
  return (decision & ACCEPTED) != 0;
}

@inline
export function outcomeIn(decision: u64): u32 {
  return ((<u32>decision) & 0x7fff) - 1;
}

@inline
export function fromZone(decision: u64): u32 {
  return ((<u32>decision) >> 16) & 0xff;
}

@inline
export function toZone(decision: u64): u32 {
  return ((<u32>decision) >> 24) & 0xff;
}

export function decide(flow: Flow, outcome: u32, isAccepted: bool, from: u32, to: u32): void {
  const zones = ((<u64>from) << 16) | ((<u64>to) << 24);
  const accepted: u64 = isAccepted ? ACCEPTED : 0;
  decisions.set(flow, (generation << 32) | zones | accepted | (<u64>(outcome + 1)));
}
