import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as abi from "../../nfs/sdk/abi.ts";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { flowSteps, playSteps } from "../support/flow-arbitraries.ts";
import { defaultTimeouts, FlowModel, type FlowModelConfig, type FrameOutcome } from "../support/flow-model.ts";

const config: FlowModelConfig = { zones: [0, 0, 9], capacity: 16, timeouts: defaultTimeouts, midstream: true };

const ns = (seconds: number): bigint => BigInt(Math.round(seconds * 1e9));

/** A model with a clock in seconds. */
class Scene {
  readonly model: FlowModel;

  constructor(changes: Partial<FlowModelConfig> = {}) {
    this.model = new FlowModel({ ...config, ...changes });
  }

  receive(line: string, { at = 0, port = 0 } = {}): FrameOutcome {
    return this.model.receive(port, encodePacket(line), ns(at));
  }

  /** Flow and direction of each: `1>` from the first sender, `1<` the other way. */
  flowsOf(...lines: readonly string[]): string[] {
    return lines.map((line) => placeOf(this.receive(line)));
  }

  endsAt(seconds: number): (readonly [flow: number, end: number])[] {
    return this.model.expire(ns(seconds)).map(({ flow, end }) => [flow, end]);
  }
}

const placeOf = ({ flow, direction }: FrameOutcome) => `${flow}${direction === 0 ? ">" : "<"}`;

const there = "10.0.0.1:1000 > 10.0.0.2:53";
const back = "10.0.0.2:53 > 10.0.0.1:1000";
const { FLOW_STATE_NEW: NEW, FLOW_STATE_ESTABLISHED: ESTABLISHED } = abi;

describe("a flow", () => {
  it("is found from both directions, and its frames and bytes are counted by direction", () => {
    const scene = new Scene();
    expect(scene.flowsOf(`udp ${there}`, `udp ${back} zeros 8`, `udp ${there}`)).toEqual(["1>", "1<", "1>"]);
    expect(scene.model.flows).toMatchObject([{ packets: [2, 1], octets: [84, 50], state: ESTABLISHED }]);
  });

  it("is another one with another address, port, protocol, VLAN, zone or IP version", () => {
    const scene = new Scene();
    const others = [
      `udp ${there}`,
      "udp 10.0.0.1:1000 > 10.0.0.3:53",
      "udp 10.0.0.1:1001 > 10.0.0.2:53",
      `tcp ${there} syn`,
      `sctp ${there}`,
      `vlan 5 udp ${there}`,
      "udp [::1]:1000 > [::2]:53",
      "ip 10.0.0.1 > 10.0.0.2 proto esp",
    ];
    expect(scene.flowsOf(...others, ...others)).toEqual([...others, ...others].map((_, i) => `${(i % 8) + 1}>`));
    expect(placeOf(scene.receive(`udp ${there}`, { port: 2 }))).toBe("9>");
  });

  it("is the same on all ports of a zone, and with any inner VLAN tag", () => {
    const scene = new Scene();
    scene.receive(`vlan 5 udp ${there}`);
    expect(placeOf(scene.receive(`vlan 5 priority 3 vlan 6 udp ${back}`, { port: 1 }))).toBe("1<");
  });

  it("of echoes is one per identifier", () => {
    const scene = new Scene();
    const lines = [
      "10.0.0.1 > 10.0.0.2 echo id 7",
      "10.0.0.2 > 10.0.0.1 echo-reply id 7",
      "10.0.0.1 > 10.0.0.2 echo id 8",
    ];
    expect(scene.flowsOf(...lines.map((line) => `icmp ${line}`))).toEqual(["1>", "1<", "2>"]);
    expect(scene.flowsOf("icmp6 ::1 > ::2 echo id 7", "icmp6 ::2 > ::1 echo-reply id 7")).toEqual(["3>", "3<"]);
  });

  it("whose both ends are the same has one direction", () => {
    expect(new Scene().flowsOf("udp 10.0.0.1:1 > 10.0.0.1:1", "udp 10.0.0.1:1 > 10.0.0.1:1")).toEqual(["1>", "1>"]);
  });

  it("is none for what has no IP header", () => {
    const scene = new Scene();
    expect(scene.flowsOf("arp who-has 10.0.0.2 tell 10.0.0.1", "type 0x88cc", "raw 0102")).toEqual(["0>", "0>", "0>"]);
  });

  it("is not looked for behind extension headers only in vain", () => {
    const scene = new Scene();
    scene.receive("udp [::1]:1 > [::2]:2");
    const extended =
      "udp [::2]:2 > [::1]:1 ext hop-by-hop ext routing 000000000000 ext auth 00000000000100000002 frag id 5";
    expect(placeOf(scene.receive(extended))).toBe("1<");
  });

  it("ends by time, at its deadline and not before, with the state's timeout", () => {
    const scene = new Scene();
    scene.receive(`udp ${there}`, { at: 0 });
    expect(scene.endsAt(29.999)).toEqual([]);
    expect(scene.endsAt(30)).toEqual([[1, abi.FLOW_END_TIMEOUT]]);
    scene.receive(`udp ${there}`, { at: 40 });
    expect(scene.receive(`udp ${back}`, { at: 60 })).toMatchObject({ flow: 2, direction: 1, started: false });
    expect(scene.endsAt(179.999)).toEqual([]);
    expect(scene.endsAt(180)).toEqual([[2, abi.FLOW_END_TIMEOUT]]);
  });

  it("that is over makes place for a new one of the same key, and is reported with that frame", () => {
    const scene = new Scene();
    scene.receive(`udp ${there}`);
    const outcome = scene.receive(`udp ${back}`, { at: 30 });
    expect(outcome).toMatchObject({ flow: 2, direction: 0, started: true });
    expect(outcome.ended).toMatchObject([{ flow: 1, end: abi.FLOW_END_TIMEOUT, endNs: ns(30), state: NEW }]);
  });
});

