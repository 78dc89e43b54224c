// Packets as canonical text: what is at its default is left out, the rest stands in one order.
import { decodeIp } from "./packet-decoder.ts";
import { encodeIp } from "./packet-encoder.ts";
import {
  type ArpBody,
  type Checksum,
  type Extension,
  type Icmp,
  type IpBody,
  type IpHeader,
  isIpv6,
  type Packet,
  type Tcp,
  type Transport,
  type VlanTag,
} from "./packet-model.ts";
import {
  defaultEther,
  etherTypes,
  icmpTypes,
  ipProtos,
  isEcho,
  macOf,
  paddedOptions,
  sameBytes,
  tcpAckFlag,
  tcpFlagNames,
} from "./packet-names.ts";
import { formatAddress, formatEndpoint, formatHexNumber, formatMac } from "./packet-values.ts";

type Words = readonly (string | number)[];

/** `words` if the condition holds, else nothing. */
const when = (condition: boolean, ...words: Words): Words => (condition ? words : []);
const unless = (value: number, usual: number, word: string): Words => when(value !== usual, word, value);

export function writePacket({ ether, vlans, body, trailer, padTo }: Packet): string {
  const usual = defaultEther(body);
  const usualEther = sameBytes(ether.source, usual.source) && sameBytes(ether.destination, usual.destination);
  return [
    ...when(!usualEther, "ether", formatMac(ether.source), ">", formatMac(ether.destination)),
    ...vlans.flatMap(writeVlan),
    ...writeBody(body),
    ...when(trailer.length > 0, "trailer", trailer.toHex()),
    ...when(padTo > 0, "pad", padTo),
  ].join(" ");
}

const writeVlan = ({ id, priority, dropEligible, tpid }: VlanTag): Words => [
  "vlan",
  id,
  ...unless(priority, 0, "priority"),
  ...when(dropEligible, "dei"),
  ...when(tpid !== 0x8100, "tpid", formatHexNumber(tpid, 4)),
];

function writeBody(body: Packet["body"]): Words {
  if (body.kind === "ip") return writeIp(body);
  if (body.kind === "arp") return writeArp(body);
  return ["type", formatHexNumber(body.etherType, 4), ...writePayload(body.payload)];
}

function writeArp({ operation, senderMac, senderIp, targetMac, targetIp }: ArpBody): Words {
  const request = operation === "request";
  const usualTarget = request ? new Uint8Array(6) : macOf(targetIp);
  return [
    "arp",
    ...(request
      ? ["who-has", formatAddress(targetIp), "tell", formatAddress(senderIp)]
      : ["reply", formatAddress(senderIp), "to", formatAddress(targetIp)]),
    ...when(!sameBytes(senderMac, macOf(senderIp)), "sha", formatMac(senderMac)),
    ...when(!sameBytes(targetMac, usualTarget), "tha", formatMac(targetMac)),
  ];
}

function writeIp({ ip, transport, payload }: IpBody): Words {
  return [
    ...writeTransport(ip, transport),
    ...unless(ip.ttl, 64, "ttl"),
    ...unless(ip.dscp, 0, "dscp"),
    ...unless(ip.ecn, 0, "ecn"),
    ...(isIpv6(ip) ? writeIpv6Words(ip) : writeIpv4Words(ip)),
    ...(carriesIp(transport) ? writeInner(payload) : writePayload(payload)),
  ];
}

function writeIpv4Words(ip: IpHeader): Words {
  const fragment = ip.moreFragments || ip.fragmentOffset > 0;
  return [
    ...(fragment
      ? writeFragment(ip.identification, ip.fragmentOffset, ip.moreFragments)
      : unless(ip.identification, 0, "ip-id")),
    ...when(ip.dontFragment, "df"),
    ...when(ip.options.length > 0, "options", ip.options.toHex()),
    ...writeChecksum(ip.checksum, "ip-"),
  ];
}

const writeFragment = (identification: number, offset: number, more: boolean): Words => [
  "frag",
  "id",
  identification,
  "offset",
  offset,
  ...when(more, "more"),
];

const writeIpv6Words = (ip: IpHeader): Words => [
  ...when(ip.flowLabel !== 0, "flow-label", formatHexNumber(ip.flowLabel, 5)),
  ...ip.extensions.flatMap(writeExtension),
];

function writeExtension(extension: Extension): Words {
  if (extension.kind === "fragment") {
    return writeFragment(extension.identification, extension.offset, extension.more);
  }
  const { kind, body } = extension;
  const optional = kind === "hop-by-hop" || kind === "destination";
  return ["ext", kind, ...when(!optional || !sameBytes(body, paddedOptions), body.toHex())];
}

function writeChecksum(checksum: Checksum, prefix = "", digits = 4): Words {
  if (checksum === "right") return [];
  if (checksum === "bad") return [`bad-${prefix}checksum`];
  return [`${prefix}checksum`, formatHexNumber(checksum, digits)];
}

