// The addon's mirrors as TypeScript sees them: what comes to a lane and what becomes of it, for another lane's thread.
import type { Segment } from "./native.ts";

export interface MirrorOptions {
  /** Of the ring between the two threads, a multiple of the page size. */
  readonly ringBytes: number;
  /** Of the lane that is mirrored. */
  readonly slotBytes: number;
  readonly flowCapacity: number;
}

/** A file of the lane's state, and the zeros that become a copy of it. */
export interface MirrorPart {
  readonly path: string;
  readonly segment: Segment;
  /** The flow table, which is too large to be copied while the lane waits. */
  readonly isFlows: boolean;
}

/** The state is copied in this order: addParts, wantNotes, prepareCopy when `noting`, wantCopy, until `copied`. */
export interface NativeMirror {
  /** By which NativeAddon.attachMirror finds it in another thread. */
  readonly id: number;
  /** Throws system-call. */
  addParts: (parts: readonly MirrorPart[]) => void;
  /** Between two turns the lane begins to note which flows change. */
  wantNotes(): void;
  noting(): boolean;
  /** Copies all while the lane goes on, so that little is left. Throws system-call. */
  prepareCopy: () => void;
  /** Between two turns the lane copies the rest, and mirrors all that comes from then on. */
  wantCopy(): void;
  /** Null until it has; `pauseUs`: what it took of the lane's time. Throws system-call if it failed. */
  copied: () => { readonly bytes: number; readonly pauseUs: number } | null;
  /** Bytes that the shadow has not worked off. */
  filled(): number;
  /** Frames that found no room, and later ones of their flows. */
  missed(): number;
}

/** Indices into lists of names that both sides share; see `shareNames`. */
export interface EndingNames {
  /** By hop. */
  readonly functions: readonly number[];
  /** By hop and reason. */
  readonly reasons: readonly (readonly number[])[];
  /** By index of engineDropReasons. */
  readonly engineReasons: readonly number[];
}

export interface FollowOptions {
  readonly live: EndingNames;
  readonly next: EndingNames;
  /** By port: NativeLane.reachesHost of the lane that is mirrored. */
  readonly reachesHost: readonly boolean[];
  /** Flows that were there before are not compared. */
  readonly newFlowsOnly: boolean;
}

/** The shadow's end of a mirror. */
export interface MirrorSource {
  /** The ports receive the next block's frames in the next turn; false if there is none yet. */
  fetch(): boolean;
  /** After each turn. */
  compare(): void;
  counters(): MirrorCounters;
  groups(): NativeDifferenceGroup[];
}

export interface MirrorCounters {
  readonly frames: number;
  readonly compared: number;
  /** Received, but not to be compared: held fragments, what only the devices decided, flows as above. */
  readonly skipped: number;
  readonly dropped: number;
  readonly badResults: number;
  readonly differing: number;
  /** Of these: in no group, since there are too many kinds. */
  readonly ungrouped: number;
}

/** How a frame ended: `kind` of outcomeKinds; names as in EndingNames, -1 for none. */
export interface NativeEnding {
  readonly kind: number;
  readonly to: number;
  readonly function: number;
  readonly reason: number;
  readonly detail: number;
}

export interface NativeDifferenceGroup {
  readonly live: NativeEnding;
  readonly next: NativeEnding;
  /** Index of rewriteParts. */
  readonly rewrite: number;
  readonly count: number;
  /** Different flows, counted up to DIFFERENCE_FLOWS. */
  readonly flows: number;
  readonly examples: readonly NativeDifferenceExample[];
}

export interface NativeDifferenceExample {
  /** Of the frame, counted by the lane that is mirrored. */
  readonly number: number;
  readonly timeNs: bigint;
  readonly flow: number;
  readonly received: Uint8Array | null;
  /** As it left; null if it did not. */
  readonly live: Uint8Array | null;
  readonly next: Uint8Array | null;
}
