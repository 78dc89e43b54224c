// What `sluice completion` prints is what the commands are, and bash completes with it.
import { execFile, spawnSync } from "node:child_process";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type AnsweringHost, startAnsweringHost } from "../support/answering-host.ts";
import { tapDocument } from "../support/api-requests.ts";
import { projectRoot, runSluice, sluicePath } from "../support/run-sluice.ts";
import { RunningControl } from "../support/running-control.ts";

let control: RunningControl;
let host: AnsweringHost;

beforeAll(async () => {
  control = await RunningControl.start();
  host = await startAnsweringHost(control.stateFolder);
  for (const [index, chain] of ["edge", "east"].entries()) {
    const ports = { tap: { device: `lo${index}` } };
    await control.ask(`/api/v1/chains/${chain}`, { method: "PUT", body: tapDocument(chain, { ports }) });
  }
});

afterAll(async () => {
  host?.close();
  await control?.dispose();
});

/** What bash offers at the end of this line. */
async function complete(...words: readonly string[]): Promise<string[]> {
  const program = `
    source <("$0" completion bash)
    COMP_WORDS=("$0" "$@"); COMP_CWORD=$#
    _sluice
    printf '%s\\n' "\${COMPREPLY[@]}"`;
  const options = { env: control.environment, cwd: projectRoot };
  const { stdout } = await promisify(execFile)("bash", ["-c", program, sluicePath, ...words], options);
  return stdout
    .split("\n")
    .filter((word) => word !== "")
    .toSorted();
}

describe("bash", () => {
  it("completes commands, and those below them", async () => {
    expect(await complete("ch")).toEqual(["chain"]);
    expect(await complete("chain", "re")).toEqual(["revisions"]);
    expect(await complete("chain", "r")).toEqual(["revisions", "rollback"]);
    const all = [
      ...(runSluice(["--help"])
        .stdout.split("\nCommands:\n")[1]
        ?.matchAll(/^ {2}([a-z]+)/gm) ?? []),
    ];
    expect(await complete("")).toEqual(all.map(([, name]) => name).toSorted());
  });

  it("completes options, those of the command alone", async () => {
    expect(await complete("chain", "apply", "--conf")).toEqual(["--confirm-within"]);
    expect(await complete("chain", "list", "--conf")).toEqual([]);
  });

  it("completes names of the chains that the box has", async () => {
    expect(await complete("chain", "get", "")).toEqual(["east", "edge"]);
    expect(await complete("chain", "delete", "ed")).toEqual(["edge"]);
    expect(await complete("upgrade", "status", "--chain", "ea")).toEqual(["east"]);
  });

  it("leaves values of options and files to the shell", async () => {
    expect(await complete("chain", "apply", "--token-file", "")).toEqual([]);
    expect(await complete("chain", "apply", "")).toEqual([]);
  });

  it("offers no chain, and says nothing, where no API answers", async () => {
    const program = `source <("$0" completion bash); COMP_WORDS=("$0" chain get ""); COMP_CWORD=3; _sluice; echo "[\${COMPREPLY[*]}]"`;
    const env = { ...process.env, SLUICE_STATE_DIR: "/nowhere", SLUICE_DATA_DIR: "/nowhere" };
    const { stdout, stderr } = spawnSync("bash", ["-c", program, sluicePath], { env, encoding: "utf8" });
    expect({ stdout, stderr }).toEqual({ stdout: "[]\n", stderr: "" });
  });
});

describe.each(["bash", "zsh", "fish"])("the script for %s", (shell) => {
  const { status, stdout } = runSluice(["completion", shell]);
  const missing = spawnSync(shell, ["--version"]).status === 0 ? "" : ` (skipped: needs ${shell})`;

  it("names every command", () => {
    expect(status).toBe(0);
    for (const command of ["chain", "apply", "rollback", "audit", "completion"]) expect(stdout).toContain(command);
  });

  it.skipIf(missing !== "")(`is one that it can read${missing}`, () => {
    const { status: read, stderr } = spawnSync(shell, ["-n"], { input: stdout, encoding: "utf8" });
    expect({ read, stderr }).toEqual({ read: 0, stderr: "" });
  });
});

describe("another shell", () => {
  it("is wrong usage", () => {
    expect(runSluice(["completion", "tcsh"])).toMatchObject({
      status: 2,
      stderr: expect.stringContaining("bash, zsh, fish"),
    });
  });
});
