// SIP through nfs/nat: messages as they leave and as they come in, and the flows that they announce.
import { afterEach, expect, it } from "vitest";
import { describeBoth, type NatUnderTest, openNat } from "../support/nat-under-test.ts";
import { payloadOf, payloadWords, readMessage, writeMessage } from "../support/sip-messages.ts";

const opened: NatUnderTest[] = [];
const office = { from: ["10.0.0.0/8"], pool: ["203.0.113.1"], ports: "20000-29999" };

async function open(config: object = {}): Promise<NatUnderTest> {
  const nat = await openNat({ sources: [office], helpers: { sip: true }, ...config });
  opened.push(nat);
  return nat;
}

afterEach(() => {
  for (const nat of opened.splice(0)) nat.close();
});

interface Message {
  readonly endpoints: string;
  readonly lines: readonly string[];
}

const encode = (...message: Parameters<typeof writeMessage>) => payloadWords(writeMessage(...message));

/** What left, as lines. */
function decode(result = ""): Message {
  const endpoints = /^next udp (\S+ > \S+) payload /.exec(result)?.[1];
  if (endpoints === undefined) throw new Error(result);
  return { endpoints, lines: readMessage(payloadOf(result)) };
}

const register = (contact = "<sip:alice@10.0.0.5:5060>", expires = 600) => [
  "REGISTER sip:example.net SIP/2.0",
  "Via: SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bK1;rport",
  "From: <sip:alice@10.0.0.5>;tag=1",
  "To: <sip:alice@example.net>",
  "Call-ID: 1@10.0.0.5",
  "CSeq: 1 REGISTER",
  `Contact: ${contact}`,
  `Expires: ${expires}`,
];
const phone = "udp 10.0.0.5:5060 > 192.0.2.60:5060";
const offer = (port = 49170, address = "10.0.0.5") => [
  "v=0",
  `o=alice 1 1 IN IP4 ${address}`,
  "s=-",
  `c=IN IP4 ${address}`,
  "t=0 0",
  `m=audio ${port} RTP/AVP 0 8`,
  `a=rtcp:${port + 1}`,
  "a=sendrecv",
];
const invite = [
  "INVITE sip:bob@example.net SIP/2.0",
  "Via: SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bK2",
  "Record-Route: <sip:10.0.0.5;lr>",
  "From: <sip:alice@example.net>;tag=1",
  "To: <sip:bob@example.net>",
  "CSeq: 2 INVITE",
  "m: Alice <sip:alice@10.0.0.5:5060;transport=udp>",
];

