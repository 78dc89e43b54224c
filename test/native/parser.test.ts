import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as abi from "../../nfs/sdk/abi.ts";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { packetLine } from "../support/packet-arbitraries.ts";
import { type ParsedRecord, readRecord } from "../support/parsed-record.ts";

const addon = loadAddon();
const NONE = abi.OFFSET_NONE;

interface Seen {
  readonly link?: number;
  readonly wireLength?: number;
}

function parse(frame: Uint8Array, { link = abi.LINK_ETHERNET, wireLength = frame.length }: Seen = {}): ParsedRecord {
  return readRecord(addon.parse(frame, link, wireLength));
}

const parseLine = (line: string): ParsedRecord => parse(encodePacket(line));
const hashOf = (line: string): number => parseLine(line).hash;

/** A frame whose bytes from `offset` on are replaced. */
function patch(line: string, offset: number, ...bytes: readonly number[]): Uint8Array {
  const frame = encodePacket(line);
  frame.set(bytes, offset);
  return frame;
}

const tcp = "tcp 10.0.0.1:1234 > 10.0.0.2:80";
const udp = "udp 10.0.0.1:5000 > 10.0.0.2:53";
const tcp6 = "tcp [2001:db8::1]:1234 > [2001:db8::2]:80";
const udp6 = "udp [2001:db8::1]:5000 > [2001:db8::2]:53";

