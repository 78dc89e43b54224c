// SIP over IPv6 through nfs/nat: how addresses may be written (RFC 5118), and what that does not mean.
import { afterEach, expect, it } from "vitest";
import { type NatUnderTest, openNat } from "../support/nat-under-test.ts";
import { payloadOf, payloadWords } from "../support/sip-messages.ts";

const opened: NatUnderTest[] = [];
const office = { from: ["2001:db8::/32"], pool: ["2001:db8:f::1"], order: "preserve" };

async function open(config: object = {}): Promise<NatUnderTest> {
  const nat = await openNat({ sources: [office], helpers: { sip: true }, ...config });
  opened.push(nat);
  return nat;
}

afterEach(() => {
  for (const nat of opened.splice(0)) nat.close();
});

const phone = "udp [2001:db8::9:1]:5060 > [2001:db9::60]:5060";
const registrar = "udp [2001:db9::60]:5060 > [2001:db8:f::1]:5060";
const text = (lines: readonly string[], body = "") =>
  [...lines, `Content-Length: ${body.length}`, "", body].join("\r\n");
const linesOf = (result = "") => payloadOf(result).split("\r\n");
const options = "OPTIONS sip:bob@example.net SIP/2.0";

it.each([
  ["Via: SIP/2.0/UDP [2001:db8::9:1];branch=z9hG4bK1", "Via: SIP/2.0/UDP [2001:db8:f::1];branch=z9hG4bK1"],
  ["v: SIP/2.0/UDP [2001:DB8:0:0:0:0:9:1]:5060", "v: SIP/2.0/UDP [2001:db8:f::1]:5060"],
  ["Contact: <sip:a@[2001:db8:0::0.9.0.1]:5060>", "Contact: <sip:a@[2001:db8:f::1]:5060>"],
  [
    "Route: <sip:[2001:db8::9:1];lr>, <sip:[2001:db8::7];lr>",
    "Route: <sip:[2001:db8:f::1];lr>, <sip:[2001:db8::7];lr>",
  ],
  ["Record-Route: <sip:[2001:db8::9:1]>", "Record-Route: <sip:[2001:db8:f::1]>"],
  ["From: sip:user@[2001:db8::9:1];tag=1", "From: sip:user@[2001:db8:f::1];tag=1"],
  ["t: <sip:user@[2001:db8::9:1]>", "t: <sip:user@[2001:db8:f::1]>"],
])("%s names the sender by its outside address", async (line, told) => {
  const nat = await open();
  const message = text([options, line]);
  expect(linesOf(nat.out(`${phone} ${payloadWords(message)}`)[0])[1]).toBe(told);
  expect(nat.counter("sip_malformed")).toBe(0);
});

it.each([
  // RFC 5118: no brackets (4.2), the port within them (4.3), one colon too many (4.10).
  "From: sip:user@2001:db8::9:1;tag=1",
  "Contact: <sip:a@[2001:db8::9:1:5060]>",
  "Contact: <sip:a@[2001:db8:::9:1]>",
  "Contact: <sip:a@[2001:db8::9:1>",
  "Contact: <sip:a@[2001:db8::9:1%eth0]>",
  "Contact: <sip:a@[::ffff:10.0.0.1]:5060>",
  "Call-ID: [2001:db8::9:1]",
  "Via: SIP/2.0/UDP [2001:db8::9:2];received=2001:db8::9:3",
])("%s stays as it is", async (line) => {
  const nat = await open();
  const message = text([options, line]);
  expect(payloadOf(nat.out(`${phone} ${payloadWords(message)}`)[0] ?? "")).toBe(message);
});

it.each(["2001:db8:f::1", "[2001:db8:f::1]"])("received=%s in an answer becomes the phone's address", async (said) => {
  const nat = await open();
  nat.out(`${phone} ${payloadWords(text([options]))}`);
  const answer = text(["SIP/2.0 200 OK", `Via: SIP/2.0/UDP [2001:db8:f::1];received=${said};rport=5060;branch=1`]);
  expect(linesOf(nat.in(`${registrar} ${payloadWords(answer)}`)[0])[1]).toBe(
    `Via: SIP/2.0/UDP [2001:db8::9:1];received=${said.replace("2001:db8:f::1", "2001:db8::9:1")};rport=5060;branch=1`,
  );
});

