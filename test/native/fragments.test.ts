import { afterAll, beforeEach, describe, expect, it } from "vitest";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { type Arrival, type FragmentFate, FragmentTable, textOf } from "../support/fragment-table.ts";

const table = new FragmentTable();
beforeEach(() => table.make());
afterAll(() => table.close());

const send = (line: string, arrival?: Arrival) => table.send(line, arrival);
const sendAll = (...lines: readonly string[]) => table.sendAll(...lines);

const families = [
  {
    family: "IPv4",
    udp: "udp 10.0.0.1:5000 > 10.0.0.2:53 udp-length 1000",
    tcp: "tcp 10.0.0.1:1234 > 10.0.0.2:80 syn",
    echo: "icmp 10.0.0.1 > 10.0.0.2 echo id 77",
    later: "ip 10.0.0.1 > 10.0.0.2 proto udp",
    laterTcp: "ip 10.0.0.1 > 10.0.0.2 proto tcp",
    laterEcho: "ip 10.0.0.1 > 10.0.0.2 proto icmp",
    backwards: "ip 10.0.0.2 > 10.0.0.1 proto udp",
    icmp: 1,
  },
  {
    family: "IPv6",
    udp: "udp [2001:db8::1]:5000 > [2001:db8::2]:53 udp-length 1000",
    tcp: "tcp [2001:db8::1]:1234 > [2001:db8::2]:80 syn",
    echo: "icmp6 2001:db8::1 > 2001:db8::2 echo id 77",
    later: "ip 2001:db8::1 > 2001:db8::2 proto udp",
    laterTcp: "ip 2001:db8::1 > 2001:db8::2 proto tcp",
    laterEcho: "ip 2001:db8::1 > 2001:db8::2 proto icmp6",
    backwards: "ip 2001:db8::2 > 2001:db8::1 proto udp",
    icmp: 58,
  },
] as const;

const PASS = "pass 17 5000>53";