const expectations: readonly (readonly [line: string, Partial<ParsedRecord>])[] = [
  [
    `${tcp} syn ack 1 dscp 46 ecn 1 df payload "GET /"`,
    {
      l3Offset: 14,
      l4Offset: 34,
      payloadOffset: 54,
      payloadLength: 5,
      etherType: 0x0800,
      ipProto: 6,
      ipVersion: 4,
      flags: abi.RECORD_FLAG_DONT_FRAGMENT,
      malformed: 0,
      vlanCount: 0,
      sourcePort: 1234,
      destinationPort: 80,
      tcpFlags: 0x12,
      trafficClass: (46 << 2) | 1,
      tunnel: 0,
      fragmentOffset: 0,
    },
  ],
  [`${tcp} tcp-options 020405b401010402`, { l4Offset: 34, payloadOffset: 62, payloadLength: 0, flags: 0 }],
  [`${tcp} options 94040000`, { l4Offset: 38, payloadOffset: 58, flags: abi.RECORD_FLAG_OPTIONS }],
  [`${tcp6} fin dscp 46 ecn 2`, { l3Offset: 14, l4Offset: 54, payloadOffset: 74, etherType: 0x86dd, ipVersion: 6 }],
  [`${tcp6} fin dscp 46 ecn 2`, { ipProto: 6, tcpFlags: 1, trafficClass: (46 << 2) | 2, sourcePort: 1234 }],
  [`${udp} payload "x" pad 60`, { length: 60, payloadOffset: 42, payloadLength: 1, sourcePort: 5000 }],
  [`${udp} payload 0102 trailer ff`, { payloadOffset: 42, payloadLength: 2 }],
  [`${udp} udp-length 9 payload 010203`, { malformed: 0, payloadOffset: 42, payloadLength: 1 }],
  [`vlan 100 priority 3 ${udp}`, { vlanCount: 1, outerTci: 0x6064, innerTci: 0, l3Offset: 18, etherType: 0x0800 }],
  [`vlan 100 tpid 0x88a8 vlan 200 dei ${udp}`, { vlanCount: 2, outerTci: 100, innerTci: 0x10c8, l3Offset: 22 }],
  [`vlan 1 tpid 0x9100 vlan 2 vlan 3 ${udp6}`, { vlanCount: 3, outerTci: 1, innerTci: 2, l3Offset: 26, l4Offset: 66 }],
  [`${"vlan 9 ".repeat(8)}${udp}`, { vlanCount: 8, l3Offset: 46, sourcePort: 5000 }],
  [`${"vlan 9 ".repeat(9)}${udp}`, { vlanCount: 8, l3Offset: NONE, etherType: 0x8100, malformed: 0 }],
  ["arp who-has 10.0.0.2 tell 10.0.0.1", { l3Offset: 14, l4Offset: NONE, etherType: 0x0806, ipVersion: 0, hash: 0 }],
  ["arp who-has 10.0.0.2 tell 10.0.0.1", { flags: abi.RECORD_FLAG_BROADCAST, malformed: 0, payloadOffset: NONE }],
  ["icmp 10.0.0.1 > 10.0.0.2 echo id 7 seq 1", { ipProto: 1, l4Offset: 34, payloadOffset: 42, sourcePort: 0x0800 }],
  ["icmp 10.0.0.1 > 10.0.0.2 echo id 7 seq 1", { destinationPort: 7 }],
  ["icmp 10.0.0.1 > 10.0.0.2 unreachable code 4 mtu 1400", { sourcePort: 0x0304, destinationPort: 0 }],
  ["icmp6 ::1 > ::2 echo-reply id 9", { ipProto: 58, l4Offset: 54, payloadOffset: 62, sourcePort: 0x8100 }],
  ["icmp6 ::1 > ::2 echo-reply id 9", { destinationPort: 9 }],
  ["icmp6 fe80::1 > ff02::1 router-advert", { flags: abi.RECORD_FLAG_MULTICAST, sourcePort: 0x8600 }],
  ['sctp 10.0.0.1:1 > 10.0.0.2:2 payload "chunk"', { ipProto: 132, l4Offset: 34, payloadOffset: 46, payloadLength: 5 }],
  ['gre 10.0.0.1 > 10.0.0.2 payload "x"', { tunnel: abi.TUNNEL_GRE, l4Offset: 34, payloadOffset: 38, sourcePort: 0 }],
  ["gre 10.0.0.1 > 10.0.0.2 key 5 seq 6 zeros 8", { tunnel: abi.TUNNEL_GRE, payloadOffset: 46, payloadLength: 8 }],
  ["udp 10.0.0.1:9 > 10.0.0.2:4789 payload 0800000000000100", { tunnel: abi.TUNNEL_VXLAN, payloadLength: 8 }],
  ["udp 10.0.0.1:9 > 10.0.0.2:4789 payload 0000000000000100", { tunnel: abi.TUNNEL_NONE, malformed: 0 }],
  ["udp 10.0.0.1:9 > 10.0.0.2:4789 payload 080000000000", { tunnel: abi.TUNNEL_NONE, malformed: 0 }],
  [`ip 1.1.1.1 > 2.2.2.2 proto ipip payload (${udp})`, { tunnel: abi.TUNNEL_IP, l4Offset: NONE, payloadOffset: 34 }],
  [`ip ::1 > ::2 proto ip6 payload (${udp6})`, { tunnel: abi.TUNNEL_IP, ipProto: 41, payloadOffset: 54 }],
  ["ip 10.0.0.1 > 10.0.0.2 proto esp zeros 20", { ipProto: 50, l4Offset: NONE, payloadOffset: 34, payloadLength: 20 }],
  ["ip 10.0.0.1 > 224.0.0.5 proto ospf", { flags: abi.RECORD_FLAG_MULTICAST, payloadOffset: 34, payloadLength: 0 }],
  ["type 0x88cc payload 0102", { etherType: 0x88cc, l3Offset: NONE, payloadOffset: NONE, malformed: 0, hash: 0 }],
  ["type 38 zeros 46", { etherType: 38, l3Offset: NONE, malformed: 0 }],
  [
    `${udp} udp-length 600 frag offset 0 more zeros 16`,
    {
      malformed: 0,
      flags: abi.RECORD_FLAG_FRAGMENT | abi.RECORD_FLAG_MORE_FRAGMENTS,
      sourcePort: 5000,
      payloadOffset: 42,
      payloadLength: 16,
    },
  ],
  [
    "ip 10.0.0.1 > 10.0.0.2 proto udp frag offset 1480 zeros 9",
    {
      flags: abi.RECORD_FLAG_FRAGMENT,
      fragmentOffset: 1480,
      ipProto: 17,
      l4Offset: NONE,
      sourcePort: 0,
      payloadOffset: 34,
      payloadLength: 9,
    },
  ],
  [`${udp6} ext hop-by-hop ext routing 000000000000 ext destination`, { l4Offset: 78, ipProto: 17, malformed: 0 }],
  [`${udp6} ext hop-by-hop`, { flags: abi.RECORD_FLAG_OPTIONS, sourcePort: 5000 }],
  [`${udp6} ext auth 00000000000100000002`, { l4Offset: 66, ipProto: 17, malformed: 0 }],
  [`${udp6} ${"ext destination ".repeat(8)}`, { l4Offset: 118, ipProto: 17, malformed: 0 }],
  ["ip ::1 > ::2 proto esp ext destination zeros 8", { ipProto: 50, l4Offset: NONE, payloadOffset: 62, malformed: 0 }],
  ["ip ::1 > ::2 proto 59", { ipProto: 59, l4Offset: NONE, payloadOffset: 54, malformed: 0 }],
  [`${udp6} frag id 5`, { flags: abi.RECORD_FLAG_OPTIONS, fragmentOffset: 0, l4Offset: 62, sourcePort: 5000 }],
  [
    `${udp6} udp-length 600 ext routing 000000000000 frag more ext destination zeros 16`,
    {
      malformed: 0,
      flags: abi.RECORD_FLAG_OPTIONS | abi.RECORD_FLAG_FRAGMENT | abi.RECORD_FLAG_MORE_FRAGMENTS,
      l4Offset: 78,
      sourcePort: 5000,
    },
  ],
  [
    "ip ::1 > ::2 proto 60 frag offset 64 zeros 5",
    { fragmentOffset: 64, ipProto: 60, l4Offset: NONE, payloadOffset: 62, payloadLength: 5, malformed: 0 },
  ],
];