describe("a TCP flow", () => {
  const tcpThere = "tcp 10.0.0.1:1000 > 10.0.0.2:80";
  const tcpBack = "tcp 10.0.0.2:80 > 10.0.0.1:1000";
  const handshake = [`${tcpThere} syn`, `${tcpBack} syn ack 1`, `${tcpThere} seq 1 ack 1`];

  const statesOf = (scene: Scene, lines: readonly string[]) =>
    lines.map((line) => {
      scene.receive(line);
      return scene.model.flows[0]?.state;
    });

  it("goes through the states of handshake and close", () => {
    const close = [
      `${tcpThere} seq 1 fin ack 1`,
      `${tcpBack} seq 1 ack 2`,
      `${tcpBack} seq 1 fin ack 2`,
      `${tcpThere} seq 2 ack 2`,
    ];
    const scene = new Scene();
    expect(statesOf(scene, [...handshake, ...close])).toEqual([
      abi.FLOW_STATE_SYN_SENT,
      abi.FLOW_STATE_SYN_RECEIVED,
      ESTABLISHED,
      abi.FLOW_STATE_FIN_WAIT,
      abi.FLOW_STATE_CLOSE_WAIT,
      abi.FLOW_STATE_LAST_ACK,
      abi.FLOW_STATE_TIME_WAIT,
    ]);
    expect(scene.model.flows).toMatchObject([{ packets: [4, 3], tcpFlags: [0x13, 0x13] }]);
    expect(scene.endsAt(120)).toEqual([[1, abi.FLOW_END_CLOSED]]);
  });

  it("is closed by a reset, and ends as one", () => {
    const scene = new Scene();
    expect(statesOf(scene, [...handshake, `${tcpBack} seq 1 rst`]).at(-1)).toBe(abi.FLOW_STATE_CLOSED);
    expect(scene.endsAt(9.9)).toEqual([]);
    expect(scene.endsAt(10)).toEqual([[1, abi.FLOW_END_RESET]]);
  });

  it("may be opened from both sides at once", () => {
    const open = [`${tcpThere} syn`, `${tcpBack} syn`, `${tcpBack} syn ack 1`, `${tcpThere} seq 1 ack 1`];
    expect(statesOf(new Scene(), open)).toEqual([
      abi.FLOW_STATE_SYN_SENT,
      abi.FLOW_STATE_SYN_SENT_2,
      abi.FLOW_STATE_SYN_RECEIVED,
      ESTABLISHED,
    ]);
  });

  it("gives way to a new connection on its ports when it is closed", () => {
    const scene = new Scene();
    for (const line of [...handshake, `${tcpThere} seq 1 rst`]) scene.receive(line);
    const outcome = scene.receive(`${tcpThere} syn`, { at: 1 });
    expect(outcome).toMatchObject({
      flow: 2,
      started: true,
      ended: [{ flow: 1, end: abi.FLOW_END_REUSED, endNs: ns(1) }],
    });
  });

  it("does not give way to a SYN while it is established", () => {
    const scene = new Scene();
    expect(scene.flowsOf(...handshake, `${tcpThere} syn`, `${tcpBack} syn`)).toEqual(["1>", "1<", "1>", "1>", "1<"]);
    expect(scene.model.flows).toMatchObject([{ state: ESTABLISHED }]);
  });

  it("counts a segment that is invalid, but does not live longer by it", () => {
    const scene = new Scene();
    scene.receive(`${tcpThere} syn`);
    scene.receive(`${tcpThere} fin ack 1`, { at: 60 });
    expect(scene.model.flows).toMatchObject([{ packets: [2, 0], deadlineNs: ns(120), lastNs: ns(60) }]);
  });

  it("is picked up in the middle if that is configured, and is nothing but invalid frames otherwise", () => {
    const scene = new Scene();
    expect(placeOf(scene.receive(`${tcpThere} ack 1`))).toBe("1>");
    expect(scene.model.flows).toMatchObject([{ state: ESTABLISHED, assured: false }]);
    expect(statesOf(new Scene({ midstream: false }), [`${tcpThere} ack 1`])).toEqual([NEW]);
    expect(scene.flowsOf("tcp 10.0.0.1:7 > 10.0.0.2:80 rst", "tcp 10.0.0.1:7 > 10.0.0.2:80 fin")).toEqual(["2>", "2>"]);
  });

  it("of nothing but invalid segments lives by them, for a short while", () => {
    const scene = new Scene();
    scene.receive(`${tcpThere} rst`);
    scene.receive(`${tcpThere} fin`, { at: 9 });
    expect(scene.model.flows).toMatchObject([{ state: NEW, deadlineNs: ns(19), packets: [2, 0] }]);
  });

  it("begins anew with the answer to a SYN that an open connection should have challenged", () => {
    const scene = new Scene();
    const late = [`${tcpThere} syn seq 7`, `${tcpBack} syn ack 1`, `${tcpBack} syn seq 5 ack 8`];
    expect(scene.flowsOf(...handshake, ...late)).toEqual(["1>", "1<", "1>", "1>", "1<", "2>"]);
    expect(scene.model.flows).toMatchObject([{ flow: 2, state: abi.FLOW_STATE_SYN_RECEIVED }]);
  });
});

