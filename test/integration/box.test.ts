// `sluice up`: engines and control in one command.
import { type ChildProcess, execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parse } from "yaml";
import { ApiClient } from "../../runtime/cli/api-client.ts";
import type { ChainResource } from "../../runtime/control/chain-view.ts";
import { networkObstacle } from "../../runtime/testing/network.ts";
import { type BoxBetween, createBoxBetween } from "../support/box-between.ts";
import { exactly, privilegesOf } from "../support/privileges-of.ts";
import { sluicePath } from "../support/run-sluice.ts";
import { eventually } from "../support/running-box.ts";

const obstacle = networkObstacle();

const edge = `chain: edge
ports: { lan: { device: lan0 }, wan: { device: wan0 } }
functions: { count: { use: hello@1 } }
paths:
  - { from: lan, through: [count], to: wan }
  - { from: wan, through: [count], to: lan }
`;

describe.skipIf(obstacle !== null)(`sluice up${obstacle === null ? "" : ` (skipped: ${obstacle})`}`, () => {
  let between: BoxBetween;
  let state: string;
  let data: string;
  let child: ChildProcess | undefined;
  let lines: Record<string, unknown>[];
  let stderr: string;
  const before = { state: process.env.SLUICE_STATE_DIR, data: process.env.SLUICE_DATA_DIR };

  beforeEach(async () => {
    between = await createBoxBetween();
    state = mkdtempSync("/dev/shm/sluice-test-");
    data = mkdtempSync(join(tmpdir(), "sluice-test-data-"));
    process.env.SLUICE_STATE_DIR = state;
    process.env.SLUICE_DATA_DIR = data;
    writeFileSync(join(data, "edge.yaml"), edge);
  });

  afterEach(async () => {
    if (child?.exitCode === null && child.signalCode === null) {
      child.kill("SIGTERM");
      await once(child, "close");
    }
    for (const [name, value] of [
      ["SLUICE_STATE_DIR", before.state],
      ["SLUICE_DATA_DIR", before.data],
    ] as const) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
    for (const folder of [state, data]) rmSync(folder, { recursive: true, force: true });
    await between.close();
  });

  const start = async (...args: readonly string[]) => {
    [lines, stderr] = [[], ""];
    const started = between.box.spawn(sluicePath, ["up", "--json", ...args], { stdio: ["ignore", "pipe", "pipe"] });
    child = started;
    started.stderr?.on("data", (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    createInterface({ input: started.stdout as Readable }).on("line", (line) => lines.push(JSON.parse(line)));
    await eventually("the API listens", async () => {
      if (started.exitCode !== null) throw new Error(stderr);
      return lines.some((line) => line.state === "listening");
    });
    return started;
  };
  const stop = async (started: ChildProcess) => {
    const closed = once(started, "close");
    started.kill("SIGTERM");
    return (await closed)[0];
  };
  const list = () => new ApiClient({}).call<ChainResource[]>("/api/v1/chains");

  it("runs the chain of a file as long as it is named, and what is declared always", async () => {
    const first = await start(join(data, "edge.yaml"));
    expect(await between.ping(3)).toBe(3);
    expect(await list()).toMatchObject([{ chain: "edge", status: { origin: "file", state: "running", revision: 1 } }]);
    await new ApiClient({}).call("/api/v1/chains/edge", {
      method: "PUT",
      query: { dryRun: true },
      body: await document(),
    });
    const { address, tokenFile } = lines.find((line) => line.state === "listening") as Record<string, string>;
    expect(address).toBe("http://127.0.0.1:7680");
    expect(statSync(tokenFile as string).mode & 0o777).toBe(0o600);
    expect(await stop(first)).toBe(0);
    expect(lines.at(-1)).toMatchObject({ state: "stopped", frames: { intact: true } });
    expect(readdirSync(state)).toEqual([]);

    const second = await start();
    expect(await list()).toMatchObject([{ chain: "edge", status: { state: "stopped" } }]);
    await new ApiClient({}).call("/api/v1/chains/edge", {
      method: "PUT",
      body: JSON.parse(JSON.stringify(await document())),
    });
    expect(await stop(second)).toBe(0);
    await start();
    await eventually("it runs again", async () => (await list())[0]?.status.state === "running");
    expect(await between.ping(3)).toBe(3);
  });

  const six = ["net_admin", "net_raw", "bpf", "perfmon", "sys_nice", "ipc_lock"];
  const processesOf = (pid: number | undefined) =>
    execFileSync("pgrep", ["-P", String(pid), "-a"], { encoding: "utf8" })
      .split("\n")
      .map((line) => ({ pid: Number(line.split(" ")[0]), program: /([a-z-]+)\.ts/.exec(line)?.[1] }))
      .filter(({ program }) => program !== undefined);

  it("leaves each process the privileges that it uses, and no way to others", async () => {
    const { pid } = await start(join(data, "edge.yaml"));
    await eventually("the spare is there", async () => processesOf(pid).length === 3);
    expect(privilegesOf(pid as number)).toEqual(exactly(...six, "setpcap"));
    const children = processesOf(pid).map((each) => ({ program: each.program, privileges: privilegesOf(each.pid) }));
    expect(children.sort((a, b) => String(a.program).localeCompare(String(b.program)))).toEqual([
      { program: "control-process", privileges: exactly() },
      { program: "engine-process", privileges: exactly(...six) },
      { program: "engine-process", privileges: exactly(...six) },
    ]);
    expect(readdirSync(state).filter((name) => name.startsWith("order"))).toEqual([]);
  });

  it("leaves no privilege to control alone, and those that it passes on to the data plane alone", async () => {
    const begin = async (command: string, ...args: readonly string[]) => {
      const started = between.box.spawn(sluicePath, [command, "--json", ...args], { stdio: ["ignore", "pipe", 2] });
      await once(started.stdout as Readable, "data");
      return started;
    };
    const dataplane = await begin("dataplane");
    child = await begin("control");
    try {
      expect(privilegesOf(child.pid as number)).toEqual(exactly());
      expect(privilegesOf(dataplane.pid as number)).toEqual(exactly(...six, "setpcap"));
      const declared = { method: "PUT", body: parse(edge) } as const;
      await new ApiClient({}).call("/api/v1/chains/edge", declared);
      expect(await between.ping(3)).toBe(3);
      const engine = processesOf(dataplane.pid).find(({ program }) => program === "engine-process");
      expect(privilegesOf(engine?.pid as number)).toEqual(exactly(...six));
      expect(await stop(child)).toBe(0);
    } finally {
      await stop(dataplane);
    }
  });

  it("leaves an engine that reads files of operators the privilege for that", async () => {
    for (const [option, ...more] of [["--no-restart"], ["--no-api", "setpcap"]]) {
      child = between.box.spawn(sluicePath, ["up", "--json", option as string, join(data, "edge.yaml")], {
        stdio: ["ignore", "pipe", 2],
      });
      await once(child.stdout as Readable, "data");
      expect(privilegesOf(child.pid as number)).toEqual(exactly(...six, "dac_read_search", ...more));
      expect(await stop(child)).toBe(0);
    }
  });

  it("starts control again when that dies, and packets do not notice", async () => {
    await start(join(data, "edge.yaml"));
    const pings = between.startPings();
    const pid = Number(
      execFileSync("pgrep", ["-P", String(child?.pid), "-f", "control-process"], { encoding: "utf8" }),
    );
    const changed = { ...(await document()), description: "changed over the API" };
    await new ApiClient({}).call("/api/v1/chains/edge", { method: "PUT", body: changed });
    process.kill(pid, "SIGKILL");
    await eventually("control is back", async () => (await list())[0]?.status.state === "running");
    expect(stderr).toContain("control ended");
    expect(await list()).toMatchObject([{ description: "changed over the API", status: { revision: 2 } }]);
    expect(await pings.stop()).toBe(0);
  });

  it("refuses a wrong document before anything starts, and an address that it cannot have", async () => {
    writeFileSync(join(data, "wrong.yaml"), edge.replace("to: wan", "to: wna"));
    const refused = async (...args: readonly string[]) =>
      between.box.run(sluicePath, "up", ...args).then(
        () => "",
        (error: { stderr: string; code: number }) => `${error.code} ${error.stderr}`,
      );
    expect(await refused(join(data, "wrong.yaml"))).toMatch(/^2 error\[unknown-port\] .*wrong\.yaml:5:/);
    expect(await refused("--listen", "192.0.2.1:7680")).toMatch(/^1 error\[system-call\] 192\.0\.2\.1:7680/);
    expect(readdirSync(state)).toEqual([]);
  });

  const document = async () => {
    const [{ status: _, ...rest }] = (await list()) as [ChainResource];
    return rest;
  };
});