const faults: readonly (readonly [what: string, frame: Uint8Array, malformed: number, Partial<ParsedRecord>])[] = [
  ["an empty frame", new Uint8Array(0), abi.MALFORMED_LINK_SHORT, { l3Offset: NONE, etherType: 0 }],
  ["13 bytes of Ethernet", new Uint8Array(13), abi.MALFORMED_LINK_SHORT, { etherType: 0, flags: 0 }],
  ["half a VLAN tag", encodePacket(`vlan 5 ${udp}`).slice(0, 17), abi.MALFORMED_VLAN_SHORT, { etherType: 0x8100 }],
  ["half an ARP", encodePacket("arp who-has 1.1.1.1 tell 2.2.2.2").slice(0, 41), abi.MALFORMED_ARP_SHORT, {}],
  ["ARP with long addresses", patch("arp who-has 1.1.1.1 tell 2.2.2.2", 18, 255), abi.MALFORMED_ARP_SHORT, {}],
  ["19 bytes of IPv4", encodePacket(udp).slice(0, 33), abi.MALFORMED_IP_SHORT, { ipVersion: 0, l3Offset: NONE }],
  ["39 bytes of IPv6", encodePacket(udp6).slice(0, 53), abi.MALFORMED_IP_SHORT, { ipVersion: 0, l3Offset: NONE }],
  ["IPv4 that says version 6", patch(udp, 14, 0x65), abi.MALFORMED_IP_VERSION, { ipVersion: 0, etherType: 0x0800 }],
  ["IPv6 that says version 4", patch(udp6, 14, 0x45), abi.MALFORMED_IP_VERSION, { ipVersion: 0, etherType: 0x86dd }],
  ["a header of 4 words", patch(udp, 14, 0x44), abi.MALFORMED_IP_HEADER_LENGTH, { ipVersion: 4, l3Offset: 14 }],
  ["a total below the header", patch(udp, 16, 0, 19), abi.MALFORMED_IP_TOTAL_LENGTH, { ipProto: 17, l4Offset: NONE }],
  ["a total beyond the frame", patch(udp, 16, 0, 29), abi.MALFORMED_IP_TOTAL_LENGTH, { ipProto: 17, l4Offset: NONE }],
  ["options beyond the total", patch(udp, 14, 0x4f), abi.MALFORMED_IP_TOTAL_LENGTH, { ipVersion: 4 }],
  ["IPv6 longer than its frame", patch(udp6, 18, 0, 9), abi.MALFORMED_IP_TOTAL_LENGTH, { ipVersion: 6, l3Offset: 14 }],
  ["an extension cut short", patch(`${udp6} ext destination`, 55, 9), abi.MALFORMED_EXTENSION_SHORT, { ipProto: 60 }],
  ["an extension of no bytes", encodePacket("ip ::1 > ::2 proto 0"), abi.MALFORMED_EXTENSION_SHORT, { l3Offset: 14 }],
  ["a late hop-by-hop", encodePacket(`${udp6} ext destination ext hop-by-hop`), abi.MALFORMED_EXTENSION_ORDER, {}],
  ["two fragment headers", encodePacket(`${udp6} frag frag`), abi.MALFORMED_EXTENSION_ORDER, { ipProto: 44 }],
  ["9 extensions", encodePacket(`${udp6} ${"ext destination ".repeat(9)}`), abi.MALFORMED_EXTENSION_COUNT, {}],
  ["a middle fragment of 7 bytes", encodePacket(`${udp} frag more zeros 7`), abi.MALFORMED_FRAGMENT, { ipProto: 17 }],
  ["a fragment of no bytes", encodePacket("ip 1.1.1.1 > 2.2.2.2 proto udp frag offset 8"), abi.MALFORMED_FRAGMENT, {}],
  [
    "a fragment beyond 65535",
    encodePacket("ip 1.1.1.1 > 2.2.2.2 proto icmp frag offset 65512 zeros 8"),
    abi.MALFORMED_FRAGMENT,
    { fragmentOffset: 65512, flags: abi.RECORD_FLAG_FRAGMENT, payloadOffset: NONE },
  ],
  ["an IPv6 middle fragment of 7 bytes", encodePacket(`${udp6} frag more zeros 7`), abi.MALFORMED_FRAGMENT, {}],
  ["19 bytes of TCP", encodePacket("ip ::1 > ::2 proto tcp zeros 19"), abi.MALFORMED_TCP_SHORT, { l4Offset: NONE }],
  ["a first fragment of 8 TCP bytes", encodePacket("ip 1.1.1.1 > 2.2.2.2 proto tcp frag more zeros 8"), 12, {}],
  ["a TCP header of 4 words", patch(tcp, 46, 0x40), abi.MALFORMED_TCP_OFFSET, { l4Offset: 34, sourcePort: 1234 }],
  ["a TCP header beyond the packet", patch(tcp, 46, 0x60), abi.MALFORMED_TCP_OFFSET, { payloadOffset: NONE }],
  ["7 bytes of UDP", encodePacket("ip ::1 > ::2 proto udp zeros 7"), abi.MALFORMED_UDP_SHORT, { sourcePort: 0 }],
  ["UDP that says 7 bytes", encodePacket(`${udp} udp-length 7`), abi.MALFORMED_UDP_LENGTH, { sourcePort: 5000 }],
  ["UDP that says too much", encodePacket(`${udp} udp-length 9`), abi.MALFORMED_UDP_LENGTH, { l4Offset: 34 }],
  ["7 bytes of ICMP", encodePacket("ip 1.1.1.1 > 2.2.2.2 proto icmp zeros 7"), abi.MALFORMED_ICMP_SHORT, {}],
  ["7 bytes of ICMPv6", encodePacket("ip ::1 > ::2 proto icmp6 zeros 7"), abi.MALFORMED_ICMP_SHORT, {}],
  ["11 bytes of SCTP", encodePacket("ip 1.1.1.1 > 2.2.2.2 proto sctp zeros 11"), abi.MALFORMED_SCTP_SHORT, {}],
  [
    "3 bytes of GRE",
    encodePacket("ip 1.1.1.1 > 2.2.2.2 proto gre zeros 3"),
    abi.MALFORMED_GRE_SHORT,
    { l4Offset: NONE },
  ],
  ["GRE without its key", patch("gre 1.1.1.1 > 2.2.2.2", 34, 0x20), abi.MALFORMED_GRE_SHORT, { l4Offset: 34 }],
];

