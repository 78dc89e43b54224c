// Everything that a function's author needs, under one roof. ABI.md says what lies beneath.

export { Address, Prefix } from "./address";
export { Arp, ARP_REPLY, ARP_REQUEST } from "./arp";
export { batch } from "./batch";
export { copyDown, copyUp, equal, fill } from "./bytes";
export {
  checksum,
  difference128,
  difference16,
  difference32,
  fold,
  mend,
  mendUdp,
  pseudoSum4,
  pseudoSum6,
  sum,
  transportChecksum,
  udpField,
} from "./checksum";
export { Column } from "./columns";
export { Config, Range } from "./config";
export { flowCapacity, lane, laneCount, lanePorts, portCount, seed } from "./context";
export { Counter, CounterArray, Gauge } from "./counters";
export { crc32c } from "./crc32c";
export { Ethernet, VlanTag } from "./ethernet";
export { CustomEvent, events, FlowEvent } from "./events";
export { Flow } from "./flow";
export * from "./icmp";
export { Ipv4 } from "./ipv4";
export { Ipv6, Ipv6Extension } from "./ipv6";
export { Label } from "./labels";
export { log } from "./log";
export * from "./numbers";
export { Option, OPTION_END, OPTION_NO_OPERATION } from "./option";
export { outbox } from "./outbox";
export { Packet } from "./packet";
export { isRouted, isUp, portAddress4, portAddress6, portMac, portMtu } from "./ports";
export { Reason } from "./reasons";
export { Record } from "./record";
export { reply } from "./replies";
export { Sctp, SctpChunk } from "./sctp";
export { PreviousSegment, Segment } from "./segments";
export { Chunk, chunks } from "./streams";
export * from "./tcp";
export { Udp } from "./udp";
export {
  BATCH_CAPACITY,
  CHUNKS_CAPACITY,
  EVENTS_CAPACITY,
  EVENT_CHALLENGE,
  EVENT_CLOSED,
  EVENT_DATA,
  EVENT_ESTABLISHED,
  EVENT_EVICTED,
  EVENT_HALF_CLOSED,
  EVENT_ICMP_ERROR,
  EVENT_INVALID,
  EVENT_OUT_OF_ORDER,
  EVENT_RESET,
  EVENT_RETRANSMISSION,
  EVENT_START,
  EVENT_TIMEOUT,
  EVENT_ZERO_WINDOW,
  FLOW_END_CLOSED,
  FLOW_END_EVICTED,
  FLOW_END_FUNCTION,
  FLOW_END_NONE,
  FLOW_END_RESET,
  FLOW_END_REUSED,
  FLOW_END_SHUTDOWN,
  FLOW_END_TIMEOUT,
  FLOW_STATE_CLOSED,
  FLOW_STATE_CLOSE_WAIT,
  FLOW_STATE_ESTABLISHED,
  FLOW_STATE_FIN_WAIT,
  FLOW_STATE_LAST_ACK,
  FLOW_STATE_NEW,
  FLOW_STATE_NONE,
  FLOW_STATE_SYN_RECEIVED,
  FLOW_STATE_SYN_SENT,
  FLOW_STATE_SYN_SENT_2,
  FLOW_STATE_TIME_WAIT,
  LINK_ETHERNET,
  LINK_NULL,
  LINK_RAW,
  LINK_SLL,
  LOG_DEBUG,
  LOG_ERROR,
  LOG_INFO,
  LOG_WARN,
  MALFORMED_NONE,
  OFFSET_NONE,
  TUNNEL_GRE,
  TUNNEL_IP,
  TUNNEL_NONE,
  TUNNEL_VXLAN,
} from "./abi";
