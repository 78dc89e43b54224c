// The native addon as TypeScript sees it. load-addon.ts is the only file that touches the addon itself.

import type { AfxdpMode, KernelClass, Match } from "../chain/plan.ts";

/** A shared-memory file, mapped readable and writable in this process. `buffer` is a view of the very pages. */
export interface Segment {
  readonly bytes: number;
  readonly buffer: ArrayBuffer;
}

/** Pages of a segment that appear in a function's memory. All numbers are bytes and multiples of 4096. */
export interface Window {
  readonly address: number;
  readonly segment: Segment;
  readonly segmentOffset: number;
  readonly bytes: number;
  readonly writable: boolean;
}

/** Where a frame goes: a hop (>= 0), a port, or nowhere. Made by `target` below. */
export type TargetCode = number;

export const target = {
  hop: (index: number): TargetCode => index,
  port: (index: number): TargetCode => -1 - index,
  none: -1000,
} as const;

export interface NativePath {
  readonly from: number;
  readonly match: Match | null;
  readonly first: TargetCode;
}

export interface NativeHop {
  readonly next: TargetCode;
  readonly branches: readonly TargetCode[];
  /** Index of the first of this hop's counters: HOP_COUNTERS, then one per reason (REASONS_CAPACITY). */
  readonly counters: number;
  /** onFault: true lets the batch go on unchanged, false drops it. */
  readonly bypass: boolean;
  /** The function's frames are writable: results may resize. */
  readonly writable: boolean;
  /** How many reasons the function declared, with 0 = "unspecified". */
  readonly reasons: number;
}

export interface LaneOptions {
  readonly umem: Segment;
  /** A power of two. */
  readonly slotBytes: number;
  /** LANE_SEGMENT_BYTES: batch, results and records. */
  readonly shared: Segment;
  /** u64 counters, indices as the plan lays them out. */
  readonly counters: Segment;
  readonly framesAddress: number;
  readonly paths: readonly NativePath[];
  readonly hops: readonly NativeHop[];
  /** Index of each port's first counter (PORT_COUNTERS each). */
  readonly portCounters: readonly number[];
  /** Index of the lane's own counters (LANE_COUNTERS). */
  readonly laneCounters: number;
  /** Keep one outcome per frame in `outcomes` (replay, tests, trace). */
  readonly keepOutcomes: boolean;
  /** Time is that of the frames (replay, tests), not of the machine. */
  readonly virtualClock: boolean;
  /** Frames per turn, 1 … BATCH_CAPACITY. */
  readonly batchLimit: number;
}

/** Slots per owner; they add up to `slots` or a frame has leaked. */
export interface FrameAudit {
  readonly slots: number;
  readonly free: number;
  readonly fill: number;
  readonly lane: number;
  readonly transmit: number;
  readonly doubleFrees: number;
  readonly intact: boolean;
}

/** The three phases and the fault path are raw N-API functions; all the rest is cold. */
export interface NativeLane {
  /** Receives, parses, classifies. The first hop with work, or -1. */
  inhale(): number;
  /** Carries out the results of `hop`. The next hop with work, or -1. */
  advance(hop: number): number;
  /** Transmits, takes completions, refills, publishes counters. EXHALE_BUSY and EXHALE_TICK bits. */
  exhale(): number;
  /** The function of `hop` trapped: its frames are dropped or go on, as declared. The next hop with work, or -1. */
  fault(hop: number): number;
  /** After a function was configured anew. */
  setReasons(hop: number, reasons: number): void;
  /** Sleeps until a port has frames, `wake` is called or the time is over. */
  wait(timeoutMs: number): void;
  /** May be called from any thread through the descriptor `wakeDescriptor`. */
  readonly wakeDescriptor: number;
  /** After exhale: how many entries of `outcomes` are valid; reading them starts the next turn's. */
  takeOutcomes(): number;
  /** OUTCOME_BYTES each, little-endian; empty unless keepOutcomes. */
  readonly outcomes: ArrayBuffer;
  /** Replay: the time of the next frame on any port in ns, or null when all are at their end. */
  nextTime(): bigint | null;
  /** Input frames received so far. */
  readonly received: number;
  audit(): FrameAudit;
  openMemoryPort: (options?: MemoryPortOptions) => MemoryPort;
  openFilePort: (options: FilePortOptions) => FilePort;
  openAfxdpPort: (options: AfxdpPortOptions) => AfxdpPort;
  /** Closes all ports and gives the mappings back. Further calls throw. */
  close(): void;
}