describe("parsing sound frames", () => {
  it.each(expectations)("reads %s", (line, expected) => {
    expect(parseLine(line)).toMatchObject({ malformed: 0, ...expected });
  });

  it("reads every whole packet of the packet language as sound, unless its UDP length lies", () => {
    const honest = packetLine.filter((line) => !/udp-length|frag/.test(line));
    fc.assert(
      fc.property(honest, (line) => {
        expect(parseLine(line).malformed).toBe(0);
      }),
      { numRuns: 1000 },
    );
  });
});

describe("parsing malformed frames", () => {
  it.each(faults)("reports %s", (_what, frame, malformed, expected) => {
    expect(parse(frame)).toMatchObject({ payloadOffset: NONE, payloadLength: 0, ...expected, malformed });
  });

  it("has a case for every kind of fault", () => {
    const kinds = Object.entries(abi).filter(([name, value]) => name.startsWith("MALFORMED_") && value !== 0);
    expect(new Set(faults.map(([, , malformed]) => malformed))).toEqual(new Set(kinds.map(([, value]) => value)));
  });

  it("keeps to the frame, and its offsets in order, for bytes of any kind", () => {
    const bytes = fc.oneof(fc.uint8Array({ maxLength: 200 }), packetLine.map(encodePacket));
    fc.assert(
      fc.property(bytes, fc.nat({ max: 255 }), fc.nat({ max: 3000 }), (frame, link, wireLength) => {
        expectOrder(parse(frame, { link, wireLength }));
      }),
      { numRuns: 3000 },
    );
  });
});

