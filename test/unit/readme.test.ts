// What the READMEs promise: commands and options exist, the examples of README.md run, links lead somewhere, tables
// say what the code says.
import { spawnSync } from "node:child_process";
import { existsSync, globSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { describe, expect, it } from "vitest";
import { MEMORY_BASE } from "../../nfs/sdk/abi.ts";
import { permissions } from "../../runtime/control/roles.ts";
import { engineDropReasons } from "../../runtime/dataplane/layout.ts";
import * as memoryMap from "../../runtime/dataplane/memory-map.ts";
import { errorKinds, warningCodes } from "../../runtime/errors.ts";
import { metricTable } from "../../runtime/telemetry/metric-table.ts";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { encodePcap } from "../support/capture.ts";
import { projectRoot, runSluice, sluicePath } from "../support/run-sluice.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const pages = globSync("**/*.md", { cwd: projectRoot, exclude: ["node_modules", "build", ".git"] }).toSorted();
const read = (path: string) => readFileSync(join(projectRoot, path), "utf8");
const readme = read("README.md");

/** Fenced code of one language, or of any; the language and the text. */
function readBlocks(text: string): { readonly language: string; readonly code: string }[] {
  return [...text.matchAll(/^```(\w*)\n(.*?)^```$/gms)].map(([, language = "", code = ""]) => ({ language, code }));
}

function readBlock(text: string, language: string): string {
  return readBlocks(text).find((block) => block.language === language)?.code ?? "";
}

/** Every command that starts with `program`, in blocks and between backticks, without its comment. */
function readCommands(text: string, program: string): string[] {
  const prose = text.replace(/^```.*?^```$/gms, "");
  const inline = [...prose.matchAll(/`([^`\n]+)`/g)].map(([, code = ""]) => code);
  const lines = readBlocks(text).flatMap(({ code }) => code.split("\n"));
  return [...inline, ...lines]
    .map((line) => line.replace(/\s+#.*$/, "").trim())
    .filter((line) => line === program || line.startsWith(`${program} `));
}

/** First cells of a table's rows, as they stand between backticks. */
function readFirstColumn(text: string, heading: string): string[] {
  const table = text.slice(text.indexOf(heading)).split("\n\n")[0] ?? "";
  return [...table.matchAll(/^\| `([^`]+)`/gm)].map(([, cell = ""]) => cell);
}

const helps = new Map<string, string>();

function readHelp(path: readonly string[]): string {
  const key = path.join(" ");
  const known = helps.get(key) ?? runSluice([...path, "--help"]).stdout;
  helps.set(key, known);
  return known;
}

/** Names of the commands below one, empty if it has none. */
function listCommands(path: readonly string[]): string[] {
  const section = readHelp(path).split("\nCommands:\n")[1] ?? "";
  return [...section.matchAll(/^ {2}([a-z]+)/gm)].map(([, name = ""]) => name);
}

/** What is wrong with a command line, or null. */
function findFault(line: string): string | null {
  const words = line.split(/\s+/).slice(1);
  const path: string[] = [];
  for (const word of words) {
    const known = listCommands(path);
    if (known.length === 0 || word.startsWith("-")) break;
    // `sluice function new|build` names two.
    const names = word.split(/[|/]/);
    const unknown = names.find((name) => !known.includes(name));
    if (unknown !== undefined) return `no command ${[...path, unknown].join(" ")}`;
    path.push(names[0] as string);
  }
  const options = words.filter((word) => word.startsWith("--")).map((word) => word.replace(/=.*/, ""));
  const missing = options.find((option) => !new RegExp(`(^|\\s)${option}\\b`, "m").test(readHelp(path)));
  return missing === undefined ? null : `no option ${missing}`;
}

describe.each(pages)("%s", (page) => {
  const text = read(page);

  it("names commands and options that exist", () => {
    const lines = ["sluice", "./sluice"].flatMap((program) => readCommands(text, program));
    const faults = lines.map((line) => ({ line, fault: findFault(line) }));
    expect(faults.filter(({ fault }) => fault !== null)).toEqual([]);
  }, 120_000);

  it("names npm scripts that exist", () => {
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    const named = readCommands(text, "npm").map((line) => /^npm (?:run )?([\w-]+)/.exec(line)?.[1] ?? "");
    expect(named.filter((name) => !["ci", "install"].includes(name) && scripts[name] === undefined)).toEqual([]);
  });

  it("has links that lead somewhere", () => {
    const links = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, link = ""]) => link);
    const paths = links.filter((link) => !/^[a-z]+:/.test(link));
    const broken = paths.filter((path) => !existsSync(resolve(projectRoot, dirname(page), path)));
    expect(broken).toEqual([]);
  });
});

