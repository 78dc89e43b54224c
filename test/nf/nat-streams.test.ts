// What nfs/nat does with a TCP stream in which it changes lengths: what it believes, how large segments get, how long it takes.
import { afterEach, describe, expect, it } from "vitest";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { describeBoth, type NatUnderTest, openNat, setMtu } from "../support/nat-under-test.ts";
import { connectPhone, type Segment } from "../support/sip-connection.ts";
import { payloadOf, payloadWords, writeMessage } from "../support/sip-messages.ts";

const opened: NatUnderTest[] = [];
const office = { from: ["10.0.0.0/8"], pool: ["203.0.113.1"], order: "preserve" };

async function open(config: object = {}): Promise<NatUnderTest> {
  const nat = await openNat({ sources: [office], helpers: { sip: true, ftp: true, tftp: true }, ...config });
  opened.push(nat);
  return nat;
}

afterEach(() => {
  for (const nat of opened.splice(0)) nat.close();
});

const register = (...more: readonly string[]) => [
  "REGISTER sip:example.net SIP/2.0",
  "Via: SIP/2.0/TCP 10.0.0.5:5060;branch=z9hG4bK1;rport",
  "From: <sip:alice@10.0.0.5>;tag=1",
  "CSeq: 1 REGISTER",
  "Contact: <sip:alice@10.0.0.5:5060;transport=tcp>",
  ...more,
];
const told = (lines: readonly string[]) => lines.map((line) => line.replaceAll("10.0.0.5", "203.0.113.1"));
const [message, changed] = [() => writeMessage(register()), () => writeMessage(told(register()))];
const options = () => writeMessage(["OPTIONS sip:bob@example.net SIP/2.0", "CSeq: 3 OPTIONS"]);
/** A message of so many bytes, and what becomes of it. */
const sized = (bytes: number) => {
  const lines = register(`X: ${"x".repeat(bytes - writeMessage(register("X: ")).length)}`);
  return [writeMessage(lines), writeMessage(told(lines))] as const;
};
const segment = (passed: Segment | string): Segment => {
  if (typeof passed === "string") throw new Error(passed);
  return passed;
};

describeBoth("a stream believes nothing else than its ends", () => {
  const [phone, outside, registrar] = ["10.0.0.5:40000", "203.0.113.1:40000", "192.0.2.60:5060"];
  const strays = (nat: NatUnderTest) => {
    nat.in(`tcp ${registrar} > ${outside} syn seq 900000 ack 800000`);
    nat.out(`tcp ${phone} > ${registrar} syn seq 700000`);
    nat.in(`tcp ${registrar} > ${outside} syn seq 4999 ack 1000`);
  };

  it("a SYN that comes late, again or from somebody else sets nothing back", async () => {
    for (const isRead of [true, false]) {
      const nat = await open();
      const sides = connectPhone(nat);
      if (isRead) segment(sides.phone(0, message()));
      const [sent, got] = isRead ? [message().length, changed().length] : [0, 0];
      strays(nat);
      expect(segment(sides.phone(sent, message()))).toMatchObject({ at: got, bytes: changed() });
      expect(segment(sides.registrar(0, options(), got)).bytes).toBe(options());
    }
  });

  it("what acknowledges bytes that were not sent acknowledges none", async () => {
    const nat = await open();
    const { phone, registrar } = connectPhone(nat);
    segment(phone(0, message()));
    registrar(0, "", 100_000);
    segment(phone(message().length, message()));
    expect(segment(phone(0, message()))).toMatchObject({ at: 0, bytes: changed() });
    registrar(0, "", changed().length);
    segment(phone(2 * message().length, message()));
    expect(segment(phone(message().length, message()))).toMatchObject({ at: changed().length, bytes: changed() });
  });

  it("a part of a message that comes with the end goes on as it came, and so does what comes behind it", async () => {
    const nat = await open();
    const { phone } = connectPhone(nat);
    expect(segment(phone(0, message().slice(0, 80), 0, "fin")).bytes).toBe(message().slice(0, 80));
    expect(segment(phone(80, message().slice(80))).bytes).toBe(message().slice(80));
    expect([nat.counter("sip_unfinished"), nat.counter("sip_rewritten")]).toEqual([1, 0]);
  });

  it("an ICMP error quotes its sender's number", async () => {
    const nat = await open();
    const sides = connectPhone(nat);
    segment(sides.phone(0, message()));
    const [sent, got] = [1000 + message().length, 1000 + changed().length];
    const error = (to: string, from: string, number: number) =>
      `icmp 198.51.100.9 > ${to.split(":")[0]} unreachable code 4 mtu 1400 payload (tcp ${from} > ${registrar} psh seq ${number} ack 5000)`;
    segment(sides.phone(message().length, options()));
    expect(nat.in(error(outside, outside, got))).toEqual([`next ${error(phone, phone, sent)}`]);
  });
});

describe("a piece of a segment", () => {
  it("passes as long as numbers are what they were, and not any more when they are not", async () => {
    const nat = await open();
    const { phone } = connectPhone(nat);
    const piece = (number: number, id: number) =>
      nat.out(
        `tcp 10.0.0.5:40000 > 192.0.2.60:5060 frag id ${id} more seq ${number} ack 5000 ${payloadWords("x".repeat(20))}`,
      )[0];
    expect(piece(1000, 1)).toMatch(/^next/);
    segment(phone(0, message()));
    expect(piece(1000 + message().length, 2)).toBe("drop stream-fragment");
  });
});

