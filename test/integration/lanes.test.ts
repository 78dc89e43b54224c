// Chains that run on several queues of each port: one lane for each.
import { existsSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { networkObstacle } from "../../runtime/testing/network.ts";
import {
  connectLanes,
  HOSTS,
  Iperf,
  type LanesBetween,
  lanesChain,
  leftHost,
  rightHost,
  startLanes,
} from "../support/lanes-between.ts";
import { NumberedUdp } from "../support/numbered-udp.ts";
import { pingAnswered } from "../support/ping.ts";
import { observe, type RunningEngine, readFlows, readTop } from "../support/running-engine.ts";
import { makeSickFunction, sickPorts } from "../support/sick-function.ts";
import { makeFolder } from "../support/temporary-folder.ts";
import { until } from "../support/until.ts";

const obstacle = networkObstacle() ?? (existsSync("/usr/bin/iperf3") ? null : "needs the command iperf3");
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;

describe.skipIf(obstacle !== null)(`a chain with two lanes${skipped}`, () => {
  let sides: LanesBetween;
  let engine: RunningEngine | undefined;

  beforeEach(async () => {
    sides = await connectLanes(2);
  });

  afterEach(async () => {
    engine?.dispose();
    engine = undefined;
    await sides.network.close();
  });

  const start = async (document = lanesChain([0, 1])) => {
    engine = await startLanes(sides, document);
    return engine;
  };

  it("carries streams, pings and datagrams on both lanes, whole and in order", async () => {
    const running = await start();
    const transfers = await Promise.all([0, 1].map((host) => Iperf.start(sides, host)));
    const datagrams = await Promise.all(
      [2, 3, 4, 5].map((host) => NumberedUdp.start(sides.left, sides.right, rightHost(host), 5000 + host, 500)),
    );
    const ends = await Promise.all(transfers.map((transfer) => transfer.run(4, 2)));
    for (const { error, end } of ends) {
      expect(error).toBeUndefined();
      expect(end.sum_received.bytes).toBeGreaterThan(1_000_000);
    }
    for (const each of datagrams) {
      const { sent, count, missing, outOfOrder, duplicates } = await each.end();
      expect({ count, missing, outOfOrder, duplicates }).toEqual({
        ...{ count: sent, missing: 0, outOfOrder: 0, duplicates: 0 },
      });
    }
    for (const transfer of transfers) transfer.stop();
    for (let host = 0; host < HOSTS; host++) expect(await pingAnswered(sides.left, rightHost(host), 3)).toBe(3);
    const { lanes, drops } = await readTop(running);
    expect(lanes.map(({ lane }) => lane)).toEqual([0, 1]);
    for (const { frames, flows } of lanes) {
      expect(frames).toBeGreaterThan(100);
      expect(flows).toBeGreaterThan(0);
    }
    expect(drops).toEqual([]);
    const { status, last } = await running.end();
    expect(last.frames).toMatchObject({ intact: true });
    expect(status).toBe(0);
  }, 120_000);

  it("finds one flow for both directions, whatever queues they come on", async () => {
    const running = await start();
    for (let host = 0; host < HOSTS; host++) {
      await sides.left.run("ping", "-c", "2", "-i", "0.05", "-I", leftHost(host), rightHost(host));
    }
    const transfers = await Promise.all([0, 1, 2, 3].map((host) => Iperf.start(sides, host)));
    await Promise.all(transfers.map((transfer) => transfer.run(2, 1)));
    for (const transfer of transfers) transfer.stop();
    for (const proto of ["tcp", "icmp"]) {
      const flows = await readFlows(running, proto);
      const ends = flows.map((flow) => [flow.src_ip, flow.src_port, flow.dest_ip, flow.dest_port].join(" "));
      expect(new Set(ends).size).toBe(flows.length);
      expect(new Set(flows.map(({ flow }) => flow)).size).toBe(flows.length);
      expect(flows.length).toBeGreaterThanOrEqual(proto === "tcp" ? 12 : HOSTS);
      for (const flow of flows) {
        expect(flow.packets_to_server).toBeGreaterThan(0);
        expect(flow.packets_to_client).toBeGreaterThan(0);
      }
    }
  }, 120_000);

  it("finds the flows of translated connections, whose replies come with other addresses", async () => {
    const rule = "{ from: [10.9.0.0/27], pool: [10.9.0.200] }";
    const config = `{ outside: [wan], sources: [${rule}] }`;
    const running = await start(lanesChain([0, 1], { nat: `{ use: nat@1, config: ${config} }` }));
    const mac = "02:00:00:00:00:01";
    await sides.right.run("ip", "neighbour", "replace", "10.9.0.200", "lladdr", mac, "dev", "eth0", "nud", "permanent");
    const transfers = await Promise.all([0, 1, 2, 3, 4, 5].map((host) => Iperf.start(sides, host)));
    const ends = await Promise.all(transfers.map((transfer) => transfer.run(2, 1)));
    for (const transfer of transfers) transfer.stop();
    for (const { error, end } of ends) {
      expect(error).toBeUndefined();
      expect(end.sum_received.bytes).toBeGreaterThan(1_000_000);
    }
    for (let host = 0; host < HOSTS; host++) expect(await pingAnswered(sides.left, rightHost(host), 3)).toBe(3);
    const flows = (await readFlows(running, "tcp")).filter(({ state }) => state !== "none");
    expect(new Set(flows.map(({ flow }) => ((flow as number) - 1) % 2))).toEqual(new Set([0, 1]));
    for (const flow of flows) expect(flow.packets_to_client).toBeGreaterThan(0);
    const { drops } = await readTop(running);
    expect(drops).toEqual([]);
  }, 120_000);

  it("traces and captures what comes to any lane", async () => {
    const running = await start();
    for (let host = 0; host < HOSTS; host++) {
      sides.left.spawn("ping", ["-i", "0.2", "-I", leftHost(host), rightHost(host)], { stdio: "ignore" });
    }
    const trace = await observe(running, "trace", "--count", "8", "--json", "--seconds", "30");
    const lines = trace.trim().split("\n");
    expect(lines.filter((line) => JSON.parse(line).kind === "packet")).toHaveLength(8);
    const file = `${makeFolder({})}/all.pcapng`;
    await observe(running, "capture", "--write", file, "--seconds", "5");
    const { stdout } = await sides.left.run("tcpdump", "-nr", file, "icmp");
    for (let host = 0; host < HOSTS; host++) expect(stdout).toContain(rightHost(host));
  }, 120_000);

  it("goes on with all lanes when a function does not return on one of them, and loses nothing on the other", async () => {
    const packages = await makeSickFunction(makeFolder({}));
    engine = await startLanes(sides, lanesChain([0, 1], { sick: "{ use: sick@1, onFault: bypass }" }), packages);
    const running = engine;
    const datagrams = await Promise.all(
      [...Array(HOSTS).keys()].map(async (host) => ({
        host,
        traffic: await NumberedUdp.start(sides.left, sides.right, rightHost(host), 5000 + host, 200),
      })),
    );
    const laneOf = await readLanes(running);
    expect(new Set(laneOf.values())).toEqual(new Set([0, 1]));
    // By then a copy stands by that takes over at once.
    await sleep(3000);
    await sides.left.run("bash", "-c", `echo loop > /dev/udp/${rightHost(0)}/${sickPorts.loop[0]}`);
    await until(() => running.stderr.includes("quarantine sick"));
    const stuck = laneOf.get(rightHost(0));
    for (const { host, traffic } of datagrams) {
      const { sent, count, outOfOrder, duplicates } = await traffic.end();
      expect({ outOfOrder, duplicates }).toEqual({ outOfOrder: 0, duplicates: 0 });
      if (laneOf.get(rightHost(host)) !== stuck) expect(count).toBe(sent);
      else expect(count).toBeGreaterThan(0);
    }
    for (let host = 0; host < HOSTS; host++) expect(await pingAnswered(sides.left, rightHost(host), 3)).toBe(3);
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
  }, 120_000);
});

/** By the host on the right. */
async function readLanes(engine: RunningEngine): Promise<Map<unknown, number>> {
  const flows = await readFlows(engine, "udp");
  return new Map(flows.map(({ dest_ip: host, flow }) => [host, ((flow as number) - 1) % 2]));
}