describe("README.md", () => {
  it("names every command of the command line and every npm script", () => {
    const commands = listCommands([]).filter((name) => name !== "help");
    expect(commands.length).toBeGreaterThan(4);
    expect(commands.filter((name) => !readme.includes(`./sluice ${name}`))).toEqual([]);
    const { scripts } = JSON.parse(read("package.json")) as { scripts: Record<string, string> };
    const named = readCommands(readme, "npm").map((line) => /^npm (?:run )?([\w-]+)/.exec(line)?.[1]);
    expect(Object.keys(scripts).filter((name) => !named.includes(name))).toEqual([]);
  });

  it("shows nfs/hello as it is", () => {
    expect(readBlock(readme, "ts")).toBe(read("nfs/hello/index.ts"));
  });

  it("shows a chain that can be planned", () => {
    const folder = makeFolder({ "office.yaml": readBlock(readme, "yaml") });
    expect(runSluice(["chain", "plan", join(folder, "office.yaml")])).toMatchObject({ status: 0, stderr: "" });
  });

  it("shows the error that this chain gives for a port that is not there", () => {
    const wrong = readBlock(readme, "yaml").replace(/to: wan \}$/m, "to: wna }");
    const folder = makeFolder({ "office.yaml": wrong });
    const { stderr } = spawnSync(sluicePath, ["chain", "plan", "office.yaml"], { cwd: folder, encoding: "utf8" });
    const shown = readBlocks(readme).find(({ code }) => code.startsWith("error["))?.code;
    expect(stderr).toBe(shown);
  });

  it("lists every error code with its exit status, and no other", () => {
    const rows = Object.entries(errorKinds).map(
      ([code, { exit, summary }]) => `| \`${code}\` | ${exit} | ${summary} |`,
    );
    const warnings = warningCodes.map((code) => `\`${code}\``).join(", ");
    const table = ["| code | exit | |", "| --- | --- | --- |", ...rows, "", `Warnings: ${warnings}.`].join("\n");
    const shown = /<!-- errors:[^>]*-->\n(.*?)\n<!-- end -->/s.exec(readme)?.[1];
    expect(shown?.trim()).toBe(table);
  });

  it("lists what each role may do", () => {
    const verbs = ["GET", "PUT", "POST", "DELETE"] as const;
    const rows = Object.entries(permissions).map(([resource, found]: [string, Partial<Record<string, string>>]) => {
      return `| \`${resource}\` | ${verbs.map((verb) => found[verb] ?? "").join(" | ")} |`;
    });
    const table = [`| | ${verbs.join(" | ")} |`, "| --- | --- | --- | --- | --- |", ...rows].join("\n");
    const shown = /<!-- roles:[^>]*-->\n(.*?)\n<!-- end -->/s.exec(readme)?.[1];
    expect(shown?.trim()).toBe(table);
  });

  it("lists every metric with its type and what it says, and no other", () => {
    const rows = [...readme.matchAll(/^\| `(sluice_\w+)` \| (\w+) \| [^|]* \| (.*) \|$/gm)];
    expect(rows.map(([, name, type, help]) => [name, { type, help }])).toEqual(Object.entries(metricTable));
  });

  it("lists every reason for which the engine drops a frame, and no other", () => {
    expect(readFirstColumn(readme, "| reason | verdict |")).toEqual([...engineDropReasons]);
  });
});

/** These want devices, an engine that runs on some, or a box's API; test/integration runs them. */
const needsBox =
  /^\.\/sluice (up|upgrade|top|doctor|trace|capture|control|dataplane|token|audit|backup|restore|chain (?!plan)|function (trust|push|inspect|delete|list$))\b/;

interface Run {
  readonly command: string;
  readonly status: number | null;
  readonly stderr: string;
  /** Of ./results, if there is such a folder by then. */
  readonly files: readonly string[];
  readonly verdicts: string;
}

