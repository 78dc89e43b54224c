// The next generation on copies of the traffic between two namespaces.
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ShadowStatus } from "../../runtime/generation/shadow-watch.ts";
import { createNetwork, type Namespace, type Network, networkObstacle } from "../../runtime/testing/network.ts";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { type CountingVersion, makeCountingFunctions, totalSegment } from "../support/counting-function.ts";
import { sluicePath } from "../support/run-sluice.ts";
import { RunningEngine, readHistory, readTop, upgrade } from "../support/running-engine.ts";
import { sendFrames } from "../support/send-frames.ts";
import { settleAddresses } from "../support/settle-addresses.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const execute = promisify(execFile);
const obstacle = networkObstacle();
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;

const document = `chain: shadowed
ports: { lan: { device: lan0 }, wan: { device: wan0 } }
functions: { count: { use: counting@1 } }
paths:
  - { from: lan, through: [count], to: wan }
  - { from: wan, through: [count], to: lan }
`;

const FLOWS = 10_000;
const AT_ONCE = 500;
const portOf = (flow: number) => 20_000 + flow;

describe.skipIf(obstacle !== null)(`a shadow of a chain that runs${skipped}`, () => {
  let network: Network;
  let left: Namespace;
  let engine: RunningEngine | undefined;
  let start: (...versions: readonly CountingVersion[]) => Promise<RunningEngine>;

  beforeEach(async () => {
    network = await createNetwork();
    const [first, right, box] = await Promise.all(["left", "right", "box"].map((name) => network.namespace(name)));
    left = first as Namespace;
    const ends = [left, right as Namespace] as const;
    for (const [index, device] of ["lan0", "wan0"].entries()) {
      const namespace = ends[index] as Namespace;
      await network.link(
        { namespace, device: "eth0", addresses: [`10.9.0.${index + 1}/24`] },
        { namespace: box as Namespace, device },
      );
    }
    await settleAddresses(...ends);
    start = async (...versions) => {
      const [first, ...others] = versions;
      const running = first?.version.startsWith("1.") ? first : { version: "1.0.0", step: 1 };
      const functions = await makeCountingFunctions(running, ...(running === first ? others : versions));
      const file = `${makeFolder({ "chain.yaml": document })}/chain.yaml`;
      engine = await RunningEngine.start(box as Namespace, file, { functions });
      return engine;
    };
  });

  afterEach(async () => {
    engine?.dispose();
    engine = undefined;
    await network.close();
  });

  /** What the function has counted. */
  const total = (running: RunningEngine) =>
    Number(readFileSync(`${running.chainFolder}/${totalSegment("count")}`).readBigUInt64LE());

  /** A packet of each flow, in pieces that the device's rings can hold. */
  const sendFlows = async (running: RunningEngine, count: number) => {
    for (let first = 0; first < count; first += AT_ONCE) {
      const before = total(running);
      const frames = Array.from({ length: Math.min(AT_ONCE, count - first) }, (_, index) =>
        encodePacket(`udp 10.9.0.1:${portOf(first + index)} > 10.9.0.2:7 payload "hello"`),
      );
      await sendFrames(left, "eth0", frames);
      await expect.poll(() => total(running), { timeout: 10_000 }).toBeGreaterThanOrEqual(before + frames.length);
    }
  };

  /** Echo requests that were answered; goes on until there are `count`, or half a minute. */
  const ping = async (count: number, ...options: readonly string[]) => {
    const args = ["-c", String(count), "-i", "0.01", "-w", "30", ...options, "10.9.0.2"];
    const { stdout } = await left.run("ping", ...args);
    return Number(/(\d+) received/.exec(stdout)?.[1]);
  };

  const shadowOf = async (running: RunningEngine) => (await upgrade(running, "status")).shadow as ShadowStatus;

  const until = (running: RunningEngine, frames: number) =>
    expect.poll(async () => (await shadowOf(running)).frames, { timeout: 20_000 }).toBeGreaterThanOrEqual(frames);

  it("finds the one flow in 10 000 that the next version treats otherwise, and names it", async () => {
    const victim = portOf(7042);
    const running = await start({
      version: "2.0.0",
      step: 1,
      each: `if (packet.sourcePort == ${victim}) packet.drop();`,
    });
    await sendFlows(running, FLOWS);
    const loaded = await upgrade(running, "load", "--use", "count=counting@2", "--shadow");
    expect(loaded).toMatchObject({ state: "loaded", generation: 1, shadow: { state: "following", why: null } });
    await sendFlows(running, FLOWS);
    await until(running, FLOWS);
    const shadow = await shadowOf(running);
    expect(shadow).toMatchObject({ differing: 1, missed: 0, faults: 0 });
    expect(shadow.compared).toBeGreaterThanOrEqual(FLOWS);
    const [difference, ...others] = shadow.differences;
    expect(others).toEqual([]);
    expect(difference).toMatchObject({ live: "forward wan", next: "drop count unspecified", frames: 1, flows: 1 });
    expect(difference?.examples).toMatchObject([
      {
        flow: `UDP 10.9.0.1:${victim} > 10.9.0.2:7`,
        packet: `udp 10.9.0.1:${victim} > 10.9.0.2:7 payload "hello"`,
      },
    ]);
    const env = { ...process.env, SLUICE_STATE_DIR: running.stateFolder, SLUICE_DATA_DIR: running.dataFolder };
    const { stdout } = await execute(sluicePath, ["upgrade", "status"], { env });
    console.log(stdout);
    expect(stdout).toContain("live forward wan, next drop count unspecified: 1 frame of 1 flow");
    // The traffic went past it, and so did the state.
    expect(total(running)).toBeGreaterThanOrEqual(2 * FLOWS);
    expect(await ping(3)).toBe(3);
    expect(await upgrade(running, "switchover")).toMatchObject({ state: "switched", shadow: { state: "ended" } });
    expect(await ping(3)).toBe(3);
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
  }, 90_000);

  it("finds nothing in the same version, and is gone with an abort", async () => {
    const running = await start();
    await sendFlows(running, AT_ONCE);
    await upgrade(running, "load", "--shadow", "--abort-on", "divergence>0% after 1", "--abort-on", "faults>0");
    await sendFlows(running, 2 * AT_ONCE);
    expect(await ping(20)).toBe(20);
    await until(running, 2 * AT_ONCE + 40);
    expect(await shadowOf(running)).toMatchObject({ differing: 0, missed: 0, faults: 0, state: "following" });
    expect(await upgrade(running, "abort")).toMatchObject({ state: "aborted", shadow: { state: "ended", why: null } });
    expect(await ping(3)).toBe(3);
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
  });

  it("aborts the upgrade when a condition is broken, and the history says which", async () => {
    const running = await start({ version: "2.0.0", step: 1, each: "if (packet.sourcePort % 10 == 0) packet.drop();" });
    const conditions = ["--abort-on", "drop-rate>50%", "--abort-on", "divergence>0.1% after 100"];
    await upgrade(running, "load", "--use", "count=counting@2", "--shadow", ...conditions);
    await sendFlows(running, AT_ONCE);
    await expect.poll(async () => (await upgrade(running, "status")).state, { timeout: 10_000 }).toBe("aborted");
    const last = (await readHistory(running)).at(-1);
    expect(last).toMatchObject({ state: "aborted", actor: "condition" });
    expect(last?.outcome).toMatch(/^shadow: divergence is \d+(\.\d+)?% \(divergence>0.1% after 100\)$/);
    console.log(last?.outcome);
    expect(await upgrade(running, "status")).toMatchObject({ generation: 1, shadow: { state: "ended" } });
    expect((await upgrade(running, "run")).state).toBe("committed");
    expect(await ping(3)).toBe(3);
  });

  it("does not disturb the traffic when it hangs", async () => {
    const running = await start({ version: "2.0.0", step: 1, each: "if (packet.dscp == 46) { while (true) {} }" });
    await upgrade(running, "load", "--use", "count=counting@2", "--shadow", "--abort-on", "faults>0");
    expect(await ping(100, "-Q", "0xb8")).toBe(100);
    await expect.poll(async () => (await upgrade(running, "status")).state, { timeout: 10_000 }).toBe("aborted");
    expect(await shadowOf(running)).toMatchObject({
      ...{ state: "ended", faults: 1, why: "count (counting@2.0.0) did not return" },
    });
    expect((await readHistory(running)).at(-1)?.outcome).toBe("shadow: faults is 1 (faults>0)");
    expect(running.stderr).not.toContain("quarantine");
    expect((await readTop(running)).drops).toEqual([]);
    expect(await ping(3)).toBe(3);
  });

  it("goes on when a standby takes over the lane that it follows, and ends with the engine", async () => {
    const running = await start(
      { version: "1.0.0", step: 1, each: "if (packet.dscp == 46) { while (true) {} }" },
      { version: "2.0.0", step: 1 },
    );
    await upgrade(running, "load", "--use", "count=counting@2", "--shadow");
    await new Promise((resolve) => setTimeout(resolve, 1500)); // the standby is warm
    expect(await ping(3)).toBe(3);
    await left.run("ping", "-c", "1", "-Q", "0xb8", "-W", "1", "10.9.0.2").catch(() => {});
    await expect.poll(() => running.stderr, { timeout: 5000 }).toContain("quarantine count");
    await left.run("ping", "-c", "1", "-W", "1", "10.9.0.2").catch(() => {});
    await expect.poll(async () => (await shadowOf(running)).differing, { timeout: 5000 }).toBeGreaterThanOrEqual(2);
    const shadow = await shadowOf(running);
    expect(shadow).toMatchObject({ state: "following", missed: 0, faults: 0 });
    const kinds = shadow.differences.map(({ live, next }) => `${live} / ${next}`);
    expect(kinds).toEqual(["fault count fault / forward wan", "drop quarantined / forward wan"]);
    expect(await running.end()).toMatchObject({ status: 0, last: { frames: { intact: true } } });
  });

  it("is refused with a condition that is none, and with conditions of nothing", async () => {
    const running = await start();
    const load = (...args: readonly string[]) => upgrade(running, "load", ...args);
    await expect(load("--shadow", "--abort-on", "divergence")).rejects.toThrow("error[usage] --abort-on");
    await expect(load("--abort-on", "faults>0")).rejects.toThrow("add --shadow");
    expect(await upgrade(running, "status")).toMatchObject({ state: "init", shadow: null });
  });
});
