// `sluice replay --lanes N`: several lanes say of every flow and every frame what one lane says.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { type CapturedPacket, decodePcap, encodePcap } from "../support/capture.ts";
import { cutIntoFragments } from "../support/fragment-cuts.ts";
import { runSluice } from "../support/run-sluice.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const MILLISECOND = 1_000_000n;
const SECOND = 1000n * MILLISECOND;
const noon = 1_763_700_000_000n * MILLISECOND;

const chain = `
chain: office
ports: { lan: { device: any }, wan: { device: any } }
functions:
  count: { use: hello@* }
  fw:
    use: acl@*
    config:
      default: permit
      rules:
        - { action: deny, ipProtos: [udp], destinationPorts: [53] }
paths:
  - { from: lan, through: [count, fw], to: wan }
  - { from: wan, match: { ipProtos: [tcp, icmp, udp, icmpv6] }, through: [fw, count], to: lan }
`;

type Line = Record<string, unknown>;

interface Run {
  readonly verdicts: readonly Line[];
  readonly flows: readonly Line[];
  readonly drops: readonly Line[];
  readonly stats: Line;
  readonly packets: Readonly<Record<"lan" | "wan", readonly Required<CapturedPacket>[]>>;
}

function replay(inputs: Readonly<Record<string, readonly CapturedPacket[]>>, lanes: number): Run {
  const folder = makeFolder({ "chain.yaml": chain });
  const captures = Object.entries(inputs).flatMap(([port, packets]) => {
    const file = join(folder, `${port}-in.pcap`);
    writeFileSync(file, encodePcap(packets, { nanoseconds: true }));
    return ["--in", `${port}=${file}`];
  });
  const out = join(folder, "out");
  const args = ["replay", join(folder, "chain.yaml"), ...captures, "--out", out, "--lanes", String(lanes)];
  expect(runSluice(args)).toMatchObject({ status: 0, stderr: "" });
  const lines = (name: string): Line[] =>
    readFileSync(join(out, name), "utf8")
      .split("\n")
      .filter(Boolean)
      .map((line) => JSON.parse(line));
  const packets = (port: string) => decodePcap(readFileSync(join(out, `${port}.pcap`))).packets;
  return {
    verdicts: lines("verdicts.jsonl"),
    flows: lines("flows.jsonl"),
    drops: lines("eve.jsonl"),
    stats: JSON.parse(readFileSync(join(out, "stats.json"), "utf8")),
    packets: { lan: packets("lan"), wan: packets("wan") },
  };
}

const hosts = Array.from({ length: 12 }, (_, index) => index + 1);
const client4 = (host: number) => `10.0.0.${host}`;
const client6 = (host: number) => `2001:db8::${host}`;

/** What one host says and hears, as [port, frame], in order. */
function converse(host: number): (readonly ["lan" | "wan", Uint8Array])[] {
  const [client, server] = [client4(host), "192.0.2.80"];
  const [there, back] = [`tcp ${client}:4000 > ${server}:80`, `tcp ${server}:80 > ${client}:4000`];
  const lan = (line: string) => ["lan", encodePacket(line)] as const;
  const wan = (line: string) => ["wan", encodePacket(line)] as const;
  const pieces = cutIntoFragments(encodePacket(`udp ${client}:7000 > ${server}:7001 zeros 200`), [4, 10], host);
  const [head, middle, tail] = pieces as [Uint8Array, Uint8Array, Uint8Array];
  const pieces6 = cutIntoFragments(encodePacket(`udp [${client6(host)}]:7 > [2001:db8:9::9]:8 zeros 90`), [5], host);
  // Two routers tell of two servers each: errors between the same two hosts, about flows of different lanes.
  const lost = (router: number, target: number) =>
    wan(`icmp 172.16.0.${router} > ${client} unreachable code 1 payload (udp ${client}:9000 > 198.51.100.${target}:9)`);
  const lost6 = `icmp6 2001:db8:f::1 > ${client6(host)} time-exceeded payload (udp [${client6(host)}]:9 > [2001:db8:9::9]:9)`;
  return [
    lan(`${there} syn seq 100`),
    wan(`${back} syn ack 101 seq 900`),
    lan(`${there} ack 901 seq 101 payload "hello"`),
    lan(`udp ${client}:5000 > 192.0.2.53:53 payload "dropped"`),
    ["lan", tail],
    lan(`udp ${client}:9000 > 198.51.100.1:9`),
    lan(`udp ${client}:9000 > 198.51.100.2:9`),
    ["lan", middle],
    lost(1, 1),
    lost(1, 2),
    wan(`${back} ack 106 seq 901 payload "world"`),
    ["lan", head],
    lost(2, 1),
    lost(2, 2),
    lan(`icmp ${client} > ${server} echo id ${host} seq 1`),
    wan(`icmp ${server} > ${client} echo-reply id ${host} seq 1`),
    ...pieces6.map((piece) => ["lan", piece] as const),
    lan(`udp [${client6(host)}]:9 > [2001:db8:9::9]:9`),
    wan(lost6),
    // Never completed.
    ["lan", cutIntoFragments(encodePacket(`udp ${client}:1 > ${server}:2 zeros 99`), [4], 500 + host)[1] as Uint8Array],
    lan(`arp who-has 10.0.0.254 tell ${client}`),
    lan(`${there} fin ack 906 seq 106`),
    wan(`${back} fin ack 107 seq 906`),
    lan(`${there} ack 907 seq 107`),
    wan(`sctp ${server}:1 > ${client}:2`),
  ];
}

