// What is kept of a fault while it happens: copies of what the function was given and of its state. Collected by the lane's
// thread, or by the engine's if that one had to be ended; written down later, elsewhere (bundle.ts).

import type { DeclaredNames } from "../function-state.ts";
import type { CallKind } from "../layout.ts";
import type { NativeAddon, Segment } from "../native.ts";

/** It trapped; a result does not hold; it did not return in time. */
export type FaultKind = "trap" | "result" | "time";

/** The message of kind "time". */
export const NOT_RETURNED = "it did not return";

export interface FaultEvidence {
  readonly kind: FaultKind;
  /** Index in the plan of its generation. */
  readonly function: number;
  readonly lane: number;
  readonly laneCount: number;
  /** ISO 8601. */
  readonly at: string;
  readonly message: string;
  /** The author's line, if it is known. */
  readonly source: string | null;
  /** What was called. */
  readonly call: CallKind;
  /** Of kind "result". */
  readonly bad: BadResult | null;
  /** Calls in the form of layout.ts, oldest first; the last one failed. */
  readonly calls: ArrayBuffer;
  /** True: `state` is what was before the first of these calls. False: what the fault left. */
  readonly isExact: boolean;
  readonly state: StateCopy;
  /** Counters and reasons have their numbers in this order. */
  readonly declared: DeclaredNames;
  readonly seed: bigint;
  /** Of the lane's UMEM. */
  readonly slotBytes: number;
  readonly umemBytes: number;
}

export interface BadResult {
  /** Of the frame in its batch. */
  readonly position: number;
  /** One of engineDropReasons. */
  readonly reason: string;
  /** RESULT_BYTES. */
  readonly result: ArrayBuffer;
}

/** A function's own state. Pages as NativeAddon.copyPages gives them; null: not kept. */
export interface StateCopy {
  /** Of its own memory, from MEMORY_BASE on. */
  readonly memory: ArrayBuffer | null;
  /** Its mutable globals in the module's order. */
  readonly globals: readonly (number | bigint)[] | null;
  /** u64 each, those that it declared. */
  readonly counters: ArrayBuffer;
  readonly segments: readonly { readonly name: string; readonly pages: ArrayBuffer | null }[];
}

/** Bytes of its own memory, and of its segments together, that a lane waits for being copied. */
const MEMORY_LIMIT = 16 << 20;
const SEGMENTS_LIMIT = 16 << 20;

export function copyMemory(native: NativeAddon, memory: ArrayBuffer, base: number): ArrayBuffer | null {
  return native.copyPages(memory, base, memory.byteLength - base, MEMORY_LIMIT);
}

/** As many whole segments as fit. */
export function copySegments(
  native: NativeAddon,
  segments: readonly { readonly name: string; readonly segment: Segment }[],
): StateCopy["segments"] {
  let left = SEGMENTS_LIMIT;
  return segments.map(({ name, segment }) => {
    const pages = native.copyPages(segment, 0, segment.bytes, left);
    left -= pages?.byteLength ?? 0;
    return { name, pages };
  });
}

/** One of each kind is enough, and a storm of kinds is not worth the lane's time. */
export class EvidenceGate {
  readonly #seen = new Set<string>();
  #last = Number.NEGATIVE_INFINITY;

  /** True once per key and at most once a second; further keys come when they happen again. */
  opens(key: string, nowMs: number): boolean {
    if (this.#seen.has(key) || nowMs - this.#last < EVERY_MS || this.#seen.size >= KINDS_MAX) return false;
    this.#seen.add(key);
    this.#last = nowMs;
    return true;
  }
}

const EVERY_MS = 1000;
const KINDS_MAX = 64;

/** What need not be copied when the evidence goes to another thread. */
export function listBuffers({ calls, state }: FaultEvidence): ArrayBuffer[] {
  const pages = [state.memory, state.counters, ...state.segments.map((segment) => segment.pages)];
  return [calls, ...pages.filter((each) => each !== null)];
}
