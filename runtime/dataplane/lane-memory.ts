// The segments of one lane: its frames, what it shares with functions, and its counters.
import { COUNTER_BYTES, LANE_COUNTERS_CAPACITY } from "./counter-layout.ts";
import { SHARED_BYTES } from "./layout.ts";
import { FRAMES_BYTES_MAX } from "./memory-map.ts";
import type { NativeAddon, Segment } from "./native.ts";
import type { SegmentStore } from "./segment-store.ts";

export interface LaneMemory {
  readonly umem: Segment;
  /** Bytes of one slot, a power of two. */
  readonly slotBytes: number;
  /** Of the generation. */
  readonly shared: Segment;
  readonly counters: Segment;
}

export interface LaneMemorySize {
  readonly slots: number;
  readonly slotBytes: number;
}

/** Frames and counters are the lane's, for all its generations. */
export function openLaneMemory(
  native: NativeAddon,
  { slots, slotBytes }: LaneMemorySize,
  store: SegmentStore,
): LaneMemory {
  const umemBytes = slots * slotBytes;
  if (umemBytes > FRAMES_BYTES_MAX) throw new RangeError(`${umemBytes} bytes of frames, at most ${FRAMES_BYTES_MAX}`);
  return {
    umem: store.open("umem", umemBytes),
    slotBytes,
    shared: touched(native.openSegment(SHARED_BYTES)),
    counters: store.open("counters", LANE_COUNTERS_CAPACITY * COUNTER_BYTES),
  };
}

/** With all of its pages: the first batch shall not wait for them. */
function touched(segment: Segment): Segment {
  new Uint8Array(segment.buffer).fill(0);
  return segment;
}
