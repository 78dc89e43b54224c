import { afterAll, describe, expect, it } from "vitest";
import * as abi from "../../nfs/sdk/abi.ts";
import { type ConversationOptions, follow, type TrackedFlow } from "../support/conversation.ts";
import { LineHarness } from "../support/line-harness.ts";

const harness = new LineHarness("tracker_harness");
afterAll(() => harness.close());

const track = (text: string, options?: ConversationOptions): Promise<TrackedFlow> => follow(harness, text, options);

const isAssured = ({ flags }: TrackedFlow): boolean => (flags & abi.FLOW_FLAG_ASSURED) !== 0;
const isReplied = ({ flags }: TrackedFlow): boolean => (flags & abi.FLOW_FLAG_REPLIED) !== 0;
const isMidstream = ({ flags }: TrackedFlow): boolean => (flags & abi.FLOW_FLAG_MIDSTREAM) !== 0;

const opened = `
  > syn seq 0        | SYN_SENT start
  < syn seq 0 ack 1  | SYN_RECEIVED
  > ack 1 seq 1      | ESTABLISHED established`;
const openedAtOnce = `
  > syn seq 0        | SYN_SENT start
  < syn seq 0        | SYN_SENT_2`;
const finWait = `${opened}
  > fin ack 1 seq 1  | FIN_WAIT half-closed`;
const closeWait = `${finWait}
  < ack 2 seq 1      | CLOSE_WAIT`;
const lastAck = `${closeWait}
  < fin ack 2 seq 1  | LAST_ACK`;
const timeWait = `${lastAck}
  > ack 2 seq 2      | TIME_WAIT closed`;
const closed = `${opened}
  > rst seq 1        | CLOSED reset`;

