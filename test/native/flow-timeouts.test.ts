import { afterAll, describe, expect, it } from "vitest";
import * as abi from "../../nfs/sdk/abi.ts";
import {
  type ConversationOptions,
  converse,
  type Ends,
  follow,
  icmp,
  icmp6,
  ip,
  readLines,
  sctp,
  type TrackedFlow,
  udp,
} from "../support/conversation.ts";
import { LineHarness } from "../support/line-harness.ts";

const harness = new LineHarness("tracker_harness");
afterAll(() => harness.close());

const track = (text: string, options?: ConversationOptions): Promise<TrackedFlow> => follow(harness, text, options);
const trackOther = async (ends: Ends, text: string, options?: ConversationOptions): Promise<TrackedFlow> => {
  const conversation = await converse(harness, text, { ends, ...options });
  expect(conversation.text).toBe(
    readLines(text)
      .map((line) => line.join(" | "))
      .join("\n"),
  );
  return conversation.flow;
};
const isAssured = ({ flags }: TrackedFlow): boolean => (flags & abi.FLOW_FLAG_ASSURED) !== 0;

describe("TCP flows end after nf_conntrack's times", () => {
  // In the order in which a connection goes through the states. What nobody acknowledges shortens a long timeout.
  const life = [
    ["> syn seq 0", "SYN_SENT start", 120],
    ["< syn seq 0 ack 1", "SYN_RECEIVED", 60],
    ["> ack 1 seq 1", "ESTABLISHED established", 432_000],
    ["> ack 1 seq 1 zeros 9", "ESTABLISHED data", 300],
    ["< ack 10 seq 1", "ESTABLISHED", 432_000],
    ["< ack 10 seq 1 win 0", "ESTABLISHED zero-window", 300],
    ["< ack 10 seq 1", "ESTABLISHED", 432_000],
    ["> fin ack 1 seq 10", "FIN_WAIT half-closed", 120],
    ["< ack 11 seq 1", "CLOSE_WAIT", 60],
    ["< fin ack 11 seq 1", "LAST_ACK", 30],
    ["> ack 2 seq 11", "TIME_WAIT closed", 120],
  ] as const;
  it.each(life.map(([, result, seconds], i) => [result, seconds, i] as const))("%s: %d s", async (_, seconds, last) => {
    const lines = life.slice(0, last + 1).map(([said, result]) => `${said} | ${result}`);
    expect((await track(lines.join("\n"))).seconds).toBe(seconds);
  });

  it("CLOSED: 10 s, SYN_SENT_2: 120 s, NEW: 10 s", async () => {
    const syn = "> syn seq 0 | SYN_SENT start";
    expect((await track(`${syn}\n< rst ack 1 seq 0 | CLOSED reset`)).seconds).toBe(10);
    expect((await track(`${syn}\n< syn seq 0 | SYN_SENT_2`)).seconds).toBe(120);
    expect((await track("> rst seq 0 | NEW start invalid")).seconds).toBe(10);
  });

  it("or after the one that a function set", async () => {
    const flow = await track("> syn seq 0 | SYN_SENT start\n< syn seq 0 ack 1 | SYN_RECEIVED", { timeoutMs: 1500 });
    expect(flow.seconds).toBe(1.5);
  });

  it("which no invalid segment prolongs", async () => {
    const flow = await track(`
      > syn seq 0             | SYN_SENT start
      20s < syn seq 0 ack 77  | SYN_SENT invalid`);
    expect(flow.seconds).toBe(100);
    expect(flow.flags).toBe(0);
  });

  it("which are shorter after some retransmissions in a row", async () => {
    const talk = `
      > syn seq 0            | SYN_SENT start
      < syn seq 0 ack 1      | SYN_RECEIVED
      > ack 1 seq 1 zeros 9  | ESTABLISHED established data
      < ack 10 seq 1         | ESTABLISHED`;
    const again = "> ack 1 seq 1 zeros 9 | ESTABLISHED data retransmission\n";
    expect((await track(`${talk}\n${again.repeat(2)}`)).seconds).toBe(432_000);
    expect((await track(`${talk}\n${again.repeat(3)}`)).seconds).toBe(300);
    const onward = `${talk}\n${again.repeat(3)}
      > ack 1 seq 10 zeros 1 | ESTABLISHED data
      < ack 11 seq 1         | ESTABLISHED`;
    expect((await track(onward)).seconds).toBe(432_000);
  });
});

describe("UDP flows", () => {
  it("are established by the reply, and assured once they last", async () => {
    const asked = await trackOther(udp, '> payload "a" | NEW start data\n1s > payload "b" | NEW data');
    expect(asked.seconds).toBe(30);
    const answered = await trackOther(
      udp,
      '> payload "a" | NEW start data\n1s < payload "b" | ESTABLISHED established data',
    );
    expect(answered.seconds).toBe(30);
    expect(answered.flags).toBe(abi.FLOW_FLAG_REPLIED);
    const stream = await trackOther(
      udp,
      `> payload "a"     | NEW start data
       1s < payload "b"  | ESTABLISHED established data
       2s > payload "c"  | ESTABLISHED data`,
    );
    expect(stream.seconds).toBe(120);
    expect(isAssured(stream)).toBe(true);
  });

  it("may have empty datagrams, cut ones and broken ones", async () => {
    const flow = await trackOther(
      udp,
      `> pad 60            | NEW start
       > zeros 9 cut 42    | NEW data
       > udp-length 3      | NEW invalid`,
    );
    expect(flow.invalid).toBe(1);
  });

  it("may come in fragments", async () => {
    await trackOther(
      { ">": "ip 10.0.0.1 > 10.0.0.2 proto udp", "<": udp["<"] },
      `> zeros 16 frag id 1 offset 64 | NEW start data
       < zeros 9                      | ESTABLISHED established data`,
    );
  });
});