/** All hosts at once, a millisecond between two frames; now and then the clock is a second late. */
function busyNetwork(): Record<"lan" | "wan", CapturedPacket[]> {
  const inputs: Record<"lan" | "wan", CapturedPacket[]> = { lan: [], wan: [] };
  const conversations = hosts.map(converse);
  let timeNs = noon;
  for (let step = 0; step < (conversations[0]?.length ?? 0); step++) {
    for (const conversation of conversations) {
      const [port, bytes] = conversation[step] as (typeof conversation)[number];
      timeNs += MILLISECOND;
      const late = timeNs % (23n * MILLISECOND) === 0n ? SECOND : 0n;
      inputs[port].push({ bytes, timeNs: timeNs - late, wireLength: bytes.length + 4 });
    }
  }
  return inputs;
}

const without = (key: string) => (line: Line) =>
  Object.fromEntries(Object.entries(line).filter(([name]) => name !== key));
const sorted = (lines: readonly unknown[]) => lines.map((line) => JSON.stringify(line)).toSorted();

/** Verdicts with their flows numbered in the order in which frames show them. */
function renumber(verdicts: readonly Line[]): Line[] {
  const numbers = new Map<unknown, number>();
  return verdicts.map((verdict) => {
    if (verdict.flow === undefined) return verdict;
    if (!numbers.has(verdict.flow)) numbers.set(verdict.flow, numbers.size + 1);
    return { ...verdict, flow: numbers.get(verdict.flow) };
  });
}

/** Packets in their order, by pair of addresses. */
function byPair(packets: readonly Required<CapturedPacket>[]): Record<string, readonly string[]> {
  const pairs = Map.groupBy(packets, ({ bytes }) => {
    const [at, size] = bytes[12] === 0x86 ? [22, 16] : bytes[13] === 0x06 ? [28, 4] : [26, 4];
    return [0, size]
      .map((offset) => bytes.slice(at + offset, at + offset + size).toHex())
      .toSorted()
      .join(" ");
  });
  const describePacket = ({ bytes, timeNs, wireLength }: Required<CapturedPacket>) =>
    `${timeNs} ${wireLength} ${bytes.toHex()}`;
  return Object.fromEntries([...pairs].map(([pair, same]) => [pair, same.map(describePacket)]));
}

const inputs = busyNetwork();
const runs = new Map<number, Run>();
function runWith(lanes: number): Run {
  const run = runs.get(lanes) ?? replay(inputs, lanes);
  runs.set(lanes, run);
  return run;
}

describe("the replay that several lanes are compared with", () => {
  it("has seen flows, drops, fragments and ICMP errors", () => {
    const { verdicts, stats } = runWith(1);
    const frames = inputs.lan.length + inputs.wan.length;
    expect(verdicts.map(({ n }) => n)).toEqual(Array.from({ length: frames }, (_, index) => index + 1));
    const reasons = new Set(verdicts.map(({ reason }) => reason));
    expect(reasons).toEqual(new Set([undefined, "rule:1", "no-path", "fragment-incomplete"]));
    expect(stats.flows).toMatchObject({ icmp_errors: 5 * hosts.length, live: 0, fragments_held: 3 * hosts.length });
  });
});

describe.each([2, 3, 16])("replay with %i lanes", (lanes) => {
  it("says the same of every flow, but for its number", () => {
    const [one, several] = [runWith(1).flows, runWith(lanes).flows];
    expect(sorted(several.map(without("flow")))).toEqual(sorted(one.map(without("flow"))));
    expect(new Set(several.map(({ flow }) => flow)).size).toBe(several.length);
  });

  it("gives every frame the same verdict and the same flow", () => {
    const [one, several] = [runWith(1), runWith(lanes)];
    expect(renumber(several.verdicts)).toEqual(renumber(one.verdicts));
    const ended = new Set(several.flows.map(({ flow }) => flow));
    for (const { flow } of several.verdicts) if (flow !== undefined) expect(ended).toContain(flow);
  });

  it("writes the same drops", () => {
    const [one, several] = [runWith(1).drops, runWith(lanes).drops];
    expect(sorted(several.map(without("flow_id")))).toEqual(sorted(one.map(without("flow_id"))));
  });

  it("sends the same packets, those of a pair of hosts in the same order", () => {
    const [one, several] = [runWith(1).packets, runWith(lanes).packets];
    expect(byPair(several.wan)).toEqual(byPair(one.wan));
    expect(byPair(several.lan)).toEqual(byPair(one.lan));
  });

  it("counts the same", () => {
    expect(runWith(lanes).stats).toEqual(runWith(1).stats);
  });

  it("gives the same again for the same input", () => {
    expect(replay(inputs, lanes)).toEqual(runWith(lanes));
  });
});
