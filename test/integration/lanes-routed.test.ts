// Ports that route, on several queues: firewall, NAT and routes on two lanes.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { networkObstacle } from "../../runtime/testing/network.ts";
import {
  boxInside,
  boxOutside,
  connectGateway,
  farHost,
  fetchAs,
  type GatewayBetween,
  internetRouter,
  OFFICE_HOSTS,
  officeHost,
} from "../support/gateway-between.ts";
import { fetchFrom } from "../support/greeter.ts";
import { missingProgram } from "../support/missing-program.ts";
import { NumberedUdp } from "../support/numbered-udp.ts";
import { projectRoot } from "../support/run-sluice.ts";
import { RunningEngine, readFlows, readTop, upgrade } from "../support/running-engine.ts";
import { makeFolder } from "../support/temporary-folder.ts";
import { until } from "../support/until.ts";

const obstacle = networkObstacle() ?? missingProgram("traceroute", "curl");
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;
const hosts = Array.from({ length: OFFICE_HOSTS }, (_, host) => host);
const slowLines = 41;

/** An example chain, with all of its ports on so many queues. */
function writeChain(folder: string, name: string, queues: string): string {
  const document = readFileSync(`${projectRoot}/chains/${name}.yaml`, "utf8");
  const file = join(folder, `${name}.yaml`);
  writeFileSync(file, document.replaceAll("forwarding: routed", `forwarding: routed, queues: [${queues}]`));
  return file;
}