describe("a full table", () => {
  const from = (port: number) => `udp 10.0.0.1:${port} > 10.0.0.2:53`;
  const reply = (port: number) => `udp 10.0.0.2:53 > 10.0.0.1:${port}`;

  it("gives the oldest unassured flow's place to a new one", () => {
    const scene = new Scene({ capacity: 2 });
    scene.flowsOf(from(1), reply(1));
    scene.receive(from(1), { at: 3 });
    scene.receive(from(2), { at: 3 });
    const outcome = scene.receive(from(3), { at: 3 });
    expect(outcome).toMatchObject({ flow: 3, started: true, ended: [{ flow: 2, end: abi.FLOW_END_EVICTED }] });
    expect(scene.model.flows.map(({ flow }) => flow)).toEqual([1, 3]);
  });

  it("of assured flows drops what would begin another", () => {
    const scene = new Scene({ capacity: 2 });
    scene.flowsOf(from(1), reply(1), from(2), reply(2));
    for (const port of [1, 2]) scene.receive(from(port), { at: 3 });
    const outcome = scene.receive(from(3), { at: 3 });
    expect(outcome).toMatchObject({ flow: 0, verdict: "drop", reason: "flow-table-full", ended: [] });
    expect(placeOf(scene.receive(reply(1), { at: 3 }))).toBe("1<");
  });

  it("never gives away an established connection for SYNs", () => {
    const scene = new Scene({ capacity: 2 });
    scene.flowsOf(
      "tcp 10.0.0.1:1 > 10.0.0.2:80 syn",
      "tcp 10.0.0.2:80 > 10.0.0.1:1 syn ack 1",
      "tcp 10.0.0.1:1 > 10.0.0.2:80 seq 1 ack 1",
    );
    for (let port = 2; port < 50; port += 1) scene.receive(`tcp 10.0.0.1:${port} > 10.0.0.2:80 syn`);
    expect(scene.model.flows.map(({ flow }) => flow)).toEqual([1, 49]);
  });
});

