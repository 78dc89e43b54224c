import { spawnSync } from "node:child_process";
import { copyFileSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { createProgram } from "../../runtime/cli/program.ts";
import { projectRoot, runSluice, sluicePath } from "../support/run-sluice.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const manifest = JSON.stringify({
  ...{ name: "probe", version: "1.2.3", abi: 1, description: "A probe", frames: "read", memoryPages: 1 },
  config: {
    type: "object",
    additionalProperties: false,
    properties: { level: { type: "integer" }, text: { type: "string" } },
  },
});

const document = `chain: probe
description: One probe
ports:
  lan: { device: lan0, kernel: [arp, "tcp:22"] }
  wan: { device: wan0, answersFor: [203.0.113.1, "2001:db8::/64"] }
functions:
  probe: { use: probe@1, config: { text: "@text.txt" } }
paths:
  - { from: lan, match: { ipProtos: [tcp], sources: ["2001:db8::/32"] }, through: [probe], to: wan }
  - { from: wan, to: lan }
branches: { probe: { aside: { to: none } } }
`;

function makeChain(text = document): string {
  return makeFolder({ "probe.yaml": text, "text.txt": "hello", "functions/probe/manifest.json": manifest });
}

function plan(folder: string, ...args: string[]) {
  return runSluice(["chain", "plan", join(folder, "probe.yaml"), "--functions", join(folder, "functions"), ...args]);
}

describe("sluice", () => {
  it("prints its version and complete help", () => {
    expect(runSluice(["--version"])).toEqual({ status: 0, stdout: "0.1.0\n", stderr: "" });
    const help = runSluice(["--help"]);
    expect(help).toMatchObject({ status: 0, stderr: "" });
    for (const command of ["up", "replay", "chain", "top", "doctor"]) expect(help.stdout).toContain(command);
    expect(runSluice(["chain", "plan", "--help"]).stdout).toContain("--set <function.key=value>");
  });

  it.each([
    [["bogus"], "sluice: unknown command 'bogus'", "see sluice --help"],
    [["chian"], "sluice: unknown command 'chian'", "did you mean chain? see sluice --help"],
    [["chain", "plan"], "sluice chain plan: missing required argument 'file'", "see sluice chain plan --help"],
    [
      ["chain", "plan", "a", "b"],
      "sluice chain plan: too many arguments for 'plan'. Expected 1 argument but got 2: a, b",
      "see sluice chain plan --help",
    ],
    [
      ["chain", "plan", "a", "--jsno"],
      "sluice chain plan: unknown option '--jsno'",
      "did you mean --json? see sluice chain plan --help",
    ],
    [
      ["chain", "plan", "a", "--set"],
      "sluice chain plan: option '--set <function.key=value>' argument missing",
      "see sluice chain plan --help",
    ],
  ])("answers %j with one fault and status 2", (args, fault, help) => {
    expect(runSluice(args)).toEqual({ status: 2, stdout: "", stderr: `error[usage] ${fault}\nhelp: ${help}\n` });
  });

  it.each([[[]], [["chain"]]])("prints help to stderr where a command is missing after %j", (args) => {
    const { status, stdout, stderr } = runSluice(args);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toContain("Commands:");
  });

  it("runs from any folder and through a symbolic link", () => {
    const folder = makeFolder();
    symlinkSync(sluicePath, join(folder, "link"));
    expect(runSluice(["--version"], { cwd: folder, command: join(folder, "link") }).stdout).toBe("0.1.0\n");
  });

  it("says how to install what it needs", () => {
    const folder = makeFolder();
    copyFileSync(sluicePath, join(folder, "sluice"));
    const { status, stderr } = runSluice([], { command: join(folder, "sluice") });
    expect(status).toBe(1);
    expect(stderr).toMatch(/^error\[not-installed\] .*\nhelp: run npm ci/);
  });

  it("is quiet when nobody reads its output any more", () => {
    const { stdout, stderr } = spawnSync("sh", ["-c", `${sluicePath} chain schema | head -n 1`], { encoding: "utf8" });
    expect({ stdout, stderr }).toEqual({ stdout: "{\n", stderr: "" });
  });

  it("colours nothing that is not a terminal", () => {
    const { stderr } = runSluice(["bogus"]);
    expect(stderr).not.toContain("\u001b");
  });

  it("throws what is wrong instead of ending the process", () => {
    expect(() => createProgram().parse(["node", "sluice", "--bogus"])).toThrow("error[usage] sluice: unknown option");
  });
});