describe.skipIf(obstacle !== null)(`an office's gateway with two lanes${skipped}`, () => {
  let sides: GatewayBetween;
  let engine: RunningEngine;
  let folder: string | undefined;

  beforeAll(async () => {
    sides = await connectGateway();
    folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
    engine = await RunningEngine.start(sides.box, writeChain(folder, "gateway", "0, 1"));
  }, 120_000);

  afterAll(async () => {
    engine?.dispose();
    await sides?.network.close();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  const startDatagrams = () =>
    Promise.all(hosts.map((host) => NumberedUdp.start(sides.office, sides.far, farHost(host), 5000 + host, 200)));

  /** None is missing but what a busy machine did not let the lanes take from their rings in time. */
  const expectWhole = async (datagrams: readonly NumberedUdp[]) => {
    const received = await Promise.all(datagrams.map((each) => each.end()));
    for (const { outOfOrder, duplicates, count } of received) {
      expect({ outOfOrder, duplicates }).toEqual({ outOfOrder: 0, duplicates: 0 });
      expect(count).toBeGreaterThan(0);
    }
    const { ports } = await readTop(engine);
    const before = ports.reduce((sum, { dropped }) => sum + dropped, 0);
    expect(received.reduce((sum, { missing }) => sum + missing, 0)).toBeLessThanOrEqual(before);
  };

  /** Each office host calls one far host, and the next one the next. */
  const fetchAll = (path: string) =>
    Promise.all(hosts.map((host) => fetchAs(sides.office, officeHost(host), `http://${farHost(host)}${path}`)));

  it("carries connections and datagrams behind the box's own address, on both lanes", async () => {
    const datagrams = await startDatagrams();
    for (let round = 0; round < 5; round++) {
      expect(await fetchAll("/")).toEqual(hosts.map(() => `far ::ffff:${boxOutside}`));
    }
    for (const text of await fetchAll("/large")) expect(text).toHaveLength(200_000);
    await expectWhole(datagrams);
    const flows = (await readFlows(engine, "tcp")).filter(({ state }) => state !== "none");
    expect(flows.length).toBeGreaterThanOrEqual(6 * OFFICE_HOSTS);
    expect(new Set(flows.map(({ flow }) => ((flow as number) - 1) % 2))).toEqual(new Set([0, 1]));
    for (const flow of flows) expect(flow.packets_to_client).toBeGreaterThan(0);
    const { lanes, drops } = await readTop(engine);
    for (const { frames, flows: live } of lanes) {
      expect(frames).toBeGreaterThan(100);
      expect(live).toBeGreaterThan(0);
    }
    expect(drops).toEqual([]);
  }, 120_000);

  it("answers pings of all hosts, through the translation", async () => {
    const ping = (host: number) =>
      sides.office.run("ping", "-c", "3", "-i", "0.2", "-W", "5", "-I", officeHost(host), farHost(host));
    for (const { stdout } of await Promise.all(hosts.map(ping))) {
      expect(stdout).toContain("3 received");
      expect(stdout).toContain("ttl=62");
    }
  }, 60_000);

  it("lets the internet reach the office's server by the forwarded port", async () => {
    for (const host of hosts) {
      expect(await fetchAs(sides.far, farHost(host), `http://${boxOutside}:8080/`)).toBe(
        `office ::ffff:${farHost(host)}`,
      );
    }
  }, 60_000);

  it("leaves the box's own services and connections to the kernel, from whatever queue", async () => {
    for (const host of hosts) {
      expect(await fetchAs(sides.office, officeHost(host), `http://${boxInside}:22/`)).toBe(
        `box ::ffff:${officeHost(host)}`,
      );
      expect(await fetchAs(sides.far, farHost(host), `http://${boxOutside}:22/`)).toBe(`box ::ffff:${farHost(host)}`);
      expect(await fetchFrom(sides.box, `http://${farHost(host)}/`)).toBe(`far ::ffff:${boxOutside}`);
      const { stdout } = await sides.office.run("ping", "-c", "1", "-W", "5", "-I", officeHost(host), boxInside);
      expect(stdout).toContain("1 received");
    }
  }, 60_000);

  it("is one hop of everybody's traceroute, and those beyond it are seen through the translation", async () => {
    const trace = async (host: number, ...options: string[]) => {
      const words = ["-n", "-q", "1", "-w", "5", "-s", officeHost(host), ...options, farHost(host)];
      const { stdout } = await sides.office.run("traceroute", ...words);
      const lines = stdout.trim().split("\n").slice(1);
      return lines.map((line) => line.trim().split(/\s+/)[1]);
    };
    for (const host of hosts) {
      const hops = [boxInside, internetRouter, farHost(host)];
      expect(await trace(host)).toEqual(hops);
      expect(await trace(host, "-I")).toEqual(hops);
      expect(await trace(host, "-T", "-p", "80")).toEqual(hops);
    }
  }, 120_000);

  it("finds the lane of all fragments of what is translated, both ways", async () => {
    const ping = (host: number) =>
      sides.office.run("ping", "-c", "3", "-i", "0.2", "-W", "5", "-s", "4000", "-I", officeHost(host), farHost(host));
    for (const { stdout } of await Promise.all(hosts.map(ping))) expect(stdout).toContain("3 received");
  }, 60_000);

  it("lets frames wait on their lane for a neighbour that nobody knows", async () => {
    for (const device of ["lan0", "wan0"]) {
      await sides.box.run("ip", "neighbour", "flush", "dev", device);
    }
    const ping = (host: number) =>
      sides.office.run("ping", "-c", "1", "-W", "10", "-I", officeHost(host), farHost(host));
    for (const { stdout } of await Promise.all(hosts.map(ping))) expect(stdout).toContain("1 received");
  }, 60_000);

  it("changes generations under all of it, without anybody noticing", async () => {
    const datagrams = await startDatagrams();
    const transfers = [
      ...hosts.map((host) => fetchAs(sides.office, officeHost(host), `http://${farHost(host)}/slow`)),
      fetchAs(sides.far, farHost(0), `http://${boxOutside}:8080/slow`),
      fetchAs(sides.far, farHost(1), `http://${boxOutside}:22/slow`),
    ];
    for (let change = 0; change < 2; change++) {
      await upgrade(engine, "run", "--use", "nat=nat@1", "--use", "fw=firewall@1");
    }
    const texts = await Promise.all(transfers);
    expect(texts.map((text) => text.split("\n").length)).toEqual(texts.map(() => slowLines));
    await expectWhole(datagrams);
  }, 120_000);

  it("refuses fewer lanes, which would lose what the functions know, unless that may be", async () => {
    await expect(upgrade(engine, "load", writeChain(makeFolder(), "gateway", "0"))).rejects.toThrow(
      "error[state-lost]",
    );
  }, 30_000);

  it("tells the office of a narrower link beyond the box, and of the box's own", async () => {
    const reach = async (host: number, ...options: string[]) => {
      const words = ["-c", "2", "-i", "0.2", "-W", "5", "-I", officeHost(host), ...options, farHost(host)];
      const { stdout } = await sides.office.run("ping", ...words).catch((error: { stdout: string }) => error);
      return stdout;
    };
    await sides.internet.run("ip", "link", "set", "eth1", "mtu", "1400");
    for (const host of hosts) expect(await reach(host, "-s", "1440", "-M", "do")).toMatch(/mtu ?= ?1400/);
    for (const side of [sides.box, sides.internet]) {
      await side.run("ip", "link", "set", side === sides.box ? "wan0" : "eth0", "mtu", "1300");
    }
    await until(async () => /From 10\.1\.0\.1.*mtu ?= ?1300/.test(await reach(0, "-s", "1340", "-M", "do")));
    for (const host of hosts.slice(1)) {
      expect(await reach(host, "-s", "1340", "-M", "do")).toMatch(/From 10\.1\.0\.1.*mtu ?= ?1300/);
      expect(await reach(host, "-s", "1340", "-M", "dont")).toContain("2 received");
    }
  }, 120_000);

  it("leaves no slot behind", async () => {
    const { last, status } = await engine.end();
    expect(last.frames).toMatchObject({ intact: true });
    expect(status).toBe(0);
  });
});

describe.skipIf(obstacle !== null)(`a router whose lanes become more and fewer${skipped}`, () => {
  let sides: GatewayBetween;
  let engine: RunningEngine | undefined;

  beforeAll(async () => {
    sides = await connectGateway(true);
  }, 120_000);

  afterAll(async () => {
    engine?.dispose();
    await sides?.network.close();
  });

  /** Into how many queues of the box its neighbours send; veth is down for a moment. */
  const sendInto = async (queues: number) => {
    for (const side of [sides.office, sides.internet]) await side.run("ethtool", "-L", "eth0", "tx", String(queues));
  };

  it("goes from one lane to two and back, and loses nothing", async () => {
    await sendInto(1);
    const running = await RunningEngine.start(sides.box, writeChain(makeFolder(), "router", "0"));
    engine = running;
    const change = async (queues: string) => {
      await upgrade(running, "load", writeChain(makeFolder(), "router", queues));
      await upgrade(running, "switchover");
      await upgrade(running, "commit");
    };
    const datagrams = await Promise.all(
      hosts.map((host) => NumberedUdp.start(sides.office, sides.far, farHost(host), 5000 + host, 200)),
    );
    await change("0, 1");
    for (const { flows } of (await readTop(running)).lanes) expect(flows).toBeGreaterThan(0);
    expect(await fetchAs(sides.office, officeHost(1), `http://${farHost(1)}/`)).toBe(`far ::ffff:${officeHost(1)}`);
    await change("0");
    expect(await fetchAs(sides.office, officeHost(2), `http://${farHost(2)}/`)).toBe(`far ::ffff:${officeHost(2)}`);
    const received = await Promise.all(datagrams.map((each) => each.end()));
    for (const { outOfOrder, duplicates } of received) {
      expect({ outOfOrder, duplicates }).toEqual({ outOfOrder: 0, duplicates: 0 });
    }
    const { drops, ports } = await readTop(running);
    expect({ drops, missing: received.reduce((sum, { missing }) => sum + missing, 0) }).toEqual({
      ...{ drops: [], missing: ports.reduce((sum, { dropped }) => sum + dropped, 0) },
    });
    const { last, status } = await running.end();
    expect(last.frames).toMatchObject({ intact: true });
    expect(status).toBe(0);
  }, 120_000);
});