describe("the scenarios that the kernel tests its own tracker with", () => {
  it("lets a segment pass that was acknowledged long ago, since its ACK may have been lost", async () => {
    const segments = Array.from({ length: 46 }, (_, i) => {
      const seq = 1 + i * 1460;
      return `
      > psh ack 1 seq ${seq} win 257 zeros 1460     | ESTABLISHED data
      < ack ${seq + 1460} seq 1                     | ESTABLISHED`;
    });
    const flow = await track(`
      > syn seq 0 win 32792                         | SYN_SENT start
      < syn seq 0 ack 1                             | SYN_RECEIVED
      10ms > ack 1 seq 1                            | ESTABLISHED established
      ${segments.join("")}
      > psh ack 1 seq 1 win 257 zeros 1460          | ESTABLISHED data retransmission
      < ack 67161 seq 1                             | ESTABLISHED
      > psh ack 1 seq 67161 win 257 zeros 1460      | ESTABLISHED data`);
    expect(flow.invalid).toBe(0);
    expect(flow.retransmissions).toEqual([1, 0]);
  });

  it("closes at a reset behind the last byte while the other side waits, and minds no reset after that", async () => {
    const flow = await track(`
      > syn seq 0 wscale 8                          | SYN_SENT start
      100ms < syn seq 0 ack 1                       | SYN_RECEIVED
      > ack 1 seq 1                                 | ESTABLISHED established
      < ack 1 seq 1 zeros 1000                      | ESTABLISHED data
      < ack 1 seq 1001 zeros 1000                   | ESTABLISHED data
      < ack 1 seq 2001 zeros 1000                   | ESTABLISHED data
      > ack 3001 seq 1                              | ESTABLISHED
      > psh ack 3001 seq 1 zeros 1000               | ESTABLISHED data
      100ms < fin ack 1001 seq 3001                 | FIN_WAIT half-closed
      > ack 3002 seq 1001                           | CLOSE_WAIT
      1s > rst ack 3002 seq 1001                    | CLOSED reset
      100ms < rst seq 2001 win 0                    | CLOSED`);
    expect(flow.invalid).toBe(0);
  });

  it("does not believe one reset after the other whose number is wrong, and believes the exact one", async () => {
    const flow = await track(`
      > syn seq 0 wscale 8                          | SYN_SENT start
      100ms < syn seq 0 ack 1                       | SYN_RECEIVED
      > ack 1 seq 1                                 | ESTABLISHED established
      < ack 1 seq 1 zeros 1000                      | ESTABLISHED data
      < ack 1 seq 1001 zeros 1000                   | ESTABLISHED data
      < ack 1 seq 2001 zeros 1000                   | ESTABLISHED data
      > ack 3001 seq 1                              | ESTABLISHED
      < rst seq 0 win 0                             | ESTABLISHED invalid
      < rst seq 1000000 win 0                       | ESTABLISHED invalid
      < rst seq 42 win 0                            | ESTABLISHED invalid
      > psh ack 3001 seq 1 zeros 1000               | ESTABLISHED data
      < ack 1001 seq 3001                           | ESTABLISHED
      < rst ack 1001 seq 3000 win 0                 | ESTABLISHED invalid
      < rst ack 1001 seq 3001 win 0                 | CLOSED reset`);
    expect(flow.invalid).toBe(4);
  });

  it("lets the answer of an earlier connection pass, its reset, and then the new connection", async () => {
    const flow = await track(`
      > syn seq 0 wscale 8                          | SYN_SENT start
      100ms < ack 643160523 seq 145824453 win 240   | SYN_SENT challenge
      10ms > rst seq 643160523 win 0                | SYN_SENT`);
    expect(isReplied(flow)).toBe(false);
    const later = await track(`
      > syn seq 0 wscale 8                          | SYN_SENT start
      100ms < ack 643160523 seq 145824453 win 240   | SYN_SENT challenge
      10ms > rst seq 643160523 win 0                | SYN_SENT
      10ms > syn seq 0 wscale 8                     | SYN_SENT retransmission
      100ms < syn seq 0 ack 1 win 250 wscale 0      | SYN_RECEIVED
      10ms > ack 1 seq 1 win 256                    | ESTABLISHED established`);
    expect(later.invalid).toBe(0);
    expect(isAssured(later)).toBe(true);
  });

  it("finds the SYN/ACK of an earlier connection invalid, and takes the right one", async () => {
    const flow = await track(`
      > syn seq 0 wscale 8                                      | SYN_SENT start
      100ms < syn seq 145824453 ack 643160523 win 240 wscale 0  | SYN_SENT invalid
      1s > syn seq 0 wscale 8                                   | SYN_SENT retransmission
      < syn seq 145758918 ack 1 win 250 wscale 0                | SYN_RECEIVED
      > psh ack 145758919 seq 1 win 256 zeros 1                 | ESTABLISHED established data`);
    expect(flow.invalid).toBe(1);
    expect(isAssured(flow)).toBe(true);
  });

  it("takes a SYN for a new connection once the old one is reset by the answer", async () => {
    const flow = await track(`
      > syn seq 0 win 32792 wscale 7                | SYN_SENT start
      < syn seq 0 ack 1 wscale 8                    | SYN_RECEIVED
      10ms > ack 1 seq 1 win 257                    | ESTABLISHED established
      > psh ack 1 seq 1 win 257 zeros 100           | ESTABLISHED data
      1ms < ack 101 seq 1 win 256                   | ESTABLISHED
      1s > syn seq 2000 win 32792 wscale 7          | ESTABLISHED challenge
      < ack 101 seq 1 win 256                       | ESTABLISHED
      > rst ack 1 seq 101 win 257                   | CLOSED reset
      1s > syn seq 2000 win 32792 wscale 0          | reuse SYN_SENT start
      < syn seq 70000 ack 2001                      | SYN_RECEIVED`);
    expect(flow.invalid).toBe(0);
  });
});

