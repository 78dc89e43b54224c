import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { type ConversationOptions, converse, follow, type TrackedFlow } from "../support/conversation.ts";
import { LineHarness } from "../support/line-harness.ts";

const harness = new LineHarness("tracker_harness");
afterAll(() => harness.close());

const track = (text: string, options?: ConversationOptions): Promise<TrackedFlow> => follow(harness, text, options);

const opened = `
  > syn seq 0 win 1000        | SYN_SENT start
  < syn seq 0 ack 1 win 2000  | SYN_RECEIVED
  > ack 1 seq 1 win 1000      | ESTABLISHED established`;
const scaled = `
  > syn seq 0 win 1000 wscale 2        | SYN_SENT start
  < syn seq 0 ack 1 win 2000 wscale 3  | SYN_RECEIVED
  > ack 1 seq 1 win 1000               | ESTABLISHED established`;

describe("windows", () => {
  it("end where the last acknowledgement and the window say", async () => {
    await track(`${opened}
      > ack 1 seq 2001 zeros 1     | ESTABLISHED data
      > ack 1 seq 2002 zeros 1     | ESTABLISHED invalid`);
    await track(`${opened}
      < ack 1 seq 1001 zeros 1     | ESTABLISHED data
      < ack 1 seq 1002 zeros 1     | ESTABLISHED invalid`);
  });

  it("move on with what is acknowledged, and never back", async () => {
    await track(`${opened}
      > ack 1 seq 1 zeros 1500         | ESTABLISHED data
      < ack 1501 seq 1 win 2000        | ESTABLISHED
      < ack 1501 seq 1 win 10          | ESTABLISHED
      > ack 1 seq 3501 zeros 1         | ESTABLISHED data
      > ack 1 seq 3502 zeros 1         | ESTABLISHED invalid`);
  });

  it("are scaled behind the handshake if both sides offered it", async () => {
    await track(`${scaled}
      < ack 1 seq 4001 win 0 zeros 1   | ESTABLISHED data zero-window
      < ack 1 seq 4002 win 0 zeros 1   | ESTABLISHED invalid
      > ack 1 seq 2001 zeros 1         | ESTABLISHED data
      > ack 1 seq 2002 zeros 1         | ESTABLISHED invalid
      < ack 1 seq 1 win 2000           | ESTABLISHED
      > ack 1 seq 16001 zeros 1        | ESTABLISHED data
      > ack 1 seq 16002 zeros 1        | ESTABLISHED invalid`);
    await track(`
      > syn seq 0 win 1000 wscale 2    | SYN_SENT start
      < syn seq 0 ack 1 win 2000       | SYN_RECEIVED
      > ack 1 seq 1 win 1000           | ESTABLISHED established
      < ack 1 seq 1002 zeros 1         | ESTABLISHED invalid`);
  });

  it("take a scale above 14 for 14", async () => {
    await track(`
      > syn seq 0 win 1000 wscale 200  | SYN_SENT start
      < syn seq 0 ack 1 wscale 0       | SYN_RECEIVED
      > ack 1 seq 1 win 1              | ESTABLISHED established
      < ack 1 seq 16385 zeros 1        | ESTABLISHED data
      < ack 1 seq 16386 zeros 1        | ESTABLISHED invalid`);
  });

  it("reach further by what is acknowledged selectively", async () => {
    const lost = `${opened}
      > ack 1 seq 501 zeros 500                         | ESTABLISHED data`;
    await track(`${lost}
      < ack 1 seq 1 win 2000 sack 501 1001              | ESTABLISHED
      > ack 1 seq 3001 zeros 1                          | ESTABLISHED data`);
    await track(`${lost}
      < ack 1 seq 1 win 2000                            | ESTABLISHED
      > ack 1 seq 3001 zeros 1                          | ESTABLISHED invalid`);
    await track(`${lost}
      < ack 1 seq 1 win 2000 sack 501 900000            | ESTABLISHED
      > ack 1 seq 3001 zeros 1                          | ESTABLISHED invalid`);
  });

  it("take acknowledgements of what the sender may have sent unseen, but no further", async () => {
    const flow = await track(`${opened}
      > ack 1 seq 1 zeros 100          | ESTABLISHED data
      < ack 2001 seq 1 win 2000        | ESTABLISHED
      > ack 1 seq 2001 zeros 100       | ESTABLISHED data
      < ack 4002 seq 1                 | ESTABLISHED invalid`);
    expect(flow.retransmissions).toEqual([0, 0]);
  });

  it("take no acknowledgements of what was sent too long ago", async () => {
    await track(`${opened}
      < ack -131998 seq 1              | ESTABLISHED
      < ack -132000 seq 1              | ESTABLISHED invalid`);
  });

  it("take data again that is old, but not older than two windows", async () => {
    await track(`${opened}
      > ack 1 seq -131999 zeros 1      | ESTABLISHED data retransmission
      > ack 1 seq -132001 zeros 1      | ESTABLISHED invalid`);
  });

  it("make nothing invalid where they are not checked, and catch up", async () => {
    const flow = await track(
      `${opened}
      > ack 1 seq 900001 zeros 10      | ESTABLISHED data
      < ack 900011 seq 1               | ESTABLISHED
      > ack 800000 seq 900011 zeros 1  | ESTABLISHED data
      > ack 1 seq 900012 zeros 1       | ESTABLISHED data`,
      { liberal: true },
    );
    expect(flow.invalid).toBe(0);
    expect(flow.retransmissions).toEqual([0, 0]);
  });

  it("may be overrun by the last segment that begins in them", async () => {
    await track(`
      > ack 5000 seq 1                     | ESTABLISHED start established
      < ack 1 seq 5000 win 1 zeros 1       | ESTABLISHED data
      > ack 5001 seq 1 zeros 500           | ESTABLISHED data
      < ack 501 seq 5001                   | ESTABLISHED`);
  });

  it("count the bytes on the wire, not those that the capture kept", async () => {
    await track(`${opened}
      > ack 1 seq 1 zeros 1000 cut 80      | ESTABLISHED data
      < ack 1001 seq 1                     | ESTABLISHED
      > ack 1 seq 1001 zeros 5             | ESTABLISHED data`);
  });

  it("do not count the padding of a short frame", async () => {
    await track(`${opened}
      > ack 1 seq 1 payload "a" pad 90     | ESTABLISHED data
      < ack 2 seq 1 pad 90                 | ESTABLISHED
      > ack 1 seq 2 payload "b"            | ESTABLISHED data`);
  });

  it("believe acknowledgements of a segment that came in fragments", async () => {
    const ends = { ">": "tcp 10.0.0.1:1000 > 10.0.0.2:80", "<": "tcp 10.0.0.2:80 > 10.0.0.1:1000" };
    const rest = { ">": "ip 10.0.0.1 > 10.0.0.2 proto tcp", "<": ends["<"] };
    await track(
      `${opened}
      > ack 1 seq 1 zeros 100 frag id 7 more             | ESTABLISHED data
      < ack 301 seq 1                                    | ESTABLISHED
      > ack 1 seq 301 zeros 1                            | ESTABLISHED data`,
      { ends },
    );
    await track("> zeros 80 frag id 7 offset 120 | NEW start data", { ends: rest });
  });
});

