// Which lane a frame belongs to, as every lane of a replay decides for itself.
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { cutIntoFragments } from "../support/fragment-cuts.ts";
import { LineHarness } from "../support/line-harness.ts";
import { packetLine } from "../support/packet-arbitraries.ts";

const LANES = 16;
const harness = new LineHarness("lane_choice_harness");
afterAll(() => harness.close());

const lanesOf = async (frames: readonly Uint8Array[], lanes = LANES) =>
  (await harness.askAll(frames.map((frame) => `${lanes} ${frame.toHex()}`))) as number[];
const lanesOfLines = (lines: readonly string[]) => lanesOf(lines.map(encodePacket));
const hosts = Array.from({ length: 200 }, (_, index) => index);

const families = [
  {
    family: "IPv4",
    address: (host: number) => `10.0.${host >> 8}.${host & 255}`,
    endpoint: (host: number, port: number) => `10.0.${host >> 8}.${host & 255}:${port}`,
    server: "192.0.2.1",
    serverEndpoint: (port: number) => `192.0.2.1:${port}`,
    icmp: "icmp",
    errors: ["unreachable", "time-exceeded", "redirect"],
    router: "172.16.0.1",
    ipBytes: 20,
  },
  {
    family: "IPv6",
    address: (host: number) => `2001:db8::${host.toString(16)}`,
    endpoint: (host: number, port: number) => `[2001:db8::${host.toString(16)}]:${port}`,
    server: "2001:db8:1::1",
    serverEndpoint: (port: number) => `[2001:db8:1::1]:${port}`,
    icmp: "icmp6",
    errors: ["unreachable", "time-exceeded", "too-big mtu 1280"],
    router: "2001:db8:2::1",
    ipBytes: 40,
  },
] as const;

describe.each(families)("the lane of a frame of $family", (of) => {
  it("is the same for both directions, all ports, protocols and VLANs of a pair of addresses", async () => {
    for (const host of hosts.slice(0, 20)) {
      const [there, back] = [
        `${of.endpoint(host, 1024 + host)} > ${of.serverEndpoint(80)}`,
        `${of.serverEndpoint(80)} > ${of.endpoint(host, 1024 + host)}`,
      ];
      const lanes = await lanesOfLines([
        `tcp ${there} syn`,
        `tcp ${back} syn ack`,
        `udp ${there}`,
        `udp ${of.serverEndpoint(9)} > ${of.endpoint(host, 7)}`,
        `vlan 7 sctp ${there}`,
        `${of.icmp} ${of.address(host)} > ${of.server} echo id ${host}`,
        `${of.icmp} ${of.server} > ${of.address(host)} echo-reply id ${host}`,
        `ip ${of.address(host)} > ${of.server} proto 99`,
      ]);
      expect(new Set(lanes).size).toBe(1);
    }
  });

  it("spreads pairs of addresses evenly", async () => {
    const lanes = await lanesOfLines(hosts.map((host) => `udp ${of.endpoint(host, 5000)} > ${of.serverEndpoint(53)}`));
    const counts = Array.from({ length: LANES }, (_, lane) => lanes.filter((each) => each === lane).length);
    expect(Math.min(...counts)).toBeGreaterThan(0);
    expect(Math.max(...counts)).toBeLessThan((3 * hosts.length) / LANES);
  });

  it("is the same for a packet and all fragments of it", async () => {
    for (const host of hosts.slice(0, 20)) {
      const whole = encodePacket(`udp ${of.endpoint(host, 5000)} > ${of.serverEndpoint(53)} zeros 300`);
      const lanes = await lanesOf([whole, ...cutIntoFragments(whole, [4, 9, 20], host)]);
      expect(new Set(lanes).size).toBe(1);
    }
  });

  it("is, for an ICMP error, that of the packet that it quotes, whoever sends it", async () => {
    for (const host of hosts.slice(0, 20)) {
      const packet = `udp ${of.endpoint(host, 5000)} > ${of.serverEndpoint(53)}`;
      const errors = of.errors.map(
        (type) => `${of.icmp} ${of.router} > ${of.address(host)} ${type} payload (${packet})`,
      );
      const lanes = await lanesOfLines([packet, ...errors]);
      expect(new Set(lanes).size).toBe(1);
    }
  });

  it("is, for an ICMP error that quotes too little, that of its own addresses", async () => {
    const ends = `${of.router} > ${of.address(1)}`;
    const short = encodePacket(`udp ${of.endpoint(1, 5000)} > ${of.serverEndpoint(53)}`).slice(14, 14 + of.ipBytes + 2);
    for (const type of of.errors) {
      const [error, own] = await lanesOfLines([
        `${of.icmp} ${ends} ${type} payload ${short.toHex()}`,
        `ip ${ends} proto 99`,
      ]);
      expect(error).toBe(own);
    }
  });

  it("is, for an ICMP error in fragments, that of its own addresses for all of them", async () => {
    for (const host of hosts.slice(0, 20)) {
      const quote = `(udp ${of.endpoint(host, 5000)} > ${of.serverEndpoint(53)} zeros 200)`;
      const error = encodePacket(`${of.icmp} ${of.router} > ${of.address(host)} ${of.errors[0]} payload ${quote}`);
      const [own] = await lanesOfLines([`ip ${of.router} > ${of.address(host)} proto 99`]);
      expect(new Set(await lanesOf(cutIntoFragments(error, [10, 20], host)))).toEqual(new Set([own]));
    }
  });
});