/** Ports get the indices 0, 1, … in the order in which they are opened. */
export interface OpenPort {
  readonly index: number;
}

export interface MemoryPortOptions {
  /** What is transmitted is received again, without a copy; nothing can be drained. */
  readonly looped?: boolean;
}

export interface MemoryPort extends OpenPort {
  /** Queues a frame for reception; false if it is longer than a slot holds or the queue (65 536 frames) is full. */
  inject(bytes: Uint8Array, timeNs: bigint, wireLength?: number, link?: number): boolean;
  /** What was transmitted since the last call, in order. */
  drain(): { readonly bytes: Uint8Array; readonly timeNs: bigint }[];
}

export interface FilePortOptions {
  /** pcap or pcapng files to receive from, merged by time; none receives nothing. */
  readonly inputs: readonly string[];
  /** A pcap file to write what is transmitted to; none counts only. */
  readonly output?: string;
  /** For the output: the pcap link type (1, 0, 101, 113 …) and whether times are in nanoseconds. */
  readonly outputLinkType: number;
  readonly outputNanoseconds: boolean;
}

export interface FilePort extends OpenPort {
  /** Frames longer than a slot: received, counted, dropped. */
  readonly oversize: number;
  /** Inputs that could not be read to their end (damaged, cut short), and why. */
  readonly damage: readonly { readonly file: string; readonly what: string }[];
  /** After close(): why the output is incomplete (disk full), or null. */
  readonly writeError: string | null;
}

export interface CaptureInfo {
  readonly linkType: number;
  readonly nanoseconds: boolean;
}

export interface AfxdpPortOptions {
  /** Path of the XDP program's object file. */
  readonly program: string;
  readonly device: string;
  readonly queue: number;
  /** Absent: the best that works. */
  readonly mode?: AfxdpMode;
  /** Descriptors in each ring, a power of two. */
  readonly ringSize?: number;
  /** What is left to the kernel (XDP_PASS) instead of entering the chain. */
  readonly kernel: readonly KernelClass[];
}

export interface AfxdpPort extends OpenPort {
  readonly device: string;
  readonly queue: number;
  readonly mode: AfxdpMode;
  /** Why each better mode was refused, best first. */
  readonly refused: readonly { readonly mode: AfxdpMode; readonly why: string }[];
  readonly needWakeup: boolean;
  readonly gone: boolean;
}

export interface AfxdpProbe {
  readonly mode: AfxdpMode;
  /** Why it does not work, or null if it does. */
  readonly why: string | null;
}

export interface NativeAddon {
  /** A segment in an anonymous file, or in `path` (created if missing, mode 0600). */
  openSegment(bytes: number, path?: string): Segment;
  /** Maps an existing file read-only (for observers). */
  attachSegment(path: string): Segment;
  /** Puts windows over [0, MEMORY_BASE) of a WebAssembly memory; the rest of that range becomes inaccessible. */
  overlay(memory: ArrayBuffer, windows: readonly Window[]): void;
  createLane(options: LaneOptions): NativeLane;
  /** Opens each AF_XDP mode for a moment, best first. Frames pass to the kernel meanwhile; a few may be lost. */
  probeAfxdp(options: { readonly device: string; readonly queue: number; readonly program: string }): AfxdpProbe[];
  /** Binds the calling thread to one CPU. */
  pinThread(cpu: number): void;
  /** Ticks per second of the clock that HOP_COUNTERS "ticks" counts in; takes 20 ms. */
  measureTickHz(): number;
  /** Wakes the lane that has this descriptor. */
  wake(descriptor: number): void;
  /** Reads a capture's header. Throws file-unreadable, capture-format or capture-link-type. */
  inspectCapture(path: string): CaptureInfo;
  /**
   * The record of one frame of link type LINK_*, `RECORD_BYTES` long, as the packet path would make it.
   * `wireLength` is what the frame had on the wire, at least `bytes.length` unless the capture lies.
   */
  parse(bytes: Uint8Array, link: number, wireLength: number): ArrayBuffer;
}
