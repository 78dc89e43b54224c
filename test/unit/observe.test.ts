// Questions about the packets of a chain in words, and what they are in numbers.
import { describe, expect, it } from "vitest";
import * as abi from "../../nfs/sdk/abi.ts";
import type { Plan } from "../../runtime/chain/plan.ts";
import { findRule } from "../../runtime/chain/rules.ts";
import { CaptureWriter } from "../../runtime/dataplane/observe/capture-writer.ts";
import { formatEnding, nameEnding } from "../../runtime/dataplane/observe/endings.ts";
import { planFilter, type WatchedChain } from "../../runtime/dataplane/observe/frame-filter.ts";
import { type CaptureCounts, OUTSTANDING_MAX } from "../../runtime/dataplane/observe/lookout-protocol.ts";
import { readOutbox } from "../../runtime/dataplane/observe/outbox-messages.ts";
import { SluiceError } from "../../runtime/errors.ts";
import { planCapture, planTrace } from "../../runtime/generation/observations.ts";

const target = { kind: "port", port: 1 } as const;
const plan = {
  chain: "test",
  ports: [
    { name: "lan", device: "lan0" },
    { name: "wan", device: "wan0" },
  ],
  functions: [{ name: "fw" }, { name: "nat" }, { name: "fw:next" }],
  hops: [
    { function: 0, path: 0, next: { kind: "hop", hop: 1 }, branches: [] },
    { function: 1, path: 0, next: target, branches: [] },
    { function: 0, path: 1, next: target, branches: [] },
    { function: 2, path: 2, next: target, branches: [] },
  ],
  events: ["start", "", "custom"],
  labels: ["seen", "bad"],
} as unknown as Plan;

const chain: WatchedChain = { plan, reasons: [["unspecified", "rule"], ["unspecified"], ["unspecified", "rule"]] };

const complaintOf = (plan: () => unknown): string => {
  try {
    plan();
  } catch (error) {
    if (error instanceof SluiceError) return error.message;
    throw error;
  }
  return "";
};

describe("a filter", () => {
  it("without a word takes everything at every port", () => {
    expect(planFilter({}, chain, "both")).toEqual({
      matches: [],
      flow: 0,
      comes: [0, 1],
      leaves: [0, 1],
      causes: null,
    });
  });

  it("names ports, with a direction", () => {
    expect(planFilter({ ports: ["wan"] }, chain, "out")).toMatchObject({ comes: [], leaves: [1] });
    expect(planFilter({ ports: ["wan"] }, chain, "in")).toMatchObject({ comes: [1], leaves: [] });
    expect(complaintOf(() => planFilter({ ports: ["wlan"] }, chain, "in"))).toContain('no port "wlan"');
  });

  it("takes a flow by its number, and by its endpoints in both directions", () => {
    expect(planFilter({ flow: "17" }, chain, "in")).toMatchObject({ flow: 17, matches: [] });
    const { matches } = planFilter({ flow: "udp 10.0.0.1:5000 > 10.0.0.2:53" }, chain, "in");
    expect(matches).toMatchObject([
      { sourcePorts: [[5000, 5000]], destinationPorts: [[53, 53]], ipProtos: [17] },
      { sourcePorts: [[53, 53]], destinationPorts: [[5000, 5000]], ipProtos: [17] },
    ]);
    const six = planFilter({ flow: "[2001:db8::1]:5000 > [2001:db8::2]:53" }, chain, "in").matches[0];
    expect(six?.sources[0]?.address).toHaveLength(16);
    expect(six?.ipProtos).toEqual([]);
    expect(planFilter({ flow: "icmp 10.0.0.1 > 10.0.0.2" }, chain, "in").matches[0]).toMatchObject({ sourcePorts: [] });
    expect(planFilter({ flow: "2001:db8::1 > 2001:db8::2" }, chain, "in").matches).toHaveLength(2);
  });

  it.each(["", " ", "10.0.0.1", "10.0.0.1:x > 10.0.0.2:1", "10.0.0.1:1 > ", "udp udp 10.0.0.1:1 > 10.0.0.2:2", "-1"])(
    "is refused with the flow %j, or has none",
    (flow) => {
      const complaint = complaintOf(() => planFilter({ flow }, chain, "in"));
      expect(complaint === "" ? planFilter({ flow }, chain, "in").matches : complaint).toEqual(
        flow === "" ? [] : expect.stringContaining("neither a number nor"),
      );
    },
  );

  it("takes no match beside endpoints, which are one", () => {
    const both = { flow: "10.0.0.1 > 10.0.0.2", match: "{ ipProtos: [udp] }" };
    expect(complaintOf(() => planFilter(both, chain, "in"))).toContain("a match already");
  });

  it("names reasons of functions, at all of their hops, and of the engine", () => {
    const causesOf = (...drops: string[]) => planFilter({ drops }, chain, "in").causes;
    expect(causesOf("any")).toEqual([]);
    expect(causesOf("fw")).toEqual([
      { hop: 0, byEngine: false, reason: -1, detail: -1 },
      { hop: 2, byEngine: false, reason: -1, detail: -1 },
    ]);
    expect(causesOf("fw:rule:3")).toMatchObject([{ hop: 0, reason: 1, detail: 3 }, { hop: 2 }]);
    expect(causesOf("nat:bad-length")).toEqual([{ hop: 1, byEngine: true, reason: 9, detail: -1 }]);
    expect(causesOf("no-path", "port-full")).toMatchObject([
      { hop: -1, byEngine: true, reason: 0 },
      { hop: -1, byEngine: true, reason: 2 },
    ]);
    expect(causesOf("fw:next:rule:2")).toEqual([{ hop: 3, byEngine: false, reason: 1, detail: 2 }]);
    expect(causesOf("fw:next")).toEqual([{ hop: 3, byEngine: false, reason: -1, detail: -1 }]);
    expect(complaintOf(() => causesOf("fw:rul"))).toContain('did you mean "rule"?');
    expect(complaintOf(() => causesOf("ids"))).toContain('"ids" is no function of the chain');
    expect(complaintOf(() => causesOf("fw:rule:x"))).toContain("is a number");
  });
});

