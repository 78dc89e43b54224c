// A process that dies while it changes a flow table, and memory that holds nonsense.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nativeProgram } from "../support/afxdp.ts";

const harness = nativeProgram("flow_recovery_harness");

function run<Answer>(...args: readonly string[]): Answer {
  const result = spawnSync(harness, args, { encoding: "utf8" });
  expect(result.stderr).toBe("");
  expect(result.status).toBe(0);
  return JSON.parse(result.stdout) as Answer;
}

interface TakenOver {
  readonly fresh: boolean;
  readonly kept: number;
  readonly dropped: number;
  readonly changes: number;
  readonly fault: string;
}

/** Kernels with Yama's strictest setting let nobody trace. */
function tracingObstacle(): string | null {
  try {
    const scope = readFileSync("/proc/sys/kernel/yama/ptrace_scope", "utf8").trim();
    return scope === "3" ? "kernel.yama.ptrace_scope is 3" : null;
  } catch {
    return null;
  }
}
const obstacle = tracingObstacle();

describe("a flow table whose process dies", () => {
  let folder = "";
  beforeAll(() => {
    folder = mkdtempSync("/dev/shm/sluice-test-");
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  /** Takes the table over, works on it for a moment, and is killed. */
  async function live(capacity: number, seed: number): Promise<TakenOver> {
    const args = ["churn", join(folder, `flows-${capacity}`), String(capacity), String(seed)];
    const child: ChildProcess = spawn(harness, args, { stdio: ["ignore", "pipe", "inherit"] });
    const ended = once(child, "exit");
    const [line] = (await once(child.stdout as NodeJS.ReadableStream, "data")) as [Buffer];
    await pause(Math.random() * 12);
    child.kill("SIGKILL");
    await ended;
    return JSON.parse(String(line)) as TakenOver;
  }

  it("has every whole flow and no other after each of 200 kills", async () => {
    let dropped = 0;
    let changes = 0;
    for (let round = 0; round < 200; round++) {
      const found = await live(round % 2 === 0 ? 64 : 2000, round);
      expect(found).toMatchObject({ fresh: round < 2, fault: "" });
      dropped += found.dropped;
      changes = Math.max(changes, found.changes);
    }
    expect(changes).toBeGreaterThan(10_000);
    expect(dropped).toBeGreaterThan(0);
  });

  it.skipIf(obstacle !== null)(
    `is sound when it dies between any two instructions${obstacle === null ? "" : ` (skipped: ${obstacle})`}`,
    () => {
      const steps = run<{ instructions: number; images: number; dropping: number; fault: string }>("steps");
      expect(steps.fault).toBe("");
      expect(steps.instructions).toBeGreaterThan(1000);
      expect(steps.images).toBeGreaterThan(40);
      expect(steps.dropping).toBeGreaterThan(10);
    },
  );
});

describe("a flow table's memory that holds nonsense", () => {
  it("is taken over: what is whole is kept, the rest dropped and usable again", () => {
    const seed = String(Math.floor(Math.random() * 0xffffffff));
    const found = run<{ fresh: number; kept: number; dropped: number; fault: string }>("garbage", "20000", seed);
    expect(found, `seed ${seed}`).toMatchObject({ fault: "" });
    expect(found.fresh).toBeGreaterThan(1000);
    expect(found.kept).toBeGreaterThan(1000);
    expect(found.dropped).toBeGreaterThan(1000);
  });
});