describe("states", () => {
  it("go from SYN to ESTABLISHED and, closed by either side, to TIME_WAIT", async () => {
    const flow = await track(`${timeWait}`);
    expect(isAssured(flow)).toBe(true);
    expect(flow.tcpFlags).toEqual([0x13, 0x13]);
    await track(`${opened}
      < fin ack 1 seq 1  | FIN_WAIT half-closed
      > ack 2 seq 1      | CLOSE_WAIT
      > fin ack 2 seq 1  | LAST_ACK
      < ack 2 seq 2      | TIME_WAIT closed`);
  });

  it("stay half-closed while the other side goes on sending", async () => {
    await track(`${closeWait}
      < ack 2 seq 1 payload "still here"  | CLOSE_WAIT data
      > ack 11 seq 2                      | CLOSE_WAIT
      < fin ack 2 seq 11                  | LAST_ACK
      > ack 12 seq 2                      | TIME_WAIT closed`);
  });

  it("know FINs that cross, and a FIN with the acknowledgement of the other's", async () => {
    await track(`${finWait}
      < fin ack 1 seq 1  | LAST_ACK
      > ack 2 seq 2      | LAST_ACK
      < ack 2 seq 2      | TIME_WAIT closed`);
    await track(`${finWait}
      < fin ack 2 seq 1  | LAST_ACK
      > ack 2 seq 2      | TIME_WAIT closed`);
  });

  it("know connections that both sides open at the same time", async () => {
    const flow = await track(`${openedAtOnce}
      > syn seq 0 ack 1  | SYN_RECEIVED
      < syn seq 0 ack 1  | ESTABLISHED established
      > ack 1 seq 1 payload "a"  | ESTABLISHED data
      < ack 2 seq 1 payload "b"  | ESTABLISHED data`);
    expect(flow.retransmissions).toEqual([0, 0]);
    await track(`${openedAtOnce}
      > ack 1 seq 1      | SYN_RECEIVED
      < ack 1 seq 1      | ESTABLISHED established`);
  });

  it("take data, and the FIN, with the last segment of the handshake", async () => {
    await track(`
      > syn seq 0                         | SYN_SENT start
      < syn seq 0 ack 1                   | SYN_RECEIVED
      > fin ack 1 seq 1 payload "bye"     | FIN_WAIT established data half-closed`);
  });

  const after: readonly (readonly [before: string, conversation: string, lines: string])[] = [
    ["SYN_SENT", "> syn seq 0 | SYN_SENT start", "> syn seq 0 | SYN_SENT retransmission"],
    ["SYN_SENT", "> syn seq 0 | SYN_SENT start", "> syn seq 500 | SYN_SENT"],
    ["SYN_SENT", "> syn seq 0 | SYN_SENT start", "> syn seq -500 | SYN_SENT challenge"],
    ["SYN_SENT", "> syn seq 0 | SYN_SENT start", "> syn seq 0 ack 1 | SYN_SENT invalid"],
    ["SYN_SENT", "> syn seq 0 | SYN_SENT start", "> ack 1 seq 2 | SYN_SENT invalid"],
    ["SYN_SENT", "> syn seq 0 | SYN_SENT start", "> rst seq 1 | CLOSED reset"],
    ["SYN_SENT", "> syn seq 0 | SYN_SENT start", "> rst seq 2 | SYN_SENT invalid"],
    ["SYN_SENT", "> syn seq 0 | SYN_SENT start", "< rst ack 1 seq 0 | CLOSED reset"],
    ["SYN_SENT", "> syn seq 0 | SYN_SENT start", "< rst ack 2 seq 0 | SYN_SENT invalid"],
    ["SYN_SENT", "> syn seq 0 | SYN_SENT start", "< rst seq 0 | SYN_SENT invalid"],
    ["SYN_SENT", "> syn seq 0 | SYN_SENT start", "< syn seq 0 ack 2 | SYN_SENT invalid"],
    ["SYN_SENT", "> syn seq 0 | SYN_SENT start", "< fin ack 99 seq 5 | SYN_SENT challenge"],
    ["SYN_SENT_2", openedAtOnce, "< syn seq 0 | SYN_SENT_2 retransmission"],
    ["SYN_SENT_2", openedAtOnce, "> syn seq 99 | SYN_SENT_2 challenge"],
    ["SYN_SENT_2", openedAtOnce, "> fin ack 1 seq 1 | FIN_WAIT half-closed"],
    ["SYN_SENT_2", openedAtOnce, "> ack 9 seq 1 | SYN_SENT_2 invalid"],
    ["SYN_SENT_2", openedAtOnce, "< rst ack 1 seq 1 | CLOSED reset"],
    ["SYN_RECEIVED", opened.split("\n").slice(0, -1).join("\n"), "> syn seq 0 | SYN_RECEIVED retransmission"],
    ["SYN_RECEIVED", opened.split("\n").slice(0, -1).join("\n"), "< syn seq 0 ack 1 | SYN_RECEIVED retransmission"],
    ["SYN_RECEIVED", opened.split("\n").slice(0, -1).join("\n"), "< syn seq 900 ack 1 | SYN_RECEIVED"],
    ["SYN_RECEIVED", opened.split("\n").slice(0, -1).join("\n"), "> syn seq 900 | SYN_RECEIVED challenge"],
    ["SYN_RECEIVED", opened.split("\n").slice(0, -1).join("\n"), "< syn seq 900 | SYN_RECEIVED challenge"],
    ["SYN_RECEIVED", opened.split("\n").slice(0, -1).join("\n"), "> ack 0 seq 1 | SYN_RECEIVED invalid"],
    ["SYN_RECEIVED", opened.split("\n").slice(0, -1).join("\n"), "> ack 2 seq 1 | SYN_RECEIVED invalid"],
    ["SYN_RECEIVED", opened.split("\n").slice(0, -1).join("\n"), "< fin ack 1 seq 1 | FIN_WAIT half-closed"],
    ["SYN_RECEIVED", opened.split("\n").slice(0, -1).join("\n"), "> rst seq 1 | CLOSED reset"],
    ["SYN_RECEIVED", opened.split("\n").slice(0, -1).join("\n"), "< rst ack 1 seq 1 | CLOSED reset"],
    ["SYN_RECEIVED", opened.split("\n").slice(0, -1).join("\n"), "< rst seq 50 | SYN_RECEIVED challenge"],
    ["ESTABLISHED", opened, "< syn seq 0 ack 1 | ESTABLISHED retransmission"],
    ["ESTABLISHED", opened, "< syn seq 7 ack 1 | ESTABLISHED invalid"],
    ["ESTABLISHED", opened, "> syn seq 0 ack 1 | ESTABLISHED retransmission"],
    ["ESTABLISHED", opened, "> syn seq 7 ack 1 | ESTABLISHED invalid"],
    ["ESTABLISHED", opened, "> syn seq 0 | ESTABLISHED challenge"],
    ["ESTABLISHED", opened, "< syn seq 99 | ESTABLISHED challenge"],
    ["FIN_WAIT", finWait, "> fin ack 1 seq 1 | FIN_WAIT retransmission"],
    ["FIN_WAIT", finWait, "< ack 1 seq 1 | FIN_WAIT"],
    ["FIN_WAIT", finWait, "> syn seq 77 | FIN_WAIT challenge"],
    ["FIN_WAIT", finWait, "< rst seq 1 | CLOSED reset"],
    ["FIN_WAIT", finWait, "< rst seq 900 | CLOSED reset"],
    ["FIN_WAIT", finWait, "< rst seq 900000 | FIN_WAIT invalid"],
    ["CLOSE_WAIT", closeWait, "> fin ack 1 seq 1 | CLOSE_WAIT retransmission"],
    ["CLOSE_WAIT", closeWait, "< syn seq 77 | CLOSE_WAIT challenge"],
    ["CLOSE_WAIT", closeWait, "> rst seq 2 | CLOSED reset"],
    ["LAST_ACK", lastAck, "< fin ack 2 seq 1 | LAST_ACK retransmission"],
    ["LAST_ACK", lastAck, "> syn seq 77 | LAST_ACK challenge"],
    ["LAST_ACK", lastAck, "> rst seq 2 | CLOSED reset"],
    ["TIME_WAIT", timeWait, "< fin ack 2 seq 1 | TIME_WAIT retransmission"],
    ["TIME_WAIT", timeWait, "> ack 2 seq 2 | TIME_WAIT"],
    ["TIME_WAIT", timeWait, "> rst seq 2 | TIME_WAIT"],
    ["TIME_WAIT", timeWait, "> syn seq 0 | TIME_WAIT retransmission"],
    ["TIME_WAIT", timeWait, "> syn seq 9000 | reuse SYN_SENT start"],
    ["TIME_WAIT", timeWait, "< syn seq 9000 | reuse SYN_SENT start"],
    ["TIME_WAIT", timeWait, "< syn seq 9000 ack 1 | TIME_WAIT invalid"],
    ["CLOSED", closed, '< ack 1 seq 1 payload "late" | CLOSED data'],
    ["CLOSED", closed, "< ack 1 seq 1000000 | CLOSED invalid"],
    ["CLOSED", closed, "< fin ack 1 seq 1 | CLOSED"],
    ["CLOSED", closed, "> rst seq 77 | CLOSED"],
    ["CLOSED", closed, "> syn seq 0 | reuse SYN_SENT start"],
    ["CLOSED", closed, "< syn seq 9000 | reuse SYN_SENT start"],
  ];
  it.each(after)("after %s, with %s, go on with %3$s", async (_, conversation, lines) => {
    await track(`${conversation}\n${lines}`);
  });

  it("do not mind the answer that crosses the reset of its SYN, nor a connection that minds no reset", async () => {
    await track(`
      > syn seq 0         | SYN_SENT start
      > rst seq 1         | CLOSED reset
      < syn seq 0 ack 1   | CLOSED`);
    const flow = await track(`
      > syn seq 0                  | SYN_SENT start
      < rst seq 7000000 ack 1      | CLOSED reset
      < fin seq 7000000 ack 1      | CLOSED
      < syn seq 0 ack 1            | CLOSED
      > ack 1 seq 1 zeros 9        | CLOSED established data
      < ack 10 seq 1 zeros 9       | CLOSED data
      < ack 10 seq 900000          | CLOSED invalid`);
    expect(flow.seconds).toBe(10);
  });
});