describeBoth("a phone inside", () => {
  it("registers with the endpoint that calls reach it at", async () => {
    const nat = await open();
    const { endpoints, lines } = decode(nat.out(`${phone} ${encode(register())}`)[0]);
    const outside = endpoints.split(" ")[0] as string;
    expect(outside).toMatch(/^203\.0\.113\.1:2\d{4}$/);
    expect(lines).toEqual([
      "REGISTER sip:example.net SIP/2.0",
      `Via: SIP/2.0/UDP ${outside};branch=z9hG4bK1;rport`,
      "From: <sip:alice@203.0.113.1>;tag=1",
      "To: <sip:alice@example.net>",
      "Call-ID: 1@10.0.0.5",
      "CSeq: 1 REGISTER",
      `Contact: <sip:alice@${outside}>`,
      "Expires: 600",
      "Content-Length: 0",
    ]);
    const [, port] = outside.split(":");
    const answer = [
      "SIP/2.0 200 OK",
      `Via: SIP/2.0/UDP ${outside};branch=z9hG4bK1;rport=${port};received=203.0.113.1`,
      "From: <sip:alice@203.0.113.1>;tag=1",
      "To: <sip:alice@example.net>;tag=2",
      "CSeq: 1 REGISTER",
      `Contact: <sip:alice@${outside}>;expires=600`,
    ];
    expect(decode(nat.in(`udp 192.0.2.60:5060 > ${outside} ${encode(answer)}`)[0])).toEqual({
      endpoints: "192.0.2.60:5060 > 10.0.0.5:5060",
      lines: [
        "SIP/2.0 200 OK",
        "Via: SIP/2.0/UDP 10.0.0.5:5060;branch=z9hG4bK1;rport=5060;received=10.0.0.5",
        "From: <sip:alice@10.0.0.5>;tag=1",
        "To: <sip:alice@example.net>;tag=2",
        "CSeq: 1 REGISTER",
        "Contact: <sip:alice@10.0.0.5:5060>;expires=600",
        "Content-Length: 0",
      ],
    });
  });

  /** Registers for so long at second 1000, and says where. */
  function registerAt(nat: NatUnderTest, expires: number, time = 1000): string {
    const outside = decode(nat.out(`${phone} ${encode(register(undefined, expires))}`, time)[0]).endpoints.split(
      " ",
    )[0];
    const answer = ["SIP/2.0 200 OK", "CSeq: 1 REGISTER", `Contact: <sip:alice@${outside}>;expires=${expires}`];
    nat.in(`udp 192.0.2.60:5060 > ${outside} ${encode(answer)}`);
    return outside as string;
  }

  it("is called for as long as it is registered, by its registrar, and anew after the next registration", async () => {
    const nat = await open();
    const outside = registerAt(nat, 3600);
    // The UDP session has ended; the registrar calls from another port, too.
    const call = (from: string, time: number) =>
      nat.in(`udp ${from} > ${outside} ${encode([`OPTIONS sip:alice@${outside} SIP/2.0`])}`, time)[0];
    expect(decode(call("192.0.2.60:5070", 3000)).lines[0]).toBe("OPTIONS sip:alice@10.0.0.5:5060 SIP/2.0");
    expect(call("192.0.2.61:5060", 3001)).toBe("drop filtered");
    expect(registerAt(nat, 3600, 4000)).toBe(outside);
    expect(decode(call("192.0.2.60:5060", 7000)).endpoints).toBe("192.0.2.60:5060 > 10.0.0.5:5060");
    for (let i = 0; i < 1000; i++) nat.out("udp 172.16.0.1:1 > 192.0.2.1:1", i === 0 ? 9000 : undefined);
    expect(call("192.0.2.60:5060", 9100)).toBe("drop no-mapping");
    expect(nat.counter("expectations")).toBe(0);
  });

  it("offers its media at a pair of ports, which everybody may send to", async () => {
    const nat = await open();
    const { endpoints, lines } = decode(nat.out(`${phone} ${encode(invite, offer())}`)[0]);
    const outside = endpoints.split(" ")[0] as string;
    const port = Number(/^m=audio (\d+) /m.exec(lines.join("\n"))?.[1]);
    expect(port % 2).toBe(0);
    expect(lines).toEqual([
      "INVITE sip:bob@example.net SIP/2.0",
      `Via: SIP/2.0/UDP ${outside};branch=z9hG4bK2`,
      `Record-Route: <sip:${outside};lr>`,
      "From: <sip:alice@example.net>;tag=1",
      "To: <sip:bob@example.net>",
      "CSeq: 2 INVITE",
      `m: Alice <sip:alice@${outside};transport=udp>`,
      "Content-Type: application/sdp",
      `Content-Length: ${offer(port, "203.0.113.1").join("\r\n").length + 2}`,
      ...offer(port, "203.0.113.1"),
    ]);
    expect(nat.in(`udp 198.51.100.7:7000 > 203.0.113.1:${port}`)).toEqual([
      "next udp 198.51.100.7:7000 > 10.0.0.5:49170",
    ]);
    expect(nat.in(`udp 198.51.100.7:7001 > 203.0.113.1:${port + 1}`)).toEqual([
      "next udp 198.51.100.7:7001 > 10.0.0.5:49171",
    ]);
    expect(nat.out("udp 10.0.0.5:49170 > 198.51.100.9:9000")).toEqual([
      `next udp 203.0.113.1:${port} > 198.51.100.9:9000`,
    ]);
    // The same offer again has the same ports.
    expect(decode(nat.out(`${phone} ${encode(invite, offer())}`)[0]).lines).toEqual(lines);
  });

  it("answers a call that came to it", async () => {
    const nat = await open();
    const outside = registerAt(nat, 3600);
    nat.in(
      `udp 192.0.2.60:5060 > ${outside} ${encode(invite.map((line) => line.replaceAll("10.0.0.5", "192.0.2.60")))}`,
    );
    const ok = [
      "SIP/2.0 200 OK",
      "Via: SIP/2.0/UDP 192.0.2.60:5060;branch=z9hG4bK2",
      "CSeq: 2 INVITE",
      "Contact: <sip:alice@10.0.0.5:5060>",
    ];
    const { lines } = decode(nat.out(`${phone} ${encode(ok, offer(4000))}`)[0]);
    expect(lines).toContain(`Contact: <sip:alice@${outside}>`);
    expect(lines).toContain("Via: SIP/2.0/UDP 192.0.2.60:5060;branch=z9hG4bK2");
    expect(lines).toContain("c=IN IP4 203.0.113.1");
  });

  it("may have another address for one of its media, and media that it does not want", async () => {
    const nat = await open();
    const body = [
      "v=0",
      "o=- 1 1 IN IP4 198.51.100.3",
      "c=IN IP4 198.51.100.3",
      "m=audio 4000 RTP/AVP 0",
      "m=video 0 RTP/AVP 31",
      "m=image 4010 udptl t38",
      "c=IN IP4 10.0.0.5",
    ];
    const { lines } = decode(nat.out(`${phone} ${encode(invite, body)}`)[0]);
    expect(lines.slice(-7, -2)).toEqual(body.slice(0, 5));
    expect(lines.at(-2)).toMatch(/^m=image 2\d{4} udptl t38$/);
    expect(lines.at(-1)).toBe("c=IN IP4 203.0.113.1");
  });
});

