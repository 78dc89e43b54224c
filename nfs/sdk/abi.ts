// ABI version 1: the numbers that host and functions agree on; ABI.md is their specification.
// Integer constants only: asc, tsc and (through native/generate-abi.ts) C++ read this very file.

export const ABI_VERSION = 1;

// ---- the map of a function's memory (ABI.md, section 2) ----

/** Windows lie below, the module's own data and heap above: `asc --memoryBase 536870912`. */
export const MEMORY_BASE = 0x20000000;
export const WASM_PAGE_BYTES = 0x10000;
/** The context page: the only address a function has to know. */
export const CONTEXT_ADDRESS = 0x10000;
export const CONTEXT_BYTES = 0x1000;

// Offsets in the context page, each a u32 unless said otherwise.
export const CONTEXT_ABI_VERSION = 0;
export const CONTEXT_FRAMES_ADDRESS = 4;
export const CONTEXT_FRAMES_BYTES = 8;
/** Bytes of one slot: a power of two; slots are aligned to it. */
export const CONTEXT_SLOT_BYTES = 12;
export const CONTEXT_RECORDS_ADDRESS = 16;
export const CONTEXT_BATCH_ADDRESS = 20;
export const CONTEXT_RESULTS_ADDRESS = 24;
export const CONTEXT_COUNTERS_ADDRESS = 28;
export const CONTEXT_LANE = 32;
export const CONTEXT_LANE_COUNT = 36;
export const CONTEXT_PORT_COUNT = 40;
/** u64: the chain's seed, the only source of randomness. */
export const CONTEXT_SEED = 48;

// ---- the batch (read-only, rewritten before every nf_process) ----

export const BATCH_CAPACITY = 256;
/** u32: how many of input[] are valid. */
export const BATCH_COUNT = 0;
/** u32: which hop of the chain this call is for. */
export const BATCH_HOP = 4;
/** u64: nanoseconds since 1970-01-01T00:00Z; capture time in replay. Never goes back. */
export const BATCH_TIME = 8;
/** u16[BATCH_CAPACITY]: indices into records[]. */
export const BATCH_INPUT = 64;
export const BATCH_BYTES = 576;

// ---- records (read-only, one per frame of the batch) ----

export const RECORD_BYTES = 64;
/** u32: address of the frame's first byte in the function's memory. */
export const RECORD_FRAME = 0;
/** u32: bytes of the frame that are present. */
export const RECORD_LENGTH = 4;
/** u32: bytes that it had on the wire; more than RECORD_LENGTH if a capture cut it. */
export const RECORD_WIRE_LENGTH = 8;
/** u16: from the frame's start to the IPv4, IPv6 or ARP header; 0xffff if there is none. */
export const RECORD_L3_OFFSET = 12;
/** u16: from the frame's start to the transport header; 0xffff if none is present. */
export const RECORD_L4_OFFSET = 14;
/** u16: from the frame's start to the transport payload; 0xffff if none is present. */
export const RECORD_PAYLOAD_OFFSET = 16;
/** u16: bytes of transport payload present, without Ethernet padding. */
export const RECORD_PAYLOAD_LENGTH = 18;
/** u16, host order: after all VLAN tags; a value below 0x0600 is an IEEE 802.3 length. */
export const RECORD_ETHER_TYPE = 20;
/** u8: after all IPv6 extension headers. */
export const RECORD_IP_PROTO = 22;
/** u8: 4, 6 or 0. */
export const RECORD_IP_VERSION = 23;
/** u16: RECORD_FLAG_* bits. */
export const RECORD_FLAGS = 24;
/** u8: MALFORMED_*, 0 for a sound frame. */
export const RECORD_MALFORMED = 26;
/** u8: VLAN tags seen (0 … 2 described, more only counted). */
export const RECORD_VLAN_COUNT = 27;
/** u16, host order: priority, DEI and VLAN id of the outermost tag. */
export const RECORD_OUTER_TCI = 28;
/** u16, host order: the same of the second tag. */
export const RECORD_INNER_TCI = 30;
/** u16, host order: TCP, UDP, SCTP; type << 8 | code for ICMP and ICMPv6. */
export const RECORD_SOURCE_PORT = 32;
/** u16, host order: TCP, UDP, SCTP; the identifier of ICMP echoes. */
export const RECORD_DESTINATION_PORT = 34;
/** u8: CWR ECE URG ACK PSH RST SYN FIN. */
export const RECORD_TCP_FLAGS = 36;
/** u8: IPv4 type of service or IPv6 traffic class: DSCP << 2 | ECN. */
export const RECORD_TRAFFIC_CLASS = 37;
/** u8: the port where the frame entered. */
export const RECORD_PORT = 38;
/** u8: 0 from the flow's first sender, 1 the other way. */
export const RECORD_DIRECTION = 39;
/** u8: LINK_*. */
export const RECORD_LINK = 40;
/** u8: TUNNEL_*, what the transport payload carries. */
export const RECORD_TUNNEL = 41;
/** u16: bytes from the fragment's place in the whole to its start (IPv4 and IPv6). */
export const RECORD_FRAGMENT_OFFSET = 42;
/** u32: symmetric over both directions; the same in every lane and run. */
export const RECORD_HASH = 44;
/** u32: the flow, 0 for none. */
export const RECORD_FLOW = 48;
/** u32: event bits. */
export const RECORD_EVENTS = 52;
/** u32: what an earlier function of the chain set as mark. */
export const RECORD_MARK = 56;
/** u32: label bits of the flow. */
export const RECORD_LABELS = 60;

