// A firewall, and a nat, on a chain that runs: what hosts on both sides notice. Each test changes the chain in the middle.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import { Observer } from "../../runtime/telemetry/observer.ts";
import { encodePacket, formatPacket } from "../../runtime/testing/packet-text.ts";
import { afxdpObstacle } from "../support/afxdp.ts";
import { type BoxBetween, createBoxBetween } from "../support/box-between.ts";
import { callFrom, PacketStream } from "../support/packet-stream.ts";
import { RunningEngine, readFlows, readTop, upgrade } from "../support/running-engine.ts";
import { sendFrames } from "../support/send-frames.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const obstacle = afxdpObstacle();
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;
const TIMEOUT_MS = 240_000;

describe.skipIf(obstacle !== null)(`a firewall between two hosts${skipped}`, { timeout: TIMEOUT_MS }, () => {
  let box: BoxBetween;
  let engine: RunningEngine | undefined;

  beforeEach(async () => {
    box = await createBoxBetween();
  });
  afterEach(async () => {
    engine?.dispose();
    engine = undefined;
    await box.close();
  });

  const start = async (config: object, rest: object = {}) =>
    (engine = await RunningEngine.start(box.box, write(config, rest)));
  /** The same chain with another configuration, in its place. */
  const change = async (running: RunningEngine, config: object, rest: object = {}) =>
    upgrade(running, "run", write(config, rest));

  it("rejects at once, with the error of the family, before and after a change", async () => {
    const rules = [
      { action: "reject", destinationPorts: [81] },
      { action: "reject", rejectWith: "host-unreachable", destinationPorts: [82] },
      { action: "reject", rejectWith: "prohibited", destinationPorts: [83] },
    ];
    const running = await start({ default: "accept", rules });
    await box.left.run("sh", "-c", giveVersion6);
    const calls = async () => {
      const kinds = ["tcp", "udp"] as const;
      const hosts = ["10.9.0.2", "fd09::2"];
      const said: string[] = [];
      for (const host of hosts)
        for (const kind of kinds)
          for (const port of [81, 82, 83]) said.push(await callFrom(box.left, kind, host, port));
      return said.join(" ");
    };
    const version4 = "ECONNREFUSED EHOSTUNREACH EHOSTUNREACH";
    const version6 = "ECONNREFUSED EHOSTUNREACH EACCES";
    const expected = [version4, version4, version6, version6].join(" ");
    expect(await calls()).toBe(expected);
    await change(running, { default: "accept", rules: [...rules, { action: "drop", destinationPorts: [99] }] });
    expect(await calls()).toBe(expected);
  });

  it("replaces a set of 100 000 entries between two packets", async () => {
    const [inOld, inNew, inNone] = ["10.9.1.1", "10.9.1.2", "10.9.1.3"] as const;
    const config = (host: string) => ({
      default: "accept",
      sets: { blocked: { addresses: [host, ...Array.from({ length: 99_999 }, (_, index) => hostAt(index))] } },
      rules: [{ action: "drop", sources: ["set:blocked"] }],
    });
    const running = await start(config(inOld));
    const capture = await box.right.capture("eth0", "udp port 7100", "in");
    const pings = box.startPings();
    const stream = new PacketStream(box.left, { kind: "udp", sources: [inOld, inNew, inNone], pauseMs: 2 });
    const { pauseUs } = await change(running, config(inNew));
    const rounds = await stream.stop();
    const lost = await pings.stop();
    const arrived = numbersBySource(await capture.stop());
    const from = (source: string) => arrived.get(source) ?? [];
    const all = Array.from({ length: rounds }, (_, number) => number);
    const first = from(inOld)[0] ?? rounds;
    console.log({ rounds, first, pauseUs });
    // Old verdicts up to one packet, new ones from then on; nothing lost, nothing judged by half a set.
    expect(from(inNone)).toEqual(all);
    expect(from(inOld)).toEqual(all.slice(first));
    expect([first - 2, first - 1]).toContain(from(inNew).length - 1);
    expect(from(inNew)).toEqual(all.slice(0, from(inNew).length));
    expect(first).toBeGreaterThan(0);
    expect(first).toBeLessThan(rounds);
    expect(lost).toBe(0);
  });

  it("lets nobody be disturbed by a flood of SYNs, and lets who is there connect", async () => {
    const rules = [{ action: "accept", ipProtos: ["tcp"], synCookies: { perSecond: 20, burst: 20 } }];
    const running = await start({ default: "accept", rules });
    box.right.spawn("python3", ["-m", "http.server", "80"], { stdio: "ignore" });
    const pings = box.startPings();
    const sources = Array.from({ length: 50 }, (_, index) => `198.51.100.${index + 1}`);
    const flood = new PacketStream(box.left, { kind: "syn", sources, pauseMs: 5 });
    const connect = () =>
      box.left.run(
        "curl",
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "--retry",
        "5",
        "--retry-connrefused",
        "http://10.9.0.2/",
      );
    expect((await connect()).stdout).toMatch(/200$/);
    await change(running, { default: "accept", rules: [...rules, { action: "drop", destinationPorts: [99] }] });
    expect((await connect()).stdout).toMatch(/200$/);
    await flood.stop();
    expect(await pings.stop()).toBe(0);
    const challenged = (await readTop(running)).drops.find(({ reason }) => reason === "rule-challenge");
    expect(challenged?.count).toBeGreaterThan(100);
  });

  it("keeps answered flows when the flow table is full, and counts what it evicts", async () => {
    const small = { flows: { capacity: 1024 } };
    const running = await start({ default: "accept", rules: [] }, small);
    const pings = box.startPings();
    const stream = new PacketStream(box.left, { kind: "udp", sources: ["10.9.1.1"], rounds: 10_000, pauseMs: 0.2 });
    await change(running, { default: "accept", rules: [{ action: "drop", destinationPorts: [99] }] }, small);
    await stream.sent();
    expect(await pings.stop()).toBe(0);
    const { evicted } = new Observer(loadAddon(), running.chainFolder, running.description).snapshot().flows;
    expect(evicted).toBeGreaterThan(5000);
    expect(await readFlows(running, "icmp")).toHaveLength(1);
  });

  it("refuses by name when no port is left, and keeps the mappings that there are", async () => {
    const nat = (udpTimeout: number) => ({
      nat: {
        use: "nat@1",
        config: {
          outside: ["wan"],
          udpTimeout,
          sources: [{ from: ["10.0.0.0/8"], pool: ["203.0.113.1"], ports: "2000-2063", parity: false }],
        },
      },
    });
    const paths = [
      { from: "lan", through: ["fw", "nat"], to: "wan" },
      { from: "wan", through: ["nat", "fw"], to: "lan" },
    ];
    const running = await start({ default: "accept", rules: [] }, { functions: nat(300), paths });
    const send = async () => {
      const capture = await box.right.capture("eth0", "udp port 7100", "in");
      const stream = new PacketStream(box.left, { kind: "udp", sources: ["10.9.0.1"], rounds: 200, pauseMs: 1 });
      await stream.sent();
      return (await capture.stop()).map((frame) => formatPacket(frame).replace(/^ether \S+ > \S+ /, ""));
    };
    const before = await send();
    expect(new Set(before.map((line) => line.split(" ")[1])).size).toBe(64);
    expect(before.every((line) => line.startsWith("udp 203.0.113.1:20"))).toBe(true);
    await change(running, { default: "accept", rules: [] }, { functions: nat(301), paths });
    expect(await send()).toEqual(before);
    const refused = (await readTop(running)).drops.find(({ reason }) => reason === "no-port");
    expect(refused?.count).toBe(2 * (200 - 64));
  });

  it("has policies of zones across VLANs", async () => {
    const zones = { guests: { vlans: [30] }, staff: { vlans: [40] }, world: { ports: ["wan"] } };
    const pairs = [
      { from: "guests", to: "world", action: "accept" },
      { from: "staff", to: "world", action: "accept" },
    ];
    const towards = { lan: "world" };
    const config = (port: number) => ({
      ...{ zones, pairs, towards },
      rules: [{ action: "drop", from: ["guests"], ipProtos: ["tcp"], destinationPorts: [25, port] }],
    });
    const running = await start(config(26));
    const pass = async () => {
      const lines = [30, 40, 50].flatMap((vlan) =>
        [25, 80].map((port) => `vlan ${vlan} tcp 10.0.0.1:${4000 + vlan} > 192.0.2.1:${port} syn`),
      );
      const capture = await box.right.capture("eth0", "ether src 02:00:0a:00:00:01", "in");
      await sendFrames(box.left, "eth0", lines.map(encodePacket));
      return (await capture.stop()).map((frame) =>
        /vlan (\d+) tcp \S+ > \S+:(\d+)/.exec(formatPacket(frame))?.slice(1),
      );
    };
    const expected = [
      ["30", "80"],
      ["40", "25"],
      ["40", "80"],
    ];
    expect(await pass()).toEqual(expected);
    await change(running, config(27));
    expect(await pass()).toEqual(expected);
  });
});

