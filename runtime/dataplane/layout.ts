// What C++ and TypeScript of the host agree on beyond the ABI: shared layouts and the order of counters.
// native/generate-abi.ts turns the numbers into constants and the lists into indices.

/** Layout of the segment that a lane shares with its functions, page-aligned parts. */
export const SHARED_BATCH_OFFSET = 0;
export const SHARED_RESULTS_OFFSET = 0x1000;
export const SHARED_RECORDS_OFFSET = 0x2000;
export const SHARED_PORTS_OFFSET = 0xa000;
export const SHARED_BYTES = 0xa000 + 0x4000;
/** 512 records: the batch's, and as many that functions may add. */
export const RECORDS_CAPACITY = 512;

/** Layout of what one instance of a function exchanges with its lane, page-aligned parts after its context page. */
export const STATE_OUTBOX_OFFSET = 0x1000;
export const STATE_EVENTS_OFFSET = 0x11000;
export const STATE_CHUNKS_OFFSET = 0x14000;
export const STATE_BYTES = 0x1d000;

/** What NativeLane.exhale returns: something was received in this turn; functions may tick (at most once a millisecond). */
export const EXHALE_BUSY = 1;
export const EXHALE_TICK = 2;
/** Functions have batched events to take. */
export const EXHALE_EVENTS = 4;

/** Results that do not hold were noted (NativeLane.takeBadResult). */
export const EXHALE_BAD_RESULT = 8;

/**
 * A call of a function, written down: this head; per frame u16 index of its record, u16 0, u32 bytes kept, the record, a
 * row, the frame; per chunk its entry, whose word CALL_CHUNK_KEPT says how many bytes follow; per batched event its entry
 * and a row. A row is what the function may read of the flow: its record, then 8 bytes per column. All parts are multiples
 * of 8 bytes; what is kept is padded.
 */
export const CALL_HEAD_BYTES = 64;
export const CALL_BYTES = 0; // u32: of the whole, with the head
export const CALL_KIND = 4; // u32: callKinds
export const CALL_HOP = 8; // u32
export const CALL_COUNT = 12; // u32: frames
export const CALL_TIME = 16; // u64 ns
export const CALL_ROW_BYTES = 24; // u32
export const CALL_CHUNKS = 28; // u32
export const CALL_EVENTS = 32; // u32
export const CALL_MISSED = 36; // u32: of batched events
export const CALL_FRAME_HEAD_BYTES = 8;
export const CALL_CHUNK_KEPT = 28;

/** nf_process stands for nf_stream, too, which comes just before it. */
export const callKinds = ["nf_process", "nf_events", "nf_tick"] as const;
export type CallKind = (typeof callKinds)[number];

/** Counters of one port, in this order. */
export const portCounters = [
  "receive_frames",
  "receive_bytes",
  "receive_dropped",
  "transmit_frames",
  "transmit_bytes",
  "transmit_dropped",
] as const;

/** Counters of one hop, in this order; a counter per reason follows. */
export const hopCounters = [
  "frames",
  "batches",
  "ticks",
  "next",
  "drop",
  "transmit",
  "branch",
  "host",
  "faults",
  "fault_frames",
] as const;

/** Counters of what a function put into its outbox, in this order. */
export const functionCounters = ["refused_messages", "bad_outboxes", "outbox_overflows"] as const;

/** Counters of a lane, in this order. The engine's own drop reasons follow them. */
export const laneCounters = [
  "turns",
  "received",
  "transmitted",
  "consumed",
  "host",
  "dropped",
  "malformed",
  "emitted",
  /** Questions for link addresses that ports answered, and that they asked themselves. */
  "answered",
  "asked",
] as const;

/** Reasons for which the engine, not a function, drops a frame; their counters follow the lane's. */
export const engineDropReasons = [
  "no-path",
  "oversize",
  "port-full",
  "port-gone",
  "host-unavailable",
  "fault",
  "bad-verdict",
  "bad-target",
  "bad-reason",
  "bad-length",
  "not-writable",
  "flow-table-full",
  "fragment-overlap",
  "fragment-tiny",
  "fragment-too-long",
  "fragment-too-many",
  "fragment-table-full",
  "fragment-incomplete",
  "fragment-duplicate",
  "fragment-malformed",
  "quarantined",
  "lane-full",
  "no-route",
  "ttl-exceeded",
  "packet-too-big",
  "neighbour-unknown",
  "bad-ip-header",
  /** No drop: the route ends at this machine, and the kernel has the frame. */
  "local",
  /** No drops: the port has answered it; it told a link address that the port had asked for. */
  "answered",
  "resolved",
] as const;

