import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createNetwork, type Namespace, type Network, networkObstacle } from "../../runtime/testing/network.ts";
import { fetchFrom, greet } from "../support/greeter.ts";
import { missingProgram } from "../support/missing-program.ts";
import { projectRoot } from "../support/run-sluice.ts";
import { RunningEngine, upgrade } from "../support/running-engine.ts";
import { until } from "../support/until.ts";

const obstacle = networkObstacle() ?? missingProgram("traceroute", "curl");
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;

describe.skipIf(obstacle !== null)(`an office's gateway: firewall, NAT and routes${skipped}`, () => {
  let network: Network;
  let office: Namespace;
  let box: Namespace;
  let internet: Namespace;
  let far: Namespace;
  let engine: RunningEngine;

  const ip = (namespace: Namespace, ...words: string[]) => namespace.run("ip", ...words);
  const failure = async (work: Promise<unknown>) => {
    const started = performance.now();
    const code = await work.then(
      () => 0,
      (error: { code?: number }) => error.code ?? -1,
    );
    return { code, ms: performance.now() - started };
  };

  beforeAll(async () => {
    network = await createNetwork();
    [office, box, internet, far] = await Promise.all([
      network.namespace("office"),
      network.namespace("box"),
      network.namespace("internet"),
      network.namespace("far"),
    ]);
    await network.link(
      { namespace: office, device: "eth0", addresses: ["10.1.0.2/24", "10.1.0.80/24", "2001:db8:1::2/64"] },
      { namespace: box, device: "lan0", addresses: ["10.1.0.1/24", "2001:db8:1::1/64"] },
    );
    await network.link(
      { namespace: internet, device: "eth0", addresses: ["203.0.113.2/24", "2001:db8::2/64"] },
      { namespace: box, device: "wan0", addresses: ["203.0.113.1/24", "2001:db8::1/64"] },
    );
    await network.link(
      { namespace: far, device: "eth0", addresses: ["198.51.100.2/24", "2001:db8:2::2/64"] },
      { namespace: internet, device: "eth1", addresses: ["198.51.100.1/24", "2001:db8:2::1/64"] },
      { mtu: 1400 },
    );
    await internet.run("sysctl", "-q", "-w", "net.ipv4.ip_forward=1", "net.ipv6.conf.all.forwarding=1");
    await ip(office, "route", "add", "default", "via", "10.1.0.1");
    await ip(office, "route", "add", "default", "via", "2001:db8:1::1");
    await ip(box, "route", "add", "default", "via", "203.0.113.2");
    await ip(box, "route", "add", "default", "via", "2001:db8::2");
    await ip(internet, "route", "add", "2001:db8:1::/64", "via", "2001:db8::1");
    await ip(far, "route", "add", "default", "via", "198.51.100.1");
    await ip(far, "route", "add", "default", "via", "2001:db8:2::1");
    greet(office, "office", 80);
    greet(box, "box", 22, 8000);
    greet(internet, "internet", 80, 8443);
    greet(far, "far", 80);
    for (const namespace of [office, box, internet, far]) {
      const port = namespace === box ? 22 : 80;
      await until(async () => (await failure(fetchFrom(namespace, `http://127.0.0.1:${port}/`))).code === 0);
    }
    engine = await RunningEngine.start(box, `${projectRoot}/chains/gateway.yaml`);
  }, 120_000);

  afterAll(async () => {
    engine?.dispose();
    await network?.close();
  });

  it("hides the office behind the box's own address in IPv4, and not in IPv6", async () => {
    expect(await fetchFrom(office, "http://203.0.113.2/")).toBe("internet ::ffff:203.0.113.1");
    expect(await fetchFrom(office, "http://198.51.100.2/")).toBe("far ::ffff:203.0.113.1");
    expect(await fetchFrom(office, "http://[2001:db8:2::2]/")).toBe("far 2001:db8:1::2");
  });

  it("lets the internet reach the office's server by the forwarded port, and nothing else", async () => {
    expect(await fetchFrom(far, "http://203.0.113.1:8080/")).toBe("office ::ffff:198.51.100.2");
    expect((await failure(fetchFrom(far, "http://[2001:db8:1::2]:80/"))).code).toBe(28);
  }, 30_000);

  it("rejects at once what the office may not reach", async () => {
    const { code, ms } = await failure(fetchFrom(office, "http://203.0.113.2:8443/"));
    expect(code).toBe(7);
    expect(ms).toBeLessThan(4000);
  });

  it("lets the box's own services and its own connections be, beside translated ones", async () => {
    expect(await fetchFrom(far, "http://203.0.113.1:22/")).toBe("box ::ffff:198.51.100.2");
    expect(await fetchFrom(office, "http://10.1.0.1:22/")).toBe("box ::ffff:10.1.0.2");
    expect(await fetchFrom(office, "http://[2001:db8:1::1]:22/")).toBe("box 2001:db8:1::2");
    expect((await failure(fetchFrom(far, "http://203.0.113.1:8000/"))).code).toBe(28);
    expect(await fetchFrom(box, "http://198.51.100.2/")).toBe("far ::ffff:203.0.113.1");
    expect(await fetchFrom(box, "http://[2001:db8:2::2]/")).toBe("far 2001:db8::1");
  }, 30_000);

  it("changes generations under connections, of the office and of the box itself, without anybody noticing", async () => {
    const transfers = [
      fetchFrom(office, "http://198.51.100.2/slow"),
      fetchFrom(far, "http://203.0.113.1:8080/slow"),
      fetchFrom(far, "http://203.0.113.1:22/slow"),
      fetchFrom(office, "http://[2001:db8:2::2]/slow"),
    ];
    const pings = office.run("ping", "-c", "30", "-i", "0.1", "198.51.100.2");
    for (let change = 0; change < 3; change++)
      await upgrade(engine, "run", "--use", "nat=nat@1", "--use", "fw=firewall@1");
    expect((await Promise.all(transfers)).map((text) => text.split("\n").length)).toEqual([41, 41, 41, 41]);
    expect((await pings).stdout).toContain("30 received");
  }, 60_000);

  const trace = async (target: string, ...options: string[]) => {
    const { stdout } = await office.run("traceroute", "-n", "-q", "1", "-w", "2", ...options, target);
    const hops = stdout
      .split("\n")
      .slice(1)
      .map((line) => line.trim().split(/\s+/)[1]);
    return hops.filter((hop) => hop !== undefined);
  };

  it("is one hop of a traceroute, and those beyond it are seen through the translation", async () => {
    const hops4 = ["10.1.0.1", "203.0.113.2", "198.51.100.2"];
    expect(await trace("198.51.100.2")).toEqual(hops4);
    expect(await trace("198.51.100.2", "-I")).toEqual(hops4);
    expect(await trace("198.51.100.2", "-T", "-p", "80")).toEqual(hops4);
    const hops6 = ["2001:db8:1::1", "2001:db8::2", "2001:db8:2::2"];
    expect(await trace("2001:db8:2::2", "-6")).toEqual(hops6);
    expect(await trace("2001:db8:2::2", "-6", "-I")).toEqual(hops6);
  }, 60_000);

  const reachWith = (host: string, bytes: number, ...options: string[]) =>
    office.run("ping", "-c", "2", "-i", "0.2", "-W", "2", "-s", String(bytes), ...options, host).then(
      ({ stdout }) => stdout,
      ({ stdout }: { stdout: string }) => stdout,
    );

  it("lets the office learn the path's MTU, from a router beyond and from itself, in both families", async () => {
    expect(await reachWith("198.51.100.2", 1440, "-M", "do")).toMatch(/mtu ?= ?1400/);
    expect(await reachWith("2001:db8:2::2", 1420, "-M", "do")).toMatch(/mtu ?= ?1400/i);
    for (const [namespace, device] of [
      [box, "wan0"],
      [internet, "eth0"],
    ] as const) {
      await ip(namespace, "link", "set", device, "mtu", "1300");
    }
    await until(async () => {
      const answer = await reachWith("203.0.113.2", 1372, "-M", "do");
      return /From 10\.1\.0\.1.*mtu ?= ?1300/.test(answer);
    });
    expect(await reachWith("2001:db8::2", 1352, "-M", "do")).toMatch(/mtu ?= ?1300/i);
  }, 60_000);

  it("fragments what may be fragmented for a narrower link, and puts translated fragments through", async () => {
    expect(await reachWith("203.0.113.2", 1400, "-M", "dont")).toContain("2 received");
    expect(await reachWith("203.0.113.2", 4000, "-M", "dont")).toContain("2 received");
  }, 30_000);

  it("hides the office behind the box's next address when that changes", async () => {
    await ip(box, "address", "del", "203.0.113.1/24", "dev", "wan0");
    await ip(box, "address", "add", "203.0.113.5/24", "dev", "wan0");
    await ip(box, "route", "replace", "default", "via", "203.0.113.2");
    const greeting = "far ::ffff:203.0.113.5";
    await until(async () => (await fetchFrom(office, "http://198.51.100.2/").catch(String)) === greeting);
    expect(await fetchFrom(far, "http://203.0.113.5:8080/")).toBe("office ::ffff:198.51.100.2");
  }, 60_000);

  it("leaves no slot behind", async () => {
    const { last, status } = await engine.end();
    expect(last.frames).toMatchObject({ intact: true });
    expect(status).toBe(0);
  });
});
