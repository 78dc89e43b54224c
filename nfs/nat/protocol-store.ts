// What is remembered of protocols that name endpoints in their payload, in a segment of its own:
//
//   header │ buckets │ expectations │ control connections
//
// As in store.ts, entries are linked by references, here from this segment's start.
import { Gauge, Segment } from "../sdk";
import { Slab } from "./store";
import { LINE_STREAM_BYTES, PAIR_HEAD, Stream } from "./streams";

const segment = new Segment("protocols");
export const origin: usize = segment.address;

/** A flow that is to begin soon because another one said so. */
@unmanaged
@final
export class Expectation {
  next: u32;
  /** Kept alive for it; 0 if it needs none, or goes out. */
  mapping: u32;
  /** Who may begin it, as its receiver sees it; 0 for anybody. */
  source: u32;
  destination: u32;
  /** What its source becomes, if it goes out: 0 if it comes in. */
  translated: u32;
  /** Batch time. */
  deadline: u64;
  destinationPort: u16;
  ipProto: u8;
  /** Used once, or as often as flows come until the deadline. */
  stays: u8;
}

/** An owner is not kept: the session has the reference. */
@inline
export function streamAt(control: u32, direction: u32): Stream {
  return changetype<Stream>(origin + control + PAIR_HEAD + direction * LINE_STREAM_BYTES);
}

/** In Session.control: what the session is of; references of control connections are beyond these. */
export const PROTOCOL_NONE: u32 = 0;
export const PROTOCOL_TFTP: u32 = 1;
export const PROTOCOL_SIP: u32 = 2;
export const PROTOCOL_FTP: u32 = 3;
export const PROTOCOL_LAST: u32 = PROTOCOL_FTP;

// ---- where what lies ----

const EXPECTATIONS: u32 = 8192;
const CONTROLS: u32 = 1024;
export const EXPECTATION_BUCKETS: u32 = 4096;
const EXPECTATION_BYTES: u32 = (<u32>offsetof<Expectation>() + 7) & ~7;
const CONTROL_BYTES: u32 = (PAIR_HEAD + 2 * LINE_STREAM_BYTES + 7) & ~7;

/** The expectation that the next sweep looks at first. */
export const sweepAt: usize = origin + 32;
export const expectationBuckets: usize = origin + 64;
const firstExpectation = expectationBuckets + EXPECTATION_BUCKETS * 4;
const firstControl = firstExpectation + EXPECTATIONS * EXPECTATION_BYTES;
const END = firstControl + CONTROLS * CONTROL_BYTES;

export const expectations = new Slab(
  origin,
  firstExpectation,
  EXPECTATION_BYTES,
  EXPECTATIONS,
  new Gauge("expectations"),
  origin,
);
export const controls = new Slab(origin + 16, firstControl, CONTROL_BYTES, CONTROLS, new Gauge("controls"), origin);

@inline
export function expectationAt(reference: u32): Expectation {
  return changetype<Expectation>(origin + reference);
}

/** Whether anything is expected: what is not costs new flows nothing else. */
@inline
export function expectsAnything(): bool {
  return expectations.live != 0;
}

export function protocolsFit(): bool {
  return END - origin <= segment.bytes;
}
