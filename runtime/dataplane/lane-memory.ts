// The segments of one lane: its frames, what it shares with functions, and its counters.
import { SHARED_BYTES } from "./layout.ts";
import { FRAMES_BYTES_MAX, PAGE_BYTES } from "./memory-map.ts";
import type { NativeAddon, Segment } from "./native.ts";

export interface LaneMemory {
  readonly umem: Segment;
  /** Bytes of one slot, a power of two. */
  readonly slotBytes: number;
  readonly shared: Segment;
  readonly counters: Segment;
}

export interface LaneMemorySize {
  readonly slots: number;
  readonly slotBytes: number;
  /** How many u64 counters the lane keeps. */
  readonly counters: number;
}

/** `pathOf` names the file of a segment; none keeps it anonymous. */
export function openLaneMemory(
  native: NativeAddon,
  size: LaneMemorySize,
  pathOf?: (segment: "umem" | "shared" | "counters") => string,
): LaneMemory {
  const { slots, slotBytes } = size;
  const umemBytes = slots * slotBytes;
  if (umemBytes > FRAMES_BYTES_MAX) throw new RangeError(`${umemBytes} bytes of frames, at most ${FRAMES_BYTES_MAX}`);
  const counterBytes = Math.ceil((size.counters * 8) / PAGE_BYTES) * PAGE_BYTES;
  return {
    umem: native.openSegment(umemBytes, pathOf?.("umem")),
    slotBytes,
    shared: native.openSegment(SHARED_BYTES, pathOf?.("shared")),
    counters: native.openSegment(counterBytes, pathOf?.("counters")),
  };
}
