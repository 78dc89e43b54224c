// The classifier's tables as the lookup reads them. They are plain memory: addresses are u32, rows are 8-byte aligned.
// Integer constants only, so that asc and tsc read the same file.
//
// A row is a set of rules: those whose condition on one field holds for one value of that field.
//
//   row:    summary u64[summaryBytes / 8]   bit w: word w of the set is not empty
//           block   u32[…]                  address of eight words of the set, shared between rows
//
// The frame's rule is the lowest in the intersection of its rows, one per field.

/** Rules per word. */
export const WORD_RULES = 64;
/** Words per block: one cache line. */
export const BLOCK_WORDS = 8;
export const BLOCK_BYTES = 64;

// ---- the root: u32 each ----

export const ROOT_RULE_COUNT = 0;
export const ROOT_SUMMARY_BYTES = 4;
/** Address of u32[words]: the lowest rule of each word; ascending. */
export const ROOT_FIRST_RULES = 8;
/** Address of u32[words * 64]: the rule of each bit; ascending within a word. */
export const ROOT_RULES = 12;
/** Rows of a frame that has no address. */
export const ROOT_NO_SOURCE = 16;
export const ROOT_NO_DESTINATION = 20;
/** Address of eight bytes per rule: POLICY_*. */
export const ROOT_POLICIES = 24;
/** The address searches of IPv4, then of IPv6: SEARCH_*. */
export const ROOT_SEARCH4 = 32;
export const ROOT_SEARCH6 = 64;
/** Address of the trie of each value field, FIELD_* of them. */
export const ROOT_TRIES = 96;
/** Value fields from FIELD_SOURCE_PORT on that a rule has a condition on: their count, then their numbers. */
export const ROOT_EXTRA_COUNT = 160;
export const ROOT_EXTRAS = 164;
export const ROOT_BYTES = 224;

// ---- what becomes of a rule's frames: u32 each ----

export const POLICY_COUNTER = 0;
/** 0: deny, 1: permit. */
export const POLICY_ACTION = 4;

// ---- both searches of an address family go down the same number of levels ----

export const SEARCH_LEVELS = 0;
export const SEARCH_SOURCE_NODES = 4;
export const SEARCH_SOURCE_ROWS = 8;
export const SEARCH_DESTINATION_NODES = 12;
export const SEARCH_DESTINATION_ROWS = 16;

/**
 * A node of a search is one cache line of keys k0 < k1 < …, sixteen u32 or eight u64, and splits in seventeen or nine:
 * the child of an address is the number of keys below it. Nodes are in level order; child c of node n of a search with
 * f children each is node n * f + 1 + c. SEARCH_LEVELS down stand row addresses instead, at rows + 4 * n. Keys have
 * their uppermost bit inverted, since SIMD compares signed numbers; what is unused is the greatest key, below no
 * address.
 */
export const NODE_BYTES = 64;
export const NODE4_CHILDREN = 17;
export const NODE6_CHILDREN = 9;

/** Where the upper 64 bits of an IPv6 address do not decide, a row address has this bit and leads to a SUBSEARCH. */
export const ROW_IS_SUBSEARCH = 1;
export const SUBSEARCH_LEVELS = 0;
export const SUBSEARCH_NODES = 4;
export const SUBSEARCH_ROWS = 8;
export const SUBSEARCH_BYTES = 16;

// ---- tries: pages of 256 rows; the page by value >> 8, the row by value & 0xff ----

export const TRIE_PAGES = 257;
export const ICMP_PAGES = 513;
export const FLOW_LABEL_PAGES = 4097;
export const PAGE_BYTES = 1024;

// Value fields. The first two are looked up for every frame, the others only where all else agrees.
export const FIELD_DESTINATION_PORT = 0;
export const FIELD_IP_PROTO = 1;
export const FIELD_SOURCE_PORT = 2;
export const FIELD_VLAN = 3;
export const FIELD_DSCP = 4;
export const FIELD_ETHER_TYPE = 5;
export const FIELD_LATER_FRAGMENT = 6;
/** ICMP: type << 8 | code; ICMPv6: the same with ICMPV6_TYPES. */
export const FIELD_ICMP = 7;
export const FIELD_TCP_FLAGS = 8;
export const FIELD_FLOW_LABEL = 9;
/** What the function itself says of a frame, 0 … 0xffff each: lookup.ts, FRAME_CONTEXT. */
export const FIELD_CONTEXT = 10;
export const CONTEXT_FIELDS = 5;
export const VALUE_FIELDS = 15;

export const ICMPV6_TYPES = 0x10000;

// Values that stand for "the frame has none": only rules without a condition on the field take them.
export const NO_PORT = 0x10000;
export const NO_IP_PROTO = 0x100;
export const NO_VLAN = 0x1000;
export const NO_DSCP = 0x40;
export const NO_ICMP = 0x20000;
export const NO_TCP_FLAGS = 0x100;
export const NO_FLOW_LABEL = 0x100000;
