import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SluiceError } from "../../runtime/errors.ts";
import { encodePacket, encodePackets, formatPacket } from "../../runtime/testing/packet-text.ts";
import { packetLine } from "../support/packet-arbitraries.ts";

/** Lines and the bytes that scapy 2.5 makes of the same packets. */
const scapyFrames: readonly (readonly [string, string])[] = [
  [
    'udp 10.0.0.1:5000 > 10.0.0.2:53 payload "hello"',
    "02000a00000202000a00000108004500002100000000401166ca0a0000010a00000213880035000d944268656c6c6f",
  ],
  [
    'tcp [2001:db8::1]:1234 > [2001:db8::2]:80 psh seq 1 ack 2 win 1024 payload "GET /"',
    "02000000000202000000000186dd600000000019064020010db800000000000000000000000120010db800000000000000000000000204d2005000000001000000025018040080c80000474554202f",
  ],
  [
    'icmp 10.0.0.1 > 10.0.0.2 echo id 7 seq 1 ttl 3 payload "abc"',
    "02000a00000202000a00000108004500001f000000000301a3dc0a0000010a0000020800339500070001616263",
  ],
  [
    'icmp6 2001:db8::1 > 2001:db8::2 echo id 7 seq 1 payload "abc"',
    "02000000000202000000000186dd60000000000b3a4020010db800000000000000000000000120010db800000000000000000000000280005fda00070001616263",
  ],
  [
    "sctp 10.0.0.1:1 > 10.0.0.2:2 tag 0x01020304 payload 0b000004",
    "02000a00000202000a00000108004500002400000000408466540a0000010a00000200010002010203048f1f018b0b000004",
  ],
  [
    "vlan 100 priority 5 tpid 0x88a8 vlan 7 udp 10.0.0.1:1 > 10.0.0.2:2 dscp 46 df options 01010101 ip-id 9",
    "02000a00000202000a00000188a8a06481000007080046b8002000094000401123080a0000010a00000201010101000100020008ebd8",
  ],
  [
    'udp [2001:db8::1]:1 > [2001:db8::2]:2 flow-label 0x12345 ext hop-by-hop payload "x"',
    "02000000000202000000000186dd600123450011004020010db800000000000000000000000120010db800000000000000000000000211000104000000000001000200092c6478",
  ],
  [
    "arp who-has 10.0.0.2 tell 10.0.0.1",
    "ffffffffffff02000a0000010806000108000604000102000a0000010a0000010000000000000a000002",
  ],
  [
    "gre 10.0.0.1 > 10.0.0.2 key 5 payload (udp 1.1.1.1:1 > 2.2.2.2:2)",
    "02000a00000202000a00000108004500003800000000402f66950a0000010a00000220000800000000054500001c00000000401174cc0101010102020202000100020008f9d5",
  ],
];

/** Lines that are canonical: one per feature of the language. */
const canonicalLines = [
  "udp 10.0.0.1:5000 > 10.0.0.2:53",
  'udp 10.0.0.1:5000 > 10.0.0.2:53 ttl 63 dscp 46 ecn 1 ip-id 7 df payload "a \\"quoted\\" \\\\ line\\r\\n"',
  "udp 10.0.0.1:5000 > 10.0.0.2:53 udp-length 600 frag id 5 offset 0 more payload ff00",
  "ip 10.0.0.1 > 10.0.0.2 proto udp frag id 5 offset 8 zeros 16",
  "udp 10.0.0.1:5000 > 10.0.0.2:53 checksum 0x0000 bad-ip-checksum",
  "udp 10.0.0.1:5000 > 10.0.0.2:53 bad-checksum options 94040000 pad 60",
  "udp 10.0.0.1:5000 > 10.0.0.2:53 trailer 0102",
  "ether 02:00:00:00:00:0a > 02:00:00:00:00:0b vlan 5 udp 10.0.0.1:5000 > 10.0.0.2:53",
  "vlan 100 priority 3 dei tpid 0x88a8 vlan 200 udp 10.0.0.1:5000 > 10.0.0.2:53",
  "tcp 10.0.0.1:1 > 10.0.0.2:2 syn seq 1 win 1024 tcp-options 020405b4",
  "tcp 10.0.0.1:1 > 10.0.0.2:2 fin syn rst psh urg ece cwr seq 4294967295 ack 0 urgent 9",
  "tcp 10.0.0.1:1 > 10.0.0.2:2 rst ack-number 5 bad-checksum",
  "tcp [2001:db8::1]:1234 > [2001:db8::2]:80 syn",
  "udp [2001:db8::1]:1 > [ff02::1]:2 flow-label 0x12345 ext hop-by-hop ext destination 010200000000 ext routing 000000000000",
  "udp [2001:db8::1]:1 > [2001:db8::2]:2 ext auth 00000000000100000002 frag id 9 offset 0 more",
  "ip 2001:db8::1 > 2001:db8::2 proto udp frag id 9 offset 16 payload 01",
  "icmp 10.0.0.1 > 10.0.0.2 echo id 7 seq 1 payload 80",
  "icmp 10.0.0.1 > 10.0.0.2 echo-reply id 7",
  "icmp 10.0.0.254 > 10.0.0.1 unreachable code 4 mtu 1400 payload (udp 10.0.0.1:1 > 10.9.9.9:2)",
  "icmp 10.0.0.1 > 10.0.0.2 type 13 rest 00070001",
  "icmp6 2001:db8::1 > ff02::2 router-solicit",
  "icmp6 2001:db8::1 > 2001:db8::2 too-big mtu 1280",
  "sctp 10.0.0.1:1 > 10.0.0.2:2 tag 0x00000005 checksum 0x00000001",
  "gre 10.0.0.1 > 10.0.0.2 type 0x86dd key 5 seq 6 payload (icmp6 ::1 > ::2 echo)",
  "ip 10.0.0.1 > 10.0.0.2 proto ipip payload (udp 1.1.1.1:1 > 2.2.2.2:2)",
  "ip 10.0.0.1 > 224.0.0.5 proto ospf payload 0201",
  "ip 10.0.0.1 > 10.0.0.2 proto 200",
  "arp who-has 10.0.0.2 tell 10.0.0.1 pad 60",
  "arp reply 10.0.0.2 to 10.0.0.1 sha 02:00:00:00:00:01 tha 02:00:00:00:00:02",
  "type 0x88cc payload 0102",
  "raw 0102",
  "raw",
];

