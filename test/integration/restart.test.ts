// Engines that die: who starts them again, with what, and who does not.
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { afxdpObstacle } from "../support/afxdp.ts";
import { makeCountingFunctions } from "../support/counting-function.ts";
import { restartingChain, startRestarting, totalOf } from "../support/restarting-chain.ts";
import { sluicePath } from "../support/run-sluice.ts";
import { type EngineOptions, observe, RunningEngine, readHistory, upgrade } from "../support/running-engine.ts";
import { makeFolder } from "../support/temporary-folder.ts";
import { attachedPrograms, createTwoSides, RIGHT, type TwoSides } from "../support/two-sides.ts";

const obstacle = afxdpObstacle();
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;

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
    const started = await startRestarting(sides, document, options);
    engine = started.running;
    return started;
  };

  it("comes back with what was committed, whatever its files say by then; what was not is aborted", async () => {
    const { left } = sides;
    const { running, file } = await start(restartingChain());
    const added = async () => {
      const before = totalOf(running);
      await left.run("ping", "-c", "5", "-i", "0.05", "-W", "1", RIGHT);
      return totalOf(running) - before;
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

    writeFileSync(file, restartingChain());
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
    const { running } = await start(restartingChain("whenDown: drop\n"));
    const { enginePid } = running;
    process.kill(running.pid, "SIGKILL");
    await expect.poll(() => existsSync(`/proc/${enginePid}`), { timeout: 10_000 }).toBe(false);
    await expect.poll(() => attachedPrograms(box), { timeout: 10_000 }).toBe(0);
    expect(readdirSync(running.stateFolder)).toEqual([]);
  });

  it("is given up when it dies again and again, with an error; then nothing is attached", async () => {
    const { running } = await start(restartingChain("whenDown: drop\n"), { options: ["--give-up-after", "3"] });
    await running.killEngine();
    await running.killEngine();
    process.kill(running.enginePid, "SIGKILL");
    const { status, stderr } = await running.ended();
    expect(stderr).toContain("error[engine-died]");
    expect(status).toBe(1);
    expect(await attachedPrograms(sides.box)).toBe(0);
  });

  it("is not started again when it refuses: its exit status and its error are those of `sluice up`", async () => {
    const { running } = await start(restartingChain());
    await sides.box.run("ip", "link", "delete", "wan0");
    const { status, stderr } = await running.ended();
    expect(stderr).toContain("error[device-vanished] wan0:");
    expect(status).toBe(1);
    expect(running.restarts).toEqual([]);
    expect(await attachedPrograms(sides.box)).toBe(0);
    await expect(start(restartingChain())).rejects.toThrow("error[device-missing] wan0:");
  });

  it("keeps its chain while it is down: nobody else can start it", async () => {
    const { running, file, functions } = await start(restartingChain());
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
    const { running } = await start(restartingChain());
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
    const { running } = await start(restartingChain());
    const other = `${makeFolder({ "chain.yaml": restartingChain("whenDown: drop\n") })}/chain.yaml`;
    await expect(upgrade(running, "load", other)).rejects.toThrow("error[change-refused] whenDown");
    await running.end();
    engine?.dispose();
    const { running: alone } = await start(restartingChain("whenDown: drop\n"), { supervised: false });
    expect(alone.stderr).toContain("warning[unused-option]");
    expect(alone.pid).toBe(alone.enginePid);
  });

  it("leaves nothing behind when it is stopped before it runs", async () => {
    const functions = await makeCountingFunctions({ version: "1.0.0", step: 1 });
    const folder = makeFolder({ "chain.yaml": restartingChain("whenDown: drop\n") });
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
    const { running } = await start(restartingChain("whenDown: drop\n"));
    process.kill(running.pid, "SIGSTOP");
    process.kill(running.enginePid, "SIGKILL");
    process.kill(running.pid, "SIGTERM");
    process.kill(running.pid, "SIGCONT");
    await running.ended();
    expect(await attachedPrograms(sides.box)).toBe(0);
    expect(readdirSync(running.stateFolder)).toEqual([]);
  });
});
