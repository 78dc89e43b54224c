// The native addon as TypeScript sees it. load-addon.ts is the only file that touches the addon itself.

import type {
  AfxdpMode,
  FlowTimeouts,
  KernelClass,
  Match,
  PlannedFragments,
  PlannedSpread,
  Side,
} from "../chain/plan.ts";
import type { Prefix } from "../chain/protocols.ts";
import type { FixedRoutes } from "../chain/routes-document.ts";
import type {
  FollowOptions,
  FrameFilter,
  MirrorOptions,
  MirrorSource,
  MirrorTap,
  NativeMirror,
} from "./native-mirror.ts";

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
  route: -1001,
} as const;

export interface NativePath {
  readonly from: number;
  readonly match: Match | null;
  readonly first: TargetCode;
  /** Absent: of all flows. */
  readonly side?: Side | undefined;
}

/** Bytes [offset, …) of a segment. */
export interface SegmentPart {
  readonly segment: Segment;
  readonly offset: number;
}

/** What a function and its lane exchange besides batch and results; null for what it has no use for. */
export interface NativeFunction {
  /** In the chain: what it has not taken of its events goes to the next generation's function of that name. */
  readonly name: string;
  /** Of the flows whose events it takes; absent: all. */
  readonly side?: Side | undefined;
  readonly outbox: SegmentPart | null;
  readonly chunks: SegmentPart | null;
  readonly events: SegmentPart | null;
  /** Event bits that it wants batched, that it may raise; label bits that it may set. */
  readonly subscribes: number;
  readonly defines: number;
  readonly labels: number;
  readonly readsFrames: boolean;
  /** Null: its calls are not kept. */
  readonly recorder: NativeRecorder | null;
  /** What it sees of flows: their record, and columns by index of NativeFlows.columns. */
  readonly readsFlow: boolean;
  readonly columns: readonly number[];
  /** Index of the first of its FUNCTION_COUNTERS. */
  readonly counters: number;
}

/** Flows of an earlier process that go on, and those that it died in the middle of writing. */
export interface FlowRecovery {
  readonly fresh: boolean;
  readonly kept: number;
  readonly dropped: number;
}

export interface NativeFlows {
  /** flowTableBytes(capacity); keeps what an earlier lane left in it. */
  readonly segment: Segment;
  readonly capacity: number;
  /** Keys the table's hash. */
  readonly seed: bigint;
  /** By port. */
  readonly zones: readonly number[];
  /** Arrays of capacity + 1 entries. */
  readonly columns: readonly { readonly segment: Segment; readonly bytes: number; readonly exported: boolean }[];
  /** Absent: nf_conntrack's defaults. */
  readonly timeouts?: FlowTimeouts;
  readonly midstream: boolean;
  readonly liberal: boolean;
  readonly fragments: PlannedFragments;
  /** Null: no function reads streams. */
  readonly streamBuffer: Segment | null;
  readonly streamBufferAddress: number;
  readonly streamBytesPerFlow: number;
  readonly streamHoldMs: number;
  readonly lastOverlapWins: boolean;
  /** Keep a FlowReport for every flow that ends (takeFlowReports). */
  readonly keepReports: boolean;
  /** Null: all flows stay. */
  readonly canary: NativeCanary | null;
}

/** `threshold` of 2^32 is the share of flows, unless there is a match; `sides` has a byte per flow number. */
export interface NativeCanary {
  readonly threshold: number;
  readonly match: Match | null;
  readonly sides: Segment;
}

export interface NativeHop {
  /** Index of its function. */
  readonly function: number;
  readonly next: TargetCode;
  readonly branches: readonly TargetCode[];
  /** Index of the first of this hop's counters: hopCounters, then one per reason (REASONS_CAPACITY). */
  readonly counters: number;
  /** Index of the first of its CALL_COUNTERS. */
  readonly calls: number;
  /** onFault: true lets the batch go on unchanged, false drops it. */
  readonly bypass: boolean;
  /** The function's frames are writable: results may resize. */
  readonly writable: boolean;
  /** Its function is not called: frames go on (bypass) or are dropped as "quarantined". */
  readonly quarantined: boolean;
  /** How many reasons the function declared, with 0 = "unspecified". */
  readonly reasons: number;
}

