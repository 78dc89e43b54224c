// NAT on two lanes, with flows spread by hosts: what a host has outside does not depend on lanes, nor on queues.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { networkObstacle } from "../../runtime/testing/network.ts";
import { connectLanes, HOSTS, type LanesBetween, lanesChain, leftHost, rightHost } from "../support/lanes-between.ts";
import { RunningEngine, readTop } from "../support/running-engine.ts";
import { UdpTalkers } from "../support/udp-talkers.ts";

const obstacle = networkObstacle();
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;
const OUTSIDE = "10.9.0.200";
const hosts = Array.from({ length: HOSTS }, (_, host) => host);
const inside = hosts.map((host) => `${leftHost(host)}:6000`);
/** Whom hosts inside call, and who calls them unasked. */
const peers = hosts.map((host) => `${rightHost(host)}:7000`);
const strangers = hosts.map((host) => `${rightHost(host)}:7100`);

describe.skipIf(obstacle !== null)(`NAT on two lanes${skipped}`, () => {
  let sides: LanesBetween;
  let folder: string | undefined;
  let engine: RunningEngine;
  let left: UdpTalkers;
  let right: UdpTalkers;
  const outside: string[] = [];

  beforeAll(async () => {
    sides = await connectLanes(2);
    const rule = `{ from: [10.9.0.0/27], pool: [${OUTSIDE}], filtering: endpoint-independent }`;
    const document = lanesChain([0, 1], { nat: `{ use: nat@1, config: { outside: [wan], sources: [${rule}] } }` })
      .replace("device: wan0", `device: wan0, answersFor: [${OUTSIDE}]`)
      .concat(`flows: { spread: { hosts: [10.9.0.0/27], shared: [${OUTSIDE}] } }\n`);
    folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
    writeFileSync(join(folder, "chain.yaml"), document);
    engine = await RunningEngine.start(sides.box, join(folder, "chain.yaml"));
    const neighbour = [OUTSIDE, "lladdr", "02:00:00:00:00:02", "dev", "eth0", "nud", "permanent"];
    await sides.left.run("ip", "neighbour", "replace", ...neighbour);
    left = await UdpTalkers.start(sides.left, inside);
    right = await UdpTalkers.start(sides.right, [...peers, ...strangers]);
  }, 120_000);

  afterAll(async () => {
    engine?.dispose();
    await sides?.network.close();
    if (folder !== undefined) rmSync(folder, { recursive: true });
  });

  it("gives an inside endpoint one outside endpoint, whomever it calls", async () => {
    for (const [host, from] of inside.entries()) {
      const seen = new Set<string | undefined>();
      for (const [peer, to] of peers.entries()) {
        const text = `call ${host} ${peer}`;
        seen.add((await right.hear(text, () => left.say(from, to, text)))?.from);
      }
      expect([...seen]).toEqual([expect.stringMatching(`^${OUTSIDE}:`)]);
      outside.push([...seen][0] as string);
    }
    expect(new Set(outside).size).toBe(HOSTS);
    const { lanes } = await readTop(engine);
    for (const { flows } of lanes) expect(flows).toBeGreaterThan(0);
  }, 120_000);

  it("lets in whom no session knows", async () => {
    for (const [caller, from] of strangers.entries()) {
      for (const [host, to] of outside.entries()) {
        const text = `stranger ${caller} ${host}`;
        const heard = await left.hear(text, () => right.say(from, to, text));
        expect(heard).toEqual({ at: inside[host], from, text });
      }
    }
  }, 120_000);

  it("lets in what comes in fragments", async () => {
    for (const [host, to] of outside.entries()) {
      const from = strangers[(host + 3) % HOSTS] as string;
      const text = `fragments ${host} ${"x".repeat(4000)}`;
      expect(await left.hear(text, () => right.say(from, to, text))).toEqual({ at: inside[host], from, text });
    }
  }, 120_000);

  it("brings hosts inside together by outside endpoints, each seen by its own", async () => {
    for (const [caller, from] of inside.entries()) {
      for (const [host, to] of outside.entries()) {
        if (host === caller) continue;
        const text = `inside ${caller} ${host}`;
        const heard = await left.hear(text, () => left.say(from, to, text));
        expect(heard).toEqual({ at: inside[host], from: outside[caller], text });
      }
    }
  }, 120_000);

  it("drops nothing, and counts every frame once", async () => {
    const { drops } = await readTop(engine);
    expect(drops).toEqual([]);
    const { status, last } = await engine.end();
    expect(last.frames).toMatchObject({ intact: true });
    expect(status).toBe(0);
  }, 120_000);
});