describe("segments that no end sends", () => {
  const flags = ["", "fin", "syn fin", "syn rst", "fin rst", "syn fin rst", "fin syn ack 1", "urg", "fin urg psh"];
  it.each(flags)("are invalid: flags «%s»", async (words) => {
    const flow = await track(`${opened}\n> ${words} seq 1 | ESTABLISHED invalid`);
    expect(flow.invalid).toBe(1);
  });

  it("are invalid with a header that ends before it ought to, and leave nothing but a count", async () => {
    // The data offset says 60 bytes, of which 20 are there.
    const header = "03e8005000000001000000010000".replace(/.{4}$/, "f010");
    const flow = await track(`
      > syn seq 0                                                 | SYN_SENT start
      < syn seq 0 ack 1                                           | SYN_RECEIVED`);
    expect(flow.tcpFlags).toEqual([0x02, 0x12]);
    const ends = { ">": "ip 10.0.0.1 > 10.0.0.2 proto 6", "<": "ip 10.0.0.2 > 10.0.0.1 proto 6" };
    const broken = await track(`> payload ${header}ffff00000000 | NEW start invalid`, { ends });
    expect(broken.tcpFlags).toEqual([0, 0]);
    expect(broken.invalid).toBe(1);
    expect(broken.seconds).toBe(10);
  });

  it("may have ECN bits and PSH everywhere", async () => {
    await track(`
      > syn ece cwr seq 0          | SYN_SENT start
      < syn ece psh seq 0 ack 1    | SYN_RECEIVED
      > ack 1 seq 1 cwr psh        | ESTABLISHED established`);
  });
});

