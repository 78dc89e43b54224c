// Commands about a chain on another box: over TLS, with a token, from where nothing of that box can be seen.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer, text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { networkObstacle } from "../../runtime/testing/network.ts";
import { type BoxBetween, createBoxBetween, type Pings } from "../support/box-between.ts";
import { sluicePath } from "../support/run-sluice.ts";
import { RunningBox } from "../support/running-box.ts";

const obstacle = networkObstacle();

const document = `chain: edge
ports: { lan: { device: lan0 }, wan: { device: wan0 } }
functions: { fw: { use: acl@1, config: { default: permit, rules: "@rules.yaml" } } }
paths:
  - { from: lan, through: [fw], to: wan }
  - { from: wan, through: [fw], to: lan }
`;

describe.skipIf(obstacle !== null)(`another box${obstacle === null ? "" : ` (skipped: ${obstacle})`}`, () => {
  let between: BoxBetween;
  let box: RunningBox;
  let folder: string;
  let server: string;
  let pings: Pings;

  beforeAll(async () => {
    between = await createBoxBetween();
    box = await RunningBox.start(between.box, { control: ["--tls"] });
    server = JSON.parse(box.said.split("\n").find((line) => line.includes("listening")) as string).address;
    folder = mkdtempSync(join(tmpdir(), "sluice-test-remote-"));
    for (const name of ["state", "data"]) writeFileSync(join(folder, name), "");
    pings = between.startPings();
  });

  afterAll(async () => {
    await pings?.stop();
    await box?.dispose();
    await between?.close();
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  });

  /** From a folder in which there is no box. */
  const run = async (args: readonly string[], input = "") => {
    const named = [
      "--server",
      server,
      "--ca",
      join(box.dataFolder, "tls.crt"),
      "--token-file",
      join(box.dataFolder, "token"),
    ];
    const env = { ...process.env, SLUICE_STATE_DIR: join(folder, "none"), SLUICE_DATA_DIR: join(folder, "none") };
    // The last of an option counts: what the test names.
    const words = [...args, "--"].findIndex((word) => word.startsWith("--"));
    const child = spawn(sluicePath, [...args.slice(0, words), ...named, ...args.slice(words)], {
      cwd: folder,
      env,
      stdio: ["pipe", "pipe", "pipe"],
    });
    child.stdin.end(input);
    const [stdout, stderr, [status]] = await Promise.all([
      buffer(child.stdout),
      text(child.stderr),
      once(child, "close"),
    ]);
    return { status, stdout, text: stdout.toString(), stderr };
  };

  it("is given a document with what that names, and says where in the file something is wrong", async () => {
    writeFileSync(join(folder, "rules.yaml"), "");
    writeFileSync(join(folder, "edge.yaml"), document.replace('"@rules.yaml"', "[]"));
    expect(await run(["chain", "apply", "edge.yaml"])).toMatchObject({
      status: 0,
      text: expect.stringContaining("edge created"),
    });
    writeFileSync(join(folder, "wrong.yaml"), document.replace('"@rules.yaml"', "[]").replace("to: wan", "to: wna"));
    const wrong = await run(["chain", "apply", "wrong.yaml"]);
    expect(wrong).toMatchObject({ status: 2, stderr: expect.stringMatching(/^error\[unknown-port\] wrong\.yaml:5:/) });
    const piped = await run(["chain", "apply", "-", "-o", "json"], readFileSync(join(folder, "edge.yaml"), "utf8"));
    expect(JSON.parse(piped.text)).toMatchObject({ changed: false, revision: 1 });
  });

  it("is watched: chains, flows, rates, traces, captures", async () => {
    expect((await run(["chain", "list"])).text).toMatch(/^edge +running/m);
    const flows = JSON.parse((await run(["flows", "--proto", "icmp", "-o", "json"])).text);
    expect(flows.flows[0]).toMatchObject({ proto: "ICMP", dest_ip: "10.9.0.2" });
    const top = JSON.parse((await run(["top", "--json", "--interval", "0.5"])).text);
    expect(top.functions[0]).toMatchObject({ function: "fw" });
    expect(top.functions[0].framesPerSecond).toBeGreaterThan(0);
    const traced = await run(["trace", "--match", "{ ipProtos: [icmp] }", "--port", "lan"]);
    expect(traced).toMatchObject({ status: 0, text: expect.stringContaining("wan") });
    const captured = await run(["capture", "--port", "lan", "--direction", "in", "--count", "3"]);
    expect(captured.status).toBe(0);
    expect(captured.stdout.readUInt32LE(0)).toBe(0x0a0d0d0a);
    expect(captured.stderr).toContain("3 packets");
  });

  it("is changed step by step", async () => {
    writeFileSync(
      join(folder, "changed.yaml"),
      document.replace('"@rules.yaml"', "[{ action: deny, ipProtos: [icmp] }]"),
    );
    expect(await run(["upgrade", "load", "changed.yaml"])).toMatchObject({
      status: 0,
      text: expect.stringContaining("loaded"),
    });
    expect((await run(["upgrade", "switchover", "-o", "yaml"])).text).toMatch(/^state: switched$/m);
    expect((await run(["upgrade", "abort"])).text).toContain("aborted");
    expect((await run(["upgrade", "history"])).text).toMatch(/switched .* admin/);
    expect(await run(["upgrade", "load"])).toMatchObject({ status: 2, stderr: expect.stringContaining("--server") });
  });

  it("refuses who does not know its certificate, or has no token", async () => {
    const env = { ...process.env, SLUICE_STATE_DIR: join(folder, "none"), SLUICE_DATA_DIR: join(folder, "none") };
    const child = spawn(sluicePath, ["chain", "list", "--server", server], { env: { ...env, SLUICE_TOKEN: "x" } });
    const [stderr, [status]] = await Promise.all([text(child.stderr), once(child, "close")]);
    expect({ status, stderr }).toMatchObject({ status: 1, stderr: expect.stringContaining("error[not-running]") });
    const wrong = await run(["chain", "list", "--token-file", join(folder, "state")]);
    expect(wrong).toMatchObject({ status: 1, stderr: expect.stringContaining("error[unauthenticated]") });
  });
});
