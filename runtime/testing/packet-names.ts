// Names and defaults that packet text, its encoder and its decoder share.
import type {
  Address,
  ArpBody,
  EtherHeader,
  IpBody,
  OtherBody,
  PlainExtensionKind,
  Transport,
} from "./packet-model.ts";

export const etherTypes = { ip: 0x0800, arp: 0x0806, vlan: 0x8100, ip6: 0x86dd } as const;
export const vlanTpids: readonly number[] = [0x8100, 0x88a8, 0x9100];

export const ipProtos = {
  icmp: 1,
  igmp: 2,
  ipip: 4,
  tcp: 6,
  udp: 17,
  ip6: 41,
  gre: 47,
  esp: 50,
  ah: 51,
  icmp6: 58,
  ospf: 89,
  sctp: 132,
} as const satisfies Record<string, number>;

export const fragmentProto = 44;
export const extensionProtos: Record<PlainExtensionKind, number> = {
  "hop-by-hop": 0,
  routing: 43,
  auth: 51,
  destination: 60,
};

/** TCP flags from the lowest bit. */
export const tcpFlagNames = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"] as const;
export const tcpAckFlag = 0x10;

/** ICMP messages that have a word of their own: type by word, per protocol. */
export const icmpTypes: Record<"icmp" | "icmp6", Readonly<Record<string, number>>> = {
  icmp: { echo: 8, "echo-reply": 0, unreachable: 3, redirect: 5, "time-exceeded": 11 },
  icmp6: {
    echo: 128,
    "echo-reply": 129,
    unreachable: 1,
    "too-big": 2,
    "time-exceeded": 3,
    "router-solicit": 133,
    "router-advert": 134,
    "neighbor-solicit": 135,
    "neighbor-advert": 136,
  },
};

export const isEcho = (kind: "icmp" | "icmp6", type: number): boolean =>
  type === icmpTypes[kind].echo || type === icmpTypes[kind]["echo-reply"];

/** PadN over the least that an options header may hold (RFC 8200, section 4.2). */
export const paddedOptions = Uint8Array.of(1, 4, 0, 0, 0, 0);

export const broadcastMac = new Uint8Array(6).fill(0xff);
const otherSource = Uint8Array.of(2, 0, 0, 0, 0, 1);

/** The MAC address that a host has unless the line says otherwise: 02:00 and the last four bytes of its address. */
export function macOf(address: Address): Uint8Array {
  if (address.length === 16 && address[0] === 0xff) return Uint8Array.of(0x33, 0x33, ...address.slice(12));
  if (address.length === 4 && address.every((byte) => byte === 0xff)) return broadcastMac;
  const [first = 0, second = 0, third = 0, fourth = 0] = address.slice(-4);
  if (address.length === 4 && first >> 4 === 14) return Uint8Array.of(1, 0, 0x5e, second & 0x7f, third, fourth);
  return Uint8Array.of(2, 0, first, second, third, fourth);
}

export function defaultEther(body: IpBody | ArpBody | OtherBody): EtherHeader {
  if (body.kind === "ip") return { source: macOf(body.ip.source), destination: macOf(body.ip.destination) };
  if (body.kind === "other") return { source: otherSource, destination: broadcastMac };
  return { source: body.senderMac, destination: body.operation === "request" ? broadcastMac : body.targetMac };
}

export const protoOf = (transport: Transport): number =>
  transport.kind === "bare" ? transport.proto : ipProtos[transport.kind];

export const sameBytes = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, index) => byte === b[index]);

export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