describe("ICMP flows", () => {
  it.each([
    ["ICMP", icmp],
    ["ICMPv6", icmp6],
  ])("live for 30 s, before and after the reply: %s", async (_, ends) => {
    const flow = await trackOther(
      ends,
      `> echo id 7 seq 1 zeros 8          | NEW start data
       20s < echo-reply id 7 seq 1 zeros 8 | ESTABLISHED established data`,
    );
    expect(flow.seconds).toBe(30);
    expect(flow.flags).toBe(abi.FLOW_FLAG_REPLIED);
  });

  it("do not begin with a reply where they are not picked up", async () => {
    await trackOther(icmp, "> echo-reply id 7 | NEW start");
    const flow = await trackOther(icmp, "> echo-reply id 7 | NEW start invalid", { midstream: false });
    expect(flow.invalid).toBe(1);
  });
});

it("flows of other protocols live for ten minutes", async () => {
  const flow = await trackOther(ip, "> proto 50 zeros 8 | NEW start data\n9s < proto 50 | ESTABLISHED established");
  expect(flow.seconds).toBe(600);
  expect(isAssured(flow)).toBe(false);
});

describe("SCTP associations", () => {
  // Chunks: type, flags, length; INIT and INIT ACK go on with the tag that the other side has to use.
  const init = (tag: string) => `payload 01000014${tag}000100000001000100000001`;
  const initAck = (tag: string) => `payload 02000014${tag}000100000001000100000001`;
  const a = 0x0a0a0a0a;
  const b = 0x0b0b0b0b;
  const handshake = `
    > tag 0 ${init("0a0a0a0a")}       | SYN_SENT start
    < tag ${a} ${initAck("0b0b0b0b")} | SYN_SENT
    > tag ${b} payload 0a000008deadbeef | SYN_RECEIVED
    < tag ${a} payload 0b000004       | ESTABLISHED established`;
  const data = "payload 00030014000000010000000000000000cafebabe";

  it("are opened by four chunks and closed by three", async () => {
    const flow = await trackOther(
      sctp,
      `${handshake}
      > tag ${b} ${data}              | ESTABLISHED data
      < tag ${a} payload 03000010000000010001000000000000 | ESTABLISHED`,
    );
    expect(flow.seconds).toBe(210);
    expect(isAssured(flow)).toBe(true);
    const closed = await trackOther(
      sctp,
      `${handshake}
      > tag ${b} payload 0700000800000000 | FIN_WAIT half-closed
      < tag ${a} payload 08000004     | LAST_ACK
      > tag ${b} payload 0e000004     | TIME_WAIT closed
      > tag 0 ${init("0c0c0c0c")}     | reuse SYN_SENT start`,
    );
    expect(closed.seconds).toBe(3);
  });

  it("take no frame without the tag that was agreed", async () => {
    const flow = await trackOther(
      sctp,
      `${handshake}
      > tag ${a} ${data}              | ESTABLISHED invalid
      < tag 1 payload 06000004        | ESTABLISHED invalid
      > tag 1 ${init("0c0c0c0c")}     | ESTABLISHED invalid
      < tag ${a} payload 06000004     | CLOSED reset`,
    );
    expect(flow.invalid).toBe(3);
  });

  it("are aborted with the tag of the frame that is answered, if the chunk says so", async () => {
    await trackOther(
      sctp,
      `${handshake}
      < tag ${b} payload 06000004     | ESTABLISHED invalid
      < tag ${b} payload 06010004     | CLOSED reset`,
    );
    await trackOther(
      sctp,
      `
      > tag 0 ${init("0a0a0a0a")}     | SYN_SENT start
      < tag 1 payload 06000004        | SYN_SENT invalid
      < tag ${a} payload 06000004     | CLOSED reset`,
    );
  });

  it("may restart with other tags", async () => {
    await trackOther(
      sctp,
      `${handshake}
      > tag 0 ${init("0c0c0c0c")}       | ESTABLISHED
      < tag ${0x0c0c0c0c} ${initAck("0d0d0d0d")} | ESTABLISHED
      > tag ${b} ${data}                | ESTABLISHED data
      > tag ${0x0d0d0d0d} payload 0a000008deadbeef | ESTABLISHED
      > tag ${b} ${data}                | ESTABLISHED invalid
      > tag ${0x0d0d0d0d} ${data}       | ESTABLISHED data`,
    );
  });

  it("are picked up by whatever comes, and established by the answer", async () => {
    const flow = await trackOther(
      sctp,
      `
      > tag ${b} ${data}                | NEW start data
      > tag 77 ${data}                  | NEW invalid
      < tag ${a} payload 03000010000000010001000000000000 | ESTABLISHED established`,
    );
    expect(flow.seconds).toBe(210);
  });

  it("begin with INIT or HEARTBEAT where they are not picked up", async () => {
    await trackOther(sctp, `> tag ${b} ${data} | NEW start invalid`, { midstream: false });
    await trackOther(
      sctp,
      `
      > tag ${b} payload 0400000800010004 | NEW start
      < tag ${a} payload 0500000800010004 | ESTABLISHED established`,
      { midstream: false },
    );
  });

  it("end a frame's chunks where they are broken", async () => {
    await trackOther(
      sctp,
      `${handshake}
      > tag ${b} payload 06000003       | ESTABLISHED
      > tag ${b} payload 060000         | ESTABLISHED
      > tag ${b} payload 0300000406000004 | CLOSED reset`,
    );
  });
});
