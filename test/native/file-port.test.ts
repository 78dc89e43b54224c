// File ports on a lane without functions: what a capture holds comes in, what is transmitted is a capture again.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { LINK_ETHERNET, LINK_NULL, LINK_RAW, LINK_SLL, RECORD_LINK } from "../../nfs/sdk/abi.ts";
import { planFlows } from "../../runtime/chain/flows.ts";
import { planCommon } from "../../runtime/chain/planner.ts";
import { turn } from "../../runtime/dataplane/breathe.ts";
import type { Lane } from "../../runtime/dataplane/lane.ts";
import { SHARED_RECORDS_OFFSET } from "../../runtime/dataplane/layout.ts";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import type { FilePort, FilePortOptions } from "../../runtime/dataplane/native.ts";
import { openLane } from "../../runtime/dataplane/open-lane.ts";
import { type Outcome, readOutcomes } from "../../runtime/dataplane/outcomes.ts";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import {
  type CapturedPacket,
  type CaptureInterface,
  decodePcap,
  encodePcap,
  encodePcapng,
} from "../support/capture.ts";
import { listFaults } from "../support/collect-faults.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const native = loadAddon();
const frame = encodePacket("udp 10.0.0.1:5000 > 10.0.0.2:53");
const SECOND = 1_000_000_000n;
const noon = 1_763_700_000n * SECOND;
const wire = (file: string): Partial<FilePortOptions> => ({ inputs: [file] });

/** in ──▶ out, one frame per turn. */
function openWire(input: Partial<FilePortOptions>, output: Partial<FilePortOptions>, slotBytes = 4096): Lane {
  const ports = ["in", "out"].map((name) => ({
    name,
    driver: "pcap" as const,
    device: "",
    queues: [0],
    forwarding: "bridge" as const,
    kernel: [],
    answersFor: [],
    zone: 0,
  }));
  const options = [input, output];
  return openLane({
    native,
    plan: {
      chain: "wire",
      description: "",
      ports,
      functions: [],
      hops: [],
      paths: [{ from: 0, match: null, first: { kind: "port", port: 1 } }],
      ...planCommon([], () => {}),
      zones: [""],
      flows: planFlows(),
      whenDown: "pass",
    },
    packages: [],
    slots: 8,
    slotBytes,
    batchLimit: 1,
    keepOutcomes: true,
    virtualClock: true,
    openPort: (lane, _, index) =>
      lane.openFilePort({ inputs: [], outputLinkType: 1, outputNanoseconds: true, ...options[index] }),
  });
}

interface Copied {
  readonly packets: readonly Required<CapturedPacket>[];
  readonly linkType: number;
  readonly outcomes: readonly Outcome[];
  readonly damage: readonly string[];
  readonly oversize: number;
  readonly links: readonly number[];
}

/** What comes out of a wire when these files come in. */
function copy(files: readonly Buffer[], output: Partial<FilePortOptions> = {}, slotBytes?: number): Copied {
  const folder = makeFolder();
  const inputs = files.map((bytes, index) => {
    const file = join(folder, `in-${index}`);
    writeFileSync(file, bytes);
    return file;
  });
  const out = join(folder, "out.pcap");
  const lane = openWire({ inputs }, { output: out, ...output }, slotBytes);
  const outcomes: Outcome[] = [];
  const links: number[] = [];
  const records = new DataView(lane.memory.shared.buffer, SHARED_RECORDS_OFFSET);
  while (turn(lane)) {
    outcomes.push(...readOutcomes(lane));
    links.push(records.getUint8(RECORD_LINK));
  }
  expect(lane.audit()).toMatchObject({ intact: true, free: 8 });
  const port = lane.ports[0] as FilePort;
  const { damage, oversize } = port;
  lane.close();
  expect((lane.ports[1] as FilePort).writeError).toBeNull();
  const { packets, linkType } = decodePcap(readFileSync(out));
  return { packets, linkType, outcomes, links, oversize, damage: damage.map(({ what }) => what) };
}

const times = (copied: Copied) => copied.packets.map(({ timeNs }) => timeNs);
const texts = (copied: Copied) => copied.packets.map(({ bytes }) => Buffer.from(bytes).toString("hex"));

