// An office that has no IPv4, and no IPv6 addresses that the internet knows: all of it is behind the box's own two addresses.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createNetwork, type Namespace, type Network, networkObstacle } from "../../runtime/testing/network.ts";
import { fetchFrom, greet } from "../support/greeter.ts";
import { missingProgram } from "../support/missing-program.ts";
import { RunningEngine, upgrade } from "../support/running-engine.ts";
import { until } from "../support/until.ts";

const obstacle = networkObstacle() ?? missingProgram("curl", "ping");
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;

const document = `
chain: six
ports:
  lan: { device: lan0, forwarding: routed }
  wan: { device: wan0, forwarding: routed }
functions:
  fw:
    use: firewall@1
    config:
      zones:
        office: { ports: [lan], prefixes: ["fd00:1::/64"] }
        internet: { ports: [wan], prefixes: [0.0.0.0/0, "::/0"] }
      rules:
        - { action: accept, from: [internet], destinations: ["fd00:1::80/128"], ipProtos: [tcp], destinationPorts: [80] }
        - { action: reject, name: denied, from: [internet], destinations: ["fd00:1::80/128"] }
      pairs: [{ from: office, to: internet, action: accept }]
  nat:
    use: nat@1
    config:
      outside: [wan]
      sources: [{ from: ["fd00:1::/64"], masquerade: true }]
      forwards:
        - { port: wan, ipProto: tcp, ports: "8080-8081", to: "fd00:1::80", toPort: 80 }
      nat64: [{ prefix: "64:ff9b::/96", from: ["fd00:1::/64"], masquerade: true }]
paths:
  - { from: lan, through: [fw, nat], to: route }
  - { from: wan, through: [nat, fw], to: route }
`;