describe("resets", () => {
  const talk = `${opened}
    > ack 1 seq 1 zeros 100      | ESTABLISHED data
    < ack 101 seq 1              | ESTABLISHED`;

  it("in the window, but not exact, challenge; the answer's number then resets", async () => {
    await track(`${talk}
      > rst seq 150              | ESTABLISHED challenge
      < ack 101 seq 1            | ESTABLISHED
      > rst seq 101              | CLOSED reset`);
  });

  it("are exact behind what is under way and at what was acknowledged", async () => {
    const flying = `${talk}
      > ack 1 seq 101 zeros 1000 | ESTABLISHED data`;
    await track(`${flying}
      > rst seq 1101             | CLOSED reset`);
    await track(`${flying}
      > rst seq 101              | CLOSED reset`);
    await track(`${flying}
      > rst seq 600              | ESTABLISHED challenge`);
  });

  it("that challenge do not keep a flow alive", async () => {
    const flow = await track(`${talk}
      100s > rst seq 150         | ESTABLISHED challenge`);
    expect(flow.seconds).toBe(432_000 - 100);
  });

  it("need their exact number also if the side that they are for has yet acknowledged nothing", async () => {
    await track(`
      > syn seq 0                | SYN_SENT start
      < ack 1 seq 1 zeros 100    | ESTABLISHED established data
      < rst ack 1 seq 50         | ESTABLISHED invalid
      < rst ack 1 seq 150        | ESTABLISHED challenge
      < rst ack 1 seq 101        | CLOSED reset`);
  });

  it("are believed anywhere in the window of a side that was never heard", async () => {
    await track(`
      > ack 1 seq 1 zeros 100    | ESTABLISHED start established data
      > rst seq 200              | CLOSED reset`);
  });

  it("are checked where windows are not", async () => {
    await track(
      `${talk}
      > rst seq 150              | ESTABLISHED challenge
      > rst seq 1000000          | ESTABLISHED invalid`,
      { liberal: true },
    );
  });
});

