// What the engine and the thread of a lookout say to each other.
import type { Fault } from "../../errors.ts";
import type { CapturedInterface } from "../../telemetry/pcapng.ts";
import type { FrameFilter } from "../native-mirror.ts";
import type { ShadowSetup } from "../shadow-protocol.ts";
import type { TracedPacket } from "./trace-events.ts";

export interface LookoutSetup extends ShadowSetup {
  readonly observation: Observation;
  /** Int32: bytes that the thread has sent and nobody has taken yet. */
  readonly outstanding: SharedArrayBuffer;
}

export interface GivenFrame {
  /** Index of the port. */
  readonly port: number;
  readonly bytes: Uint8Array;
  readonly link: number;
  readonly wireLength: number;
}

export interface CapturePlan {
  /** Ports by their index; then those of hooks. */
  readonly interfaces: readonly CapturedInterface[];
  /** Null: no end. */
  readonly count: number | null;
  readonly snapLength: number;
}

/** Frames before or after a function, for an interface of their own. */
export interface Hook {
  readonly function: number;
  readonly side: "before" | "after";
  readonly interface: number;
}

export type Observation =
  /** Needs no functions: what the lane itself tells. */
  | { readonly kind: "tap"; readonly filter: FrameFilter; readonly capture: CapturePlan }
  | {
      readonly kind: "hooks";
      readonly filter: FrameFilter;
      readonly capture: CapturePlan;
      readonly hooks: readonly Hook[];
    }
  | { readonly kind: "trace"; readonly filter: FrameFilter; readonly count: number }
  | { readonly kind: "given"; readonly frames: readonly GivenFrame[] };

/** By interface. */
export interface CaptureCounts {
  readonly accepted: readonly number[];
  /** They were to be in it, but the reader was too slow. */
  readonly leftOut: readonly number[];
}

/** Of one reader, in bytes that are not yet taken. */
export const OUTSTANDING_MAX = 8 << 20;

export type LookoutMessage =
  | {
      readonly kind: "following";
      /** Id of the lookout's own lane; null if it has none. */
      readonly lane: number | null;
      readonly copiedBytes: number;
      readonly pauseUs: number;
    }
  | { readonly kind: "captured"; readonly bytes: Uint8Array; readonly counts: CaptureCounts }
  | { readonly kind: "traced"; readonly packet: TracedPacket }
  /** All that was asked for is done, or it was told to stop; null: the latter. */
  | { readonly kind: "done"; readonly why: string | null }
  | { readonly kind: "failed"; readonly faults: readonly Fault[] };