function writeTransport(ip: IpHeader, transport: Transport): Words {
  switch (transport.kind) {
    case "udp":
      return [
        ...writeEndpoints("udp", ip, transport),
        ...when(transport.length !== undefined, "udp-length", transport.length ?? 0),
        ...writeChecksum(transport.checksum),
      ];
    case "tcp":
      return [...writeEndpoints("tcp", ip, transport), ...writeTcpWords(transport)];
    case "icmp":
    case "icmp6":
      return [...writeAddresses(transport.kind, ip), ...writeIcmpWords(transport)];
    case "sctp":
      return [
        ...writeEndpoints("sctp", ip, transport),
        ...when(transport.tag !== 0, "tag", formatHexNumber(transport.tag, 8)),
        ...writeChecksum(transport.checksum, "", 8),
      ];
    case "gre":
      return [
        ...writeAddresses("gre", ip),
        ...when(transport.etherType !== etherTypes.ip, "type", formatHexNumber(transport.etherType, 4)),
        ...when(transport.key !== undefined, "key", transport.key ?? 0),
        ...when(transport.sequence !== undefined, "seq", transport.sequence ?? 0),
      ];
    case "bare":
      return [...writeAddresses("ip", ip), "proto", protoNames.get(transport.proto) ?? transport.proto];
  }
}

const protoNames = new Map<number, string>(Object.entries(ipProtos).map(([name, proto]) => [proto, name]));

const writeAddresses = (keyword: string, ip: IpHeader): Words => [
  keyword,
  formatAddress(ip.source),
  ">",
  formatAddress(ip.destination),
];

const writeEndpoints = (
  keyword: string,
  ip: IpHeader,
  { sourcePort, destinationPort }: { readonly sourcePort: number; readonly destinationPort: number },
): Words => [keyword, formatEndpoint(ip.source, sourcePort), ">", formatEndpoint(ip.destination, destinationPort)];

function writeTcpWords(tcp: Tcp): Words {
  const acknowledges = (tcp.flags & tcpAckFlag) !== 0;
  const flags = tcpFlagNames.filter((name, bit) => name !== "ack" && (tcp.flags & (1 << bit)) !== 0);
  return [
    ...flags,
    ...unless(tcp.sequence, 0, "seq"),
    ...(acknowledges ? ["ack", tcp.acknowledgement] : unless(tcp.acknowledgement, 0, "ack-number")),
    ...unless(tcp.window, 0xffff, "win"),
    ...unless(tcp.urgent, 0, "urgent"),
    ...when(tcp.options.length > 0, "tcp-options", tcp.options.toHex()),
    ...writeChecksum(tcp.checksum),
  ];
}

function writeIcmpWords({ kind, type, code, rest, checksum }: Icmp): Words {
  const [name] = Object.entries(icmpTypes[kind]).find(([, value]) => value === type) ?? [];
  return [
    ...(name === undefined ? ["type", type] : [name]),
    ...unless(code, 0, "code"),
    ...writeIcmpRest(kind, type, code, rest),
    ...writeChecksum(checksum),
  ];
}

function writeIcmpRest(kind: Icmp["kind"], type: number, code: number, rest: number): Words {
  if (isEcho(kind, type)) return [...unless(rest >>> 16, 0, "id"), ...unless(rest & 0xffff, 0, "seq")];
  const hasMtu =
    kind === "icmp" ? type === icmpTypes.icmp.unreachable && code === 4 : type === icmpTypes.icmp6["too-big"];
  if (hasMtu) return unless(rest, 0, "mtu");
  return when(rest !== 0, "rest", rest.toString(16).padStart(8, "0"));
}

/** ICMP errors (which quote a packet) and tunnels of IP. */
function carriesIp(transport: Transport): boolean {
  if (transport.kind === "gre") return transport.etherType === etherTypes.ip || transport.etherType === etherTypes.ip6;
  if (transport.kind === "icmp") return [3, 4, 5, 11, 12].includes(transport.type);
  if (transport.kind === "icmp6") return transport.type < 128;
  return transport.kind === "bare" && (transport.proto === ipProtos.ipip || transport.proto === ipProtos.ip6);
}

function writeInner(payload: Uint8Array): Words {
  const inner = decodeIp(payload);
  if (inner === undefined || !sameBytes(encodeIp(inner), payload)) return writePayload(payload);
  return ["payload", `(${writeIp(inner).join(" ")})`];
}

const escapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", '"': '\\"', "\\": "\\\\" };

function writePayload(payload: Uint8Array): Words {
  if (payload.length === 0) return [];
  if (payload.every((byte) => byte === 0)) return ["zeros", payload.length];
  const text = String.fromCharCode(...payload.subarray(0, 0x8000));
  if (payload.length > 0x8000 || !/^[\t\n\r\x20-\x7e]*$/.test(text)) return ["payload", payload.toHex()];
  return ["payload", `"${text.replace(/[\n\r\t"\\]/g, (character) => escapes[character] as string)}"`];
}
