// What one line of packet text says and what one Ethernet frame holds: the shape between text and bytes.

export type Address = Uint8Array; // 4 or 16 bytes

export interface Packet {
  readonly ether: EtherHeader;
  readonly vlans: readonly VlanTag[];
  readonly body: IpBody | ArpBody | OtherBody;
  readonly trailer: Uint8Array;
  /** Zeros are appended up to this length; 0 for none. */
  readonly padTo: number;
}

export interface EtherHeader {
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
}

export interface VlanTag {
  readonly id: number;
  readonly priority: number;
  readonly dropEligible: boolean;
  /** Tag protocol identifier: 0x8100, 0x88a8 or 0x9100. */
  readonly tpid: number;
}

export interface IpBody {
  readonly kind: "ip";
  readonly ip: IpHeader;
  readonly transport: Transport;
  readonly payload: Uint8Array;
}

/** RFC 826, for Ethernet and IPv4. */
export interface ArpBody {
  readonly kind: "arp";
  readonly operation: "request" | "reply";
  readonly senderMac: Uint8Array;
  readonly senderIp: Address;
  readonly targetMac: Uint8Array;
  readonly targetIp: Address;
}

export interface OtherBody {
  readonly kind: "other";
  readonly etherType: number;
  readonly payload: Uint8Array;
}

/** A checksum as it stands in the frame: right, wrong in the one way that `bad-checksum` makes it, or any number. */
export type Checksum = "right" | "bad" | number;

export interface IpHeader {
  readonly source: Address;
  readonly destination: Address;
  readonly ttl: number;
  readonly dscp: number;
  readonly ecn: number;
  /** IPv4 only. */
  readonly identification: number;
  readonly dontFragment: boolean;
  readonly moreFragments: boolean;
  /** In bytes. */
  readonly fragmentOffset: number;
  readonly options: Uint8Array;
  readonly checksum: Checksum;
  /** IPv6 only. */
  readonly flowLabel: number;
  readonly extensions: readonly Extension[];
}

export type PlainExtensionKind = "hop-by-hop" | "routing" | "destination" | "auth";

/** `body` is what follows the next header and length bytes. */
export type Extension =
  | { readonly kind: PlainExtensionKind; readonly body: Uint8Array }
  | { readonly kind: "fragment"; readonly identification: number; readonly offset: number; readonly more: boolean };

export interface Udp {
  readonly kind: "udp";
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** The length field; absent: header and payload. */
  readonly length?: number | undefined;
  readonly checksum: Checksum;
}

export interface Tcp {
  readonly kind: "tcp";
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly sequence: number;
  readonly acknowledgement: number;
  /** CWR ECE URG ACK PSH RST SYN FIN. */
  readonly flags: number;
  readonly window: number;
  readonly urgent: number;
  readonly options: Uint8Array;
  readonly checksum: Checksum;
}

export interface Icmp {
  readonly kind: "icmp" | "icmp6";
  readonly type: number;
  readonly code: number;
  /** The four bytes after the checksum. */
  readonly rest: number;
  readonly checksum: Checksum;
}

export interface Sctp {
  readonly kind: "sctp";
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly tag: number;
  readonly checksum: Checksum;
}

/** RFC 2784 and RFC 2890. */
export interface Gre {
  readonly kind: "gre";
  readonly etherType: number;
  readonly key?: number | undefined;
  readonly sequence?: number | undefined;
}

/** No transport header: another IP protocol, or a fragment that is not the first. */
export interface Bare {
  readonly kind: "bare";
  readonly proto: number;
}

export type Transport = Udp | Tcp | Icmp | Sctp | Gre | Bare;

export const isIpv6 = (ip: { readonly source: Address }): boolean => ip.source.length === 16;