describe.each(families)("fragments of $family", ({ udp, tcp, echo, later, laterTcp, laterEcho, backwards, icmp }) => {
  const first = `${udp} frag id 5 more zeros 16`; // bytes 0 … 24
  const middle = `${later} frag id 5 offset 24 more zeros 16`; // 24 … 40
  const last = `${later} frag id 5 offset 40 zeros 7`; // 40 … 47

  it("have the ports of the first one", async () => {
    expect(await sendAll(first, middle, last)).toEqual([PASS, PASS, PASS]);
  });

  it("pass in any order after the first one", async () => {
    expect(await sendAll(first, last, middle)).toEqual([PASS, PASS, PASS]);
  });

  it("wait for the first one and pass behind it, in the order in which they came", async () => {
    expect(await sendAll(last, middle, first)).toEqual(["hold", "hold", `${PASS}, 1 ${PASS}, 2 ${PASS}`]);
  });

  it("pass at once when they come after the first one, though others had to wait", async () => {
    expect(await sendAll(last, first, middle)).toEqual(["hold", `${PASS}, 1 ${PASS}`, PASS]);
  });

  it("may be of TCP", async () => {
    const segment = [`${tcp} frag id 5 more zeros 12`, `${laterTcp} frag id 5 offset 32 zeros 8`];
    expect(await sendAll(...segment)).toEqual(["pass 6 1234>80", "pass 6 1234>80"]);
  });

  it("have an echo's identifier for both ports", async () => {
    const message = [`${laterEcho} frag id 5 offset 16 zeros 8`, `${echo} frag id 5 more zeros 8`];
    expect(await sendAll(...message)).toEqual(["hold", `pass ${icmp} 77>77, 1 pass ${icmp} 77>77`]);
  });

  it("have no ports where the protocol has none", async () => {
    const esp = later.replace("proto udp", "proto esp");
    const packet = [`${esp} frag id 5 more zeros 8`, `${esp} frag id 5 offset 8 zeros 8`];
    expect(await sendAll(...packet)).toEqual(["pass 50 0>0", "pass 50 0>0"]);
  });

  it("belong to another packet with another identification, direction, VLAN or zone", async () => {
    await sendAll(first);
    expect(await send(`${later} frag id 6 offset 24 zeros 8`)).toBe("hold");
    expect(await send(`${backwards} frag id 5 offset 24 zeros 8`)).toBe("hold");
    expect(await send(`vlan 9 ${middle}`)).toBe("hold");
    expect(await send(middle, { zone: 1 })).toBe("hold");
    expect(await send(middle)).toBe(PASS);
  });

  it("belong together whatever the priority of their VLAN tag and the tags behind it", async () => {
    expect(await sendAll(`vlan 9 ${first}`, `vlan 9 priority 5 vlan 4 ${middle}`)).toEqual([PASS, PASS]);
  });

  it("are dropped when they come twice, and do no harm", async () => {
    const twice = [first, first, middle, middle, last, last];
    const dropped = "drop duplicate";
    expect(await sendAll(...twice)).toEqual([PASS, dropped, PASS, dropped, PASS, dropped]);
  });

  it("are dropped when they come twice before the first one", async () => {
    expect(await sendAll(last, last, first)).toEqual(["hold", "drop duplicate", `${PASS}, 1 ${PASS}`]);
  });

  it("are part of a new packet when the last one is gone for a while", async () => {
    await sendAll(first, middle, last);
    expect(await send(middle, { atMs: 99 })).toBe("drop duplicate");
    expect(await send(middle, { atMs: 100 })).toBe("hold");
    expect(await send(first, { atMs: 100 })).toBe(`${PASS}, 5 ${PASS}`);
  });

  it("are judged as if nothing had come when the packet's time is over", async () => {
    await sendAll(first);
    expect(await send(middle, { atMs: 29_999 })).toBe(PASS);
    expect(await send(last, { atMs: 30_000 })).toBe("hold");
  });

  describe("that overlap", () => {
    const spoiled = "drop overlap";

    it.each([
      ["begin within another", `${later} frag id 5 offset 16 more zeros 16`],
      ["begin with another and are shorter", `${later} frag id 5 offset 24 more zeros 8`],
      ["begin with another and are longer", `${later} frag id 5 offset 24 more zeros 24`],
      ["end with another", `${later} frag id 5 offset 32 more zeros 8`],
      ["end within another", `${later} frag id 5 offset 16 more zeros 16`],
      ["cover another", `${later} frag id 5 offset 16 more zeros 32`],
      ["are covered by another", `${later} frag id 5 offset 8 more zeros 8`],
      ["cover the first", `${udp} frag id 5 more zeros 24`],
      ["are a shorter first", `${udp} frag id 5 more zeros 8`],
    ])("because they %s spoil their packet", async (_what, overlapping) => {
      await sendAll(first, middle);
      expect(await sendAll(overlapping, last, first, middle)).toEqual([spoiled, spoiled, spoiled, spoiled]);
    });

    it.each([
      ["a last one before the end", `${later} frag id 5 offset 8 zeros 8`],
      ["a second last one behind the end", `${later} frag id 5 offset 56 zeros 8`],
      ["one behind the end", `${later} frag id 5 offset 64 more zeros 8`],
      ["the last one again with more to come", `${later} frag id 5 offset 40 more zeros 8`],
    ])("with the packet's end spoil it: %s", async (_what, contradicting) => {
      await sendAll(first, `${later} frag id 5 offset 40 zeros 8`);
      expect(await sendAll(contradicting, middle)).toEqual([spoiled, spoiled]);
    });

    it("with the end spoil their packet: a middle one again, as the last", async () => {
      await sendAll(first, middle);
      expect(await sendAll(`${later} frag id 5 offset 24 zeros 16`, last)).toEqual([spoiled, spoiled]);
    });

    it("while they wait are all dropped, and nothing of the packet passes", async () => {
      await sendAll(last, middle);
      expect(await send(`${later} frag id 5 offset 32 more zeros 16`)).toBe(`${spoiled}, 1 ${spoiled}, 2 ${spoiled}`);
      expect(await send(first)).toBe(spoiled);
      expect(await table.next()).toEqual([]);
    });

    it("spoil their packet for as long as its time lasts", async () => {
      await sendAll(first, `${later} frag id 5 offset 16 more zeros 16`);
      expect(await send(middle, { atMs: 29_999 })).toBe(spoiled);
      expect(await send(middle, { atMs: 30_000 })).toBe("hold");
    });

    it("with a packet that passed whole are dropped, but spoil no later one", async () => {
      await sendAll(first, middle, last);
      expect(await send(`${later} frag id 5 offset 32 zeros 16`)).toBe(spoiled);
      expect(await send(first, { atMs: 100 })).toBe(PASS);
    });

    it("with nothing of another packet do not concern it", async () => {
      await sendAll(first, `${udp} frag id 6 more zeros 16`);
      expect(await sendAll(`${later} frag id 6 offset 16 more zeros 16`, middle)).toEqual([spoiled, PASS]);
    });
  });

  describe("that are tiny", () => {
    const tiny = "drop tiny";

    it("spoil a TCP packet: a first one without the whole header", async () => {
      const parts = [`${laterTcp} frag id 5 more zeros 16`, `${laterTcp} frag id 5 offset 24 zeros 8`];
      expect(await sendAll(...parts)).toEqual([tiny, tiny]);
    });

    it("spoil a TCP packet: a first one without all options", async () => {
      const header = "04d200500000000000000000800200000000000002040000"; // says 32 bytes
      expect(await send(`${laterTcp} frag id 5 more payload ${header}`)).toBe(tiny);
    });

    it("spoil a TCP packet: a later one within the header", async () => {
      expect(await sendAll(`${laterTcp} frag id 5 offset 8 zeros 40`, `${tcp} frag id 5 more zeros 4`)).toEqual([
        tiny,
        tiny,
      ]);
      expect(await send(`${laterTcp} frag id 6 offset 16 more zeros 8`)).toBe(tiny);
    });

    it("make those that wait for them drop, too", async () => {
      const parts = [`${laterTcp} frag id 5 offset 24 zeros 8`, `${laterTcp} frag id 5 more zeros 8`];
      expect(await sendAll(...parts)).toEqual(["hold", `${tiny}, 1 ${tiny}`]);
    });

    it("may be as small as they like where the ports are in the first", async () => {
      expect(await sendAll(`${udp} frag id 5 more`, `${later} frag id 5 offset 8 zeros 1`)).toEqual([PASS, PASS]);
    });

    it("spoil an SCTP packet: a first one without the whole header", async () => {
      expect(await send(`${later.replace("udp", "sctp")} frag id 5 more zeros 8`)).toBe(tiny);
    });

    it("pass with a data offset that no header can have, for the ports are there", async () => {
      const header = "04d2005000000000000000001002000000000000";
      expect(await send(`${laterTcp} frag id 5 more payload ${header}00000000`)).toBe("pass 6 1234>80");
    });

    it("may be so in the capture only", async () => {
      const whole = encodePacket(`${tcp} frag id 5 more zeros 12`);
      const cut = whole.subarray(0, whole.length - 20);
      const [answer] = await table.admit(cut, { wireLength: whole.length });
      expect(textOf(answer as FragmentFate)).toBe("pass 6 0>0");
    });
  });

  describe("that are malformed", () => {
    it("spoil their packet: a middle one of 7 bytes", async () => {
      expect(await sendAll(`${later} frag id 5 offset 24 more zeros 7`, first)).toEqual([
        "drop malformed",
        "drop malformed",
      ]);
    });

    it("spoil their packet: one of no bytes", async () => {
      expect(await sendAll(first, `${later} frag id 5 offset 24`, last)).toEqual([
        PASS,
        "drop malformed",
        "drop malformed",
      ]);
    });

    it("spoil their packet: one beyond 65535 bytes", async () => {
      const beyond = `${later} frag id 5 offset 65528 zeros 8`;
      expect(await sendAll(first, beyond, middle)).toEqual([PASS, "drop too-long", "drop too-long"]);
    });
  });

  describe("beyond a limit", () => {
    it("spoil their packet if they are too many", async () => {
      await table.make({ fragments: 3 });
      await sendAll(first, middle, `${later} frag id 5 offset 40 more zeros 8`);
      expect(await sendAll(`${later} frag id 5 offset 48 zeros 8`, middle)).toEqual(["drop too-many", "drop too-many"]);
    });

    it("spoil their packet if too many of them wait", async () => {
      await table.make({ heldPerPacket: 2 });
      await sendAll(last, middle);
      expect(await send(`${later} frag id 5 offset 48 zeros 8`)).toBe("drop overlap, 1 drop overlap, 2 drop overlap");
      await table.make({ heldPerPacket: 2 });
      const third = `${later} frag id 5 offset 32 more zeros 8`;
      await sendAll(last, `${later} frag id 5 offset 24 more zeros 8`);
      expect(await send(third)).toBe("drop too-many, 1 drop too-many, 2 drop too-many");
    });

    it("make the frames that wait longest give way", async () => {
      await table.make({ held: 2 });
      const [one, two, three] = [1, 2, 3].map((id) => `${later} frag id ${id} offset 24 zeros 8`) as [
        string,
        ...string[],
      ];
      expect(await sendAll(one, two as string, three as string)).toEqual(["hold", "hold", "hold"]);
      expect(await table.next()).toEqual([0]);
      expect(await table.expire(0)).toEqual([1]);
      expect(await table.evicted()).toEqual([1]);
      expect(await send(`${udp} frag id 2 more zeros 16`)).toBe(`${PASS}, 2 ${PASS}`);
      expect(await send(`${udp} frag id 1 more zeros 16`)).toBe(PASS);
    });

    it("are dropped if their own packet is the one that waits longest", async () => {
      await table.make({ held: 1 });
      expect(await sendAll(last, middle)).toEqual(["hold", "drop table-full"]);
      expect(await sendAll(`${later} frag id 6 offset 24 zeros 8`)).toEqual(["hold"]);
      expect(await table.expire(0)).toEqual([1]);
    });

    it("are dropped while the lane does not take back what gave way", async () => {
      await table.make({ held: 2 });
      const outcomes = await sendAll(...[1, 2, 3, 4, 5].map((id) => `${later} frag id ${id} offset 24 zeros 8`));
      expect(outcomes).toEqual(["hold", "hold", "hold", "hold", "drop table-full"]);
      expect(await table.expire(0)).toEqual([1, 2, 3]);
      expect(await send(`${later} frag id 6 offset 24 zeros 8`)).toBe("hold");
    });
  });

  describe("in a full table", () => {
    beforeEach(() => table.make({ packets: 2 }));

    it("push the oldest incomplete packet out", async () => {
      await send(`${udp} frag id 1 more zeros 16`, { atMs: 1 });
      await send(`${udp} frag id 2 more zeros 16`, { atMs: 2 });
      await send(`${udp} frag id 3 more zeros 16`, { atMs: 3 });
      expect(await table.evicted()).toEqual([1]);
      expect(await send(`${later} frag id 2 offset 24 zeros 8`, { atMs: 4 })).toBe(PASS);
      expect(await send(`${later} frag id 1 offset 24 zeros 8`, { atMs: 4 })).toBe("hold");
    });

    it("hand back the frames of the packet that goes", async () => {
      await send(`${later} frag id 1 offset 24 zeros 8`, { atMs: 1 });
      await send(`${udp} frag id 2 more zeros 16`, { atMs: 2 });
      await send(`${udp} frag id 3 more zeros 16`, { atMs: 3 });
      expect(await table.next()).toEqual([0]);
      expect(await table.expire(3)).toEqual([1]);
      expect(await table.next()).toEqual([]);
    });

    it("push out a packet that passed whole before an incomplete one", async () => {
      await send(`${udp} frag id 1 more zeros 16`, { atMs: 1 });
      await send(`${udp} frag id 2 more zeros 16`, { atMs: 2 });
      await send(`${later} frag id 2 offset 24 zeros 8`, { atMs: 3 });
      await send(`${udp} frag id 3 more zeros 16`, { atMs: 4 });
      expect(await table.evicted()).toEqual([0]);
      expect(await send(`${later} frag id 1 offset 24 zeros 8`, { atMs: 5 })).toBe(PASS);
    });

    it("do not count packets as pushed out whose time is over", async () => {
      await send(`${udp} frag id 1 more zeros 16`);
      await send(`${udp} frag id 2 more zeros 16`);
      await send(`${udp} frag id 3 more zeros 16`, { atMs: 30_000 });
      expect(await table.evicted()).toEqual([0]);
    });
  });

  describe("whose first one never comes", () => {
    it("are handed back when their time is over", async () => {
      await send(last, { atMs: 10 });
      await send(middle, { atMs: 20 });
      expect(await table.next()).toEqual([30_010]);
      expect(await table.expire(30_009)).toEqual([]);
      expect(await table.expire(30_010)).toEqual([1, 2]);
      expect(await table.next()).toEqual([]);
    });

    it("are handed back in parts if the caller has little room, the oldest first", async () => {
      await send(last, { atMs: 10 });
      await send(middle, { atMs: 20 });
      await send(`${later} frag id 6 offset 24 zeros 8`, { atMs: 30 });
      expect(await table.expire(40_000, 1)).toEqual([1]);
      expect(await table.next()).toEqual([0]);
      expect(await table.expire(40_000, 1)).toEqual([2]);
      expect(await table.next()).toEqual([30_030]);
      expect(await table.expire(40_000, 5)).toEqual([3]);
    });

    it("are handed back when a late fragment of their packet comes before anyone looked", async () => {
      await send(last);
      expect(await send(first, { atMs: 30_000 })).toBe(PASS);
      expect(await table.expire(30_000)).toEqual([1]);
    });
  });
});