describe("what is sent again or out of order", () => {
  const talk = `${opened}
    > ack 1 seq 1 zeros 100        | ESTABLISHED data`;

  it("is told apart by whether its bytes came by before", async () => {
    const flow = await track(`${talk}
      > ack 1 seq 201 zeros 100    | ESTABLISHED data
      > ack 1 seq 1 zeros 100      | ESTABLISHED data retransmission
      > ack 1 seq 101 zeros 100    | ESTABLISHED data out-of-order
      > ack 1 seq 101 zeros 100    | ESTABLISHED data retransmission
      > ack 1 seq 201 zeros 200    | ESTABLISHED data retransmission
      < ack 401 seq 1              | ESTABLISHED`);
    expect(flow.retransmissions).toEqual([3, 0]);
    expect(flow.outOfOrder).toEqual([1, 0]);
  });

  it("fills a gap from either end and in the middle", async () => {
    const flow = await track(`${talk}
      > ack 1 seq 501 zeros 100    | ESTABLISHED data
      > ack 1 seq 301 zeros 100    | ESTABLISHED data out-of-order
      > ack 1 seq 101 zeros 100    | ESTABLISHED data out-of-order
      > ack 1 seq 401 zeros 100    | ESTABLISHED data out-of-order
      > ack 1 seq 201 zeros 200    | ESTABLISHED data out-of-order
      > ack 1 seq 201 zeros 200    | ESTABLISHED data retransmission`);
    expect(flow.outOfOrder).toEqual([4, 0]);
  });

  it("fills no gap that the other side has acknowledged", async () => {
    await track(`${talk}
      > ack 1 seq 201 zeros 100    | ESTABLISHED data
      < ack 301 seq 1              | ESTABLISHED
      > ack 1 seq 101 zeros 100    | ESTABLISHED data retransmission`);
  });

  it("is a new segment with old bytes, too", async () => {
    await track(`${talk}
      > ack 1 seq 51 zeros 100     | ESTABLISHED data retransmission
      > ack 1 seq 151 zeros 1      | ESTABLISHED data`);
  });

  it("is counted for either direction, up to 65535", async () => {
    const again = Array.from({ length: 65_537 }, () => "< ack 1 seq 1 zeros 9 | ESTABLISHED data retransmission");
    const { flow } = await converse(harness, `${opened}\n< ack 1 seq 1 zeros 9 | -\n${again.join("\n")}`, {});
    expect(flow.retransmissions).toEqual([0, 65_535]);
  });

  it("is no keep-alive, and a keep-alive is none", async () => {
    const flow = await track(`${talk}
      < ack 101 seq 1              | ESTABLISHED
      60s > ack 1 seq 100 zeros 1  | ESTABLISHED
      < ack 101 seq 1              | ESTABLISHED
      60s > ack 1 seq 100          | ESTABLISHED
      < ack 101 seq 1              | ESTABLISHED
      60s < ack 101 seq 0 zeros 1  | ESTABLISHED
      > ack 1 seq 101              | ESTABLISHED`);
    expect(flow.retransmissions).toEqual([0, 0]);
    expect(flow.invalid).toBe(0);
    await track(`${talk}
      > ack 1 seq 100 zeros 1      | ESTABLISHED data retransmission`);
  });
});

