// `npm start`, as whoever tries the project out sees it: what it shows holds, and nothing is left behind, however it ends.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { networkObstacle } from "../../runtime/testing/network.ts";
import { missingProgram } from "../support/missing-program.ts";
import { projectRoot } from "../support/run-sluice.ts";
import { until } from "../support/until.ts";

const obstacle = networkObstacle() ?? missingProgram("nginx", "curl", "iperf3");
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;

describe.skipIf(obstacle !== null)(`the demonstration${skipped}`, () => {
  let state: string;
  let data: string;
  let child: ChildProcess;

  beforeEach(() => {
    state = mkdtempSync("/dev/shm/sluice-test-");
    data = mkdtempSync(join(tmpdir(), "sluice-test-data-"));
  });

  afterEach(async () => {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGTERM");
    for (const folder of [state, data]) rmSync(folder, { recursive: true, force: true });
  });

  const start = (...args: readonly string[]) => {
    child = spawn(process.execPath, [join(projectRoot, "runtime/demo/main.ts"), ...args], {
      env: { ...process.env, SLUICE_STATE_DIR: state, SLUICE_DATA_DIR: data },
      stdio: ["ignore", "pipe", "inherit"],
    });
    return { said: text(child.stdout as NodeJS.ReadableStream), ended: once(child, "close") };
  };

  /** Command lines of processes that were started with this test's folders. */
  const processes = () =>
    readdirSync("/proc")
      .filter((entry) => /^\d+$/.test(entry))
      .map((pid) => ({ pid, environment: read(`/proc/${pid}/environ`), command: read(`/proc/${pid}/cmdline`) }))
      .filter(({ environment }) => environment.includes(`SLUICE_STATE_DIR=${state}`))
      .map(({ pid, command }) => `${pid} ${command.replaceAll("\0", " ")}`);
  const namespaces = () => readdirSync("/run/netns").filter((name) => name.startsWith(`sluice-${child.pid}-`));

  it("shows with --once that everything holds, and takes all of it away", { timeout: 120_000 }, async () => {
    const { said, ended } = start("--once");
    expect(await ended).toEqual([0, null]);
    const lines = (await said).split("\n").filter((line) => / (held|FAILED)$/.test(line.trimEnd()));
    expect(lines.length).toBeGreaterThan(10);
    expect(lines.filter((line) => line.includes("FAILED"))).toEqual([]);
    expect(processes()).toEqual([]);
    expect(namespaces()).toEqual([]);
  });

  it.each([
    { when: "while it starts the engines' half", sign: "dataplane" },
    { when: "while it starts control", sign: "control" },
    { when: "while the chain is tried out", sign: "engine" },
  ])("leaves nothing behind when it is ended $when", { timeout: 120_000 }, async ({ sign }) => {
    const { ended } = start();
    await until(() => processes().some((line) => line.includes(sign)));
    child.kill("SIGTERM");
    expect(await ended).toEqual([143, null]);
    expect(processes()).toEqual([]);
    expect(namespaces()).toEqual([]);
  });
});

/** What it has; nothing if the process has ended. */
function read(file: string): string {
  try {
    return readFileSync(file, "latin1");
  } catch {
    return "";
  }
}