export const OFFSET_NONE = 0xffff;

export const RECORD_FLAG_FRAGMENT = 1;
export const RECORD_FLAG_MORE_FRAGMENTS = 2;
export const RECORD_FLAG_DONT_FRAGMENT = 4;
/** IPv4 options or IPv6 extension headers stand between L3 and L4. */
export const RECORD_FLAG_OPTIONS = 8;
/** The frame was cut by the capture: RECORD_LENGTH < RECORD_WIRE_LENGTH. */
export const RECORD_FLAG_CUT = 16;
export const RECORD_FLAG_MULTICAST = 32;
export const RECORD_FLAG_BROADCAST = 64;

export const LINK_ETHERNET = 0;
export const LINK_NULL = 1;
export const LINK_RAW = 2;
export const LINK_SLL = 3;

export const TUNNEL_NONE = 0;
export const TUNNEL_GRE = 1;
export const TUNNEL_VXLAN = 2;
export const TUNNEL_IP = 3;

export const MALFORMED_NONE = 0;
export const MALFORMED_LINK_SHORT = 1;
export const MALFORMED_VLAN_SHORT = 2;
export const MALFORMED_ARP_SHORT = 3;
export const MALFORMED_IP_SHORT = 4;
export const MALFORMED_IP_VERSION = 5;
export const MALFORMED_IP_HEADER_LENGTH = 6;
export const MALFORMED_IP_TOTAL_LENGTH = 7;
export const MALFORMED_EXTENSION_SHORT = 8;
export const MALFORMED_EXTENSION_ORDER = 9;
export const MALFORMED_EXTENSION_COUNT = 10;
export const MALFORMED_FRAGMENT = 11;
export const MALFORMED_TCP_SHORT = 12;
export const MALFORMED_TCP_OFFSET = 13;
export const MALFORMED_UDP_SHORT = 14;
export const MALFORMED_UDP_LENGTH = 15;
export const MALFORMED_ICMP_SHORT = 16;
export const MALFORMED_SCTP_SHORT = 17;
export const MALFORMED_GRE_SHORT = 18;

// ---- results (written by the function, zero before every nf_process) ----

export const RESULT_BYTES = 16;
/** u8: VERDICT_*. */
export const RESULT_VERDICT = 0;
/** u8: RESULT_FLAG_* bits. */
export const RESULT_FLAGS = 1;
/** u16: for VERDICT_DROP and VERDICT_HOST, a reason that the function declared; 0 is "unspecified". */
export const RESULT_REASON = 2;
/** u16: for VERDICT_TRANSMIT a port, for VERDICT_BRANCH a branch. */
export const RESULT_TARGET = 4;
/** i16, with RESULT_FLAG_RESIZED: bytes pulled from (positive) or pushed before (negative) the frame's start. */
export const RESULT_HEAD = 6;
/** u32, with RESULT_FLAG_RESIZED: the frame's new length. */
export const RESULT_LENGTH = 8;
/** u32: the reason's detail for VERDICT_DROP and VERDICT_HOST; the mark with RESULT_FLAG_MARK. */
export const RESULT_VALUE = 12;

export const RESULT_FLAG_RESIZED = 1;
/** Headers were rewritten: the host parses the frame again before the next hop. */
export const RESULT_FLAG_REWRITTEN = 2;
export const RESULT_FLAG_MARK = 4;

export const VERDICT_NEXT = 0;
export const VERDICT_DROP = 1;
export const VERDICT_TRANSMIT = 2;
export const VERDICT_BRANCH = 3;
export const VERDICT_HOST = 4;

// ---- counters and reasons that a function declares while it is configured ----

/** u64 each, written by the function only. */
export const COUNTER_BYTES = 8;
export const COUNTERS_CAPACITY = 65536;
export const COUNTER_KIND_COUNTER = 0;
export const COUNTER_KIND_GAUGE = 1;
export const REASONS_CAPACITY = 256;

export const LOG_DEBUG = 0;
export const LOG_INFO = 1;
export const LOG_WARN = 2;
export const LOG_ERROR = 3;