const faults: readonly (readonly [line: string, where: string, what: RegExp])[] = [
  ["", "column 1", /the line ends/],
  ["http 10.0.0.1 > 10.0.0.2", "column 1", /"http" begins no packet/],
  ["udp 10.0.0.1:1 10.0.0.2:2", "column 16", /expected ">"/],
  ["udp 10.0.0.1 > 10.0.0.2:2", "column 5", /not an address and port/],
  ["udp 2001:db8::1:1 > [::2]:2", "column 5", /not an address and port/],
  ["udp 10.0.0.256:1 > 10.0.0.2:2", "column 5", /not an address and port/],
  ["udp 10.0.0.1:65536 > 10.0.0.2:2", "column 5", /at most 65535/],
  ["udp 10.0.0.1:1 > [::2]:2", "column 18", /one address is IPv4/],
  ["udp 10.0.0.1:1 > 10.0.0.2:2 ttl 256", "column 33", /ttl is at most 255/],
  ["udp 10.0.0.1:1 > 10.0.0.2:2 ttl x", "column 33", /ttl is a number/],
  ["udp 10.0.0.1:1 > 10.0.0.2:2 ttl", "column 32", /the line ends/],
  ["udp 10.0.0.1:1 > 10.0.0.2:2 ttl 1 ttl 2", "column 35", /given twice/],
  ["udp 10.0.0.1:1 > 10.0.0.2:2 syn", "column 29", /"syn" is not a word of this line/],
  ["udp [::1]:1 > [::2]:2 df", "column 23", /"df" is not a word of this line/],
  ["udp 10.0.0.1:1 > 10.0.0.2:2 options 010203", "column 37", /multiple of 4/],
  ["udp 10.0.0.1:1 > 10.0.0.2:2 frag offset 9", "column 41", /multiple of 8/],
  ["udp 10.0.0.1:1 > 10.0.0.2:2 frag offset 8", "column 1", /only the first fragment/],
  ["udp [::1]:1 > [::2]:2 ext routing 00", "column 27", /multiple of 8/],
  ["udp [::1]:1 > [::2]:2 ext mobility", "column 27", /not an extension header/],
  ['udp 10.0.0.1:1 > 10.0.0.2:2 payload "open', "column 37", /not closed/],
  ['udp 10.0.0.1:1 > 10.0.0.2:2 payload "\\x"', "column 38", /an escape is one of/],
  ["udp 10.0.0.1:1 > 10.0.0.2:2 payload abc", "column 37", /pairs of hex digits/],
  ["gre 10.0.0.1 > 10.0.0.2 payload (udp 1.1.1.1:1 > 2.2.2.2:x)", "column 50", /not an address and port/],
  ["gre 10.0.0.1 > 10.0.0.2 payload (arp)", "column 34", /begins no packet/],
  ["udp 10.0.0.1:1 > 10.0.0.2:2 zeros 65535", "column 1", /at most 65535/],
  ["icmp 10.0.0.1 > 10.0.0.2 echo mtu 5", "column 31", /"mtu" is not a word/],
  ["icmp 10.0.0.1 > 10.0.0.2 ping", "column 26", /not an icmp message/],
  ["arp who-has 10.0.0.2 from 10.0.0.1", "column 22", /expected "tell"/],
  ["arp who-has ::1 tell ::2", "column 13", /IPv4 addresses only/],
  ["vlan 4096 udp 10.0.0.1:1 > 10.0.0.2:2", "column 6", /at most 4095/],
  ["vlan 1 tpid 0x0800 udp 10.0.0.1:1 > 10.0.0.2:2", "column 13", /tpid is/],
  ["ether 1 > 2 udp 10.0.0.1:1 > 10.0.0.2:2", "column 7", /not a MAC address/],
  ["raw 00 11", "column 8", /nothing follows/],
];

