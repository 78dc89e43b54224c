// What the engine and the thread of a shadow say to each other.
import type { Plan } from "../chain/plan.ts";
import type { Fault } from "../errors.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import type { Predecessor } from "./generation.ts";
import type { RewritePart } from "./layout.ts";

/** What the engine hands to the thread. */
export interface ShadowSetup {
  readonly plan: Plan;
  /** By index of plan.functions. */
  readonly packages: readonly FunctionPackage[];
  /** The generation that has the lane, whose outcomes are compared. */
  readonly live: Predecessor;
  /** Indices of functions of the plan that are not called; absent: none. */
  readonly quarantined?: readonly number[];
  /** By port of the lane. */
  readonly reachesHost: readonly boolean[];
  readonly linkAddresses: readonly Uint8Array[];
  /** The chain's state folder. */
  readonly folder: string;
  /** The lane that is followed, among `lanes`; absent: the only one. */
  readonly laneIndex?: number;
  readonly lanes?: number;
  readonly slotBytes: number;
  /** Id of the mirror. */
  readonly mirror: number;
  /** Where to run: not on the lane's core. Null: there is no other. */
  readonly cpu: number | null;
  /** Int32: CONTROL_* words of worker-protocol.ts, of this thread alone. */
  readonly control: SharedArrayBuffer;
}

/** Frames that ended in the same two ways. */
export interface Difference {
  /** `forward wan`, `drop fw rule:3` … of the generation that runs, and of that which is loaded. */
  readonly live: string;
  readonly next: string;
  /** Both transmitted it, but not the same bytes: where they differ first. */
  readonly rewrite: RewritePart | null;
  readonly frames: number;
  /** Counted up to DIFFERENCE_FLOWS on each lane. */
  readonly flows: number;
  /** Of different flows. */
  readonly examples: readonly DifferenceExample[];
}

export interface DifferenceExample {
  /** Of the frame, among all that the lane received. */
  readonly number: number;
  readonly received: Uint8Array;
  /** As it left; null if it did not. */
  readonly live: Uint8Array | null;
  readonly next: Uint8Array | null;
}

export interface ShadowCounts {
  /** That the shadow has worked off. */
  readonly frames: number;
  readonly compared: number;
  readonly differing: number;
  /** Worked off, but nothing to compare with. */
  readonly skipped: number;
  /** By the shadow, faults included. */
  readonly dropped: number;
  /** Calls that trapped, frames with results that do not hold. */
  readonly faults: number;
  /** In the functions; null before the first frame. */
  readonly nsPerPacket: number | null;
}

export type ShadowMessage =
  | {
      readonly kind: "following";
      /** Id of the shadow's own lane. */
      readonly lane: number;
      /** What was copied of the state, and how long the lane that carries the traffic stood still for it. */
      readonly copiedBytes: number;
      readonly pauseUs: number;
    }
  | { readonly kind: "counts"; readonly counts: ShadowCounts }
  | { readonly kind: "differences"; readonly differences: readonly Difference[] }
  | { readonly kind: "failed"; readonly faults: readonly Fault[] };
