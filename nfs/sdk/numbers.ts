// Assigned numbers that functions compare with (IANA).

export const ETHER_TYPE_IPV4 = 0x0800;
export const ETHER_TYPE_ARP = 0x0806;
export const ETHER_TYPE_VLAN = 0x8100;
export const ETHER_TYPE_QINQ = 0x88a8;
export const ETHER_TYPE_IPV6 = 0x86dd;

export const IP_PROTO_HOP_BY_HOP = 0;
export const IP_PROTO_ICMP = 1;
export const IP_PROTO_TCP = 6;
export const IP_PROTO_UDP = 17;
export const IP_PROTO_ROUTING = 43;
export const IP_PROTO_FRAGMENT = 44;
export const IP_PROTO_GRE = 47;
export const IP_PROTO_ESP = 50;
export const IP_PROTO_AH = 51;
export const IP_PROTO_ICMPV6 = 58;
export const IP_PROTO_NONE = 59;
export const IP_PROTO_DESTINATION_OPTIONS = 60;
export const IP_PROTO_SCTP = 132;
export const IP_PROTO_MOBILITY = 135;

export const TCP_FIN = 0x01;
export const TCP_SYN = 0x02;
export const TCP_RST = 0x04;
export const TCP_PSH = 0x08;
export const TCP_ACK = 0x10;
export const TCP_URG = 0x20;
export const TCP_ECE = 0x40;
export const TCP_CWR = 0x80;