describe("fragments of IPv4 only", () => {
  it("belong to another packet with another protocol", async () => {
    const udp = "udp 10.0.0.1:5000 > 10.0.0.2:53 udp-length 1000 frag id 5 more zeros 16";
    expect(await sendAll(udp, "ip 10.0.0.1 > 10.0.0.2 proto tcp frag id 5 offset 24 zeros 8")).toEqual([PASS, "hold"]);
  });

  it("count the first one's options for the whole length", async () => {
    const options = "01".repeat(40);
    const lines = [
      `udp 10.0.0.1:5000 > 10.0.0.2:53 udp-length 1000 options ${options} frag id 5 more zeros 16`,
      "ip 10.0.0.1 > 10.0.0.2 proto udp frag id 5 offset 65480 more zeros 8",
      "ip 10.0.0.1 > 10.0.0.2 proto udp frag id 5 offset 65472 more zeros 8",
    ];
    expect(await sendAll(...lines)).toEqual([PASS, "drop too-long", "drop too-long"]);
    await table.make();
    expect(await sendAll(...lines.slice(0, 1), lines[2] as string)).toEqual([PASS, "drop too-long"]);
  });

  it("are refused if it is the first one, come late, that makes the whole too long", async () => {
    const [options, late] = ["01".repeat(40), "ip 10.0.0.1 > 10.0.0.2 proto udp frag id 5 offset 65480 zeros 8"];
    const first = `udp 10.0.0.1:5000 > 10.0.0.2:53 udp-length 1000 options ${options} frag id 5 more zeros 16`;
    expect(await sendAll(late, first)).toEqual(["hold", "drop too-long, 1 drop too-long"]);
  });

  it("are not known if their header is not sound", async () => {
    const frame = encodePacket("ip 10.0.0.1 > 10.0.0.2 proto udp frag id 5 offset 24 zeros 8");
    frame[14] = 0x44;
    const [answer] = await table.admit(frame);
    expect(textOf(answer as FragmentFate)).toBe("drop malformed");
  });
});

