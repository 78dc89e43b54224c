// The addon's mirrors as TypeScript sees them: what comes to a lane and what becomes of it, for another lane's thread.
import type { Match } from "../chain/plan.ts";
import type { Segment } from "./native.ts";

export interface MirrorOptions {
  /** Of the ring between the two threads, a multiple of the page size. */
  readonly ringBytes: number;
  /** Of the lane that is mirrored. */
  readonly slotBytes: number;
  readonly flowCapacity: number;
  /** Of a flow all frames, or none after one found no room. */
  readonly wholeFlows: boolean;
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
  /** The traffic alone, without the state: mirrors at once. */
  open(): void;
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
  /** Frames that found no room, with wholeFlows later ones of their flows, too; in all, and those that came on one port. */
  missed(): number;
  missedOf(port: number): number;
  /** This object lets go of it, without waiting for the garbage collector. Further calls throw. */
  close(): void;
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
  /** By port: NativeLane.linkAddresses of that lane. */
  readonly linkAddresses: readonly Uint8Array[];
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
  /** Which frames `watched` lists; none until it is called. */
  watch(filter: FrameFilter): void;
  /** After fetch or hold, before the turn: those of the frames that somebody watches. */
  watched(): WatchedFrame[];
  /** After inhale: the index of the record of the frame with that number, -1 if it has none. */
  recordOf(number: number): number;
  /** A frame that nobody else receives comes in the next turn; false if it does not fit a slot. */
  hold(port: number, bytes: Uint8Array, link: number, wireLength: number, timeNs: bigint): boolean;
}

/** By numbers of the mirrored lane. */
export interface FrameFilter {
  /** One of them takes the frame; none: all do. */
  readonly matches: readonly Match[];
  /** 0: any. */
  readonly flow: number;
  /** Ports where frames are watched as they come, and as they leave. */
  readonly comes: readonly number[];
  readonly leaves: readonly number[];
  /** Only frames that are dropped, for one of these causes (none: for any). Null: all. */
  readonly causes: readonly DropCause[] | null;
}

/** -1: any. */
export interface DropCause {
  readonly hop: number;
  readonly byEngine: boolean;
  readonly reason: number;
  readonly detail: number;
}

export interface WatchedFrame {
  /** Of the shadow's lane; of the mirrored one, 0 if it never had it. */
  readonly number: number;
  readonly liveNumber: number;
  readonly liveFlow: number;
  /** The flow that it finds in the shadow's table. */
  readonly flowBefore: number;
  readonly port: number;
  readonly link: number;
  readonly wireLength: number;
  readonly timeNs: bigint;
  readonly received: Uint8Array;
  /** What became of it in the mirrored lane; null if nothing yet. */
  readonly live: WatchedOutcome | null;
}

export interface WatchedOutcome {
  /** Index into outcomeKinds. */
  readonly kind: number;
  readonly to: number;
  readonly hop: number;
  readonly reason: number;
  readonly byEngine: boolean;
  readonly detail: number;
  /** As it left; null if it did not. */
  readonly bytes: Uint8Array | null;
}

/** A mirror that is read for its own sake. */
export interface MirrorTap {
  /** Fills `to` with entries (layout.ts, TAP_*) as long as there are any and they fit; bytes written. */
  read(to: Uint8Array): number;
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