describe.skipIf(obstacle !== null)(`an office of IPv6 alone behind the box's own addresses${skipped}`, () => {
  let network: Network;
  let office: Namespace;
  let box: Namespace;
  let internet: Namespace;
  let engine: RunningEngine;
  const folder = mkdtempSync(join(tmpdir(), "sluice-test-six-"));

  beforeAll(async () => {
    network = await createNetwork();
    [office, box, internet] = await Promise.all([
      network.namespace("office"),
      network.namespace("box"),
      network.namespace("internet"),
    ]);
    await network.link(
      { namespace: office, device: "eth0", addresses: ["fd00:1::2/64", "fd00:1::80/64"] },
      { namespace: box, device: "lan0", addresses: ["fd00:1::1/64"] },
    );
    await network.link(
      { namespace: internet, device: "eth0", addresses: ["203.0.113.2/24", "2001:db8::2/64"] },
      { namespace: box, device: "wan0", addresses: ["203.0.113.1/24", "2001:db8::1/64"] },
    );
    await office.run("ip", "route", "add", "default", "via", "fd00:1::1", "src", "fd00:1::2");
    greet(office, "office", 80);
    greet(internet, "internet", 80);
    await until(async () => (await fetchFrom(office, "http://[::1]/").catch(String)).startsWith("office"));
    await until(async () => (await fetchFrom(internet, "http://[::1]/").catch(String)).startsWith("internet"));
    const file = join(folder, "six.yaml");
    writeFileSync(file, document);
    engine = await RunningEngine.start(box, file);
  }, 120_000);

  afterAll(async () => {
    rmSync(folder, { recursive: true });
    engine?.dispose();
    await network?.close();
  });

  /** The box has another address; resolves when the office is behind that. */
  const renumber = async (before: string, after: string) => {
    await box.run("ip", "address", "del", `${before}/64`, "dev", "wan0");
    await box.run("ip", "address", "add", `${after}/64`, "dev", "wan0", "nodad");
    const greeted = () => fetchFrom(office, "http://[2001:db8::2]/").catch(String);
    await expect.poll(greeted, { timeout: 40_000, interval: 100 }).toBe(`internet ${after}`);
  };

  it("reaches the internet by either family", async () => {
    expect(await fetchFrom(office, "http://[2001:db8::2]/")).toBe("internet 2001:db8::1");
    expect(await fetchFrom(office, "http://[64:ff9b::203.0.113.2]/")).toBe("internet ::ffff:203.0.113.1");
    for (const host of ["2001:db8::2", "64:ff9b::203.0.113.2"])
      expect((await office.run("ping", "-6", "-c", "2", "-i", "0.2", "-W", "2", host)).stdout).toContain("2 received");
  }, 60_000);

  it("is reached by the forwarded port, and what is rejected is so in the name of the address that was called", async () => {
    expect(await fetchFrom(internet, "http://[2001:db8::1]:8080/")).toBe("office 2001:db8::2");
    await expect(fetchFrom(internet, "http://[2001:db8::1]:8081/")).rejects.toMatchObject({ code: 7 });
  }, 60_000);

  it("has fragments, and errors about what is too big, brought through", async () => {
    const reach = (host: string, bytes: number, ...options: string[]) =>
      office
        .run("ping", "-6", "-c", "2", "-i", "0.2", "-W", "2", "-s", String(bytes), ...options, host)
        .then(({ stdout }) => stdout)
        .catch(({ stdout }: { stdout: string }) => stdout);
    expect(await reach("2001:db8::2", 4000)).toContain("2 received");
    for (const [namespace, device] of [
      [box, "wan0"],
      [internet, "eth0"],
    ] as const)
      await namespace.run("ip", "link", "set", device, "mtu", "1300");
    await until(async () => /mtu ?= ?1300/i.test(await reach("2001:db8::2", 1400, "-M", "do")));
    expect(await reach("2001:db8::2", 4000)).toContain("2 received");
    expect(await fetchFrom(office, "http://[64:ff9b::203.0.113.2]/large")).toHaveLength(200_000);
  }, 60_000);

  it("goes on while two generations take turns with what there is, and when the new one is given up", async () => {
    const fetchAll = () =>
      Promise.all([
        fetchFrom(office, "http://[2001:db8::2]/"),
        fetchFrom(office, "http://[64:ff9b::203.0.113.2]/"),
        fetchFrom(internet, "http://[2001:db8::1]:8080/"),
      ]);
    const all = ["internet 2001:db8::1", "internet ::ffff:203.0.113.1", "office 2001:db8::2"];
    await upgrade(engine, "load", "--use", "nat=nat@1");
    await upgrade(engine, "switchover", "--canary", "50%");
    for (let round = 0; round < 8; round++) expect(await fetchAll()).toEqual(all);
    await upgrade(engine, "abort");
    expect(await fetchAll()).toEqual(all);
  }, 60_000);

  it("goes on through changes of generation, and behind the box's next addresses", async () => {
    const transfers = ["2001:db8::2", "64:ff9b::203.0.113.2"].map((host) => fetchFrom(office, `http://[${host}]/slow`));
    for (let change = 0; change < 2; change++)
      await upgrade(engine, "run", "--use", "nat=nat@1", "--use", "fw=firewall@1");
    expect((await Promise.all(transfers)).map((text) => text.split("\n").length)).toEqual([41, 41]);
    await renumber("2001:db8::1", "2001:db8::5");
    expect(await fetchFrom(internet, "http://[2001:db8::5]:8080/")).toBe("office 2001:db8::2");
  }, 90_000);

  it("is behind its address when that was gone for a while, and the generation that knew it is back", async () => {
    await upgrade(engine, "load", "--use", "nat=nat@1");
    await upgrade(engine, "switchover");
    await renumber("2001:db8::5", "2001:db8::6");
    // What the old address was known by is soon others'.
    const others = Array.from({ length: 8 }, (_, index) => `2001:db8::1${index}`);
    for (const other of others) await internet.run("ip", "address", "add", `${other}/64`, "dev", "eth0", "nodad");
    for (const other of others) expect(await fetchFrom(office, `http://[${other}]/`)).toBe("internet 2001:db8::6");
    await renumber("2001:db8::6", "2001:db8::5");
    await upgrade(engine, "abort");
    expect(await fetchFrom(office, "http://[2001:db8::2]/")).toBe("internet 2001:db8::5");
    expect(await fetchFrom(internet, "http://[2001:db8::5]:8080/")).toMatch(/^office /);
  }, 90_000);

  it("leaves no slot behind", async () => {
    const { last, status } = await engine.end();
    expect(last.frames).toMatchObject({ intact: true });
    expect(status).toBe(0);
  });
});