function expectOrder({ length, l3Offset, l4Offset, payloadOffset, payloadLength, malformed }: ParsedRecord): void {
  const offsets = [l3Offset, l4Offset, payloadOffset].filter((offset) => offset !== NONE);
  expect(offsets).toEqual(offsets.toSorted((a, b) => a - b));
  expect(Math.max(0, ...offsets)).toBeLessThanOrEqual(length);
  if (payloadOffset === NONE) expect(payloadLength).toBe(0);
  else expect(malformed).toBe(0);
  if (payloadOffset !== NONE) expect(payloadOffset + payloadLength).toBeLessThanOrEqual(length);
}

/** What a capture's cut may change in a record that stays sound. */
const cutShows = { length: 0, payloadLength: 0, flags: 0, tunnel: 0 };

describe("parsing frames that were cut", () => {
  const cuts = fc.tuple(packetLine, fc.nat()).map(([line, at]) => {
    const frame = encodePacket(line);
    return { whole: frame, part: frame.slice(0, at % frame.length) };
  });

  it("says so in the flags", () => {
    const { flags } = parse(encodePacket(udp), { wireLength: 1000 });
    expect(flags & abi.RECORD_FLAG_CUT).toBe(abi.RECORD_FLAG_CUT);
    expect(parse(encodePacket(udp)).flags & abi.RECORD_FLAG_CUT).toBe(0);
  });

  it("finds nothing wrong with a payload that the capture cut", () => {
    const frame = encodePacket(`${udp} zeros 100`);
    const record = parse(frame.slice(0, 52), { wireLength: frame.length });
    expect(record).toMatchObject({ malformed: 0, payloadOffset: 42, payloadLength: 10, sourcePort: 5000 });
  });

  it("reports an IP length beyond what even the wire had", () => {
    const frame = encodePacket(`${udp} zeros 100`);
    expect(parse(frame.slice(0, 52), { wireLength: frame.length - 1 }).malformed).toBe(abi.MALFORMED_IP_TOTAL_LENGTH);
  });

  it("reports TCP options that the capture cut as short, not as wrong", () => {
    const frame = encodePacket(`${tcp} tcp-options 020405b4`);
    expect(parse(frame.slice(0, 56), { wireLength: frame.length }).malformed).toBe(abi.MALFORMED_TCP_SHORT);
    expect(parse(frame.slice(0, 56)).malformed).toBe(abi.MALFORMED_IP_TOTAL_LENGTH);
  });

  it("reads a part that is sound exactly like the whole", () => {
    fc.assert(
      fc.property(cuts, ({ whole, part }) => {
        const full = parse(whole);
        const record = parse(part, { wireLength: whole.length });
        if (record.malformed === 0) expect({ ...record, ...cutShows }).toEqual({ ...full, ...cutShows });
      }),
      { numRuns: 3000 },
    );
  });

  it("reports a part as malformed if and only if a header of the whole is not complete in it", () => {
    fc.assert(
      fc.property(cuts, ({ whole, part }) => {
        const full = parse(whole);
        fc.pre(full.malformed === 0);
        const record = parse(part, { wireLength: whole.length });
        expect(record.malformed !== 0).toBe(part.length < headersEnd(full));
      }),
      { numRuns: 3000 },
    );
  });

  it("reports a packet that arrived cut, unless only its padding is missing", () => {
    fc.assert(
      fc.property(cuts, ({ whole, part }) => {
        const full = parse(whole);
        fc.pre(full.malformed === 0 && full.ipVersion !== 0);
        const l3 = new DataView(whole.buffer, full.l3Offset);
        const end = full.l3Offset + (full.ipVersion === 4 ? l3.getUint16(2) : 40 + l3.getUint16(4));
        expect(parse(part).malformed === 0).toBe(part.length >= end);
      }),
      { numRuns: 3000 },
    );
  });
});