/** Runs README.md's shell commands one after the other in a folder that looks like the repository with captures. */
function runCommands(): Run[] {
  const folder = makeFolder();
  for (const name of ["sluice", "chains"]) symlinkSync(join(projectRoot, name), join(folder, name));
  const noon = 1_763_700_000_000_000_000n;
  const write = (name: string, from: bigint, lines: readonly string[]) => {
    const packets = lines.map((line, index) => ({ bytes: encodePacket(line), timeNs: from + BigInt(index) * 1000n }));
    writeFileSync(join(folder, name), encodePcap(packets));
  };
  write("lan.pcap", noon, ["tcp 10.0.0.1:4000 > 10.0.0.2:80 syn", "tcp 10.0.0.1:4001 > 10.0.0.2:8080 syn"]);
  write("wan.pcap", noon + 1_000_000n, ["tcp 10.0.0.2:80 > 10.0.0.1:4000 syn ack"]);
  const shell = readBlocks(readme)
    .filter(({ language }) => language === "sh")
    .flatMap(({ code }) => readCommands(`\`\`\`\n${code}\`\`\``, "./sluice"))
    .filter((command) => !needsBox.test(command));
  return shell.map((command) => {
    const options = { cwd: folder, env: { ...process.env, HOME: folder }, encoding: "utf8", timeout: 60_000 } as const;
    const { status, stderr } = spawnSync("sh", ["-c", command], options);
    const results = join(folder, "results");
    const isThere = existsSync(join(results, "verdicts.jsonl"));
    const verdicts = isThere ? readFileSync(join(results, "verdicts.jsonl"), "utf8") : "";
    return { command, status, stderr, files: isThere ? readdirSync(results).toSorted() : [], verdicts };
  });
}

describe("the examples of README.md", () => {
  it("run, and their results are those that it shows", () => {
    const runs = runCommands();
    expect(runs.length).toBeGreaterThan(5);
    for (const { command, status, stderr } of runs) expect({ command, status, stderr }).toMatchObject({ status: 0 });
    expect(runs.filter(({ stderr }) => /^(error|warning)/m.test(stderr))).toEqual([]);

    const replayed = runs.find(({ command }) => command.includes(" replay "));
    const named = readFirstColumn(readme, "| file in `--out` |");
    const expected = named.flatMap((name) => (name === "PORT.pcap" ? ["lan.pcap", "wan.pcap"] : [name]));
    expect(replayed?.files).toEqual(expected.toSorted());
    const shown = readBlock(readme, "json").trimEnd().split("\n");
    expect(replayed?.verdicts.split("\n").slice(0, shown.length)).toEqual(shown);
  }, 240_000);
});

describe("runtime/README.md", () => {
  it("gives the windows the addresses that they have", () => {
    const rows = [...read("runtime/README.md").matchAll(/^\| (0x[0-9a-f]{8}) \| ([a-z ]+) \|/gm)];
    expect(Object.fromEntries(rows.map(([, address, name]) => [name, Number(address)]))).toEqual({
      context: memoryMap.BATCH_ADDRESS - 0x1000,
      batch: memoryMap.BATCH_ADDRESS,
      results: memoryMap.RESULTS_ADDRESS,
      records: memoryMap.RECORDS_ADDRESS,
      counters: memoryMap.COUNTERS_ADDRESS,
      frames: memoryMap.FRAMES_ADDRESS,
      "its own data and heap": MEMORY_BASE,
    });
  });

  it("describes every room of runtime/", () => {
    const rooms = readdirSync(join(projectRoot, "runtime"), { withFileTypes: true })
      .filter(({ name }) => name !== "README.md")
      .map((entry) => (entry.isDirectory() ? `${entry.name}/` : entry.name));
    expect(readFirstColumn(read("runtime/README.md"), "| room |").toSorted()).toEqual(rooms.toSorted());
  });
});

describe("test/README.md", () => {
  it("describes every folder of test/", () => {
    const folders = readdirSync(join(projectRoot, "test")).filter((name) => name !== "README.md");
    expect(readFirstColumn(read("test/README.md"), "| folder |").toSorted()).toEqual(
      folders.map((name) => `${name}/`).toSorted(),
    );
  });
});
