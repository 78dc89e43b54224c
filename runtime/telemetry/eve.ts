// Events in the shape of Suricata's EVE log, one JSON object per line.
import { RECORD_FLAG_FRAGMENT } from "../../nfs/sdk/abi.ts";
import { type FrameReader, isPresent } from "../dataplane/frame-reader.ts";

const TCP = 6;
const UDP = 17;
const ICMP = 1;
const ICMPV6 = 58;
const SCTP = 132;

/** As Suricata spells them; others are written as numbers. */
const protoNames: Readonly<Record<number, string>> = {
  [ICMP]: "ICMP",
  2: "IGMP",
  4: "IP-in-IP",
  [TCP]: "TCP",
  [UDP]: "UDP",
  41: "IPv6",
  47: "GRE",
  50: "ESP",
  51: "AH",
  [ICMPV6]: "IPv6-ICMP",
  88: "EIGRP",
  89: "OSPF",
  103: "PIM",
  112: "VRRP",
  [SCTP]: "SCTP",
};

export function nameIpProto(ipProto: number): string {
  return protoNames[ipProto] ?? String(ipProto);
}

/** What a function says to the operator on the packet path. */
export function formatLogLine(timeNs: bigint, level: string, name: string, message: string): string {
  const event = { timestamp: formatTimestamp(timeNs), event_type: "log", sluice: { function: name, level, message } };
  return `${JSON.stringify(event)}\n`;
}

/** `2026-11-21T10:00:00.123456+0000`; nanoseconds since 1970, in UTC. */
export function formatTimestamp(timeNs: bigint): string {
  const microseconds = timeNs / 1000n;
  const seconds = new Date(Number(microseconds / 1_000_000n) * 1000).toISOString().slice(0, -".000Z".length);
  return `${seconds}.${String(microseconds % 1_000_000n).padStart(6, "0")}+0000`;
}

/** IPv4 dotted; IPv6 in eight groups of four digits, as Suricata prints it. */
export function formatAddress(address: Uint8Array): string {
  if (address.length === 4) return address.join(".");
  return Buffer.from(address)
    .toString("hex")
    .replace(/.{4}(?=.)/g, "$&:");
}

export interface DropSubject {
  /** 1-based number of the input frame, if they come from a capture. */
  readonly number?: number;
  readonly timeNs: bigint;
  readonly port: string;
  readonly reason: string | undefined;
  /** The function that dropped it; none if it was the engine. */
  readonly function: string | undefined;
  /** `line:column` in the document of the rule that the reason speaks of, if there is one. */
  readonly rule?: string | undefined;
  readonly flow: number;
  /** Only one of so many drops is told of. */
  readonly oneOf?: number;
}

/** A line for a frame that was dropped. */
export function formatDrop(subject: DropSubject, frame: FrameReader): string {
  const event = {
    timestamp: formatTimestamp(subject.timeNs),
    flow_id: subject.flow === 0 ? undefined : subject.flow,
    in_iface: subject.port,
    pcap_cnt: subject.number,
    event_type: "drop",
    vlan: frame.vlanIds.length === 0 ? undefined : frame.vlanIds,
    ...describeTuple(frame),
    pkt_src: "wire/pcap",
    drop: {
      ...describeIp(frame),
      ...describeTransport(frame),
      reason: subject.reason,
      function: subject.function,
      rule: subject.rule,
      sampled: subject.oneOf,
    },
  };
  return `${JSON.stringify(event)}\n`;
}

function describeTuple(frame: FrameReader): object {
  if (!frame.hasIp) return {};
  const { ipProto } = frame;
  const hasPorts = (ipProto === TCP || ipProto === UDP || ipProto === SCTP) && frame.hasTransport;
  const isIcmp = (ipProto === ICMP || ipProto === ICMPV6) && frame.hasTransport;
  return {
    src_ip: formatAddress(frame.source),
    src_port: hasPorts ? frame.sourcePort : undefined,
    dest_ip: formatAddress(frame.destination),
    dest_port: hasPorts ? frame.destinationPort : undefined,
    proto: nameIpProto(ipProto),
    ip_v: frame.ipVersion,
    icmp_type: isIcmp ? frame.sourcePort >> 8 : undefined,
    icmp_code: isIcmp ? frame.sourcePort & 0xff : undefined,
  };
}

function describeIp(frame: FrameReader): object {
  const { l3Offset: ip } = frame;
  if (!frame.hasIp) return {};
  if (frame.ipVersion === 4)
    return { len: frame.u16(ip + 2), tos: frame.u8(ip + 1), ttl: frame.u8(ip + 8), ipid: frame.u16(ip + 4) };
  const word = frame.u32(ip);
  return { len: frame.u16(ip + 4), tc: (word >>> 20) & 0xff, hoplimit: frame.u8(ip + 7), flowlbl: word & 0xfffff };
}

function describeTransport(frame: FrameReader): object {
  const { l4Offset: at, ipProto } = frame;
  const isFragment = (frame.flags & RECORD_FLAG_FRAGMENT) !== 0;
  if (!frame.hasTransport || isFragment) return {};
  if (ipProto === UDP && isPresent(frame, at, 8)) return { udplen: frame.u16(at + 4) };
  if (ipProto !== TCP || !isPresent(frame, at, 20)) return {};
  const has = (bit: number) => (frame.u8(at + 13) & bit) !== 0;
  return {
    tcpseq: frame.u32(at + 4),
    tcpack: frame.u32(at + 8),
    tcpwin: frame.u16(at + 14),
    syn: has(0x02),
    ack: has(0x10),
    psh: has(0x08),
    rst: has(0x04),
    urg: has(0x20),
    fin: has(0x01),
    tcpres: frame.u8(at + 12) & 0x0f,
    tcpurgp: frame.u16(at + 18),
  };
}