/** Where the last header of a sound frame ends. */
function headersEnd({ l3Offset, payloadOffset }: ParsedRecord): number {
  if (payloadOffset !== NONE) return payloadOffset;
  return l3Offset === NONE ? 14 : l3Offset + 28;
}

describe("parsing other link types", () => {
  const ip4 = encodePacket(`${udp} payload "x"`).slice(14);
  const ip6 = encodePacket(`${udp6} payload "x"`).slice(14);
  const behind = (header: readonly number[], packet: Uint8Array) => Uint8Array.of(...header, ...packet);

  it("takes raw IP by its version", () => {
    expect(parse(ip4, { link: abi.LINK_RAW })).toMatchObject({
      etherType: 0x0800,
      l3Offset: 0,
      l4Offset: 20,
      malformed: 0,
    });
    expect(parse(ip6, { link: abi.LINK_RAW })).toMatchObject({
      etherType: 0x86dd,
      l3Offset: 0,
      l4Offset: 40,
      malformed: 0,
    });
    expect(parse(Uint8Array.of(0x50), { link: abi.LINK_RAW })).toMatchObject({ malformed: abi.MALFORMED_IP_VERSION });
    expect(parse(Uint8Array.of(), { link: abi.LINK_RAW })).toMatchObject({ malformed: abi.MALFORMED_IP_SHORT });
  });

  it.each([2, 10, 24, 28, 30])("takes family %d of BSD loopback in both byte orders", (family) => {
    const packet = family === 2 ? ip4 : ip6;
    const expected = { l3Offset: 4, sourcePort: 5000, malformed: 0, etherType: family === 2 ? 0x0800 : 0x86dd };
    expect(parse(behind([family, 0, 0, 0], packet), { link: abi.LINK_NULL })).toMatchObject(expected);
    expect(parse(behind([0, 0, 0, family], packet), { link: abi.LINK_NULL })).toMatchObject(expected);
  });

  it("looks no further into other families of BSD loopback", () => {
    const record = parse(behind([7, 0, 0, 0], ip4), { link: abi.LINK_NULL });
    expect(record).toMatchObject({ l3Offset: NONE, etherType: 0, malformed: 0 });
    expect(parse(Uint8Array.of(2, 0, 0), { link: abi.LINK_NULL }).malformed).toBe(abi.MALFORMED_LINK_SHORT);
  });

  it("takes Linux cooked captures, tags and all", () => {
    const cooked = (packetType: number, ...protocol: number[]) => [
      0,
      packetType,
      0,
      1,
      0,
      6,
      ...Array(8).fill(0),
      ...protocol,
    ];
    const sll = { link: abi.LINK_SLL };
    expect(parse(behind(cooked(0, 8, 0), ip4), sll)).toMatchObject({
      l3Offset: 16,
      sourcePort: 5000,
      flags: 0,
      malformed: 0,
    });
    expect(parse(behind(cooked(1, 8, 0), ip4), sll).flags).toBe(abi.RECORD_FLAG_BROADCAST);
    expect(parse(behind(cooked(2, 8, 0), ip4), sll).flags).toBe(abi.RECORD_FLAG_MULTICAST);
    const tagged = behind(cooked(0, 0x81, 0, 0, 5, 0x86, 0xdd), ip6);
    expect(parse(tagged, sll)).toMatchObject({ vlanCount: 1, outerTci: 5, l3Offset: 20, malformed: 0 });
    expect(parse(new Uint8Array(15), sll).malformed).toBe(abi.MALFORMED_LINK_SHORT);
  });

  it("takes groups from the IP destination where the link has no addresses", () => {
    const flagsOf = (line: string) => parse(encodePacket(line).slice(14), { link: abi.LINK_RAW }).flags;
    expect(flagsOf("udp 10.0.0.1:1 > 239.1.1.1:1")).toBe(abi.RECORD_FLAG_MULTICAST);
    expect(flagsOf("udp 10.0.0.1:1 > 255.255.255.255:1")).toBe(abi.RECORD_FLAG_BROADCAST);
    expect(flagsOf("udp [::1]:1 > [ff02::1]:1")).toBe(abi.RECORD_FLAG_MULTICAST);
    expect(flagsOf(udp)).toBe(0);
  });
});