describe("data with the SYN", () => {
  it("may be acknowledged with it", async () => {
    await track(`
      > syn seq 0 payload "GET /"      | SYN_SENT start data
      < syn seq 0 ack 6                | SYN_RECEIVED
      < ack 6 seq 1 payload "early"    | SYN_RECEIVED data
      > ack 6 seq 6                    | ESTABLISHED established`);
  });

  it("may be refused, and is sent again", async () => {
    const flow = await track(`
      > syn seq 0 payload "GET /"      | SYN_SENT start data
      < syn seq 0 ack 1                | SYN_RECEIVED
      > ack 1 seq 1 payload "GET /"    | ESTABLISHED established data retransmission
      < ack 6 seq 1                    | ESTABLISHED`);
    expect(flow.retransmissions).toEqual([1, 0]);
  });

  it("may not be acknowledged further than it goes", async () => {
    await track(`
      > syn seq 0 payload "GET /"      | SYN_SENT start data
      < syn seq 0 ack 7                | SYN_SENT invalid`);
  });
});

describe("closed windows", () => {
  const full = `${opened}
    > ack 1 seq 1 zeros 2000           | ESTABLISHED data
    < ack 2001 seq 1 win 0             | ESTABLISHED zero-window`;

  it("are counted, each time", async () => {
    const flow = await track(`${full}
      < ack 2001 seq 1 win 0           | ESTABLISHED zero-window`);
    expect(flow.zeroWindows).toEqual([0, 2]);
  });

  it("are probed with one byte, again and again", async () => {
    const flow = await track(`${full}
      > ack 1 seq 2001 zeros 1         | ESTABLISHED data
      < ack 2001 seq 1 win 0           | ESTABLISHED zero-window
      > ack 1 seq 2001 zeros 1         | ESTABLISHED data
      < ack 2001 seq 1 win 0           | ESTABLISHED zero-window
      > ack 1 seq 2002 zeros 1         | ESTABLISHED data
      > ack 1 seq 2003 zeros 1         | ESTABLISHED invalid`);
    expect(flow.retransmissions).toEqual([0, 0]);
  });

  it("open again", async () => {
    await track(`${full}
      < ack 2001 seq 1 win 500         | ESTABLISHED
      > ack 1 seq 2001 zeros 500       | ESTABLISHED data
      > ack 1 seq 2502 zeros 1         | ESTABLISHED invalid`);
  });

  it("are none of a reset", async () => {
    const flow = await track(`${opened}\n> rst ack 1 seq 1 win 0 | CLOSED reset`);
    expect(flow.zeroWindows).toEqual([0, 0]);
  });
});