/** Counters of a lane's flows; they follow the engine's drop reasons. */
export const flowCounters = [
  "live",
  "started",
  "ended",
  "evicted",
  "refused",
  "invalid",
  "icmp_errors",
  "fragments_held",
  "events_missed",
  "moved",
  "moved_lost",
] as const;

/**
 * The calls of one hop: how many frames took up to 4 ns each, up to 8, … up to 2^22, and more; then how many calls had 1
 * frame, up to 2, … up to 256, and more.
 */
export const CALL_TIME_BUCKETS = 22;
export const CALL_SIZE_BUCKETS = 10;
export const CALL_COUNTERS = CALL_TIME_BUCKETS + CALL_SIZE_BUCKETS;

/** Of a lane's use of what it has, in this order; how many frames its turns received follows, as CALL_SIZE_BUCKETS. */
export const laneUseCounters = [
  /** Processor time of the threads that had the lane. */
  "cpu_ns",
  /** Frames that had no room in a mirror (of a shadow or an observer). */
  "mirror_missed",
  /** Lines that functions logged and that had no room. */
  "log_lost",
  /** Drops and events that are in no report because there were too many in that second. */
  "drops_skipped",
  "events_skipped",
] as const;

/** Rings of a port, as they were in the last turn: descriptors of each, and how many of them wait. */
export const portGauges = ["ring_size", "receive_ring", "transmit_ring"] as const;

/**
 * Reports of what happened (native/src/report_ring.h): a page of its own, then the ring, in blocks that each begin with a
 * report. `reserved` and `head` count bytes since the ring was made; what is before reserved - REPORT_RING_BYTES may be
 * overwritten.
 */
export const REPORT_LAYOUT = 1;
export const REPORT_HEADER_BYTES = 4096;
export const REPORT_RING_BYTES = 8388608;
export const REPORT_BLOCK_BYTES = 262144;
export const REPORT_LAYOUT_OFFSET = 0; // u64
export const REPORT_RESERVED_OFFSET = 64; // u64
export const REPORT_HEAD_OFFSET = 72; // u64
export const REPORT_SEQUENCE_OFFSET = 80; // u64: of the next report
export const REPORT_SERIAL_OFFSET = 88; // u32: of the flow that began last
/** What is wanted; may be changed at any time. One of so many drops (0: none), and so many of each in a second. */
export const REPORT_DROP_EVERY_OFFSET = 128; // u32
export const REPORT_DROPS_PER_SECOND_OFFSET = 132; // u32
export const REPORT_EVENTS_PER_SECOND_OFFSET = 136; // u32
export const REPORT_DROP_EVERY = 100;
export const REPORT_DROPS_PER_SECOND = 50;
export const REPORT_EVENTS_PER_SECOND = 5000;

/** A report: this head, then its content; a multiple of 8 bytes in all. */
export const REPORT_HEAD_BYTES = 32;
export const REPORT_BYTES = 0; // u32: with the head
export const REPORT_KIND = 4; // u32: reportKinds
export const REPORT_SEQUENCE = 8; // u64
export const REPORT_NAMES = 16; // u32: which names its numbers stand for
export const REPORT_FLOW = 20; // u32: its number in the table, 0: none
export const REPORT_SERIAL = 24; // u32: of the flow

/** "padding" fills a block, and has only the first two words. */
export const reportKinds = ["padding", "flow", "drop", "event"] as const;

/** A drop's content; up to REPORT_FRAME_BYTES of the frame follow. */
export const REPORT_DROP_BYTES = 40;
export const REPORT_FRAME_BYTES = 128;
export const REPORT_DROP_TIME = 0; // u64 ns
export const REPORT_DROP_DETAIL = 8; // u32
export const REPORT_DROP_LENGTH = 12; // u32: on the wire
export const REPORT_DROP_HOP = 16; // i16, -1: the engine
export const REPORT_DROP_REASON = 18; // u16
export const REPORT_DROP_KIND = 20; // u8: outcomeKinds
export const REPORT_DROP_PORT = 21; // u8
export const REPORT_DROP_ENGINE = 22; // u8: the reason is the engine's
export const REPORT_DROP_LINK = 23; // u8
export const REPORT_DROP_KEPT = 24; // u32: bytes of the frame that follow
export const REPORT_DROP_ONE_OF = 28; // u32: one of so many was to be reported
export const REPORT_DROP_NUMBER = 32; // u64: of the frame, among all that the lane received