describe("a second tuple", () => {
  const hex = { client: "0a000001", server: "0a000002", outside: "c6336401" };
  const reply = { source: { address: hex.server, port: 53 }, destination: { address: hex.outside, port: 4000 } };
  const translated = "udp 198.51.100.1:4000 > 10.0.0.2:53";
  const answer = "udp 10.0.0.2:53 > 198.51.100.1:4000";

  it("finds the flow, too, with replies in the other direction", () => {
    const scene = new Scene();
    scene.receive(`udp ${there}`);
    expect(scene.model.bind(1, reply)).toBe(true);
    expect(scene.flowsOf(answer, translated, `udp ${there}`)).toEqual(["1<", "1>", "1>"]);
  });

  it("is not bound if it is another flow's, or the flow is gone", () => {
    const scene = new Scene();
    scene.flowsOf(`udp ${there}`, translated);
    expect(scene.model.bind(1, reply)).toBe(false);
    expect(scene.model.bind(3, reply)).toBe(false);
  });

  it("takes the place of an earlier one", () => {
    const scene = new Scene();
    scene.receive(`udp ${there}`);
    scene.model.bind(1, reply);
    scene.model.bind(1, { ...reply, destination: { address: hex.outside, port: 4001 } });
    expect(scene.flowsOf("udp 10.0.0.2:53 > 198.51.100.1:4001", answer)).toEqual(["1<", "2>"]);
  });

  it("goes with its flow", () => {
    const scene = new Scene();
    scene.receive(`udp ${there}`);
    scene.model.bind(1, reply);
    scene.endsAt(30);
    expect(placeOf(scene.receive(answer, { at: 30 }))).toBe("2>");
  });
});

describe("an ICMP error", () => {
  it("counts for a flow of its own and tells of the one that it quotes, against that one's direction", () => {
    const scene = new Scene();
    scene.receive(`udp ${there}`);
    const outcome = scene.receive(`icmp 10.0.0.254 > 10.0.0.1 unreachable payload (udp ${there})`);
    expect(outcome).toMatchObject({ flow: 1, direction: 1, isIcmpError: true, started: true });
    expect(scene.model.flows).toMatchObject([{ packets: [1, 0] }, { flow: 2, packets: [1, 0] }]);
    expect(scene.receive(`icmp 10.0.0.254 > 10.0.0.2 time-exceeded payload (udp ${back})`)).toMatchObject({
      flow: 1,
      direction: 0,
    });
  });

  it("finds IPv6 flows behind extension headers, and echoes by their identifier", () => {
    const scene = new Scene();
    scene.flowsOf("udp [::1]:1 > [::2]:2", "icmp6 ::1 > ::2 echo id 7");
    const quotes = ["(udp [::1]:1 > [::2]:2 ext destination)", "(icmp6 ::1 > ::2 echo id 7)"];
    expect(scene.flowsOf(...quotes.map((quote) => `icmp6 ::9 > ::1 too-big payload ${quote}`))).toEqual(["1<", "2<"]);
  });

  it("is a frame like any other if it quotes no known flow", () => {
    const scene = new Scene();
    const outcome = scene.receive(`icmp 10.0.0.254 > 10.0.0.1 unreachable payload (udp ${there})`);
    expect(outcome).toMatchObject({ flow: 1, direction: 0, isIcmpError: false, started: true });
  });
});