describe("a capture that is read", () => {
  const packets: CapturedPacket[] = [
    { bytes: frame, timeNs: noon + 123_456_789n },
    { bytes: frame.subarray(0, 40), timeNs: noon + SECOND, wireLength: 1500 },
  ];
  const whole = packets.map((packet) => ({ wireLength: packet.bytes.length, ...packet }));
  const rounded = whole.map((packet) => ({ ...packet, timeNs: packet.timeNs - (packet.timeNs % 1000n) }));
  const nanosecondsOn = [{ linkType: 1, resolution: 9 }];

  it.each([
    ["pcap, microseconds, little-endian", encodePcap(packets), rounded],
    ["pcap, microseconds, big-endian", encodePcap(packets, { bigEndian: true }), rounded],
    ["pcap, nanoseconds, little-endian", encodePcap(packets, { nanoseconds: true }), whole],
    ["pcap, nanoseconds, big-endian", encodePcap(packets, { nanoseconds: true, bigEndian: true }), whole],
    ["pcapng, microseconds, little-endian", encodePcapng(packets), rounded],
    ["pcapng, nanoseconds, little-endian", encodePcapng(packets, nanosecondsOn), whole],
    ["pcapng, nanoseconds, big-endian", encodePcapng(packets, nanosecondsOn, true), whole],
  ])("arrives with its bytes, times and lengths: %s", (_, file, expected) => {
    const copied = copy([file]);
    expect(copied.packets).toEqual(expected.map((packet) => ({ ...packet, bytes: new Uint8Array(packet.bytes) })));
    expect(copied.damage).toEqual([]);
  });

  it("is written in microseconds when the output has them", () => {
    const copied = copy([encodePcap(packets, { nanoseconds: true })], { outputNanoseconds: false });
    expect(times(copied)).toEqual(rounded.map(({ timeNs }) => timeNs));
  });

  it("may hold nothing", () => {
    expect(copy([encodePcap([])]).packets).toEqual([]);
  });

  it("may hold packets of which nothing was captured", () => {
    const copied = copy([encodePcap([{ bytes: new Uint8Array(), timeNs: noon, wireLength: 60 }])]);
    expect(copied.packets).toEqual([{ bytes: new Uint8Array(), timeNs: noon, wireLength: 60 }]);
    expect(copied.outcomes.map(({ kind }) => kind)).toEqual(["forward"]);
  });

  it("may declare a snapshot length of 0, which means none", () => {
    expect(copy([encodePcap(packets, { snapLength: 0 })]).packets).toHaveLength(2);
  });

  it("never has fewer bytes on the wire than it holds", () => {
    const copied = copy([encodePcap([{ bytes: frame, timeNs: noon, wireLength: 10 }])]);
    expect(copied.packets[0]?.wireLength).toBe(frame.length);
  });

  it("keeps times that go back, that are zero and that lie beyond 2038", () => {
    const odd = [noon, noon - 5n * SECOND, 0n, 2n ** 31n * SECOND, (2n ** 32n - 1n) * SECOND, noon];
    const file = encodePcap(
      odd.map((timeNs) => ({ bytes: frame, timeNs })),
      { nanoseconds: true },
    );
    expect(times(copy([file]))).toEqual(odd);
  });

  it("counts a fraction beyond one second on into the next", () => {
    const file = encodePcap([{ bytes: frame, timeNs: noon }]);
    file.writeUInt32LE(0xffffffff, 24 + 4);
    expect(times(copy([file]))).toEqual([noon + 0xffffffffn * 1000n]);
  });
});

describe("several captures on one port", () => {
  it("are merged by time, the first named first where times are equal", () => {
    const packet = (id: number, second: bigint) => ({
      bytes: Uint8Array.of(...frame, id),
      timeNs: noon + second * SECOND,
    });
    const first = encodePcap([packet(1, 1n), packet(2, 4n)]);
    const second = encodePcapng([packet(3, 1n), packet(4, 2n), packet(5, 9n)]);
    expect(copy([first, second]).packets.map(({ bytes }) => bytes.at(-1))).toEqual([1, 3, 4, 2, 5]);
  });
});