describe("the hash", () => {
  it("is the same in both directions", () => {
    expect(hashOf("tcp 10.0.0.1:1 > 10.0.0.2:2")).toBe(hashOf("tcp 10.0.0.2:2 > 10.0.0.1:1"));
    expect(hashOf("udp [::1]:1 > [::2]:2")).toBe(hashOf("udp [::2]:2 > [::1]:1"));
    expect(hashOf("icmp 10.0.0.1 > 10.0.0.2 echo id 7")).toBe(hashOf("icmp 10.0.0.2 > 10.0.0.1 echo-reply id 7"));
  });

  it("is the same with and without tags, options and payload", () => {
    expect(hashOf(`vlan 5 ${udp} options 01010101 ttl 1 payload "x"`)).toBe(hashOf(udp));
    expect(hashOf(`vlan 5 ${udp6} ext hop-by-hop flow-label 7`)).toBe(hashOf(udp6));
  });

  it("is the same for all fragments of a packet, and leaves out their ports", () => {
    const last = "ip 10.0.0.1 > 10.0.0.2 proto udp frag offset 8 zeros 3";
    expect(hashOf(`${udp} frag more zeros 8`)).toBe(hashOf(last));
    const last6 = "ip 2001:db8::1 > 2001:db8::2 proto 60 frag offset 8 zeros 3";
    expect(hashOf(`${udp6} frag more ext destination zeros 8`)).toBe(hashOf(last6));
    expect(hashOf("udp 10.0.0.1:7 > 10.0.0.2:8 frag more zeros 8")).toBe(hashOf(last));
    expect(hashOf(udp)).not.toBe(hashOf(last));
  });

  it("differs where addresses change places with each other's ports", () => {
    expect(hashOf("udp 10.0.0.1:1 > 10.0.0.2:2")).not.toBe(hashOf("udp 10.0.0.1:2 > 10.0.0.2:1"));
    expect(hashOf("udp 10.0.0.1:1 > 10.0.0.2:2")).not.toBe(hashOf("tcp 10.0.0.1:1 > 10.0.0.2:2"));
    expect(hashOf("udp 10.0.0.1:1 > 10.0.0.1:1")).not.toBe(hashOf("udp 10.0.0.2:2 > 10.0.0.2:2"));
  });

  it("is the one that ABI.md specifies", () => {
    const source = [10, 0, 0, 1];
    const destination = [10, 0, 0, 2];
    expect(hashOf(udp)).toBe(referenceHash([source, 5000], [destination, 53], 17));
    expect(hashOf(udp)).toBe(948721034);
    const prefix = [0x20, 0x01, 0x0d, 0xb8, ...Array(11).fill(0)];
    expect(hashOf(tcp6)).toBe(referenceHash([[...prefix, 1], 1234], [[...prefix, 2], 80], 6));
  });

  it.each([
    ["low bits", (hash: number) => hash & 0xff],
    ["high bits", (hash: number) => hash >>> 24],
  ])("spreads neighbouring flows evenly over its %s", (_bits, bucketOf) => {
    const flows = Array.from({ length: 25_600 }, (_, i) =>
      hashOf(`tcp 10.0.${i >> 8}.1:${1024 + (i & 255)} > 10.9.9.9:443`),
    );
    const buckets = new Uint32Array(256);
    for (const hash of flows) (buckets[bucketOf(hash)] as number)++;
    const chiSquare = buckets.reduce((sum, count) => sum + (count - 100) ** 2 / 100, 0);
    // 255 degrees of freedom: chance exceeds 330.5 once in a thousand.
    expect(chiSquare).toBeLessThan(331);
  });
});

type End = readonly [address: readonly number[], port: number];

/** The algorithm of ABI.md, as a function's author would write it. */
function referenceHash(source: End, destination: End, proto: number): number {
  const a = 0x9e3779b97f4a7c15n;
  const b = 0xd6e8feb86659fd93n;
  const u64 = (value: bigint) => BigInt.asUintN(64, value);
  const mix = (value: bigint) => {
    const word = u64(value * a);
    return u64((word ^ (word >> 32n)) * b);
  };
  const end = ([address, port]: End) => {
    const view = new DataView(Uint8Array.from(address).buffer);
    if (address.length === 4) return mix((BigInt(view.getUint32(0, true)) << 16n) | BigInt(port));
    return mix(mix(view.getBigUint64(0, true) + BigInt(port) * b) + view.getBigUint64(8, true));
  };
  const sum = u64(end(source) + end(destination) + BigInt(proto));
  return Number(u64((sum ^ (sum >> 32n)) * a) >> 32n);
}