describe("fragments", () => {
  const first = `udp ${there} udp-length 40 frag id 5 more zeros 16`;
  const middle = "ip 10.0.0.1 > 10.0.0.2 proto udp frag id 5 offset 24 more zeros 8";
  const last = "ip 10.0.0.1 > 10.0.0.2 proto udp frag id 5 offset 32 zeros 8";

  it("belong to the flow of the first one, and wait for it", () => {
    const scene = new Scene();
    expect(scene.receive(last)).toMatchObject({ verdict: "hold", flow: 0 });
    expect(scene.receive(first)).toMatchObject({ frame: 2, flow: 1, started: true, released: [{ frame: 1, flow: 1 }] });
    expect(placeOf(scene.receive(middle))).toBe("1>");
    expect(placeOf(scene.receive(`udp ${back}`))).toBe("1<");
    expect(scene.model.flows).toMatchObject([{ packets: [3, 1] }]);
  });

  it("are dropped when they come twice, also for a while after the packet passed", () => {
    const scene = new Scene();
    scene.flowsOf(first, middle, last);
    expect(scene.receive(middle, { at: 0.099 })).toMatchObject({ verdict: "drop", reason: "fragment-duplicate" });
    scene.model.expireFragments(ns(0.1));
    expect(scene.receive(middle, { at: 0.1 })).toMatchObject({ verdict: "hold" });
  });

  it("that overlap are dropped with all that waits or comes later", () => {
    const scene = new Scene();
    scene.receive(last);
    const overlapping = scene.receive("ip 10.0.0.1 > 10.0.0.2 proto udp frag id 5 offset 24 more zeros 16");
    const dropped = { verdict: "drop", reason: "fragment-overlap" };
    expect(overlapping).toMatchObject({ ...dropped, released: [{ frame: 1, ...dropped }] });
    expect(scene.receive(first)).toMatchObject(dropped);
  });

  it("that are tiny are dropped", () => {
    const tiny = { verdict: "drop", reason: "fragment-tiny" };
    expect(new Scene().receive("ip ::1 > ::2 proto tcp frag id 5 more zeros 16")).toMatchObject(tiny);
    expect(new Scene().receive("ip 10.0.0.1 > 10.0.0.2 proto tcp frag id 5 offset 8 zeros 16")).toMatchObject(tiny);
  });

  it("are given up when their time is over", () => {
    const scene = new Scene();
    scene.flowsOf(middle, last);
    expect(scene.model.expireFragments(ns(29.999))).toEqual([]);
    expect(scene.model.expireFragments(ns(30))).toEqual([1, 2]);
  });

  it("of IPv6 are known by 32 bits of identification, and atomic ones are none", () => {
    const scene = new Scene();
    const ends = "[::1]:1 > [::2]:2";
    expect(scene.receive("ip ::1 > ::2 proto udp frag id 0x10005 offset 24 zeros 8").verdict).toBe("hold");
    expect(scene.receive(`udp ${ends} frag id 0x10005`).verdict).toBe("pass");
    expect(scene.receive(`udp ${ends} udp-length 32 frag id 5 more zeros 16`).released).toEqual([]);
    expect(scene.receive(`udp ${ends} udp-length 32 frag id 0x10005 more zeros 16`).released).toMatchObject([
      { flow: 1 },
    ]);
  });
});

describe("any sequence of frames", () => {
  const sum = (counts: readonly number[]) => counts.reduce((total, count) => total + count, 0);

  it("is counted frame by frame, within the table's capacity, and every flow ends once", () => {
    fc.assert(
      fc.property(flowSteps(), fc.integer({ min: 1, max: 8 }), (steps, capacity) => {
        const model = new FlowModel({ ...config, capacity });
        const played = playSteps(model, steps);
        expect(model.flows.length).toBeLessThanOrEqual(capacity);
        const outcomes = played.flatMap(({ outcome }) => (outcome ? [outcome, ...outcome.released] : []));
        const counted = outcomes.filter(({ flow }) => flow > 0).length;
        const ended = [...played.flatMap((step) => step.ended), ...model.expire(2n ** 63n)];
        expect(sum(ended.flatMap(({ packets }) => packets))).toBe(counted);
        const begun = outcomes.filter(({ started }) => started).length;
        expect(ended.map(({ flow }) => flow).toSorted((a, b) => a - b)).toEqual(
          Array.from({ length: begun }, (_, i) => i + 1),
        );
        expect(model.flows).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });

  it("meets every state, end and verdict that the model knows", () => {
    const all = fc.sample(flowSteps(), { numRuns: 300, seed: 1 }).map((steps, index) => {
      const model = new FlowModel({ ...config, capacity: 1 + (index % 6) });
      return { played: playSteps(model, steps), left: model.expire(2n ** 63n) };
    });
    const ended = all.flatMap(({ played, left }) => [...played.flatMap((step) => step.ended), ...left]);
    const outcomes = all.flatMap(({ played }) =>
      played.flatMap(({ outcome }) => (outcome ? [outcome, ...outcome.released] : [])),
    );
    const states = Object.entries(abi).filter(([name, state]) => name.startsWith("FLOW_STATE_") && state !== 0);
    expect(new Set(ended.map(({ state }) => state))).toEqual(new Set(states.map(([, state]) => state)));
    expect([...new Set(ended.map(({ end }) => end))].toSorted()).toEqual([
      abi.FLOW_END_TIMEOUT,
      abi.FLOW_END_CLOSED,
      abi.FLOW_END_RESET,
      abi.FLOW_END_EVICTED,
      abi.FLOW_END_REUSED,
    ]);
    expect(new Set(outcomes.map(({ reason }) => reason))).toEqual(
      new Set([undefined, "flow-table-full", "fragment-overlap", "fragment-duplicate"]),
    );
    expect(outcomes.some(({ isIcmpError }) => isIcmpError)).toBe(true);
    expect(outcomes.some(({ released }) => released.length > 0)).toBe(true);
    expect(all.some(({ played }) => played.some(({ bound }) => bound?.done))).toBe(true);
  });
});