function faultOf(call: () => unknown): SluiceError {
  try {
    call();
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

describe("encodePacket", () => {
  it.each(scapyFrames)("makes the bytes that scapy makes of %s", (line, hex) => {
    expect(encodePacket(line).toHex()).toBe(hex);
  });

  it("takes the words of a line in any order", () => {
    const one = encodePacket('tcp 10.0.0.1:1 > 10.0.0.2:2 syn ack 3 seq 1 ttl 9 payload "x"');
    expect(encodePacket('tcp 10.0.0.1:1 > 10.0.0.2:2 payload "x" ttl 9 seq 1 ack 3 syn')).toEqual(one);
  });

  it("pads to the given length and never cuts", () => {
    expect(encodePacket("udp 10.0.0.1:1 > 10.0.0.2:2 pad 60")).toHaveLength(60);
    expect(encodePacket("udp 10.0.0.1:1 > 10.0.0.2:2 zeros 100 pad 60")).toHaveLength(142);
  });

  it("makes a bad checksum that no reading of it can take for right", () => {
    const right = encodePacket("udp 10.0.0.1:1 > 10.0.0.2:2");
    const bad = encodePacket("udp 10.0.0.1:1 > 10.0.0.2:2 bad-checksum");
    const checksum = (frame: Uint8Array) => new DataView(frame.buffer).getUint16(40);
    expect(checksum(bad)).not.toBe(0);
    expect(checksum(bad) % 0xffff).not.toBe(checksum(right) % 0xffff);
  });

  it.each(faults)("refuses `%s` at %s", (line, where, what) => {
    const error = faultOf(() => encodePacket(line));
    expect(error.code).toBe("packet-text");
    expect(error.faults[0]?.where).toBe(where);
    expect(error.faults[0]?.what).toMatch(what);
  });
});

describe("encodePackets", () => {
  it("skips empty lines and comments", () => {
    const frames = encodePackets("# two frames\n\nraw 01\n  # indented\n  raw 02\n");
    expect(frames.map((frame) => frame.toHex())).toEqual(["01", "02"]);
  });

  it("names the line of a fault", () => {
    expect(faultOf(() => encodePackets("raw 01\n\nraw 0\n")).faults[0]?.where).toBe("line 3, column 5");
  });
});

describe("formatPacket", () => {
  it.each(canonicalLines)("gives back the canonical line %s", (line) => {
    expect(formatPacket(encodePacket(line))).toBe(line);
  });

  it("leaves out what is at its default", () => {
    const line = "tcp 10.0.0.1:1 > 10.0.0.2:2 win 65535 ttl 64 seq 0 syn dscp 0";
    expect(formatPacket(encodePacket(line))).toBe("tcp 10.0.0.1:1 > 10.0.0.2:2 syn");
  });

  it("is canonical for every line", () => {
    fc.assert(
      fc.property(packetLine, (line) => {
        const canonical = formatPacket(encodePacket(line));
        expect(canonical).not.toMatch(/^raw/);
        expect(formatPacket(encodePacket(canonical))).toBe(canonical);
      }),
      { numRuns: 1000 },
    );
  });

  it("encodes to the very same bytes for every line's frame", () => {
    fc.assert(
      fc.property(packetLine, (line) => {
        const frame = encodePacket(line);
        expect(encodePacket(formatPacket(frame))).toEqual(frame);
      }),
      { numRuns: 1000 },
    );
  });

  it("encodes to the very same bytes for frames that were damaged", () => {
    const damaged = fc.tuple(packetLine, fc.nat(), fc.nat({ max: 255 }), fc.nat()).map(([line, at, value, cut]) => {
      const frame = encodePacket(line);
      frame[at % frame.length] = value;
      return cut % 3 === 0 ? frame.slice(0, cut % frame.length) : frame;
    });
    fc.assert(
      fc.property(damaged, (frame) => {
        expect(encodePacket(formatPacket(frame))).toEqual(frame);
      }),
      { numRuns: 2000 },
    );
  });

  it("encodes to the very same bytes for bytes of any kind", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 120 }), (frame) => {
        expect(encodePacket(formatPacket(frame))).toEqual(frame);
      }),
      { numRuns: 1000 },
    );
  });
});
