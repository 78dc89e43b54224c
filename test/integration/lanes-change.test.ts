// More lanes and fewer, under traffic: a change as any other.
import { writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { networkObstacle } from "../../runtime/testing/network.ts";
import {
  connectLanes,
  HOSTS,
  type LanesBetween,
  lanesChain,
  leftHost,
  rightHost,
  startLanes,
} from "../support/lanes-between.ts";
import { NumberedUdp } from "../support/numbered-udp.ts";
import { pingAnswered } from "../support/ping.ts";
import { type RunningEngine, readFlows, readTop, upgrade } from "../support/running-engine.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const obstacle = networkObstacle();
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;
const hosts = Array.from({ length: HOSTS }, (_, host) => host);

describe.skipIf(obstacle !== null)(`a chain whose lanes become more and fewer${skipped}`, () => {
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

  /** Into how many queues of the box its neighbours send. Frames that come meanwhile are lost: veth is down for a moment. */
  const sendInto = async (queues: number) => {
    for (const side of [sides.left, sides.right]) await side.run("ethtool", "-L", "eth0", "tx", String(queues));
  };

  const start = async (document: string) => {
    engine = await startLanes(sides, document);
    return engine;
  };

  const load = async (running: RunningEngine, document: string, ...options: readonly string[]) => {
    const file = `${makeFolder()}/chain.yaml`;
    writeFileSync(file, document);
    return upgrade(running, "load", file, ...options);
  };

  const sendNumbered = () =>
    Promise.all(hosts.map((host) => NumberedUdp.start(sides.left, sides.right, rightHost(host), 5000 + host, 300)));

  /**
   * Every datagram arrived, in order, and is counted in the one flow that it belongs to. What a busy machine did not let
   * the lanes take from their rings in time was lost before the chain, and is counted.
   */
  const expectWhole = async (running: RunningEngine, traffic: readonly NumberedUdp[]) => {
    const received = await Promise.all(traffic.map((each) => each.end()));
    const flows = await readFlows(running, "udp");
    const { drops, ports } = await readTop(running);
    const before = ports.reduce((sum, { dropped }) => sum + dropped, 0);
    expect({ drops, missing: received.reduce((sum, { missing }) => sum + missing, 0) }).toEqual({
      ...{ drops: [], missing: before },
    });
    for (const [host, { sent, count, outOfOrder, duplicates }] of received.entries()) {
      expect({ host, outOfOrder, duplicates }).toEqual({ host, outOfOrder: 0, duplicates: 0 });
      const own = flows.filter(({ dest_port: port }) => port === 5000 + host);
      expect(own).toHaveLength(1);
      expect(own[0]?.packets_to_server).toBeGreaterThanOrEqual(count);
      expect(own[0]?.packets_to_server).toBeLessThanOrEqual(sent);
    }
  };

  const countLaneFlows = async (running: RunningEngine) => (await readTop(running)).lanes.map(({ flows }) => flows);

  /** Of the datagrams' flows, all of which are of one host. */
  const lanesOfHost = async (running: RunningEngine) => {
    const flows = (await readFlows(running, "udp")).filter(({ src_ip: address }) => address === leftHost(0));
    expect(flows.length).toBeGreaterThanOrEqual(HOSTS);
    return new Set(flows.map(({ flow }) => ((flow as number) - 1) % 2)).size;
  };

  it("goes from one lane to two and back, and every flow goes with all that is known of it", async () => {
    await sendInto(1);
    const running = await start(lanesChain([0]));
    const traffic = await sendNumbered();
    await load(running, lanesChain([0, 1]));
    await upgrade(running, "switchover");
    await upgrade(running, "commit");
    const spread = await countLaneFlows(running);
    expect(spread).toHaveLength(2);
    for (const flows of spread) expect(flows).toBeGreaterThan(0);
    for (const host of hosts) expect(await pingAnswered(sides.left, rightHost(host), 3)).toBe(3);
    await load(running, lanesChain([0]));
    await upgrade(running, "switchover");
    await upgrade(running, "commit");
    for (const host of hosts) expect(await pingAnswered(sides.left, rightHost(host), 3)).toBe(3);
    const [first, second] = await countLaneFlows(running);
    expect(first).toBeGreaterThanOrEqual(HOSTS);
    expect(second).toBe(0);
    await expectWhole(running, traffic);
    const { last, status } = await running.end();
    expect(last.frames).toMatchObject({ intact: true });
    expect(status).toBe(0);
  }, 120_000);

  it("goes back when the change is aborted, and when it is not committed in time", async () => {
    await sendInto(1);
    const running = await start(lanesChain([0]));
    const traffic = await sendNumbered();
    await load(running, lanesChain([0, 1]));
    await upgrade(running, "switchover");
    for (const flows of await countLaneFlows(running)) expect(flows).toBeGreaterThan(0);
    await upgrade(running, "abort");
    expect((await countLaneFlows(running))[1]).toBe(0);
    await load(running, lanesChain([0, 1]), "--commit-within", "1s");
    await upgrade(running, "switchover");
    for (let looks = 0; looks < 100; looks++) {
      if ((await upgrade(running, "status")).state === "aborted") break;
    }
    expect((await upgrade(running, "status")).state).toBe("aborted");
    expect((await countLaneFlows(running))[1]).toBe(0);
    await expectWhole(running, traffic);
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
  }, 120_000);

  it("spreads flows by hosts and back by pairs of addresses, and every flow goes to its lane", async () => {
    const byHosts = `${lanesChain([0, 1])}flows: { spread: { hosts: [10.9.0.0/27] } }\n`;
    const running = await start(lanesChain([0, 1]));
    const traffic = await sendNumbered();
    expect(await lanesOfHost(running)).toBe(2);
    for (const [lanes, document] of [
      [1, byHosts],
      [2, lanesChain([0, 1])],
    ] as const) {
      await load(running, document);
      await upgrade(running, "switchover");
      await upgrade(running, "commit");
      expect(await lanesOfHost(running)).toBe(lanes);
      for (const host of hosts) expect(await pingAnswered(sides.left, rightHost(host), 3)).toBe(3);
    }
    await expectWhole(running, traffic);
    const { last, status } = await running.end();
    expect(last.frames).toMatchObject({ intact: true });
    expect(status).toBe(0);
  }, 120_000);

  it("does not spread in another way what segments are shares of, unless they may begin anew", async () => {
    const nat = {
      nat: "{ use: nat@1, config: { outside: [wan], sources: [{ from: [10.9.0.0/27], pool: [10.9.0.200] }] } }",
    };
    const byHosts = `${lanesChain([0, 1], nat)}flows: { spread: { hosts: [10.9.0.0/27], shared: [10.9.0.200] } }\n`;
    const running = await start(lanesChain([0, 1], nat));
    const neighbour = ["10.9.0.200", "lladdr", "02:00:00:00:00:01", "dev", "eth0", "nud", "permanent"];
    await sides.right.run("ip", "neighbour", "replace", ...neighbour);
    await expect(load(running, byHosts)).rejects.toThrow("flows are now spread over lanes in another way");
    await load(running, byHosts, "--cold");
    await upgrade(running, "switchover");
    await upgrade(running, "commit");
    for (const host of hosts) expect(await pingAnswered(sides.left, rightHost(host), 2)).toBe(2);
  }, 120_000);

  it("refuses what else would change with the lanes, and segments unless they may begin anew", async () => {
    const running = await start(lanesChain([0]));
    await expect(load(running, `${lanesChain([0, 1])}flows: { timeouts: { udp: { replied: 60 } } }\n`)).rejects.toThrow(
      "error[change-refused] ports",
    );
    await expect(load(running, lanesChain([1, 0]))).rejects.toThrow("error[change-refused] ports.lan.queues");
    await running.end();
    running.dispose();
    const firewall = { fw: "{ use: firewall@1, config: { rules: [{ action: accept, name: all }] } }" };
    const filtered = await start(lanesChain([0], firewall));
    await expect(load(filtered, lanesChain([0, 1], firewall))).rejects.toThrow("error[state-lost]");
    await load(filtered, lanesChain([0, 1], firewall), "--cold");
    await upgrade(filtered, "switchover");
    await upgrade(filtered, "commit");
    for (const host of hosts) expect(await pingAnswered(sides.left, rightHost(host), 2)).toBe(2);
  }, 120_000);
});