describe("the lane of any frame", () => {
  it("is the first if it has no IP header", async () => {
    const lines = ["arp who-has 10.0.0.2 tell 10.0.0.1", "type 0x88cc payload 0102", "raw 00"];
    expect(await lanesOfLines(lines)).toEqual([0, 0, 0]);
  });

  it("is one of those that there are, whatever the frame holds", async () => {
    const cut = fc.tuple(packetLine, fc.nat(), fc.nat(), fc.nat({ max: 255 })).map(([line, length, at, value]) => {
      const frame = encodePacket(line);
      frame[at % frame.length] = value;
      return frame.slice(0, 1 + (length % frame.length));
    });
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(packetLine.map(encodePacket), cut),
        fc.integer({ min: 1, max: 16 }),
        async (frame, lanes) => {
          const [lane] = await lanesOf([frame], lanes);
          expect(lane).toBeGreaterThanOrEqual(0);
          expect(lane).toBeLessThan(lanes);
        },
      ),
      { numRuns: 2000 },
    );
  });
});

describe("the lane of a frame, where flows are spread by hosts", () => {
  const rules = new LineHarness("lane_choice_harness");
  afterAll(() => rules.close());
  const POOL = "203.0.113.1";
  const RULE = "rule 6 0a000000/8 cb007101/32";
  const lanesBy = async (frames: readonly Uint8Array[], bits = 6) =>
    (
      (await rules.askAll([
        `rule ${bits} 0a000000/8 cb007101/32`,
        ...frames.map((frame) => `${LANES} ${frame.toHex()}`),
      ])) as number[]
    ).slice(1);
  const lanesOfLinesBy = (lines: readonly string[], bits?: number) => lanesBy(lines.map(encodePacket), bits);

  it("is the host's, whatever it has with whomever", async () => {
    for (const host of hosts.slice(0, 20)) {
      const lanes = await lanesOfLinesBy([
        ...hosts.slice(0, 20).map((peer) => `udp 10.0.0.${host}:5000 > 192.0.2.${peer}:53`),
        `tcp 198.51.100.7:80 > 10.0.0.${host}:99 syn`,
        `udp 10.0.0.${host}:7 > ${POOL}:6400`,
        `icmp 172.16.0.1 > 10.0.0.${host} unreachable code 1 payload (udp 10.0.0.${host}:9 > 192.0.2.9:9)`,
      ]);
      expect(new Set(lanes).size).toBe(1);
    }
  });

  it("spreads hosts evenly", async () => {
    const lanes = await lanesOfLinesBy(hosts.map((host) => `udp 10.0.0.${host}:5000 > 192.0.2.1:53`));
    const counts = Array.from({ length: LANES }, (_, lane) => lanes.filter((each) => each === lane).length);
    expect(Math.min(...counts)).toBeGreaterThan(0);
    expect(Math.max(...counts)).toBeLessThan((3 * hosts.length) / LANES);
  });

  it.each([6, 9, 12])("is the port's at a shared address, 2^%i ports in turn", async (bits) => {
    const ports = [0, 1, 63, 64, 511, 512, 1024, 4095, 4096, 40000, 65535];
    const expected = ports.map((port) => Math.floor(port / 2 ** bits) % LANES);
    expect(
      await lanesOfLinesBy(
        ports.map((port) => `udp 192.0.2.7:9 > ${POOL}:${port}`),
        bits,
      ),
    ).toEqual(expected);
    expect(
      await lanesOfLinesBy(
        ports.map((port) => `tcp ${POOL}:${port} > 192.0.2.7:9 syn`),
        bits,
      ),
    ).toEqual(expected);
    const echoes = ports.map((port) => `icmp 192.0.2.7 > ${POOL} echo-reply id ${port}`);
    expect(await lanesOfLinesBy(echoes, bits)).toEqual(expected);
    const errors = ports.map(
      (port) => `icmp 198.51.100.1 > ${POOL} unreachable code 1 payload (udp ${POOL}:${port} > 192.0.2.7:9)`,
    );
    expect(await lanesOfLinesBy(errors, bits)).toEqual(expected);
  });

  it("is the port's for fragments behind their first one, and one lane's before that", async () => {
    for (const host of hosts.slice(0, 20)) {
      const whole = encodePacket(`udp 192.0.2.${host}:9 > ${POOL}:${64 * host} zeros 300`);
      const [first, second, third] = cutIntoFragments(whole, [4, 20], 5000 + host) as [
        Uint8Array,
        Uint8Array,
        Uint8Array,
      ];
      const [before, alsoBefore, ...after] = await lanesBy([second, third, first, second, third]);
      expect(before).toBe(alsoBefore);
      expect(after).toEqual([host, host, host].map((each) => each % LANES));
    }
  });

  it("is the quoted packet's for the flow of an ICMP error, over whatever number of lanes", async () => {
    for (const lanes of [1, 2, 3, 7, 16]) {
      for (const port of [0, 63, 64, 128, 4096, 65535]) {
        const error = encodePacket(
          `icmp 198.51.100.1 > ${POOL} unreachable code 1 payload (udp ${POOL}:${port} > 192.0.2.7:9)`,
        ).toHex();
        const [, frame, flow] = await rules.askAll([RULE, `${lanes} ${error}`, `quoted ${lanes} ${error}`]);
        expect(flow).toBe(frame);
      }
    }
  });

  it("is that of the port to which it goes for a flow between shared addresses", async () => {
    for (const [from, to] of [
      [640, 64],
      [64, 640],
    ]) {
      const frame = encodePacket(`udp ${POOL}:${from} > ${POOL}:${to}`).toHex();
      const [, turned, flow] = await rules.askAll([RULE, `turned ${LANES} 0 ${frame}`, `flow ${LANES} ${frame}`]);
      expect({ turned, flow }).toEqual({ turned: (to as number) / 64, flow: (to as number) / 64 });
    }
  });

  it("is, while flows move, the one before for whoever goes by port, and for the first fragment alike", async () => {
    const whole = encodePacket(`udp 192.0.2.7:9 > ${POOL}:320 zeros 300`);
    const [first] = cutIntoFragments(whole, [4], 7000) as [Uint8Array];
    const asked = [whole, first].map((frame) => `moves 2 4 ${frame.toHex()}`);
    expect((await rules.askAll([RULE, ...asked])).slice(1)).toEqual([
      [1, 1],
      [1, 1],
    ]);
    const fewer = [whole, first].map((frame) => `moves 4 3 ${frame.toHex()}`);
    expect((await rules.askAll([RULE, ...fewer])).slice(1)).toEqual([
      [2, 1],
      [2, 1],
    ]);
  });

  it("is none that has ended, whatever is known of the flow and of its fragments", async () => {
    const [first, second] = cutIntoFragments(encodePacket("udp 192.0.2.8:9 > 198.51.100.9:9 zeros 300"), [4], 8000) as [
      Uint8Array,
      Uint8Array,
    ];
    const detour = encodePacket("udp 192.0.2.8:9 > 198.51.100.9:9").toHex();
    const asked = [RULE, `detour 3 ${detour}`];
    for (const lanes of [4, 2]) asked.push(...[first, second].map((frame) => `turned ${lanes} 0 ${frame.toHex()}`));
    asked.push(`4 ${first.toHex()}`, `turned 2 0 ${second.toHex()}`, `clear 3 ${detour}`);
    const answers = await rules.askAll(asked);
    expect(answers.slice(2, 8)).toEqual([3, 3, -1, -1, 3, -1]);
  });

  it("is not that of an earlier packet for fragments of the same identification", async () => {
    const detour = encodePacket("udp 192.0.2.8:10 > 198.51.100.9:9").toHex();
    const cut = (port: number) =>
      cutIntoFragments(encodePacket(`udp 192.0.2.8:${port} > 198.51.100.9:9 zeros 300`), [4], 8001).map((each) =>
        each.toHex(),
      );
    const [mine, myLater] = cut(10);
    const [others, theirLater] = cut(11);
    const [own] = (await rules.askAll([`${LANES} ${others}`])) as [number];
    const lane = (own + 1) % LANES;
    for (const end of [`clear ${lane} ${detour}`, undefined]) {
      const before = [RULE, `detour ${lane} ${detour}`, `${LANES} ${mine}`, `${LANES} ${myLater}`];
      const after = [`${LANES} ${others}`, `${LANES} ${theirLater}`];
      const answers = await rules.askAll([...before, ...(end === undefined ? [] : [end]), ...after]);
      expect(answers.slice(2, 4)).toEqual([lane, lane]);
      expect(answers.slice(-2)).toEqual([own, own]);
      const turned = [`turned ${LANES} ${own} ${mine}`, `turned ${LANES} ${own} ${myLater}`];
      const again = [`turned ${LANES} ${own} ${others}`, `turned ${LANES} ${own} ${theirLater}`];
      const passed = await rules.askAll([`detour ${lane} ${detour}`, ...turned, ...again]);
      expect(passed.slice(1)).toEqual([lane, lane, -1, -1]);
      await rules.askAll([`clear ${lane} ${detour}`]);
    }
  });

  it("is by both addresses between hosts, and between others", async () => {
    const lines = hosts
      .slice(0, 40)
      .flatMap((host) => [`udp 10.0.0.${host}:9 > 10.0.1.7:9`, `udp 192.0.2.${host}:9 > 198.51.100.7:9`]);
    expect(await lanesOfLinesBy(lines)).toEqual(await lanesOfLines(lines));
  });
});