const giveVersion6 =
  "sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0 net.ipv6.conf.eth0.accept_dad=0 && ip addr add fd09::1/64 dev eth0 nodad" +
  " && ip -6 neigh replace fd09::2 lladdr 02:00:00:00:00:99 dev eth0 nud permanent";

/** A chain of one firewall between lan0 and wan0; `rest` has more functions, other paths, flows. */
function write(config: object, { functions, ...rest }: { functions?: object } & object = {}): string {
  const document = {
    chain: "live",
    ports: { lan: { device: "lan0" }, wan: { device: "wan0" } },
    functions: { fw: { use: "firewall@1", config }, ...functions },
    paths: [
      { from: "lan", through: ["fw"], to: "wan" },
      { from: "wan", through: ["fw"], to: "lan" },
    ],
    ...rest,
  };
  return `${makeFolder({ "chain.json": JSON.stringify(document) })}/chain.json`;
}

function hostAt(index: number): string {
  return `172.${16 + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`;
}

/** What PacketStream numbered. */
function numbersBySource(frames: readonly Buffer[]): ReadonlyMap<string, number[]> {
  const numbers = new Map<string, number[]>();
  for (const frame of frames) {
    const source = [...frame.subarray(26, 30)].join(".");
    numbers.set(source, [...(numbers.get(source) ?? []), frame.readUInt32BE(42)]);
  }
  return numbers;
}