describe("a request", () => {
  it("is checked by its schema before anything else", () => {
    expect(complaintOf(() => planTrace({ counts: 3 } as never, chain))).toContain("request/counts");
    expect(complaintOf(() => planTrace({ count: 0 }, chain))).toContain("request/count");
    expect(complaintOf(() => planTrace({ frames: [{ port: "lan", hex: "abc" }] }, chain))).toContain(
      "request/frames/0/hex",
    );
    expect(complaintOf(() => planCapture({ direction: "up" as never }, chain))).toContain("request/direction");
    expect(complaintOf(() => planCapture("all" as never, chain))).not.toBe("");
  });

  it("for frames at functions has an interface for each, behind those of the ports", () => {
    const observation = planCapture({ before: ["nat"], after: ["nat"], snapLength: 96 }, chain);
    expect(observation).toMatchObject({
      kind: "hooks",
      hooks: [
        { function: 1, side: "before", interface: 2 },
        { function: 1, side: "after", interface: 3 },
      ],
    });
    const names = observation.kind === "hooks" ? observation.capture.interfaces.map(({ name }) => name) : [];
    expect(names).toEqual(["lan", "wan", "nat:before", "nat:after"]);
  });

  it("with frames that come from nobody names the port where they come in", () => {
    expect(planTrace({ frames: [{ port: "wan", hex: "0102" }] }, chain)).toEqual({
      kind: "given",
      frames: [{ port: 1, bytes: Uint8Array.of(1, 2), link: 0, wireLength: 2 }],
    });
    expect(complaintOf(() => planTrace({ frames: [{ port: "dmz", hex: "01" }] }, chain))).toContain('no port "dmz"');
  });
});

describe("an ending", () => {
  const numbers = { kind: 1, to: 0, hop: 2, reason: 1, byEngine: false, detail: 7 };

  it("is said in the chain's names", () => {
    expect(formatEnding(nameEnding(chain, numbers))).toBe("drop fw rule:7");
    expect(formatEnding(nameEnding(chain, { ...numbers, kind: 0, to: 1 }))).toBe("forward wan");
    expect(formatEnding(nameEnding(chain, { ...numbers, hop: -1, byEngine: true, reason: 0, detail: 0 }))).toBe(
      "drop no-path",
    );
    expect(formatEnding(nameEnding(chain, { ...numbers, kind: 4, byEngine: true, reason: 5, detail: 0 }))).toBe(
      "fault fw fault",
    );
  });
});

