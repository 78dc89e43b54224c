// Engines that die while their chain carries traffic between two namespaces.
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { afxdpObstacle } from "../support/afxdp.ts";
import { makeCountingFunctions, totalSegment } from "../support/counting-function.ts";
import { NumberedUdp } from "../support/numbered-udp.ts";
import { sluicePath } from "../support/run-sluice.ts";
import {
  type EngineOptions,
  observe,
  RunningEngine,
  readFlows,
  readHistory,
  readTop,
  upgrade,
} from "../support/running-engine.ts";
import { makeFolder } from "../support/temporary-folder.ts";
import { attachedPrograms, createTwoSides, RIGHT, type TwoSides } from "../support/two-sides.ts";

const obstacle = afxdpObstacle();
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;
const PORT = 7000;

const chain = (rest = "") => `chain: restarting
ports: { lan: { device: lan0 }, wan: { device: wan0 } }
functions: { count: { use: counting@1 } }
paths:
  - { from: lan, through: [count], to: wan }
  - { from: wan, through: [count], to: lan }
${rest}`;

describe.skipIf(obstacle !== null)(`an engine that dies${skipped}`, () => {
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

  const start = async (document: string, options: EngineOptions = {}) => {
    const functions = await makeCountingFunctions({ version: "1.0.0", step: 1 }, { version: "2.0.0", step: 2 });
    const file = `${makeFolder({ "chain.yaml": document })}/chain.yaml`;
    engine = await RunningEngine.start(sides.box, file, { functions, supervised: true, ...options });
    return { running: engine, file, functions };
  };

  const total = (running: RunningEngine) =>
    Number(readFileSync(`${running.chainFolder}/${totalSegment("count")}`).readBigUInt64LE());

  it("is started again under TCP and numbered UDP: flows, segments, columns and counters go on", async () => {
    const { left, right, box } = sides;
    const { running } = await start(chain());
    const server = right.spawn("iperf3", ["-s", "-1"], { stdio: "ignore" });
    const udp = await NumberedUdp.start(left, right, RIGHT, PORT);
    await sleep(500);
    const seconds = "13";
    const tcp = left.run("iperf3", "-c", RIGHT, "-t", seconds, "-b", "20M", "-J");
    await sleep(1500);
    const before = { flows: await readFlows(running, "udp"), top: await readTop(running), total: total(running) };
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
      total: total(running),
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

  it("comes back with what was committed, whatever its files say by then; what was not is aborted", async () => {
    const { left } = sides;
    const { running, file } = await start(chain());
    const added = async () => {
      const before = total(running);
      await left.run("ping", "-c", "5", "-i", "0.05", "-W", "1", RIGHT);
      return total(running) - before;
    };
    expect(await added()).toBe(10);
    await upgrade(running, "run", "--use", "count=counting@2");
    const { recovery } = await running.killEngine();
    expect(recovery.kept).toBeGreaterThan(0);
    expect(await added()).toBe(20);
    expect(await upgrade(running, "status")).toMatchObject({ upgrade: 1, after: "count=counting@2.0.0" });

    writeFileSync(file, "half of a docu");
    await running.killEngine();
    expect(await added()).toBe(20);

    writeFileSync(file, chain());
    await upgrade(running, "load", "--use", "count=counting@1");
    await upgrade(running, "switchover");
    expect(await added()).toBe(10);
    await running.killEngine();
    expect(await added()).toBe(20);
    expect((await readHistory(running)).slice(-3)).toMatchObject([
      { upgrade: 2, state: "switched" },
      { upgrade: 2, state: "aborting", actor: "restart", outcome: "the engine died" },
      { upgrade: 2, state: "aborted", actor: "restart", after: "count=counting@1.0.0" },
    ]);
    // Without a document, a change begins at what is committed.
    expect(await upgrade(running, "run")).toMatchObject({ upgrade: 3, state: "committed" });
    expect(await added()).toBe(20);
    expect((await running.end()).status).toBe(0);
  });

  it("has its devices to itself again when the process that starts it is killed: it ends", async () => {
    const { box } = sides;
    const { running } = await start(chain("whenDown: drop\n"));
    const { enginePid } = running;
    process.kill(running.pid, "SIGKILL");
    await expect.poll(() => existsSync(`/proc/${enginePid}`), { timeout: 10_000 }).toBe(false);
    await expect.poll(() => attachedPrograms(box), { timeout: 10_000 }).toBe(0);
    expect(readdirSync(running.stateFolder)).toEqual([]);
  });

  it("is given up when it dies again and again, with an error; then nothing is attached", async () => {
    const { running } = await start(chain("whenDown: drop\n"), { options: ["--give-up-after", "3"] });
    await running.killEngine();
    await running.killEngine();
    process.kill(running.enginePid, "SIGKILL");
    const { status, stderr } = await running.ended();
    expect(stderr).toContain("error[engine-died]");
    expect(status).toBe(1);
    expect(await attachedPrograms(sides.box)).toBe(0);
  });

  it("is not started again when it refuses: its exit status and its error are those of `sluice up`", async () => {
    const { running } = await start(chain());
    await sides.box.run("ip", "link", "delete", "wan0");
    const { status, stderr } = await running.ended();
    expect(stderr).toContain("error[device-vanished] wan0:");
    expect(status).toBe(1);
    expect(running.restarts).toEqual([]);
    expect(await attachedPrograms(sides.box)).toBe(0);
    await expect(start(chain())).rejects.toThrow("error[device-missing] wan0:");
  });

  it("keeps its chain while it is down: nobody else can start it", async () => {
    const { running, file, functions } = await start(chain());
    const { enginePid } = running;
    process.kill(running.pid, "SIGSTOP");
    process.kill(enginePid, "SIGKILL");
    const again = { functions, supervised: true, stateFolder: running.stateFolder };
    const other = RunningEngine.start(sides.box, file, again);
    await expect(other).rejects.toThrow("error[chain-running]");
    process.kill(running.pid, "SIGCONT");
    await expect.poll(() => running.restarts.length, { timeout: 10_000 }).toBe(1);
  });

  it("is found again by who watches it, and counts on", async () => {
    const { running } = await start(chain());
    const traffic = sides.left.run("ping", "-c", "100", "-i", "0.05", "-W", "1", RIGHT);
    const watching = observe(running, "top", "--json", "--interval", "0.3", "--count", "12");
    await sleep(1000);
    await running.killEngine();
    await traffic;
    const views = (await watching)
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(views).toHaveLength(12);
    expect(new Set(views.map(({ pid }) => pid)).size).toBe(2);
    const counted = views.map(({ counters }) => counters[0].value as number);
    expect(counted).toEqual(counted.toSorted((a, b) => a - b));
  });

  it("says what a change cannot change, and what --no-restart cannot do", async () => {
    const { running } = await start(chain());
    const other = `${makeFolder({ "chain.yaml": chain("whenDown: drop\n") })}/chain.yaml`;
    await expect(upgrade(running, "load", other)).rejects.toThrow("error[change-refused] whenDown");
    await running.end();
    engine?.dispose();
    const { running: alone } = await start(chain("whenDown: drop\n"), { supervised: false });
    expect(alone.stderr).toContain("warning[unused-option]");
    expect(alone.pid).toBe(alone.enginePid);
  });

  it("leaves nothing behind when it is stopped before it runs", async () => {
    const functions = await makeCountingFunctions({ version: "1.0.0", step: 1 });
    const folder = makeFolder({ "chain.yaml": chain("whenDown: drop\n") });
    const stateFolder = mkdtempSync("/dev/shm/sluice-test-");
    const env = { ...process.env, SLUICE_STATE_DIR: stateFolder, SLUICE_DATA_DIR: makeFolder() };
    const args = ["up", `${folder}/chain.yaml`, "--functions", functions];
    for (const afterMs of [100, 300, 500, 700]) {
      const child = sides.box.spawn(sluicePath, args, { env, stdio: "ignore" });
      const closed = once(child, "close");
      await sleep(afterMs);
      child.kill("SIGTERM");
      await closed;
      expect(await attachedPrograms(sides.box)).toBe(0);
      expect(readdirSync(stateFolder)).toEqual([]);
    }
    rmSync(stateFolder, { recursive: true });
  });

  it("can be stopped while it is down; then nothing is left", async () => {
    const { running } = await start(chain("whenDown: drop\n"));
    process.kill(running.pid, "SIGSTOP");
    process.kill(running.enginePid, "SIGKILL");
    process.kill(running.pid, "SIGTERM");
    process.kill(running.pid, "SIGCONT");
    await running.ended();
    expect(await attachedPrograms(sides.box)).toBe(0);
    expect(readdirSync(running.stateFolder)).toEqual([]);
  });

  describe.each(["copy", "generic"])("in mode %s", (mode) => {
    const ports = (rest: string) =>
      chain(rest)
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