describe("a segment that grows", () => {
  it("is no larger than the port takes where it leaves; the rest comes again", async () => {
    const nat = await open();
    const { phone, registrar } = connectPhone(nat);
    setMtu(nat, 1492, 1);
    const [before, after] = sized(1452);
    const first = segment(phone(0, before));
    expect(first).toMatchObject({ at: 0, bytes: after.slice(0, 1452) });
    const { acknowledged } = segment(registrar(0, "", 1452));
    const second = segment(phone(acknowledged, before.slice(acknowledged)));
    expect(first.bytes.slice(0, second.at) + second.bytes).toBe(after);
  });

  it("nor than the receiver's SYN said, TCP's options included", async () => {
    const nat = await open();
    nat.out("tcp 10.0.0.5:40000 > 192.0.2.60:5060 syn seq 999");
    nat.in("tcp 192.0.2.60:5060 > 203.0.113.1:40000 syn seq 4999 ack 1000 tcp-options 02040514"); // 1300
    const [before, after] = sized(1288);
    const words = `tcp-options 0101080a0000000100000001 ${payloadWords(before)}`;
    const [line = ""] = nat.out(`tcp 10.0.0.5:40000 > 192.0.2.60:5060 seq 1000 ack 5000 ${words}`);
    expect(payloadOf(line)).toBe(after.slice(0, 1288));
  });

  it("gets no larger when it comes again: its sender may know a narrower way", async () => {
    const nat = await open();
    const { phone } = connectPhone(nat);
    const [before, after] = sized(1000);
    expect(segment(phone(0, before)).bytes).toBe(after);
    expect(segment(phone(0, before)).bytes).toBe(after.slice(0, 1000));
  });

  it("of 64 KB with as many changes as there may be loses its end", async () => {
    const long = "2001:db8:1111:2222:3333:4444:5555:6666";
    const nat = await open({ sources: [{ from: ["fd00::/8"], pool: [long], order: "preserve" }] });
    const [phone, registrar] = ["[fd00::5]:40000", "[2001:db8::60]:5060"];
    nat.out(`tcp ${phone} > ${registrar} syn seq 999`);
    nat.in(`tcp ${registrar} > [${long}]:40000 syn seq 4999 ack 1000`);
    const one = writeMessage([
      "REGISTER sip:example.net SIP/2.0",
      "Via: SIP/2.0/TCP [fd00::5]:5060;branch=z9hG4bK1;rport",
      "From: <sip:alice@[fd00::5]>;tag=1",
      "CSeq: 1 REGISTER",
      "Contact: <sip:alice@[fd00::5]:5060>",
      `X: ${"x".repeat(1340)}`,
    ]);
    const sent = one.repeat(Math.floor(65_400 / one.length));
    const got = sent.replaceAll("fd00::5", long);
    expect(got.length).toBeGreaterThan(66_500);
    const [line = ""] = nat.out(`tcp ${phone} > ${registrar} seq 1000 ack 5000 ${payloadWords(sent)}`);
    expect(payloadOf(line)).toBe(got.slice(0, sent.length));
    expect(nat.counter("sip_refused")).toBe(0);
  });
});

describe("limits", () => {
  it("a first line is looked at once, however many follow: 60 MB take seconds, where each again would take minutes", async () => {
    const nat = await open();
    connectPhone(nat);
    const one = `REGISTER sip:${"a".repeat(4080)} SIP/2.0\n${"a\n".repeat(2040)}l:0\n\n`;
    const seven = one.repeat(7);
    const count = 1100;
    const frame = Buffer.from(
      encodePacket(`tcp 10.0.0.5:40000 > 192.0.2.60:5060 seq 1000 ack 5000 ${payloadWords(seven)}`),
    );
    const tcp = 14 + 20;
    for (let i = 0; i < count; i++) {
      nat.fn.processBytes([frame], { port: "lan" });
      const [before, after] = [frame.readUInt32BE(tcp + 4), frame.readUInt32BE(tcp + 4) + seven.length];
      frame.writeUInt32BE(after, tcp + 4);
      let sum = (frame.readUInt16BE(tcp + 16) ^ 0xffff) + 2 * 0xffff;
      sum += (after >>> 16) + (after & 0xffff) - (before >>> 16) - (before & 0xffff);
      frame.writeUInt16BE(~(sum % 0xffff) & 0xffff, tcp + 16);
    }
    expect([nat.counter("sip_malformed"), nat.fn.faults]).toEqual([0, []]);
  });

  it("a connection that is refused takes no room", async () => {
    const nat = await open();
    nat.out("tcp 10.0.0.5:40000 > 192.0.2.60:5060 syn seq 1");
    nat.in("tcp 192.0.2.60:5060 > 203.0.113.1:40000 rst seq 0 ack 2");
    expect(nat.counter("sip_connections")).toBe(0);
  });

  it("media that cannot be expected leave no mapping behind", async () => {
    const nat = await open();
    for (let port = 0; nat.counter("expectations") < 8192; port++) {
      nat.out(`udp 10.0.${1 + (port >> 13)}.1:${1024 + (port & 0x1fff)} > 192.0.2.9:69 payload 00016100`);
    }
    const offer = ["v=0", "o=alice 1 1 IN IP4 10.0.0.5", "c=IN IP4 10.0.0.5", "m=audio 49170 RTP/AVP 0"];
    const call = () =>
      nat.out(
        `udp 10.0.0.5:5060 > 192.0.2.60:5060 ${payloadWords(writeMessage(["INVITE sip:b@c SIP/2.0", "CSeq: 2 INVITE"], offer))}`,
      );
    const before = nat.counter("mappings");
    call();
    expect(nat.counter("sip_refused")).toBe(1);
    expect(nat.counter("mappings")).toBe(before + 1);
  });
});
