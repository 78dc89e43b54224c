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
  mend,
  mendUdp,
  pseudoSum4,
  pseudoSum6,
  sum,
  transportChecksum,
  udpField,
} from "./checksum";
export { Config, Range } from "./config";
export { lane, laneCount, portCount, seed } from "./context";
export { Counter, CounterArray, Gauge } from "./counters";
export { crc32c } from "./crc32c";
export { Ethernet, VlanTag } from "./ethernet";
export * from "./icmp";
export { Ipv4 } from "./ipv4";
export { Ipv6, Ipv6Extension } from "./ipv6";
export { log } from "./log";
export * from "./numbers";
export { Option, OPTION_END, OPTION_NO_OPERATION } from "./option";
export { Packet } from "./packet";
export { Reason } from "./reasons";
export { Record } from "./record";
export { Sctp, SctpChunk } from "./sctp";
export * from "./tcp";
export { Udp } from "./udp";
export {
  BATCH_CAPACITY,
  LINK_ETHERNET,
  LINK_NULL,
  LINK_RAW,
  LINK_SLL,
  MALFORMED_NONE,
  OFFSET_NONE,
  TUNNEL_GRE,
  TUNNEL_IP,
  TUNNEL_NONE,
  TUNNEL_VXLAN,
} from "./abi";
