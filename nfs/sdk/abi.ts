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
/** Flows that the table holds at the most; columns have one entry more, since flow 0 is none. */
export const CONTEXT_FLOW_CAPACITY = 44;
/** u64: the chain's seed, the only source of randomness. */
export const CONTEXT_SEED = 48;
export const CONTEXT_OUTBOX_ADDRESS = 56;
export const CONTEXT_EVENTS_ADDRESS = 60;
export const CONTEXT_CHUNKS_ADDRESS = 64;
export const CONTEXT_PORTS_ADDRESS = 68;
/** Ports of a shared address that are one lane's in a row: a power of two from 64 on; 0 if all that a host has may be on several lanes. */
export const CONTEXT_LANE_PORTS = 72;

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

// ---- ports (read-only, one entry per port; all zero for what the host does not know) ----

export const PORT_BYTES = 64;
/** u32: PORT_FLAG_* bits. */
export const PORT_FLAGS = 0;
/** u32: bytes from the IP header on that the link takes; 0 if it is not known. */
export const PORT_MTU = 4;
/** u8[6]: the device's link address. */
export const PORT_MAC = 8;
/** u32, host order: the device's first IPv4 address, 0 for none. It may change between two batches. */
export const PORT_ADDRESS4 = 16;
/** u8[16]: the device's first IPv6 address that is not link-local, zeros for none. It may change between two batches. */
export const PORT_ADDRESS6 = 24;

/** Frames leave it by the kernel's routes. */
export const PORT_FLAG_ROUTED = 1;
export const PORT_FLAG_UP = 2;

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

// ---- flows: what the host knows of each, read-only for functions that read the column "flow" ----

export const FLOW_BYTES = 192;
/** u8: FLOW_STATE_*. */
export const FLOW_STATE = 0;
/** u8 */
export const FLOW_IP_PROTO = 1;
/** u8: 4 or 6. */
export const FLOW_IP_VERSION = 2;
/** u8: FLOW_FLAG_* bits. */
export const FLOW_FLAGS = 3;
/** u32: label bits. */
export const FLOW_LABELS = 4;
/** u64: time of the first frame, ns since 1970. */
export const FLOW_START = 8;
/** u64: time of the last frame. */
export const FLOW_LAST = 16;
/** u64: the flow ends if nothing comes until then. */
export const FLOW_DEADLINE = 24;
/** u64[2]: frames by direction. */
export const FLOW_PACKETS = 32;
/** u64[2]: bytes on the wire by direction. */
export const FLOW_OCTETS = 48;
/** u8[2]: all TCP flags seen, by direction. */
export const FLOW_TCP_FLAGS = 64;
/** u8: FLOW_END_*, once it has ended. */
export const FLOW_END = 66;
/** u8: endpoint (0 or 1 of the first tuple) that sent the first frame. */
export const FLOW_FIRST_SIDE = 67;
/** u16 */
export const FLOW_ZONE = 68;
/** u16: VLAN id of the outermost tag, 0 for none. */
export const FLOW_VLAN = 70;
/** u16[2], each stops at 65535. */
export const FLOW_RETRANSMISSIONS = 72;
export const FLOW_OUT_OF_ORDER = 76;
export const FLOW_ZERO_WINDOWS = 80;
/** u32: smoothed round-trip time in microseconds, 0 if unknown. */
export const FLOW_RTT = 84;
/** u32: timeout in milliseconds that a function set, 0 for the state's own. */
export const FLOW_TIMEOUT = 88;
/** u32: frames that the tracker found invalid. */
export const FLOW_INVALID = 92;
/** From here on the host's own. */
export const FLOW_PRIVATE = 96;

export const FLOW_FLAG_REPLIED = 1;
/** Not evicted when the table is full. */
export const FLOW_FLAG_ASSURED = 2;
/** Picked up in the middle. */
export const FLOW_FLAG_MIDSTREAM = 4;
/** A function asked for its end. */
export const FLOW_FLAG_CLOSING = 8;
/** A function shifts its TCP sequence numbers (MESSAGE_SHIFT). */
export const FLOW_FLAG_SHIFTED = 16;
/** A function expected it (MESSAGE_EXPECT). */
export const FLOW_FLAG_RELATED = 32;

export const FLOW_STATE_NONE = 0;
export const FLOW_STATE_NEW = 1;
export const FLOW_STATE_ESTABLISHED = 2;
export const FLOW_STATE_SYN_SENT = 3;
export const FLOW_STATE_SYN_RECEIVED = 4;
export const FLOW_STATE_FIN_WAIT = 5;
export const FLOW_STATE_CLOSE_WAIT = 6;
export const FLOW_STATE_LAST_ACK = 7;
export const FLOW_STATE_TIME_WAIT = 8;
export const FLOW_STATE_CLOSED = 9;
export const FLOW_STATE_SYN_SENT_2 = 10;

export const FLOW_END_NONE = 0;
export const FLOW_END_TIMEOUT = 1;
export const FLOW_END_CLOSED = 2;
export const FLOW_END_RESET = 3;
export const FLOW_END_EVICTED = 4;
export const FLOW_END_REUSED = 5;
export const FLOW_END_FUNCTION = 6;
export const FLOW_END_SHUTDOWN = 7;

// ---- events: bits of RECORD_EVENTS and EVENT_ENTRY_EVENT ----