describe("a link type", () => {
  const ipv4 = frame.subarray(14);
  const ipv6 = encodePacket("udp [2001:db8::1]:1 > [2001:db8::2]:2").subarray(14);
  const sll = Uint8Array.of(0, 0, 0, 1, 0, 6, 2, 0, 0, 0, 0, 1, 0, 0, 0x08, 0x00, ...ipv4);
  const synthetic = (etherType: number, bytes: Uint8Array) =>
    Buffer.from([...new Uint8Array(12), etherType >> 8, etherType & 0xff, ...bytes]).toString("hex");

  it.each([
    [1, frame, LINK_ETHERNET, Buffer.from(frame).toString("hex")],
    [0, Uint8Array.of(2, 0, 0, 0, ...ipv4), LINK_NULL, synthetic(0x0800, ipv4)],
    [0, Uint8Array.of(0, 0, 0, 30, ...ipv6), LINK_NULL, synthetic(0x86dd, ipv6)],
    [108, Uint8Array.of(0, 0, 0, 2, ...ipv4), LINK_NULL, synthetic(0x0800, ipv4)],
    [12, ipv4, LINK_RAW, synthetic(0x0800, ipv4)],
    [101, ipv6, LINK_RAW, synthetic(0x86dd, ipv6)],
    [228, ipv4, LINK_RAW, synthetic(0x0800, ipv4)],
    [229, ipv6, LINK_RAW, synthetic(0x86dd, ipv6)],
    [113, sll, LINK_SLL, synthetic(0x0800, ipv4)],
    [113, sll.subarray(0, 9), LINK_SLL, synthetic(0xffff, sll.subarray(0, 9))],
    [0, Uint8Array.of(2, 0), LINK_NULL, synthetic(0xffff, Uint8Array.of(2, 0))],
    [101, new Uint8Array(), LINK_RAW, synthetic(0xffff, new Uint8Array())],
  ])("%i is known to the parser, and becomes Ethernet in an Ethernet output", (linkType, bytes, link, expected) => {
    const file = encodePcap([{ bytes, timeNs: noon }], { linkType });
    const copied = copy([file]);
    expect(copied.links).toEqual([link]);
    expect(texts(copied)).toEqual([expected]);
    expect(copied.packets[0]?.wireLength).toBe(expected.length / 2);
    const kept = copy([file], { outputLinkType: linkType });
    expect(kept.linkType).toBe(linkType === 12 ? 101 : linkType);
    expect(kept.packets[0]?.bytes).toEqual(new Uint8Array(bytes));
  });

  it("is that of the frames unless the output is Ethernet; others are left out and reported", () => {
    const folder = makeFolder();
    const input = join(folder, "in.pcap");
    writeFileSync(input, encodePcap([{ bytes: frame, timeNs: noon }]));
    const lane = openWire(wire(input), { output: join(folder, "out.pcap"), outputLinkType: 113 });
    while (turn(lane));
    lane.close();
    expect((lane.ports[1] as FilePort).writeError).toMatch("1 frames of another link type");
  });

  it("that is not supported is named, with its number in the file", () => {
    const folder = makeFolder();
    const cases: [number, string][] = [
      [127, "127 (IEEE802_11_RADIO)"],
      [100, "100 (ATM_RFC1483)"],
      [113 | 0x10000, "65649"],
    ];
    for (const [linkType, said] of cases) {
      const file = join(folder, "other.pcap");
      writeFileSync(file, encodePcap([], { linkType }));
      const refusal = `capture-link-type ${file} link type ${said}`;
      expect(listFaults(() => native.inspectCapture(file))[0]).toMatch(refusal);
      expect(listFaults(() => openWire(wire(file), {}))[0]).toMatch(refusal);
    }
  });

  it("has the length of the frame check sequence above it, which does not count", () => {
    const file = encodePcap([{ bytes: frame, timeNs: noon }], { linkType: 0x30000001 });
    expect(copy([file]).packets).toHaveLength(1);
  });
});

