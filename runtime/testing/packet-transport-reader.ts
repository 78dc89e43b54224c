// Packet text as packets: the transport's keyword, endpoints and words.
import type { Address, Bare, Checksum, Gre, Icmp, Sctp, Tcp, Transport, Udp } from "./packet-model.ts";
import { etherTypes, icmpTypes, ipProtos, isEcho, tcpAckFlag, tcpFlagNames } from "./packet-names.ts";
import type { Token, TokenReader } from "./packet-tokens.ts";
import { takeAddress, takeEndpoint, takeHex, takeNumber, takeOptions, takePair } from "./packet-values.ts";
import type { Mutable, Words } from "./packet-words.ts";

/** `words` go on changing `transport` while the rest of the line is read. */
export interface TransportDraft {
  readonly source: Address;
  readonly destination: Address;
  readonly transport: Transport;
  readonly words: Words;
}

const readers: Readonly<Record<string, (tokens: TokenReader) => TransportDraft>> = {
  udp: readUdp,
  tcp: readTcp,
  icmp: (tokens) => readIcmp(tokens, "icmp"),
  icmp6: (tokens) => readIcmp(tokens, "icmp6"),
  sctp: readSctp,
  gre: readGre,
  ip: readBare,
};

export const transportKeywords: readonly string[] = Object.keys(readers);

export function readTransport(tokens: TokenReader, keyword: Token): TransportDraft {
  const read = Object.hasOwn(readers, keyword.text) ? readers[keyword.text] : undefined;
  if (read === undefined || keyword.kind !== "word") {
    tokens.fail(keyword, `"${keyword.text}" begins no packet`, `one of ${transportKeywords.join(", ")}, arp, type`);
  }
  return read(tokens);
}

function takeEndpoints(tokens: TokenReader) {
  const { source, destination } = takePair(tokens, takeEndpoint, (end) => end.address.length);
  const ports = { sourcePort: source.port, destinationPort: destination.port };
  return { addresses: { source: source.address, destination: destination.address }, ports };
}

const takeAddresses = (tokens: TokenReader) => takePair(tokens, takeAddress, (address) => address.length);

const checksumWords = (tokens: TokenReader, draft: { checksum: Checksum }, max: number): Words => ({
  checksum: () => (draft.checksum = takeNumber(tokens, "checksum", max)),
  "bad-checksum": () => (draft.checksum = "bad"),
});

function readUdp(tokens: TokenReader): TransportDraft {
  const { addresses, ports } = takeEndpoints(tokens);
  const transport: Mutable<Udp> = { kind: "udp", ...ports, length: undefined, checksum: "right" };
  const words = {
    "udp-length": () => (transport.length = takeNumber(tokens, "udp-length", 0xffff)),
    ...checksumWords(tokens, transport, 0xffff),
  };
  return { ...addresses, transport, words };
}

function readTcp(tokens: TokenReader): TransportDraft {
  const { addresses, ports } = takeEndpoints(tokens);
  const transport: Mutable<Tcp> = {
    kind: "tcp",
    ...ports,
    sequence: 0,
    acknowledgement: 0,
    flags: 0,
    window: 0xffff,
    urgent: 0,
    options: new Uint8Array(0),
    checksum: "right",
  };
  const raise = (flag: number) => () => (transport.flags |= flag);
  const words = {
    ...Object.fromEntries(tcpFlagNames.map((name, bit) => [name, raise(1 << bit)])),
    ack: () => {
      transport.flags |= tcpAckFlag;
      if (/^[0-9]/.test(tokens.next?.text ?? "")) transport.acknowledgement = takeNumber(tokens, "ack", 0xffffffff);
    },
    "ack-number": () => (transport.acknowledgement = takeNumber(tokens, "ack-number", 0xffffffff)),
    seq: () => (transport.sequence = takeNumber(tokens, "seq", 0xffffffff)),
    win: () => (transport.window = takeNumber(tokens, "win", 0xffff)),
    urgent: () => (transport.urgent = takeNumber(tokens, "urgent", 0xffff)),
    "tcp-options": () => (transport.options = takeOptions(tokens, "tcp-options")),
    ...checksumWords(tokens, transport, 0xffff),
  };
  return { ...addresses, transport, words };
}

function readIcmp(tokens: TokenReader, kind: Icmp["kind"]): TransportDraft {
  const addresses = takeAddresses(tokens);
  const transport: Mutable<Icmp> = { kind, type: takeIcmpType(tokens, kind), code: 0, rest: 0, checksum: "right" };
  const echoWords: Words = {
    id: () => (transport.rest = ((takeNumber(tokens, "id", 0xffff) << 16) | (transport.rest & 0xffff)) >>> 0),
    seq: () => (transport.rest = ((transport.rest & 0xffff0000) | takeNumber(tokens, "seq", 0xffff)) >>> 0),
  };
  const errorWords: Words = { mtu: () => (transport.rest = takeNumber(tokens, "mtu", 0xffffffff)) };
  const words = {
    code: () => (transport.code = takeNumber(tokens, "code", 0xff)),
    ...(isEcho(kind, transport.type) ? echoWords : errorWords),
    rest: () => (transport.rest = takeRest(tokens)),
    ...checksumWords(tokens, transport, 0xffff),
  };
  return { ...addresses, transport, words };
}

function takeIcmpType(tokens: TokenReader, kind: Icmp["kind"]): number {
  const types = icmpTypes[kind];
  const names = `${Object.keys(types).join(", ")} or type`;
  const token = tokens.take(names);
  if (token.text === "type") return takeNumber(tokens, "type", 0xff);
  if (!Object.hasOwn(types, token.text)) tokens.fail(token, `"${token.text}" is not an ${kind} message`, names);
  return types[token.text] as number;
}

function takeRest(tokens: TokenReader): number {
  const token = tokens.next;
  const rest = takeHex(tokens, "rest");
  if (rest.length !== 4) tokens.fail(token, `rest has 4 bytes, not ${rest.length}`);
  return new DataView(rest.buffer).getUint32(0);
}

function readSctp(tokens: TokenReader): TransportDraft {
  const { addresses, ports } = takeEndpoints(tokens);
  const transport: Mutable<Sctp> = { kind: "sctp", ...ports, tag: 0, checksum: "right" };
  const words = {
    tag: () => (transport.tag = takeNumber(tokens, "tag", 0xffffffff)),
    ...checksumWords(tokens, transport, 0xffffffff),
  };
  return { ...addresses, transport, words };
}

function readGre(tokens: TokenReader): TransportDraft {
  const addresses = takeAddresses(tokens);
  const transport: Mutable<Gre> = { kind: "gre", etherType: etherTypes.ip, key: undefined, sequence: undefined };
  const words = {
    type: () => (transport.etherType = takeNumber(tokens, "type", 0xffff)),
    key: () => (transport.key = takeNumber(tokens, "key", 0xffffffff)),
    seq: () => (transport.sequence = takeNumber(tokens, "seq", 0xffffffff)),
  };
  return { ...addresses, transport, words };
}

function readBare(tokens: TokenReader): TransportDraft {
  const addresses = takeAddresses(tokens);
  if (!tokens.takeIf("proto")) tokens.fail(tokens.next, 'expected "proto"');
  const transport: Bare = { kind: "bare", proto: takeProto(tokens) };
  return { ...addresses, transport, words: {} };
}

function takeProto(tokens: TokenReader): number {
  const name = tokens.next?.text ?? "";
  if (!Object.hasOwn(ipProtos, name)) return takeNumber(tokens, "proto", 0xff);
  tokens.take("proto");
  return ipProtos[name as keyof typeof ipProtos];
}