describe("fragments of IPv6 only", () => {
  const ends = "[2001:db8::1]:5000 > [2001:db8::2]:53";

  it("have the protocol behind all extension headers of the first one", async () => {
    const lines = [
      "ip 2001:db8::1 > 2001:db8::2 proto 60 ext hop-by-hop frag id 5 offset 32 zeros 8",
      `udp ${ends} udp-length 1000 ext hop-by-hop frag id 5 more ext destination zeros 16`,
    ];
    expect(await sendAll(...lines)).toEqual(["hold", `${PASS}, 1 ${PASS}`]);
  });

  it("have 32 bits of identification", async () => {
    const lines = [
      `udp ${ends} udp-length 1000 frag id 0x10005 more zeros 16`,
      "ip 2001:db8::1 > 2001:db8::2 proto udp frag id 0x20005 offset 24 zeros 8",
      "ip 2001:db8::1 > 2001:db8::2 proto udp frag id 0x10005 offset 24 zeros 8",
    ];
    expect(await sendAll(...lines)).toEqual([PASS, "hold", PASS]);
  });

  it("are not the atomic ones: those pass by themselves, whatever their identification", async () => {
    const atomic = `udp ${ends} frag id 5 zeros 16`;
    expect(await sendAll(atomic, atomic, "ip 2001:db8::1 > 2001:db8::2 proto udp frag id 5 offset 24 zeros 8")).toEqual(
      [PASS, PASS, "hold"],
    );
  });

  it("spoil their packet if the first one ends within its extension headers", async () => {
    const first = "ip 2001:db8::1 > 2001:db8::2 proto 60 frag id 5 more payload 11020000000000000000000000000000";
    expect(await sendAll(first)).toEqual(["drop tiny"]);
  });

  it("spoil their packet if the first one is a fragment in a fragment", async () => {
    expect(await send(`udp ${ends} frag id 5 more frag id 6 more zeros 8`)).toBe("drop malformed");
  });
});