describe("a damaged capture", () => {
  const packet = { bytes: frame, timeNs: noon };

  it("is read up to the packet that is cut short", () => {
    const file = encodePcap([packet, packet, packet]);
    for (const cut of [1, 10, frame.length, frame.length + 1, frame.length + 15]) {
      const copied = copy([file.subarray(0, file.length - cut)]);
      expect(copied.packets).toHaveLength(2);
      expect(copied.damage).toEqual([expect.stringMatching(/^truncated dump file/)]);
    }
  });

  it("is read up to the block that is cut short", () => {
    const file = encodePcapng([packet, packet]);
    const copied = copy([file.subarray(0, file.length - 5)]);
    expect(copied.packets).toHaveLength(1);
    expect(copied.damage).toHaveLength(1);
  });

  it("is read up to the packet whose length cannot be", () => {
    const file = encodePcap([packet, packet]);
    file.writeUInt32LE(0x7fffffff, 24 + 16 + frame.length + 8);
    const copied = copy([file]);
    expect(copied.packets).toHaveLength(1);
    expect(copied.damage).toEqual([expect.stringMatching(/^invalid packet capture length/)]);
  });

  it("does not end the others on the port", () => {
    const file = encodePcap([packet, packet]);
    const copied = copy([file.subarray(0, file.length - 1), file]);
    expect(copied.packets).toHaveLength(3);
    expect(copied.damage).toHaveLength(1);
  });

  it("is one whose interfaces have different link types or snapshot lengths", () => {
    const read = (other: CaptureInterface) =>
      copy([encodePcapng([packet, { ...packet, on: 1 }], [{ linkType: 1 }, other])]);
    const kinds: [CaptureInterface, RegExp][] = [
      [{ linkType: 113 }, /an interface has a type 113 different from/],
      [{ linkType: 1, snapLength: 96 }, /an interface has a snapshot length 96 different from/],
    ];
    for (const [other, damage] of kinds) {
      expect(read(other)).toMatchObject({ packets: [], damage: [expect.stringMatching(damage)] });
    }
    expect(read({ linkType: 1 })).toMatchObject({ packets: { length: 2 }, damage: [] });
  });
});

describe("a frame longer than a slot", () => {
  it("is received as far as the slot goes, dropped and counted", () => {
    const long = { bytes: new Uint8Array(5000).fill(0xa5), timeNs: noon };
    const copied = copy([encodePcap([{ bytes: frame, timeNs: noon }, long, { bytes: frame, timeNs: noon }])]);
    expect(copied.packets).toHaveLength(2);
    expect(copied.oversize).toBe(1);
    expect(copied.outcomes.map(({ kind, reason }) => [kind, reason])).toEqual([
      ["forward", ""],
      ["drop", "oversize"],
      ["forward", ""],
    ]);
  });

  it("is one that leaves no headroom", () => {
    const slotBytes = 4096;
    const of = (length: number) => copy([encodePcap([{ bytes: new Uint8Array(length), timeNs: noon }])], {}, slotBytes);
    expect(of(slotBytes - 256).oversize).toBe(0);
    expect(of(slotBytes - 255).oversize).toBe(1);
  });
});

describe("a file that is no capture", () => {
  const folder = () =>
    makeFolder({ "text.pcap": "hello, world, this is text", "empty.pcap": "", "short.pcap": "\xd4" });

  it("is refused with what it is", () => {
    const at = folder();
    const header = encodePcap([]);
    writeFileSync(join(at, "header.pcap"), header.subarray(0, 20));
    header.writeUInt16LE(9, 4);
    writeFileSync(join(at, "version.pcap"), header);
    const refusals = (name: string) => listFaults(() => native.inspectCapture(join(at, name)));
    expect(refusals("text.pcap")).toEqual([`capture-format ${at}/text.pcap is neither a pcap nor a pcapng file`]);
    expect(refusals("empty.pcap")).toEqual([`capture-format ${at}/empty.pcap the file is empty`]);
    expect(refusals("short.pcap")).toEqual([`capture-format ${at}/short.pcap is neither a pcap nor a pcapng file`]);
    expect(refusals("header.pcap")[0]).toMatch(/^capture-format .* truncated dump file/);
    expect(refusals("version.pcap")[0]).toMatch(/^capture-format .* unsupported pcap savefile version/);
    expect(refusals("missing.pcap")).toEqual([`file-unreadable ${at}/missing.pcap No such file or directory`]);
    expect(refusals(".")[0]).toMatch(/^file-unreadable .* is a folder/);
    expect(listFaults(() => native.inspectCapture("/dev/null"))[0]).toMatch(/is not a regular file$/);
  });

  it("is refused when the port is opened, as is an output in a folder that is not there", () => {
    const at = folder();
    expect(listFaults(() => openWire(wire(join(at, "text.pcap")), {}))).toHaveLength(1);
    expect(listFaults(() => openWire({}, { output: join(at, "none/out.pcap") }))).toEqual([
      `file-unwritable ${at}/none/out.pcap No such file or directory`,
    ]);
  });

  it("cannot be named with something else than text", () => {
    expect(() => native.inspectCapture(7 as unknown as string)).toThrow(TypeError);
    expect(() => openWire({ inputs: [7 as unknown as string] }, {})).toThrow(/inputs is not a list of strings/);
    expect(() => openWire({ outputLinkType: "1" as unknown as number }, {})).toThrow(/outputLinkType is a number/);
  });
});

