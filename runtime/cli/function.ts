// sluice function: from an idea to a package.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, relative, resolve } from "node:path";
import type { Command } from "commander";
import { SluiceError } from "../errors.ts";
import { type BuiltFunction, buildFunction, packFunction } from "../function/build.ts";
import { projectRoot } from "../function/compile.ts";
import { readPrivateKeyFile } from "../function/key-files.ts";
import { decodeModule } from "../function/module.ts";
import { newFunction } from "../function/new-function.ts";
import { registerFunctionBench } from "./function-bench.ts";
import { registerFunctionKeys } from "./function-keys.ts";
import { registerFunctionRegistry } from "./function-registry.ts";
import { printJson, printLine, printWarnings } from "./output.ts";

interface JsonOption {
  readonly json?: boolean;
}

export function registerFunction(program: Command): void {
  const command = program
    .command("function")
    .description("make, build, test and measure network functions; sign them, and give them to boxes");
  command
    .command("new")
    .description("make a working function with a test")
    .argument("<name>", "its name: a letter, then letters, digits and '-'")
    .option("--into <dir>", "the folder to make it in", ".")
    .option("--json", "print JSON")
    .action(newCommand);
  command
    .command("build")
    .description("compile a function and pack it into DIR/build")
    .argument("[dir]", "the function's folder", ".")
    .option("--sign <key>", "sign the package with this private key (PEM)")
    .option("--json", "print JSON")
    .action(buildCommand);
  command
    .command("test")
    .description("run a function's tests on the real host, with memory ports")
    .argument("[dir]", "the function's folder", ".")
    .option("--json", "print JSON")
    .action(testCommand);
  registerFunctionBench(command);
  registerFunctionRegistry(command);
  registerFunctionKeys(command);
}

function newCommand(name: string, options: JsonOption & { readonly into: string }): void {
  const folder = newFunction(name, options.into);
  const shown = showPath(folder);
  if (options.json) printJson({ name, folder });
  else printLine(`made ${shown}; next: sluice function test ${shown}`);
}

async function buildCommand(dir: string, options: JsonOption & { readonly sign?: string }): Promise<void> {
  const key = options.sign === undefined ? undefined : readPrivateKeyFile(options.sign);
  const built = await buildFunction(dir, join(dir, "build"));
  const packed = packFunction(built.folder, key);
  printWarnings(built.warnings.map((warning) => ({ code: "build", ...splitWarning(warning) })));
  const result = { ...describeBuild(built), package: packed, signed: key !== undefined };
  if (options.json) {
    printJson(result);
    return;
  }
  printLine(`${result.function}: ABI ${result.abi}, frames ${result.frames}`);
  printLine(`  module   ${result.moduleBytes} bytes, code ${result.codeBytes}, memory ${result.memoryBytes >> 10} KiB`);
  printLine(`  exports  ${result.exports.join(", ")}`);
  printLine(`  package  ${showPath(packed)}${result.signed ? ", signed" : ""}`);
}

function describeBuild({ manifest, wasm }: BuiltFunction) {
  const module = decodeModule(wasm);
  return {
    function: `${manifest.name}@${manifest.version}`,
    abi: manifest.abi,
    frames: manifest.frames,
    moduleBytes: wasm.length,
    codeBytes: module.functions.reduce((sum, { start, end }) => sum + end - start, 0),
    memoryBytes: manifest.memoryPages * 65536,
    exports: module.exports.map(({ name }) => name).filter((name) => name.startsWith("nf_")),
  };
}

function splitWarning(warning: string): { readonly where: string; readonly what: string } {
  const [, where = "", what = warning] = /^(\S+?): (.*)$/s.exec(warning) ?? [];
  return { where, what };
}

async function testCommand(dir: string, options: JsonOption): Promise<void> {
  if (!existsSync(join(dir, "test"))) {
    const help = "sluice function new makes one as an example";
    throw new SluiceError({ code: "file-unreadable", where: join(dir, "test"), what: "there is no such folder", help });
  }
  const status = options.json ? await testForJson(dir) : await runTests(dir, [], "inherit");
  if (status !== 0) throw new SluiceError({ code: "test-failed", where: dir, what: "a test failed" });
}

/** vitest writes its report into a file, and what else it has to say goes to stderr. */
async function testForJson(dir: string): Promise<number | null> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
  try {
    const report = join(folder, "report.json");
    const status = await runTests(dir, ["--reporter=json", `--outputFile=${report}`], 2);
    if (existsSync(report)) printJson(JSON.parse(readFileSync(report, "utf8")));
    return status;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** vitest in a process of its own, so that it may set that up as it likes. */
function runTests(dir: string, options: readonly string[], stdout: "inherit" | 2): Promise<number | null> {
  const vitest = join(projectRoot, "node_modules/vitest/vitest.mjs");
  const config = join(projectRoot, "runtime/testing/function-tests.config.ts");
  const args = [vitest, "run", "--root", resolve(dir), "--config", config, ...options];
  const child = spawn(process.execPath, args, { stdio: ["inherit", stdout, "inherit"] });
  return new Promise((resolve, reject) => child.once("error", reject).once("exit", resolve));
}

/** As short as it can be typed from here. */
function showPath(path: string): string {
  const short = relative(process.cwd(), path);
  return short.startsWith("../..") ? path : short || ".";
}
