import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createNetwork, type Namespace, type Network, networkObstacle } from "../../runtime/testing/network.ts";
import { projectRoot } from "../support/run-sluice.ts";
import { RunningEngine } from "../support/running-engine.ts";

const obstacle = networkObstacle();
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;

describe.skipIf(obstacle !== null)(`a box that routes${skipped}`, () => {
  let network: Network;
  let office: Namespace;
  let internet: Namespace;
  let box: Namespace;
  let engine: RunningEngine;

  const ip = (namespace: Namespace, ...words: string[]) => namespace.run("ip", ...words);

  beforeAll(async () => {
    network = await createNetwork();
    [office, internet, box] = await Promise.all([
      network.namespace("office"),
      network.namespace("internet"),
      network.namespace("box"),
    ]);
    await network.link(
      { namespace: office, device: "eth0", addresses: ["10.1.0.2/24", "fd01::2/64"], macAddress: "02:00:00:00:00:02" },
      { namespace: box, device: "lan0", addresses: ["10.1.0.1/24", "fd01::1/64"], macAddress: "02:00:00:00:01:01" },
    );
    await network.link(
      { namespace: internet, device: "eth0", addresses: ["203.0.113.2/24", "2001:db8::2/64"] },
      { namespace: box, device: "wan0", addresses: ["203.0.113.1/24", "2001:db8::1/64"] },
    );
    await ip(office, "route", "add", "default", "via", "10.1.0.1");
    await ip(office, "-6", "route", "add", "default", "via", "fd01::1");
    await ip(internet, "route", "add", "default", "via", "203.0.113.1");
    await ip(internet, "-6", "route", "add", "default", "via", "2001:db8::1");
    engine = await RunningEngine.start(box, `${projectRoot}/chains/router.yaml`);
  }, 60_000);

  afterAll(async () => {
    engine?.dispose();
    await network?.close();
  });

  const ping = async (from: Namespace, host: string, ...options: string[]) =>
    (await from.run("ping", "-c", "3", "-i", "0.1", "-W", "3", ...options, host)).stdout;

  it("forwards both families, with one hop less and the next hop's link addresses, and loses nothing meanwhile", async () => {
    for (const host of ["203.0.113.2", "2001:db8::2"]) {
      const answer = await ping(office, host);
      expect(answer).toContain("3 received");
      expect(answer).toContain("ttl=63");
    }
  });

  it("leaves to the kernel what is for the box itself", async () => {
    for (const host of ["10.1.0.1", "203.0.113.1", "fd01::1", "2001:db8::1"]) {
      expect(await ping(office, host)).toContain("3 received");
    }
  });

  it("leaves no slot behind", async () => {
    const { last, status } = await engine.end();
    expect(last.frames).toMatchObject({ intact: true });
    expect(status).toBe(0);
  });
});
