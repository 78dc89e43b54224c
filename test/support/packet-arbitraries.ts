// Lines of packet text for property tests: sound packets of every kind.
import fc from "fast-check";

const number = (max: number) => fc.nat({ max });
const word = (name: string, max: number) => number(max).map((value) => `${name} ${value}`);
const hexOf = (lengths: { minLength: number; maxLength: number }) =>
  fc.uint8Array(lengths).map((bytes) => bytes.toHex());
const hexWord = (name: string, bytes: number) =>
  hexOf({ minLength: bytes, maxLength: bytes }).map((hex) => `${name} ${hex}`);

const ipv4 = fc.ipV4();
const ipv6 = fc.ipV6().filter((address) => !address.includes("."));
const port = number(0xffff);

const payload = fc.oneof(
  fc.constant(""),
  hexOf({ minLength: 1, maxLength: 40 }).map((hex) => `payload ${hex}`),
  fc.constantFrom('payload "GET / HTTP/1.1\\r\\n\\r\\n"', 'payload "\\"\\\\"', 'payload "é"'),
  word("zeros", 1400),
);

/** Some of the words, in any order. */
const someOf = (...words: readonly fc.Arbitrary<string>[]) =>
  fc.tuple(...words).chain((all) => fc.shuffledSubarray(all).map((chosen) => chosen.join(" ")));

const pair = (address: fc.Arbitrary<string>) => fc.tuple(address, address).map(([a, b]) => `${a} > ${b}`);
const endpoints4 = fc.tuple(ipv4, port, ipv4, port).map(([a, p, b, q]) => `${a}:${p} > ${b}:${q}`);
const endpoints6 = fc.tuple(ipv6, port, ipv6, port).map(([a, p, b, q]) => `[${a}]:${p} > [${b}]:${q}`);

const common = [word("ttl", 255), word("dscp", 63), word("ecn", 3)];
const ipv4Words = someOf(
  ...common,
  fc.constant("df"),
  fc.oneof(word("ip-id", 0xffff), word("frag offset 0 more id", 0xffff)),
  fc.nat({ max: 10 }).chain((words) => (words === 0 ? fc.constant("") : hexWord("options", words * 4))),
  fc.constantFrom("bad-ip-checksum", "ip-checksum 0x1234"),
);
const extension = fc.oneof(
  fc.constantFrom("ext destination", "ext destination 010200000000"),
  hexWord("ext routing", 6),
  hexWord("ext auth", 10),
);
const ipv6Words = fc
  .tuple(
    someOf(...common, word("flow-label", 0xfffff)),
    fc.constantFrom("", "ext hop-by-hop"),
    fc.array(extension, { maxLength: 3 }),
    fc.constantFrom("", "frag id 9", "frag more"),
  )
  .map((parts) => parts.flat().join(" "));

const checksum = fc.constantFrom("bad-checksum", "checksum 0", "checksum 0xffff");
const transports: Readonly<Record<string, fc.Arbitrary<string>>> = {
  udp: someOf(checksum, word("udp-length", 0xffff)),
  tcp: someOf(
    ...["fin", "syn", "rst", "psh", "urg", "ece", "cwr"].map((flag) => fc.constant(flag)),
    fc.oneof(fc.constant("ack"), word("ack", 0xffffffff), word("ack-number", 0xffffffff)),
    word("seq", 0xffffffff),
    word("win", 0xffff),
    word("urgent", 0xffff),
    hexWord("tcp-options", 12),
    checksum,
  ),
  sctp: someOf(word("tag", 0xffffffff), checksum),
};
const portless: Readonly<Record<string, fc.Arbitrary<string>>> = {
  icmp: fc.oneof(
    someOf(word("id", 0xffff), word("seq", 0xffff), checksum).map((words) => `echo ${words}`),
    someOf(word("code", 255), hexWord("rest", 4)).map((words) => `type 13 ${words}`),
    word("unreachable code 4 mtu", 0xffff),
  ),
  icmp6: fc.oneof(
    someOf(word("id", 0xffff), word("seq", 0xffff), checksum).map((words) => `echo-reply ${words}`),
    someOf(word("code", 255), hexWord("rest", 4)).map((words) => `type 200 ${words}`),
    word("too-big mtu", 0xffffffff),
  ),
  gre: someOf(word("type", 0xffff), word("key", 0xffffffff), word("seq", 0xffffffff)),
  ip: fc.constantFrom("proto ospf", "proto esp", "proto 200", "proto 59"),
};

const join = (...parts: readonly fc.Arbitrary<string>[]) =>
  fc.tuple(...parts).map((texts) => texts.filter((text) => text !== "").join(" "));

function ipLines(kinds: typeof transports, addresses4: fc.Arbitrary<string>, addresses6: fc.Arbitrary<string>) {
  return Object.entries(kinds).flatMap(([kind, words]) => [
    join(fc.constant(kind), addresses4, words, ipv4Words, payload),
    join(fc.constant(kind), addresses6, words, ipv6Words, payload),
  ]);
}

const arpLine = fc.oneof(
  fc.tuple(ipv4, ipv4).map(([target, sender]) => `arp who-has ${target} tell ${sender}`),
  fc.tuple(ipv4, ipv4).map(([sender, target]) => `arp reply ${sender} to ${target} tha 02:00:00:00:00:09`),
);

const vlan = fc
  .tuple(number(4095), someOf(word("priority", 7), fc.constant("dei"), fc.constantFrom("tpid 0x88a8", "tpid 0x9100")))
  .map(([id, words]) => `vlan ${id} ${words}`.trim());
const prefix = fc
  .tuple(fc.constantFrom("", "ether 02:00:00:00:00:01 > 01:00:5e:00:00:01"), fc.array(vlan, { maxLength: 3 }))
  .map((parts) => parts.flat().join(" ").trim());

const ipLine = fc.oneof(...ipLines(transports, endpoints4, endpoints6), ...ipLines(portless, pair(ipv4), pair(ipv6)));

/** One sound packet: its headers are complete, though checksums and UDP's length may lie. */
export const packetLine = join(
  prefix,
  fc.oneof({ weight: 9, arbitrary: ipLine }, arpLine),
  fc.constantFrom("", "pad 60"),
);