/** What one generation brings. */
export interface ProgramOptions {
  /** SHARED_BYTES: batch, results and records. */
  readonly shared: Segment;
  /** Index of each port's first counter (portCounters each). */
  readonly portCounters: readonly number[];
  /** Index of each port's first gauge (portGauges each). */
  readonly portGauges: readonly number[];
  /** By port: 1 if its frames leave it by routes. */
  readonly routedPorts: readonly number[];
  /** By port: the addresses that it answers for. */
  readonly answers: readonly (readonly Prefix[])[];
  /** What the numbers in its reports mean: written into each of them. */
  readonly reportNames: number;
  readonly paths: readonly NativePath[];
  readonly functions: readonly NativeFunction[];
  readonly hops: readonly NativeHop[];
  /**
   * Null: the chain keeps no flows. Of a running lane's flows a later program changes zones, columns, timeouts,
   * midstream, liberal and streamBufferAddress; the rest is as it was when the lane was created.
   */
  readonly flows: NativeFlows | null;
}

declare const nativeProgram: unique symbol;
/** Made by NativeLane.makeProgram. */
export interface NativeProgram {
  readonly [nativeProgram]: never;
}

export interface LaneOptions extends ProgramOptions {
  readonly umem: Segment;
  /** A power of two. */
  readonly slotBytes: number;
  /** u64 counters, indices as the plan lays them out. */
  readonly counters: Segment;
  readonly framesAddress: number;
  /** Index of the lane's own counters (laneCounters). */
  readonly laneCounters: number;
  /** Index of its laneUseCounters. */
  readonly laneUse: number;
  /** Where flows that end, drops and events are reported; null: nowhere. */
  readonly reports: Segment | null;
  /** Keep one outcome per frame in `outcomes` (replay, tests, trace). */
  readonly keepOutcomes: boolean;
  /** Note results that do not hold, for takeBadResult. */
  readonly keepBadResults: boolean;
  /** Time is that of the frames (replay, tests), not of the machine. */
  readonly virtualClock: boolean;
  /** Frames per turn, 1 … BATCH_CAPACITY. */
  readonly batchLimit: number;
  /**
   * With a laneCount above 1 (absent: 1), every lane receives all frames and keeps its own, as the handover's spread
   * says. The others are freed; only the ports count them. All are on one thread, and take turns with the same frame.
   */
  readonly laneIndex?: number;
  readonly laneCount?: number;
  /** A NativeHandover by its id. Without laneCount every lane receives what its own queues bring, and hands the others' over to them. */
  readonly handover?: number;
}