describe("fragments whose first one went to another lane", () => {
  const waiting = (id: number) => encodePacket(`ip 10.0.0.1 > 10.0.0.2 proto udp frag id ${id} offset 24 zeros 16`);
  const first = (id: number) =>
    encodePacket(`udp 10.0.0.1:5000 > 10.0.0.2:53 udp-length 1000 frag id ${id} more zeros 16`);
  const FRAMES = Array.from({ length: 100 }, (_, index) => index + 1);

  const holdAll = async (lanes: (id: number) => number) => {
    await table.make({ packets: 256, held: 256 });
    for (const id of FRAMES) {
      await table.admit(waiting(id));
      await table.noteElsewhere(waiting(id), lanes(id));
    }
    await table.look();
    const known: number[] = [];
    for (const id of FRAMES) if (await table.isKnown(waiting(id))) known.push(id);
    expect(known.length).toBeGreaterThan(80);
    return known;
  };

  /** Of each turn until all have been looked at. */
  const leaveAll = async (between: (turn: number) => Promise<unknown> = async () => {}) => {
    const turns: number[][] = [];
    while (await table.looks()) {
      turns.push(await table.leave());
      await between(turns.length);
    }
    return turns;
  };

  it("are released a few at a time, all of them once", async () => {
    const known = await holdAll(() => 1);
    const turns = await leaveAll();
    expect(turns.flat()).toEqual(known);
    expect(Math.max(...turns.map(({ length }) => length))).toBeLessThanOrEqual(32);
  });

  it("stay where the lane is this one", async () => {
    const known = await holdAll((id) => id % 2);
    expect((await leaveAll()).flat()).toEqual(known.filter((id) => id % 2 === 1));
  });

  it("are released though others end meanwhile, and none that has ended", async () => {
    const known = await holdAll(() => 1);
    // The next one to be looked at, and the last one.
    const turns = await leaveAll(async (turn) => {
      if (turn > 1) return;
      const next = (await table.admit(first(33))).map(({ number }) => number);
      const last = (await table.admit(first(100))).map(({ number }) => number);
      expect([next, last]).toEqual([
        [101, 33],
        [102, 100],
      ]);
    });
    expect(turns.flat()).toEqual(known.filter((id) => id !== 33 && id !== 100));
  });
});
