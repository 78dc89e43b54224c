// Engines that die while their chain carries traffic between two namespaces: what goes on, and what passes meanwhile.
import { readdirSync, readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { afxdpObstacle } from "../support/afxdp.ts";
import { NumberedUdp } from "../support/numbered-udp.ts";
import { restartingChain, startRestarting, totalOf } from "../support/restarting-chain.ts";
import { type RunningEngine, readFlows, readTop } from "../support/running-engine.ts";
import { attachedPrograms, createTwoSides, RIGHT, type TwoSides } from "../support/two-sides.ts";

const obstacle = afxdpObstacle();
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;
const PORT = 7000;

describe.skipIf(obstacle !== null)(`an engine that dies under traffic${skipped}`, () => {
  let sides: TwoSides;
  let engine: RunningEngine | undefined;

  beforeEach(async () => {
    sides = await createTwoSides();
  });

  afterEach(async () => {
    engine?.dispose();
    engine = undefined;
    await sides.network.close();
  });

  const start = async (document: string) => {
    const started = await startRestarting(sides, document);
    engine = started.running;
    return started;
  };

  it("is started again under TCP and numbered UDP: flows, segments, columns and counters go on", async () => {
    const { left, right, box } = sides;
    const { running } = await start(restartingChain());
    const server = right.spawn("iperf3", ["-s", "-1"], { stdio: "ignore" });
    const udp = await NumberedUdp.start(left, right, RIGHT, PORT);
    await sleep(500);
    const seconds = "13";
    const tcp = left.run("iperf3", "-c", RIGHT, "-t", seconds, "-b", "20M", "-J");
    await sleep(1500);
    const before = { flows: await readFlows(running, "udp"), top: await readTop(running), total: totalOf(running) };
    for (let kill = 0; kill < 3; kill++) {
      const restart = await running.killEngine(kill === 1 ? "SIGSEGV" : "SIGKILL");
      expect(restart.recovery).toMatchObject({ fresh: false });
      expect(restart.death.how).toBe(kill === 1 ? "SIGSEGV" : "SIGKILL");
      await sleep(1500);
    }
    const columns = readFileSync(`${running.chainFolder}/column-counting.count-u64`);
    const column = (flow: number) => Number(columns.readBigUInt64LE(flow * 8));
    const after = {
      column,
      flows: await readFlows(running, "udp"),
      top: await readTop(running),
      total: totalOf(running),
    };
    const tcpFlows = await readFlows(running, "tcp");
    const end = JSON.parse((await tcp).stdout).end;
    const received = await udp.end();
    server.kill();

    expect(end.sum_received.bytes).toBeGreaterThan(10e6);
    expect(end.streams).toHaveLength(1);
    expect(received).toMatchObject({ duplicates: 0, outOfOrder: 0 });
    const outages = received.incidents.filter(({ missing }) => missing > 0);
    expect(outages.length).toBeGreaterThanOrEqual(3);
    const times = outages.map(({ ms }) => ms.toFixed(0)).join(", ");
    console.log(`outages of numbered UDP: ${times} ms; ${received.missing} of ${received.sent} lost`);

    const flowOf = (flows: typeof before.flows) =>
      flows.find(({ dest_port: port }) => port === PORT) as { flow: number; packets_to_server: number };
    const [flow, later] = [flowOf(before.flows), flowOf(after.flows)];
    expect(later.flow).toBe(flow.flow);
    expect(later.packets_to_server).toBeGreaterThan(flow.packets_to_server + 3000);
    // A batch may have been counted by one of function and engine alone when the engine was killed.
    const counted = after.column(flow.flow);
    expect(Math.abs(counted - later.packets_to_server)).toBeLessThanOrEqual(3 * 256);
    expect(tcpFlows).toContainEqual(expect.objectContaining({ state: "established", dest_port: 5201 }));
    expect(after.total).toBeGreaterThan(before.total + 3000);
    expect(after.top.counters[0]?.value).toBeGreaterThan((before.top.counters[0]?.value ?? 0) + 3000);
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
    expect(await attachedPrograms(box)).toBe(0);
    expect(readdirSync(running.stateFolder)).toEqual([]);
  }, 90_000);

  describe.each(["copy", "generic"])("in mode %s", (mode) => {
    const ports = (rest: string) =>
      restartingChain(rest)
        .replace("device: lan0", `device: lan0, mode: ${mode}`)
        .replace("device: wan0", `device: wan0, mode: ${mode}`);

    /** Numbered UDP while the engine is killed and stays dead for a while: what reached the right, and the box's kernel. */
    const dieUnderTraffic = async (whenDown: string) => {
      const { left, right, box } = sides;
      const { running } = await start(ports(`whenDown: ${whenDown}\n`));
      const capture = await box.capture("lan0", `udp port ${PORT}`, "in");
      const udp = await NumberedUdp.start(left, right, RIGHT, PORT);
      await sleep(500);
      for (let kill = 0; kill < 3; kill++) {
        process.kill(running.pid, "SIGSTOP");
        process.kill(running.enginePid, "SIGKILL");
        await sleep(300);
        expect(await attachedPrograms(box)).toBe(2);
        process.kill(running.pid, "SIGCONT");
        await expect.poll(() => running.restarts.length, { timeout: 10_000 }).toBe(kill + 1);
        await sleep(300);
      }
      const received = await udp.end();
      const passed = (await capture.stop()).length;
      expect((await running.end()).status).toBe(0);
      expect(await attachedPrograms(box)).toBe(0);
      console.log(`${mode}, ${whenDown}: ${received.sent} sent, ${received.missing} lost, ${passed} to the kernel`);
      expect(received.missing).toBeGreaterThan(600);
      return { missing: received.missing, passed };
    };

    it("drops what comes while it is down if the chain says so: nothing passes at any moment", async () => {
      expect((await dieUnderTraffic("drop")).passed).toBe(0);
    });

    it("passes what comes while it is down to the kernel otherwise", async () => {
      const { missing, passed } = await dieUnderTraffic("pass");
      expect(passed).toBeGreaterThan(600);
      expect(passed).toBeLessThanOrEqual(missing);
    });
  });
});