describe("a SYN in the middle of a connection", () => {
  const challenged = `
    > syn seq 0 wscale 2                            | SYN_SENT start
    < syn seq 0 ack 1 wscale 2                      | SYN_RECEIVED
    > ack 1 seq 1                                   | ESTABLISHED established
    > syn seq 500000 win 8000 wscale 7              | ESTABLISHED challenge`;

  it("begins a new one if it is answered by a SYN/ACK, with the scale of its windows", async () => {
    const flow = await track(`${challenged}
      < syn seq 900000 ack 500001 win 100 wscale 4  | reuse SYN_RECEIVED start
      > ack 900001 seq 500001 win 10                | ESTABLISHED established
      < ack 500001 seq 900001 zeros 1280            | ESTABLISHED data
      < ack 500001 seq 901281 zeros 1280            | ESTABLISHED data
      < ack 500001 seq 908002 zeros 1               | ESTABLISHED invalid`);
    expect(isMidstream(flow)).toBe(false);
    expect(isAssured(flow)).toBe(true);
  });

  it("is taken for one that was not seen if nothing of the old flow is handed on", async () => {
    const flow = await track(
      `${challenged}
      < syn seq 900000 ack 500001 win 100 wscale 4  | reuse SYN_RECEIVED start
      > ack 900001 seq 500001 win 10                | ESTABLISHED established`,
      { forget: true },
    );
    expect(isMidstream(flow)).toBe(true);
  });

  it("needs the right SYN/ACK", async () => {
    await track(`${challenged}
      < syn seq 900000 ack 500002                   | ESTABLISHED invalid
      < syn seq 900000 ack 500000                   | ESTABLISHED invalid`);
  });

  it("is forgotten when its sender goes on with the old one", async () => {
    await track(`${challenged}
      > ack 1 seq 1 zeros 10                        | ESTABLISHED data
      < syn seq 900000 ack 500001                   | ESTABLISHED invalid`);
  });
});