describe("sluice chain plan", () => {
  it("draws the ports, functions, paths and hops", () => {
    const { status, stdout, stderr } = plan(makeChain());
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toBe(`probe: One probe

port  driver  device  queues  mode  left to the kernel  answers for
lan   afxdp   lan0    0       best  arp tcp:22          -
wan   afxdp   wan0    0       best  -                   203.0.113.1/32 2001:db8::/64

function  package      frames  on fault  pages
probe     probe@1.2.3  read    drop          1

path  from  way          match
   0  lan   probe → wan  sources=2001:db8::/32 ipProtos=tcp
   1  wan   lan          everything

hop  function  path  next  branches
  0  probe        0  wan   aside → none
`);
  });

  it("prints the same as JSON", () => {
    const folder = makeChain();
    const { status, stdout } = plan(folder, "--json");
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      chain: "probe",
      ports: [
        { name: "lan", kernel: ["arp", "tcp:22"] },
        { name: "wan", answersFor: ["203.0.113.1/32", "2001:db8::/64"] },
      ],
      functions: [
        { name: "probe", package: "probe@1.2.3", config: { text: "hello" }, origin: join(folder, "functions/probe") },
      ],
      hops: [{ hop: 0, function: "probe", next: "wan", branches: { aside: "none" } }],
      paths: [
        { from: "lan", match: { sources: ["2001:db8::/32"], ipProtos: ["tcp"] }, first: "hop 0" },
        { from: "wan", match: {} },
      ],
      warnings: [],
    });
  });

  it("takes overrides, with files from the working directory", () => {
    const folder = makeChain();
    const args = ["chain", "plan", "probe.yaml", "--functions", "functions", "--json"];
    const overrides = ["--set", "probe.text=@functions/probe/manifest.json", "--set", "probe.level=5"];
    const { stdout } = runSluice([...args, ...overrides], { cwd: folder });
    expect(JSON.parse(stdout).functions[0].config).toEqual({ text: manifest, level: 5 });
  });

  it("prints every fault with its place and exits with 2", () => {
    const folder = makeChain(document.replace("use: probe@1", "use: prob@1").replace("to: lan }", "to: len }"));
    const file = join(folder, "probe.yaml");
    const { status, stdout, stderr } = plan(folder);
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr.split("\n")).toEqual([
      `error[function-not-found] ${file}:7:17: no function "prob@1" is known`,
      expect.stringMatching(/^help: did you mean "probe"\? known functions: .*\bprobe\b/),
      `error[unknown-port] ${file}:10:22: there is no port "len"`,
      'help: did you mean "lan"? known ports: lan, wan',
      "",
    ]);
  });

  it("prints faults of overrides where they stand", () => {
    const { status, stderr } = plan(makeChain(), "--set", "probe.level=high", "--set", "prob.level=1");
    expect(status).toBe(2);
    expect(stderr).toContain('error[config-invalid] --set probe.level: must be an integer, is "high"\n');
    expect(stderr).toContain('error[unknown-function] --set prob.level: the chain has no function "prob"\n');
  });

  it("warns of what no path uses and goes on", () => {
    const folder = makeChain(document.replace("through: [probe], ", ""));
    const { status, stderr } = plan(folder);
    expect({ status, stderr }).toEqual({
      status: 0,
      stderr: `warning[unused-function] ${join(folder, "probe.yaml")}:7:3: no path uses the function "probe"\n`,
    });
  });

  it.each([
    ["/nowhere/chain.yaml", "there is no such file"],
    ["/", "is a folder"],
    [join(projectRoot, "node_modules/.bin/node"), "is not UTF-8 text"],
  ])("cannot read %s", (file, what) => {
    expect(runSluice(["chain", "plan", file])).toEqual({
      ...{ status: 2, stdout: "", stderr: `error[file-unreadable] ${file}: ${what}\n` },
    });
  });
});

describe("sluice chain schema", () => {
  it("prints the JSON Schema of chain documents", () => {
    const { status, stdout } = runSluice(["chain", "schema"]);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      $schema: "https://json-schema.org/draft/2020-12/schema",
      required: ["chain", "ports", "paths"],
    });
  });
});

describe("every example chain", () => {
  const files = readdirSync(join(projectRoot, "chains")).filter((name) => name.endsWith(".yaml"));

  it("is among those tested here", () =>
    expect(files).toEqual(expect.arrayContaining(["office.yaml", "tap.yaml", "wire.yaml"])));

  it.each(files)("loads, plans and describes itself: %s", (file) => {
    const { status, stdout, stderr } = runSluice(["chain", "plan", join("chains", file), "--json"]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(JSON.parse(stdout)).toMatchObject({
      chain: file.replace(/\.yaml$/, ""),
      description: expect.stringMatching(/.{10}/),
    });
  });
});