export const EVENT_START = 1;
export const EVENT_ESTABLISHED = 2;
/** The frame carries payload of the flow. */
export const EVENT_DATA = 4;
/** Some of the frame's bytes came by before. */
export const EVENT_RETRANSMISSION = 8;
/** The frame fills a gap that earlier ones of its direction left. */
export const EVENT_OUT_OF_ORDER = 16;
/** The first FIN. */
export const EVENT_HALF_CLOSED = 32;
/** Both sides have closed, and know it of each other. */
export const EVENT_CLOSED = 64;
/** By a RST that the other side has to believe. */
export const EVENT_RESET = 128;
export const EVENT_TIMEOUT = 256;
export const EVENT_EVICTED = 512;
/** The frame is an ICMP error about the flow; direction is that of the frame that it quotes, reversed. */
export const EVENT_ICMP_ERROR = 1024;
/** The frame does not belong where it stands in its connection (TCP state or window). */
export const EVENT_INVALID = 2048;
/** The frame says that its sender takes no more for now. */
export const EVENT_ZERO_WINDOW = 4096;
/** A RST or SYN in the window, not acted upon: its receiver will answer with a challenge (RFC 5961). */
export const EVENT_CHALLENGE = 8192;
/** First bit that functions define. */
export const EVENT_CUSTOM = 65536;
export const EVENT_CUSTOM_COUNT = 16;

// ---- batched events (read-only; nf_events) ----

export const EVENTS_CAPACITY = 256;
/** u32: how many entries are valid. */
export const EVENTS_COUNT = 0;
/** u32: how many did not fit since the last call. */
export const EVENTS_MISSED = 4;
export const EVENTS_ENTRIES = 64;
export const EVENT_ENTRY_BYTES = 32;
/** u64: time in ns. */
export const EVENT_ENTRY_TIME = 0;
/** u32: the flow; its columns may still be read, also after its end. */
export const EVENT_ENTRY_FLOW = 8;
/** u32: the event bit. */
export const EVENT_ENTRY_EVENT = 12;
/** u32: what the raiser said with it. */
export const EVENT_ENTRY_VALUE = 16;
/** u8 */
export const EVENT_ENTRY_DIRECTION = 20;
export const EVENTS_BYTES = 8256;

// ---- stream chunks (read-only; nf_stream, before nf_process of the same batch) ----

export const CHUNKS_CAPACITY = 1024;
/** u32: how many chunks are valid. */
export const CHUNKS_COUNT = 0;
export const CHUNKS_ENTRIES = 64;
export const CHUNK_BYTES = 32;
/** u64: offset of the first byte in its direction's stream, gaps counted; for datagrams how many came before. */
export const CHUNK_OFFSET = 0;
/** u32: address of the data in the function's memory. */
export const CHUNK_DATA = 8;
/** u32: bytes; 0 for a bare start, gap or end. */
export const CHUNK_LENGTH = 12;
/** u32 */
export const CHUNK_FLOW = 16;
/** u32: bytes that never came, before this chunk; of a datagram, at its end (CHUNK_FLAG_GAP). */
export const CHUNK_GAP = 20;
/** u16: index into input[] of the frame that made it available. */
export const CHUNK_INPUT = 24;
/** u8 */
export const CHUNK_DIRECTION = 26;
/** u8: CHUNK_FLAG_* bits. */
export const CHUNK_FLAGS = 27;
/** The first chunk of its direction: TCP only. */
export const CHUNK_FLAG_START = 1;
/** The last chunk of its direction (FIN or RST): TCP only; a flow that ends otherwise is told of by its event. */
export const CHUNK_FLAG_END = 2;
export const CHUNK_FLAG_GAP = 4;
/** A UDP datagram: whole, unless it was cut by the capture or fragmented (CHUNK_FLAG_GAP). */
export const CHUNK_FLAG_DATAGRAM = 8;
/** Two segments disagreed about some of these bytes; the chain's overlap policy chose. */
export const CHUNK_FLAG_AMBIGUOUS = 16;
export const CHUNKS_BYTES = 32832;

// ---- the outbox (written by the function, empty before every call) ----

export const OUTBOX_BYTES = 65536;
/** u32: bytes of messages that follow OUTBOX_MESSAGES. */
export const OUTBOX_USED = 0;
/** u32: messages that found no room. */
export const OUTBOX_REFUSED = 4;
export const OUTBOX_MESSAGES = 64;
/** Each message begins with u16 MESSAGE_*, u16 flags, u32 bytes with this head, a multiple of 8; u32 flow, u32 value. */
export const MESSAGE_KIND = 0;
export const MESSAGE_FLAGS = 2;
export const MESSAGE_LENGTH = 4;
export const MESSAGE_FLOW = 8;
export const MESSAGE_VALUE = 12;
export const MESSAGE_HEAD_BYTES = 16;
/** Body: source and destination address (16 bytes each, IPv4 in the first 4), u16 source port, u16 destination port. */
export const MESSAGE_BIND = 1;
/** value: the port; body: the frame; flags: bytes of padding behind it. */
export const MESSAGE_EMIT = 2;
/** value: what goes with it; flags: the number of the event's bit. */
export const MESSAGE_EVENT = 3;
/** value: milliseconds, 0 for the state's own. */
export const MESSAGE_TIMEOUT = 4;
export const MESSAGE_CLOSE = 5;
/** flags: LOG_*; body: UTF-8. */
export const MESSAGE_LOG = 6;
/** value: label bits; flags 1 sets, 0 clears. */
export const MESSAGE_LABEL = 7;
/** value: what the function adds to TCP sequence numbers from now on, modulo 2^32; flags: of which direction. */
export const MESSAGE_SHIFT = 8;
/** Body as of MESSAGE_BIND, source address and port 0 for any; value: milliseconds; flags: IP protocol. */
export const MESSAGE_EXPECT = 9;
