// Packet text as packets: the frame around, ARP, and what all IP packets have. Transports: packet-transport-reader.ts.
import { encodeIp } from "./packet-encoder.ts";
import type {
  ArpBody,
  EtherHeader,
  Extension,
  IpBody,
  IpHeader,
  OtherBody,
  Packet,
  PlainExtensionKind,
  VlanTag,
} from "./packet-model.ts";
import { defaultEther, extensionProtos, macOf, paddedOptions, vlanTpids } from "./packet-names.ts";
import type { Token, TokenReader } from "./packet-tokens.ts";
import { readTransport, transportKeywords } from "./packet-transport-reader.ts";
import {
  takeArrow,
  takeHex,
  takeHexIfAny,
  takeIpv4Address,
  takeMac,
  takeNumber,
  takeOptions,
} from "./packet-values.ts";
import { type Mutable, type PayloadDraft, payloadWords, readWords, type Words } from "./packet-words.ts";

interface TrailerDraft {
  trailer: Uint8Array;
  padTo: number;
}

export function readPacket(tokens: TokenReader): Packet {
  const ether = tokens.takeIf("ether") ? readEther(tokens) : undefined;
  const vlans: VlanTag[] = [];
  while (tokens.takeIf("vlan")) vlans.push(readVlan(tokens));
  const end: TrailerDraft = { trailer: new Uint8Array(0), padTo: 0 };
  const words: Words = {
    pad: () => (end.padTo = takeNumber(tokens, "pad", 0xffff)),
    trailer: () => (end.trailer = takeHex(tokens, "trailer")),
  };
  const body = readBody(tokens, words);
  return { ether: ether ?? defaultEther(body), vlans, body, ...end };
}

function readEther(tokens: TokenReader): EtherHeader {
  const source = takeMac(tokens);
  takeArrow(tokens);
  return { source, destination: takeMac(tokens) };
}

function readVlan(tokens: TokenReader): VlanTag {
  const tag: Mutable<VlanTag> = {
    id: takeNumber(tokens, "vlan", 0xfff),
    priority: 0,
    dropEligible: false,
    tpid: 0x8100,
  };
  for (;;) {
    if (tokens.takeIf("priority")) tag.priority = takeNumber(tokens, "priority", 7);
    else if (tokens.takeIf("dei")) tag.dropEligible = true;
    else if (tokens.takeIf("tpid")) tag.tpid = readTpid(tokens);
    else return tag;
  }
}

function readTpid(tokens: TokenReader): number {
  const token = tokens.next;
  const tpid = takeNumber(tokens, "tpid", 0xffff);
  if (!vlanTpids.includes(tpid)) tokens.fail(token, "tpid is 0x8100, 0x88a8 or 0x9100");
  return tpid;
}

const bodyKeywords = [...transportKeywords, "arp", "type"].join(", ");

function readBody(tokens: TokenReader, frameWords: Words): Packet["body"] {
  const token = tokens.take(`one of ${bodyKeywords}`);
  if (token.text === "arp") return readArp(tokens, frameWords);
  if (token.text === "type") return readOther(tokens, frameWords);
  return readIp(tokens, token, frameWords);
}

/** An IP packet without a frame, as it stands in another packet's payload. */
export const readInnerPacket = (tokens: TokenReader): IpBody =>
  readIp(tokens, tokens.take(`one of ${transportKeywords.join(", ")}`), {});

function readOther(tokens: TokenReader, frameWords: Words): OtherBody {
  const etherType = takeNumber(tokens, "type", 0xffff);
  const draft: PayloadDraft = { payload: new Uint8Array(0) };
  readWords(tokens, { ...payloadWords(tokens, draft, readInnerPacket), ...frameWords });
  return { kind: "other", etherType, payload: draft.payload };
}

function readArp(tokens: TokenReader, frameWords: Words): ArpBody {
  const body = tokens.takeIf("who-has") ? readArpRequest(tokens) : readArpReply(tokens);
  const { senderMac, targetMac } = body;
  const macs = { senderMac, targetMac };
  readWords(tokens, {
    sha: () => (macs.senderMac = takeMac(tokens)),
    tha: () => (macs.targetMac = takeMac(tokens)),
    ...frameWords,
  });
  return { ...body, ...macs };
}

function readArpRequest(tokens: TokenReader): ArpBody {
  const targetIp = takeIpv4Address(tokens);
  expectWord(tokens, "tell");
  const senderIp = takeIpv4Address(tokens);
  const targetMac = new Uint8Array(6);
  return { kind: "arp", operation: "request", senderMac: macOf(senderIp), senderIp, targetMac, targetIp };
}

function readArpReply(tokens: TokenReader): ArpBody {
  expectWord(tokens, "reply", 'who-has" or "reply');
  const senderIp = takeIpv4Address(tokens);
  expectWord(tokens, "to");
  const targetIp = takeIpv4Address(tokens);
  const targetMac = macOf(targetIp);
  return { kind: "arp", operation: "reply", senderMac: macOf(senderIp), senderIp, targetMac, targetIp };
}