/** What the lanes of a process hand over to each other; goes with the last that holds it. */
export interface NativeHandover {
  readonly id: number;
  /** Of a frame with an Ethernet header. */
  laneOf(bytes: Uint8Array): number;
  /** Before lanes of higher numbers are made: there are so many. Throws system-call. */
  addLanes(lanes: number): void;
  /** From each lane's next turn on, flows are spread over so many; those that others had move. Null: by addresses. */
  spreadOver(lanes: number, spread: PlannedSpread | null): void;
  /** True when all flows are where they belong, frames go there directly, and none is on its way to a lane without flows. */
  settle(): boolean;
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

export interface LanePulse {
  readonly turns: number;
  /** It sleeps until something comes. */
  readonly waiting: boolean;
  /** The hop whose function is being called, or -1. */
  readonly hop: number;
  /** What the thread that has the lane has used of a processor. */
  readonly cpuMs: number;
}

export interface TestFrameFate {
  /** Index into outcomeKinds. */
  readonly kind: number;
  /** Index of the port where it would have left, if it was forwarded. */
  readonly to: number;
  /** The hop that decided, -1: the engine. */
  readonly hop: number;
  /** The function's reason, or with `engine` an index into engineDropReasons. */
  readonly reason: number;
  readonly engine: boolean;
  readonly detail: number;
  /** As it would have left. */
  readonly bytes: Uint8Array;
}

/** The three phases and the fault path are raw N-API functions; all the rest is cold. */
export interface NativeLane {
  /** By which NativeAddon.attachLane finds it in another thread. */
  readonly id: number;
  /** Reads and checks what a generation brings; allocates all that it needs. From any thread. */
  makeProgram(options: ProgramOptions): NativeProgram;
  /** Between two turns, by the thread that has the lane from now on. */
  install(program: NativeProgram): void;
  /**
   * The same after the thread that had the lane was ended, wherever it was. The frames that the interrupted function had
   * are a fault of its hop. Returns the first hop with work, or -1; the rest of the turn is the caller's.
   */
  takeOver(program: NativeProgram): number;
  /** From now on the hop's function is not called: its frames go on (bypass) or are dropped as "quarantined". */
  quarantine(hop: number, bypass: boolean): void;
  /** For watchers: may be called while another thread has the lane. */
  pulse(): LanePulse;
  /**
   * A frame goes through the chain as if the port had received it; what would leave is kept, and nothing is on the wire.
   * From any thread. False if an earlier one has not ended yet, or it does not fit a slot.
   */
  sendTestFrame(port: number, bytes: Uint8Array): boolean;
  /** What became of it; null as long as nothing has. */
  takeTestFrame(): TestFrameFate | null;
  /** Nobody waits for it any more. */
  abandonTestFrame(): void;
  /** Index of the function at a hop of the program that runs, -1 if there is no such hop. */
  functionOf(hop: number): number;
  /** Closes the ports from that index on, none of which the lane has at present. From any thread. */
  closePorts(first: number): void;
  /** Index of the first port whose device is gone, or -1. */
  gonePort(): number;
  /** Receives, parses, classifies. The first hop with work, or -1. */
  inhale(): number;
  /** Carries out the results of `hop`. The next hop with work, or -1. */
  advance(hop: number): number;
  /** Transmits, takes completions, refills, publishes counters. EXHALE_BUSY and EXHALE_TICK bits. */
  exhale(): number;
  /** The function of `hop` trapped: its frames are dropped or go on, as declared. The next hop with work, or -1. */
  fault(hop: number): number;
  /**
   * The call that `function` has been given, as layout.ts has it: index into callKinds, and of nf_process the hop. Before
   * `fault`, `advance` or the next fillEvents; or by another thread when the one that had the lane has ended.
   */
  copyCall(kind: number, functionIndex: number, hop: number): ArrayBuffer;
  /** After EXHALE_BAD_RESULT: the first result of its hop and reason that did not hold, with the batch; once each. */
  takeBadResult(): NativeBadResult | null;
  /** A call outside of hops is to be made: index into callKinds of nf_tick. Those of the others come by themselves. */
  recordCall(kind: number, functionIndex: number): void;
  /** Null if the function has no recorder, or nothing in it. When copyCall may be called. */
  copyRecording(functionIndex: number): NativeRecording | null;
  /** Fills the function's page with its batched events; false if there are none. */
  fillEvents(functionIndex: number): boolean;
  /** Carries out what the function put into its outbox in nf_events. */
  drainEvents(functionIndex: number): void;
  /** Replay's end: the clock moves to what happens next by itself. False if nothing does. */
  runOut(): boolean;
  /** All flows end, whatever waits is dropped. */
  endFlows(): void;
  /** What was in the flow table when the lane took it over; null if the chain keeps no flows. */
  flowRecovery(): FlowRecovery | null;
  /** FLOW_REPORT_BYTES and 8 per exported column for every flow that ended since the last call; null for none. */
  takeFlowReports(): ArrayBuffer | null;
  /** What functions logged on the packet path since the last call: u32 function, level, bytes, UTF-8 text; or null. */
  takeLog(): ArrayBuffer | null;
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
  /** Of lanes that all receive the same: whether it has something that another one passed on, or that waited. */
  isBehind(): boolean;
  audit(): FrameAudit;
  openMemoryPort: (options?: MemoryPortOptions) => MemoryPort;
  openFilePort: (options: FilePortOptions) => FilePort;
  openAfxdpPort: (options: AfxdpPortOptions) => AfxdpPort;
  /** Routed ports' frames leave by the kernel's routes from now on. Before the lane runs. Throws if netlink refuses. */
  followRoutes(): void;
  /** The same by routes that never change. */
  fixRoutes(routes: FixedRoutes): void;
  /** What goes to the host gets there, on ports of devices. Before the lane runs. Throws if the kernel cannot do it. */
  openInlet(program: string): void;
  /**
   * From the next turn on, what comes and what becomes of it is copied to that mirror; null: nowhere. `place`, below
   * MIRRORS, has one mirror at a time. From any thread.
   */
  setMirror(mirror: number | null, place: number): void;
  /** Frees a mirror that the lane has let go of; nothing if there is none. From any thread. */
  freeMirror(place: number): void;
  /** By port: what a function hands to the host gets there. From any thread. */
  reachesHost(): boolean[];
  /** By port: the link address that it has, or says that it has. From any thread. */
  linkAddresses(): Uint8Array[];
  /** Opens all ports: they receive what the mirrored lane did. */
  follow(mirror: number, options: FollowOptions): MirrorSource;
  /** Closes all ports and gives the mappings back. Further calls throw. */
  close(): void;
}

/** The last calls of one function (native/src/flight_recorder.h). */
export interface NativeRecorder {
  /** u32: not 0 when the state is to be taken before the next call. */
  readonly due: ArrayBuffer;
  /** 8 bytes per global, to be filled in before takeState. */
  readonly globals: ArrayBuffer;
  /** What the state consists of: memory from `offset` on, the first bytes of the counters, segments. Begins anew. */
  watch(
    memory: ArrayBuffer,
    offset: number,
    counters: Segment,
    countersBytes: number,
    segments: readonly Segment[],
  ): void;
  /** False if it is too large; nothing is kept from then on. */
  takeState(): boolean;
}

export interface NativeRecording {
  /** Calls as layout.ts has them, oldest first. */
  readonly calls: ArrayBuffer;
  /** What was before the first of them: globals as they were filled in; memory, counters, segments. */
  readonly globals: ArrayBuffer;
  /** Pages as copyPages gives them, but counters plain. */
  readonly parts: readonly ArrayBuffer[];
}

export interface NativeBadResult {
  readonly hop: number;
  readonly position: number;
  /** Index into engineDropReasons. */
  readonly reason: number;
  readonly result: ArrayBuffer;
  readonly call: ArrayBuffer;
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
  /** Instead of `output`: what another port writes to, which is open and used by the same thread. */
  readonly sharedOutput?: FileOutput;
}

declare const fileOutput: unique symbol;
/** Made by the addon. */
export interface FileOutput {
  readonly [fileOutput]: never;
}

export interface FilePort extends OpenPort {
  /** Frames longer than a slot: received, counted, dropped. */
  readonly oversize: number;
  /** Inputs that could not be read to their end (damaged, cut short), and why. */
  readonly damage: readonly { readonly file: string; readonly what: string }[];
  readonly output: FileOutput;
  /** After close(): why the output is incomplete (disk full), or null. If ports share it, the last to be closed says so. */
  readonly writeError: string | null;
}

export interface CaptureInfo {
  readonly linkType: number;
  readonly nanoseconds: boolean;
}

export interface ReadCapture {
  readonly packets: readonly {
    readonly bytes: Uint8Array;
    readonly wireLength: number;
    /** LINK_*. */
    readonly link: number;
    readonly timeNs: bigint;
  }[];
  /** Why reading ended before the file's end; null if it did not. */
  readonly damage: string | null;
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
  /** Keeps the XDP program attached when this process dies. Absent: the program goes with it. */
  readonly keeper?: LinkKeeper | undefined;
  /** Only unicast IP packets for the device's link address come to the port; the rest stays with the kernel. */
  readonly routed?: boolean;
  /** A kept program drops the queue's frames while no engine has it, instead of passing them to the kernel. */
  readonly dropsWhenDown?: boolean;
  /** Its frames come from the first program on that has a port of its number; it may be opened from any thread then. */
  readonly inactive?: boolean;
}

/** Two descriptors of this process: the ends of what holds the XDP programs' links, whoever put them there and died. */
export interface LinkKeeper {
  readonly put: number;
  readonly take: number;
}

export interface AfxdpPort extends OpenPort {
  readonly device: string;
  /** In the process's network namespace. */
  readonly ifindex: number;
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
  /** The byte ranges of a file that are not holes, beginning and end in turn. Throws system-call. */
  findData(path: string): number[];
  /** Puts windows over [0, MEMORY_BASE) of a WebAssembly memory; the rest of that range becomes inaccessible. */
  overlay(memory: ArrayBuffer, windows: readonly Window[]): void;
  /** After that: what lies in the windows' segments already is reached without a page fault. */
  populate(memory: ArrayBuffer, windows: readonly Window[]): void;
  /**
   * Those pages of a segment, or of a part of a buffer that begins at a page's start, that are there: u64 number and 4096
   * bytes each. Null if that is more than `limit` bytes.
   */
  copyPages(source: Segment | ArrayBuffer, offset: number, bytes: number, limit: number): ArrayBuffer | null;
  /** Keeps at least so many batches of a function with so many globals, as far as there is room. */
  makeRecorder(batches: number, globals: number): NativeRecorder;
  createLane(options: LaneOptions): NativeLane;
  /** For `lanes` lanes with `flows` flows in all; null: spread by addresses. Throws system-call. */
  makeHandover(lanes: number, flows: number, spread: PlannedSpread | null): NativeHandover;
  /** A lane of this process by its id, for another thread. Throws internal if nobody holds it any more. */
  attachLane(id: number): NativeLane;
  /** Throws system-call if there is no memory for it. */
  createMirror(options: MirrorOptions): NativeMirror;
  /** A mirror of this process by its id, for another thread. Throws internal if nobody holds it any more. */
  attachMirror(id: number): NativeMirror;
  /** Of each frame the first `snapLength` bytes. */
  openTap(mirror: number, filter: FrameFilter, snapLength: number): MirrorTap;
  /** Opens each AF_XDP mode for a moment, best first. Frames pass to the kernel meanwhile; a few may be lost. */
  probeAfxdp(options: { readonly device: string; readonly queue: number; readonly program: string }): AfxdpProbe[];
  /** For a process that starts engines; they inherit the descriptors. It goes with the last process that has it. */
  openLinkKeeper(): LinkKeeper;
  /** Binds the calling thread to a CPU, which it has before others if the process may ask for that; its id. */
  claimLaneCpu(cpu: number): number;
  /** Whether the calling thread, once it wakes up, runs before all ordinary ones, if the process may ask for that. */
  comeFirst(does: boolean): void;
  /** That thread goes where the main thread may run, with its priority. */
  leaveLaneCpu(thread: number): void;
  /** The word, who has the lane, becomes 0; the time is put down before, in ns. Sleeps for a moment if it is awaited. */
  releaseLane(control: Int32Array, word: number, times: BigInt64Array, time: number, isAwaited: boolean): void;
  /** The word becomes `generation` once it is 0; false after `withinMs`, or if it is shaken before. */
  takeLane(control: Int32Array, word: number, generation: number, withinMs: number): boolean;
  /** Who waits for the word looks up. */
  shakeLane(control: Int32Array, word: number): void;
  /** Bytes of the flow table for so many flows, and where in them their FLOW_BYTES records begin. */
  flowTableBytes(capacity: number): number;
  flowStatesOffset(capacity: number): number;
  /** Ticks per second of the clock that hopCounters "ticks" counts in; takes 20 ms at most. */
  measureTickHz(): number;
  /** Wakes the lane that has this descriptor. */
  wake(descriptor: number): void;
  /** Reads a capture's header. Throws file-unreadable, capture-format or capture-link-type. */
  inspectCapture(path: string): CaptureInfo;
  /** All packets of a capture. Throws file-unreadable, capture-format or capture-link-type. */
  readCapture(path: string): ReadCapture;
  /**
   * The record of one frame of link type LINK_*, `RECORD_BYTES` long, as the packet path would make it.
   * `wireLength` is what the frame had on the wire, at least `bytes.length` unless the capture lies.
   */
  parse(bytes: Uint8Array, link: number, wireLength: number): ArrayBuffer;
}