it("an IPv4 address that is written as one of IPv6 is the IPv4 address", async () => {
  const nat = await open({ sources: [{ from: ["10.0.0.0/8"], pool: ["203.0.113.1"], order: "preserve" }] });
  const message = text([options, "Contact: <sip:a@[::ffff:10.0.0.5]:5060>", "Via: SIP/2.0/UDP [::FFFF:0a00:0005]"]);
  expect(linesOf(nat.out(`udp 10.0.0.5:5060 > 192.0.2.1:5060 ${payloadWords(message)}`)[0]).slice(1, 3)).toEqual([
    "Contact: <sip:a@[::ffff:203.0.113.1]:5060>",
    "Via: SIP/2.0/UDP [::ffff:203.0.113.1]",
  ]);
});

const body = (connection: string, port: number, more: readonly string[] = []) =>
  ["v=0", "o=- 1 1 IN IP6 2001:db8::9:1", "s=-", `c=${connection}`, `m=audio ${port} RTP/AVP 0`, ...more, ""].join(
    "\r\n",
  );
const described = (description: string) =>
  payloadWords(text(["INVITE sip:b@example.net SIP/2.0", "c: application/sdp"], description));

it("media are offered, and come, to the outside address, behind one-to-one rules and a port's own address, too", async () => {
  for (const [config, outside] of [
    [{}, "2001:db8:f::1"],
    [{ sources: [], oneToOne: [{ inside: "2001:db8::/64", outside: "2001:db8:f:1::/64" }] }, "2001:db8:f:1::9:1"],
    [
      { sources: [{ from: ["2001:db8::/32"], masquerade: true, order: "preserve", ports: "1024-65535" }] },
      "fd00::c000:201",
    ],
  ] as const) {
    const nat = await open(config);
    setAddressOf(nat);
    const more = ["a=rtcp:4001 IN IP6 2001:db8::9:1", "m=video 4010 RTP/AVP 31", "c=IN IP6 2001:db8:0::9:1"];
    const lines = linesOf(nat.out(`${phone} ${described(body("IN IP6 2001:DB8::9:1", 4000, more))}`)[0]);
    expect(lines.slice(5)).toEqual([
      `o=- 1 1 IN IP6 ${outside}`,
      "s=-",
      `c=IN IP6 ${outside}`,
      "m=audio 4000 RTP/AVP 0",
      `a=rtcp:4001 IN IP6 ${outside}`,
      "m=video 4010 RTP/AVP 31",
      `c=IN IP6 ${outside}`,
      "",
    ]);
    expect(nat.in(`udp [2001:db9::7]:7000 > [${outside}]:4011`)).toEqual([
      "next udp [2001:db9::7]:7000 > [2001:db8::9:1]:4011",
    ]);
  }
});

function setAddressOf(nat: NatUnderTest): void {
  const bytes = new Uint8Array([0xfd, ...Array<number>(11).fill(0), 192, 0, 2, 1]);
  nat.fn.lane.native.fixRoutes({
    links: [{ port: 1, mac: new Uint8Array(6), mtu: 1500, addresses: [bytes] }],
    routes: [],
    neighbours: [],
  });
}

it("media elsewhere, in the other family, by name, or of more hosts than are remembered stay as they are", async () => {
  const nat = await open();
  const many = Array.from({ length: 40 }, (_, i) => [
    `m=audio ${5000 + 2 * i} RTP/AVP 0`,
    `c=IN IP6 2001:db8:7::${i + 1}`,
  ]);
  for (const description of [
    body("IN IP4 10.0.0.1", 4000),
    body("IN IP6 phone.example.net", 4000),
    body("IN IP6 2001:db8:7::1", 4000, many.flat()),
    body("IN IP6 ::ffff:10.0.0.1", 4000),
  ]) {
    const told = description.replace("IN IP6 2001:db8::9:1", "IN IP6 2001:db8:f::1");
    expect(payloadOf(nat.out(`${phone} ${described(description)}`)[0] ?? "").split("\r\n\r\n")[1]).toBe(told);
  }
  expect(nat.counter("sip_announced")).toBe(0);
  nat.out("udp [fe80::1]:1 > [fe80::2]:1", 90_000);
  nat.out("udp [fe80::1]:1 > [fe80::2]:1", 90_002);
  expect([...nat.held, nat.counter("expectations"), nat.counter("addresses")]).toEqual([0, 0, 0, 0, 0, 1]);
});

it("a message that would become many times as long goes on as it came", async () => {
  const config = { sources: [{ from: ["1::/64"], pool: ["2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"] }] };
  const nat = await open(config);
  const one = text([options, `Route: ${"[1::],".repeat(200)}`]);
  expect(payloadOf(nat.out(`udp [1::]:5060 > [2001:db9::60]:5060 ${payloadWords(one)}`)[0] ?? "")).toBe(one);
  expect(nat.counter("sip_too_long")).toBe(1);
});