describeBoth("a server inside", () => {
  it("is named by the address that was called", async () => {
    const forwards = [{ address: "203.0.113.9", ipProto: "udp", ports: 5060, to: "10.0.0.60" }];
    const nat = await open({ forwards });
    const called = ["OPTIONS sip:203.0.113.9 SIP/2.0", "Via: SIP/2.0/UDP 192.0.2.5:5060"];
    expect(decode(nat.in(`udp 192.0.2.5:5060 > 203.0.113.9:5060 ${encode(called)}`)[0])).toEqual({
      endpoints: "192.0.2.5:5060 > 10.0.0.60:5060",
      lines: ["OPTIONS sip:10.0.0.60 SIP/2.0", "Via: SIP/2.0/UDP 192.0.2.5:5060", "Content-Length: 0"],
    });
    const answer = ["SIP/2.0 200 OK", "Via: SIP/2.0/UDP 192.0.2.5:5060", "Contact: <sip:10.0.0.60:5060>"];
    expect(decode(nat.out(`udp 10.0.0.60:5060 > 192.0.2.5:5060 ${encode(answer)}`)[0]).lines).toContain(
      "Contact: <sip:203.0.113.9:5060>",
    );
  });
});

describeBoth("what is not understood passes as it is", () => {
  const lines = register();
  it.each([
    ["no empty line", `${lines.join("\r\n")}\r\n`],
    ["no version", "REGISTER sip:10.0.0.5\r\nVia: x\r\n\r\n"],
    ["a length that is too large", `${lines.join("\r\n")}\r\nContent-Length: 9\r\n\r\n`],
    ["a length that is too small", `${lines.join("\r\n")}\r\nContent-Length: 0\r\n\r\nmore`],
    ["a length that is none", `${lines.join("\r\n")}\r\nContent-Length: ten\r\n\r\n`],
    ["nothing of it", "x".repeat(40)],
    ["an end in the middle of a line", `${lines.join("\r\n")}`],
  ])("%s", async (_, text) => {
    const nat = await open();
    const [result = ""] = nat.out(`${phone} ${payloadWords(text)}`);
    expect(payloadOf(result)).toBe(text);
    expect(nat.counter("sip_malformed")).toBe(1);
  });

  it("keep-alives, and anything at random", async () => {
    const nat = await open();
    nat.out(`${phone} payload 0d0a0d0a`);
    let seed = 1;
    const random = (limit: number) => {
      seed = (seed * 48271) % 0x7fffffff;
      return seed % limit;
    };
    const sound = Buffer.from(encode(invite, offer()).split(" ")[1] as string, "hex");
    for (let i = 0; i < 500; i++) {
      const bytes = Buffer.from(sound.subarray(0, random(4) === 0 ? random(sound.length) + 1 : sound.length));
      for (let n = 0; n < 1 + random(8); n++) bytes[random(bytes.length)] = random(256);
      expect(nat.out(`${phone} payload ${bytes.toString("hex")}`)[0]).toMatch(/^next udp 203/);
    }
  });

  it("a message that would not fit into a packet", async () => {
    const nat = await open();
    const bytesOf = (text: string) => (text.length - "payload ".length) / 2;
    const short = bytesOf(encode([...register(), "X: "]));
    const text = encode([...register(), `X: ${"x".repeat(1470 - short)}`]);
    expect(bytesOf(text)).toBe(1470);
    expect(nat.out(`${phone} ${text}`)[0]).toContain("203.0.113.1");
    expect(nat.counter("sip_too_long")).toBe(1);
  });
});