describe("the rule of a verdict", () => {
  const config = { rules: [{ action: "permit" }, { action: "deny" }], words: "text" };

  it("is the entry of the list that the reason is named for", () => {
    expect(findRule("a/b", config, "rule:2")).toEqual({
      pointer: "/functions/a~1b/config/rules/1",
      value: { action: "deny" },
    });
  });

  it("is the same for a reason that says more about it", () => {
    expect(findRule("fw", config, "rule-rate:2")).toEqual(findRule("fw", config, "rule:2"));
  });

  it.each(["rule", "rule:0", "rule:3", "rule-rate:3", "word:1", "default:1", ""])("is unknown for %j", (reason) => {
    expect(findRule("fw", config, reason)).toBeNull();
  });
});

describe("an outbox", () => {
  const outboxOf = (
    used: number,
    ...messages: { kind: number; flags?: number; length: number; flow?: number; value?: number }[]
  ) => {
    const view = new DataView(new ArrayBuffer(abi.OUTBOX_BYTES));
    view.setUint32(abi.OUTBOX_USED, used, true);
    let at = abi.OUTBOX_MESSAGES;
    for (const { kind, flags = 0, length, flow = 0, value = 0 } of messages) {
      view.setUint16(at + abi.MESSAGE_KIND, kind, true);
      view.setUint16(at + abi.MESSAGE_FLAGS, flags, true);
      view.setUint32(at + abi.MESSAGE_LENGTH, length, true);
      view.setUint32(at + abi.MESSAGE_FLOW, flow, true);
      view.setUint32(at + abi.MESSAGE_VALUE, value, true);
      at += length;
    }
    return view;
  };

  it("is read message by message", () => {
    const messages = readOutbox(
      outboxOf(
        88,
        { kind: abi.MESSAGE_EMIT, flags: 3, length: 24, value: 1 },
        { kind: abi.MESSAGE_LABEL, flags: 1, length: 16, flow: 4, value: 2 },
        { kind: abi.MESSAGE_EVENT, flags: 2, length: 16, value: 9 },
        { kind: abi.MESSAGE_SHIFT, flags: 1, length: 16, flow: 4, value: 0xffff_fffe },
        { kind: 99, length: 16 },
      ),
      plan,
    );
    expect(messages).toEqual([
      { kind: "emit", flow: 0, what: "on wan", bytes: "0000000000" },
      { kind: "label", flow: 4, what: "set bad", bytes: null },
      { kind: "event", flow: 0, what: "custom 9", bytes: null },
      { kind: "shift", flow: 4, what: "direction 1 by -2", bytes: null },
      { kind: "unknown", flow: 0, what: "", bytes: null },
    ]);
  });

  it("is believed in nothing", () => {
    expect(readOutbox(outboxOf(0xffffffff, { kind: 6, length: 0xffffffff }), plan)).toEqual([]);
    expect(readOutbox(outboxOf(64, { kind: 6, length: 8 }), plan)).toEqual([]);
    expect(readOutbox(outboxOf(20, { kind: 4, length: 16 }, { kind: 5, length: 16 }), plan)).toHaveLength(1);
  });
});

describe("a capture's writer", () => {
  const packet = {
    ...{ interface: 0, timeNs: 0n, wireLength: 1500, direction: null, comment: "" },
    bytes: new Uint8Array(1500),
  };
  const interfaces = [{ name: "lan", description: "", linkType: 1, snapLength: 100 }];

  it("leaves out what its reader has not taken in time, and counts it", () => {
    const outstanding = new Int32Array(new SharedArrayBuffer(4));
    const sent: { bytes: number; counts: CaptureCounts }[] = [];
    const writer = new CaptureWriter({ interfaces, count: null, snapLength: 100 }, outstanding, (bytes, counts) =>
      sent.push({ bytes: bytes.length, counts }),
    );
    writer.add(packet);
    writer.flush();
    expect(sent).toEqual([{ bytes: outstanding[0], counts: { accepted: [1], leftOut: [0] } }]);
    outstanding[0] = OUTSTANDING_MAX;
    writer.add(packet);
    writer.flush();
    expect(sent.at(-1)).toEqual({ bytes: 0, counts: { accepted: [1], leftOut: [1] } });
    outstanding[0] = 0;
    writer.add(packet);
    writer.flush();
    expect(sent.at(-1)?.counts).toEqual({ accepted: [2], leftOut: [1] });
  });

  it("is full after as many as were asked for", () => {
    const writer = new CaptureWriter({ interfaces, count: 2, snapLength: 100 }, new Int32Array(1), () => {});
    for (const isFull of [false, true, true]) {
      writer.add(packet);
      expect(writer.isFull).toBe(isFull);
    }
  });
});