describe("the round-trip time", () => {
  const opens = `
    > syn seq 0                        | SYN_SENT start
    30ms < syn seq 0 ack 1             | SYN_RECEIVED
    10ms > ack 1 seq 1                 | ESTABLISHED established`;

  it("is unknown at first, then that of the handshake", async () => {
    expect((await track("> syn seq 0 | SYN_SENT start")).rttUs).toBe(0);
    expect((await track(opens)).rttUs).toBe(40_000);
  });

  it("is not taken from what was sent twice", async () => {
    const flow = await track(`
      > syn seq 0                      | SYN_SENT start
      1s > syn seq 0                   | SYN_SENT retransmission
      30ms < syn seq 0 ack 1           | SYN_RECEIVED
      10ms > ack 1 seq 1               | ESTABLISHED established`);
    expect(flow.rttUs).toBe(10_000);
  });

  it("moves by an eighth with each segment that is answered", async () => {
    const flow = await track(`${opens}
      1s > ack 1 seq 1 zeros 10        | ESTABLISHED data
      110ms < ack 11 seq 1             | ESTABLISHED`);
    expect(flow.rttUs).toBe(50_000);
  });

  it("is told by timestamps even of what was sent twice", async () => {
    const flow = await track(`${opens}
      1s > ack 1 seq 1 zeros 10 ts 1000 50      | ESTABLISHED data
      1s > ack 1 seq 1 zeros 10 ts 2000 50      | ESTABLISHED data retransmission
      110ms < ack 11 seq 1 ts 60 2000           | ESTABLISHED
      1s > ack 1 seq 11 zeros 10 ts 4000 60     | ESTABLISHED data
      110ms < ack 21 seq 1 ts 61 4000           | ESTABLISHED`);
    expect(flow.rttUs).toBe(50_000);
  });

  it("does not wait for the echo of a lost segment, nor count the echo of an earlier one", async () => {
    const flow = await track(`${opens}
      1s > ack 1 seq 1 zeros 10 ts 1000 50      | ESTABLISHED data
      500ms < ack 1 seq 1 ts 60 999             | ESTABLISHED
      1s > ack 1 seq 11 zeros 10 ts 2000 50     | ESTABLISHED data
      110ms < ack 21 seq 1 ts 61 2000           | ESTABLISHED
      1s > ack 1 seq 21 zeros 10 ts 3000 61     | ESTABLISHED data
      110ms < ack 31 seq 1 ts 62 3000           | ESTABLISHED`);
    expect(flow.rttUs).toBe(50_000);
  });
});

it("a stream with one loss looks the same wherever its numbers begin", async () => {
  const segments = (from: number, count: number, step = 100) =>
    Array.from({ length: count }, (_, i) => `> ack 1 seq ${from + i * step} zeros ${step}`).join("\n");
  const text = `${opened}\n${segments(1, 9)}\n> ack 1 seq 1001 zeros 50\n< ack 901 seq 1 win 900\n${segments(901, 1)}
    < ack 1051 seq 1\n> fin ack 1 seq 1051\n< fin ack 1052 seq 1\n> ack 2 seq 1052`;
  const { text: expected, flow } = await converse(harness, text, {});
  expect(flow.outOfOrder).toEqual([1, 0]);
  const number = fc.integer({ min: 0, max: 0xffffffff });
  await fc.assert(
    fc.asyncProperty(fc.tuple(number, number), async (numbers) => {
      expect(await converse(harness, text, { numbers })).toEqual({ text: expected, flow });
    }),
  );
});