/** An event's content; the flow follows, as FLOW_REPORT_BYTES. */
export const REPORT_EVENT_BYTES = 16;
export const REPORT_EVENT_BIT = 0; // u32
export const REPORT_EVENT_VALUE = 4; // u32
export const REPORT_EVENT_FUNCTION = 8; // u32: index of the function that raised it

/**
 * A flow that ended: u32 serial, u32 reply (0: no second key; 1, 2: the endpoint of it that sends replies, plus 1), u64 time,
 * two keys, its record; then exported columns.
 */
export const FLOW_REPORT_BYTES = 304;
/** u8 */
export const FLOW_REPORT_REPLY = 4;
/** u8[3]: FlowPorts. */
export const FLOW_REPORT_PORTS = 5;
export const FLOW_REPORT_KEYS = 16;
export const FLOW_KEY_BYTES = 48;
export const FLOW_REPORT_STATE = 112;

/** Where a frame left or was to leave: the port that its route leads to. */
export const PORT_ROUTE = 255;

/** One outcome per frame, in the order of their ends. */
export const OUTCOME_BYTES = 40;
export const OUTCOME_NUMBER = 0; // u64: 1-based number of the input frame
export const OUTCOME_TIME = 8; // u64 ns
export const OUTCOME_DETAIL = 16; // u32
export const OUTCOME_FLOW = 20; // u32
export const OUTCOME_HOP = 24; // i16: the hop that decided, -1 for the engine
export const OUTCOME_REASON = 26; // u16: the function's reason, or an index into engineDropReasons
export const OUTCOME_KIND = 28; // u8: outcomeKinds
export const OUTCOME_PORT = 29; // u8: where it entered
export const OUTCOME_TO = 30; // u8: where it left
export const OUTCOME_ENGINE = 31; // u8: 1 if the reason is the engine's
export const OUTCOME_RECORD = 32; // u16: its record, valid until the next inhale, as are the bytes in its slot

export const outcomeKinds = ["forward", "drop", "consume", "host", "fault"] as const;
export type OutcomeKind = (typeof outcomeKinds)[number];

/** Mirrors that a lane can have at the same time: that of a change's shadow, and those of who watches. */
export const MIRRORS = 4;
export const MIRROR_OF_CHANGE = 0;

/**
 * A watched frame as MirrorTap.read writes it: this head, then the bytes that were kept, padded to a multiple of 8. As it
 * came, or as it left.
 */
export const TAP_ENTRY_BYTES = 48;
export const TAP_NUMBER = 0; // u64: of the frame, among all that the lane received; 0: a function built it
export const TAP_TIME = 8; // u64 ns
export const TAP_FLOW = 16; // u32: 0: none
export const TAP_WIRE_LENGTH = 20; // u32
export const TAP_KEPT = 24; // u32: bytes that follow
export const TAP_DETAIL = 28; // u32
export const TAP_REASON = 32; // u16: the function's reason, or an index into engineDropReasons
export const TAP_HOP = 34; // i16: that decided, -1 for the engine
export const TAP_PORT = 36; // u8: where it came in
export const TAP_TO = 37; // u8: where it left, of what was forwarded
export const TAP_KIND = 38; // u8: outcomeKinds; TAP_NO_OUTCOME: it waits for other fragments
export const TAP_ENGINE = 39; // u8: 1 if the reason is the engine's
export const TAP_LINK = 40; // u8
export const TAP_LEAVES = 41; // u8: 1 as it left, 0 as it came
export const TAP_NO_OUTCOME = 255;

/** Where a frame that left two lanes in different shapes differs first; "none": it does not, or did not leave both. */
export const rewriteParts = ["none", "length", "link", "network", "transport", "payload"] as const;
export type RewritePart = (typeof rewriteParts)[number];
/** Different flows that a group of differences counts at the most. */
export const DIFFERENCE_FLOWS = 128;
/** Frames of it that are kept. */
export const DIFFERENCE_EXAMPLES = 3;
