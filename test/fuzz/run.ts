// Builds the parser's fuzz target, makes a corpus of real frames and fuzzes: `npm run fuzz -- --seconds 600`.
// Stops with status 1 at the first crash; the input is then in the build folder under `crashes/`.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { readParserFixtures } from "../support/parser-fixtures.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const captures = join(root, "../shared/conformance/captures");

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    build: { type: "string", default: join(root, "build/fuzz") },
  },
});
const seconds = Number(values.seconds);
if (!Number.isInteger(seconds) || seconds < 1) {
  console.error(`error[usage] --seconds: expected a whole number of seconds, not "${values.seconds}"`);
  process.exit(2);
}

function run(command: string, ...args: readonly string[]): void {
  const { status, error } = spawnSync(command, args, { stdio: "inherit" });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(1);
}

function emptyFolder(name: string): string {
  const folder = join(values.build, name);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return folder;
}

function build(): void {
  const source = join(root, "test/fuzz");
  run("cmake", "-S", source, "-B", values.build, "-G", "Ninja", "-DCMAKE_CXX_COMPILER=clang++");
  run("cmake", "--build", values.build);
}

/** Inputs of parser_fuzzer: the fixtures, and frames of the captures where they are at hand. */
function collectInputs(folder: string): void {
  for (const { name, link, bytes, wireLength } of readParserFixtures()) {
    const cut = Math.min(wireLength - bytes.length, 254);
    writeFileSync(join(folder, name), Uint8Array.of(link, cut, ...bytes));
  }
  if (!existsSync(captures)) {
    console.log(`${captures} is not there: the corpus is test/fixtures/parser only`);
    return;
  }
  const files = readdirSync(captures).filter((file) => /\.pcap(ng)?$/.test(file));
  run(join(values.build, "make_corpus"), folder, ...files.map((file) => join(captures, file)));
}

build();
const inputs = emptyFolder("inputs");
const corpus = emptyFolder("corpus");
const crashes = emptyFolder("crashes");
collectInputs(inputs);
const fuzzer = join(values.build, "parser_fuzzer");
run(fuzzer, "-merge=1", "-verbosity=0", corpus, inputs);
console.log(`${readdirSync(inputs).length} inputs, ${readdirSync(corpus).length} that differ in coverage`);
run(
  fuzzer,
  `-max_total_time=${seconds}`,
  "-max_len=4096",
  "-print_final_stats=1",
  `-artifact_prefix=${crashes}/`,
  corpus,
);
console.log(`no crash in ${seconds} s`);