describe("a port's description", () => {
  it("is valid after the lane is closed", () => {
    const lane = openWire({}, {});
    lane.close();
    expect(lane.ports).toMatchObject([
      { index: 0, oversize: 0, damage: [], writeError: null },
      { index: 1, oversize: 0, damage: [], writeError: null },
    ]);
  });
});

describe("an output that ports share", () => {
  /** Two wires into one file; returns them with the frames that each is to copy. */
  function openTwo(output: string): Lane[] {
    const folder = makeFolder();
    const lanes: Lane[] = [];
    for (const [index, times] of [
      [noon, noon + 2n],
      [noon + 1n, noon + 3n],
    ].entries()) {
      const input = join(folder, `in-${index}`);
      writeFileSync(
        input,
        encodePcap(
          times.map((timeNs) => ({ bytes: frame, timeNs })),
          { nanoseconds: true },
        ),
      );
      const first = lanes[0]?.ports[1] as FilePort | undefined;
      lanes.push(openWire(wire(input), first === undefined ? { output } : { sharedOutput: first.output }));
    }
    return lanes;
  }
  const errorsOf = (lanes: readonly Lane[]) => lanes.map(({ ports }) => (ports[1] as FilePort).writeError);

  it("has the frames of all in the order in which they were transmitted, whichever is closed first", () => {
    for (const first of [0, 1]) {
      const out = join(makeFolder(), "out.pcap");
      const lanes = openTwo(out);
      for (let round = 0; round < 3; round++) for (const lane of lanes) turn(lane);
      for (const index of [first, 1 - first]) lanes[index]?.close();
      expect(errorsOf(lanes)).toEqual([null, null]);
      expect(decodePcap(readFileSync(out)).packets.map(({ timeNs }) => timeNs - noon)).toEqual([0n, 1n, 2n, 3n]);
    }
  });

  it("goes on when the port that opened it is closed", () => {
    const out = join(makeFolder(), "out.pcap");
    const [opener, other] = openTwo(out) as [Lane, Lane];
    turn(opener);
    opener.close();
    while (turn(other));
    other.close();
    expect(decodePcap(readFileSync(out)).packets.map(({ timeNs }) => timeNs - noon)).toEqual([0n, 1n, 3n]);
  });

  it("that cannot be written is reported by the last port that is closed", () => {
    const lanes = openTwo(full);
    for (const lane of lanes) while (turn(lane));
    for (const lane of lanes) lane.close();
    expect(errorsOf(lanes)).toEqual([null, "No space left on device"]);
  });
});

const full = "/dev/full";
describe("an output that cannot be written", () => {
  it("is reported when the port is closed", () => {
    const folder = makeFolder();
    const input = join(folder, "in.pcap");
    writeFileSync(input, encodePcap([{ bytes: frame, timeNs: noon }]));
    const lane = openWire(wire(input), { output: full });
    while (turn(lane));
    lane.close();
    expect((lane.ports[1] as FilePort).writeError).toBe("No space left on device");
  });
});

const captures = resolve(import.meta.dirname, "../../../shared/conformance/captures");
const obstacle = listCaptures().length === 0 ? `needs ${captures}` : null;

function listCaptures(): string[] {
  try {
    return readdirSync(captures).filter((name) => /\.pcap(ng)?$/.test(name));
  } catch {
    return [];
  }
}

describe(`other people's captures${obstacle === null ? "" : ` (skipped: ${obstacle})`}`, () => {
  it.skipIf(obstacle !== null)("are read to their end, or refused for their link type", () => {
    for (const name of listCaptures()) {
      const faults = listFaults(() => {
        const lane = openWire(wire(join(captures, name)), {}, 131072);
        while (turn(lane));
        expect([name, (lane.ports[0] as FilePort).damage, lane.audit().intact]).toEqual([name, [], true]);
        lane.close();
      });
      if (faults.length > 0) expect(faults).toEqual([expect.stringMatching(/^capture-link-type /)]);
    }
  });
});