describe("connections without their handshake", () => {
  it("are picked up by an ACK, and assured when the other side is heard", async () => {
    const flow = await track(`
      > ack 5000 seq 100 zeros 10       | ESTABLISHED start established data`);
    expect(isAssured(flow)).toBe(false);
    expect(isMidstream(flow)).toBe(true);
    const answered = await track(`
      > ack 5000 seq 100 zeros 10       | ESTABLISHED start established data
      < ack 110 seq 5000                | ESTABLISHED`);
    expect(isAssured(answered)).toBe(true);
  });

  it("may have any scale, and more under way than was seen", async () => {
    await track(`
      > ack 5000 seq 100 win 10         | ESTABLISHED start established
      < ack 100 seq 60000 zeros 1000    | ESTABLISHED data
      < ack 4000 seq 61000              | ESTABLISHED
      > ack 61000 seq 4000 win 10       | ESTABLISHED
      < ack 4000 seq 220000 zeros 1000  | ESTABLISHED data
      < ack 4000 seq 500000 zeros 1000  | ESTABLISHED invalid`);
  });

  it("go on for long though only one side is heard", async () => {
    const gigabyte = Array.from({ length: 5 }, (_, i) => `> ack 1 seq ${i * 1_000_000_000} zeros 9 | ESTABLISHED data`);
    await track(`> ack 1 seq 0 | ESTABLISHED start established\n${gigabyte.join("\n")}`);
  });

  it("may be heard from one side only from the SYN/ACK on", async () => {
    const segments = Array.from(
      { length: 99 },
      (_, i) => `< ack ${i} seq ${1 + i * 1000} zeros 1000 | SYN_RECEIVED data`,
    );
    await track(`< syn seq 0 ack 1 wscale 7 | SYN_RECEIVED start\n${segments.slice(1).join("\n")}`);
  });

  it("may begin with the SYN/ACK, with the FIN, or with an ACK after the SYN", async () => {
    const half = await track(`
      < syn seq 0 ack 1 wscale 3        | SYN_RECEIVED start
      > ack 1 seq 1                     | ESTABLISHED established`);
    expect(isMidstream(half)).toBe(true);
    await track(`
      > fin ack 1 seq 1                 | FIN_WAIT start established half-closed
      < fin ack 2 seq 1                 | LAST_ACK`);
    const answerless = await track(`
      > syn seq 0                       | SYN_SENT start
      > ack 1 seq 1                     | ESTABLISHED established
      < ack 1 seq 1 zeros 3             | ESTABLISHED data`);
    expect(isMidstream(answerless)).toBe(true);
    await track(`
      > syn seq 0                       | SYN_SENT start
      < ack 1 seq 1 zeros 3             | ESTABLISHED established data
      > ack 4 seq 1                     | ESTABLISHED`);
    await track(`
      > syn seq 0                       | SYN_SENT start
      > syn seq 0 zeros 900             | SYN_SENT data retransmission
      > ack 1 seq 901                   | ESTABLISHED established`);
  });

  it("are invalid where that is configured, until there is a SYN", async () => {
    const flow = await track(
      `
      > ack 1 seq 1 zeros 3             | NEW start invalid
      < ack 4 seq 1                     | NEW invalid
      < fin ack 4 seq 1                 | NEW invalid
      < syn seq 9 ack 4                 | NEW invalid
      > syn seq 70                      | SYN_SENT
      > ack 1 seq 71                    | SYN_SENT invalid
      < ack 71 seq 71                   | SYN_SENT challenge
      < syn seq 10 ack 71               | SYN_RECEIVED
      > ack 11 seq 71                   | ESTABLISHED established`,
      { midstream: false },
    );
    expect(flow.invalid).toBe(5);
    expect(isMidstream(flow)).toBe(false);
  });

  it("do not begin with a reset", async () => {
    const flow = await track("> rst ack 1 seq 1 | NEW start invalid");
    expect(flow.seconds).toBe(10);
  });
});