function expectWord(tokens: TokenReader, word: string, expected = word): void {
  if (!tokens.takeIf(word)) tokens.fail(tokens.next, `expected "${expected}"`);
}

function readIp(tokens: TokenReader, keyword: Token, frameWords: Words): IpBody {
  const { source, destination, transport, words } = readTransport(tokens, keyword);
  const ip: Mutable<IpHeader> = {
    source,
    destination,
    ttl: 64,
    dscp: 0,
    ecn: 0,
    identification: 0,
    dontFragment: false,
    moreFragments: false,
    fragmentOffset: 0,
    options: new Uint8Array(0),
    checksum: "right",
    flowLabel: 0,
    extensions: [],
  };
  const draft: PayloadDraft = { payload: new Uint8Array(0) };
  readWords(tokens, {
    ...words,
    ...commonIpWords(tokens, ip),
    ...(source.length === 4 ? ipv4Words(tokens, ip) : ipv6Words(tokens, ip)),
    ...payloadWords(tokens, draft, readInnerPacket),
    ...frameWords,
  });
  const later = ip.fragmentOffset > 0 || ip.extensions.some((one) => one.kind === "fragment" && one.offset > 0);
  if (later && transport.kind !== "bare") {
    const help = `write \`ip SOURCE > DESTINATION proto ${keyword.text} …\``;
    tokens.fail(keyword, "only the first fragment has a transport header", help);
  }
  const body: IpBody = { kind: "ip", ip, transport, payload: draft.payload };
  const length = encodeIp(body).length - (source.length === 4 ? 0 : 40);
  if (length > 0xffff) tokens.fail(keyword, `its length field holds at most 65535, and this packet has ${length}`);
  return body;
}

const commonIpWords = (tokens: TokenReader, ip: Mutable<IpHeader>): Words => ({
  ttl: () => (ip.ttl = takeNumber(tokens, "ttl", 255)),
  dscp: () => (ip.dscp = takeNumber(tokens, "dscp", 63)),
  ecn: () => (ip.ecn = takeNumber(tokens, "ecn", 3)),
});

const ipv4Words = (tokens: TokenReader, ip: Mutable<IpHeader>): Words => ({
  "ip-id": () => (ip.identification = takeNumber(tokens, "ip-id", 0xffff)),
  df: () => (ip.dontFragment = true),
  frag: () => {
    const { identification, offset, more } = readFragment(tokens, 0xffff);
    Object.assign(ip, { identification, fragmentOffset: offset, moreFragments: more });
  },
  options: () => (ip.options = takeOptions(tokens, "options")),
  "ip-checksum": () => (ip.checksum = takeNumber(tokens, "ip-checksum", 0xffff)),
  "bad-ip-checksum": () => (ip.checksum = "bad"),
});

const ipv6Words = (tokens: TokenReader, ip: Mutable<IpHeader>): Words => ({
  "flow-label": () => (ip.flowLabel = takeNumber(tokens, "flow-label", 0xfffff)),
  "frag*": () => {
    ip.extensions = [...ip.extensions, { kind: "fragment", ...readFragment(tokens, 0xffffffff) }];
  },
  "ext*": () => {
    ip.extensions = [...ip.extensions, readExtension(tokens)];
  },
});

function readFragment(tokens: TokenReader, maxId: number) {
  let identification: number | undefined;
  let offset: number | undefined;
  let more = false;
  for (;;) {
    if (identification === undefined && tokens.takeIf("id")) identification = takeNumber(tokens, "id", maxId);
    else if (offset === undefined && tokens.takeIf("offset")) offset = readFragmentOffset(tokens);
    else if (!more && tokens.takeIf("more")) more = true;
    else return { identification: identification ?? 0, offset: offset ?? 0, more };
  }
}

function readFragmentOffset(tokens: TokenReader): number {
  const token = tokens.next;
  const offset = takeNumber(tokens, "offset", 65528);
  if (offset % 8 !== 0) tokens.fail(token, `offset is in bytes and a multiple of 8, not ${offset}`);
  return offset;
}

function readExtension(tokens: TokenReader): Extension {
  const token = tokens.take(`one of ${Object.keys(extensionProtos).join(", ")}`);
  if (!Object.hasOwn(extensionProtos, token.text)) {
    tokens.fail(
      token,
      `"${token.text}" is not an extension header`,
      `one of ${Object.keys(extensionProtos).join(", ")}`,
    );
  }
  const kind = token.text as PlainExtensionKind;
  const optional = kind === "hop-by-hop" || kind === "destination";
  const body = optional ? (takeHexIfAny(tokens, kind) ?? paddedOptions) : takeHex(tokens, kind);
  const unit = kind === "auth" ? 4 : 8;
  const bytes = body.length + 2;
  if (bytes % unit !== 0 || bytes < 8 || bytes > 255 * unit + 8) {
    tokens.fail(token, `with its first two bytes, ${kind} has a multiple of ${unit} bytes, not ${bytes}`);
  }
  return { kind, body };
}
