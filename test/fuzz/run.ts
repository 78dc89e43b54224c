// Builds the fuzz targets, makes a corpus for each and fuzzes one after the other: `npm run fuzz -- --seconds 600`, or
// only those that are named: `npm run fuzz -- tracker parser`. `--seconds` is for each target. Stops with status 1 at
// the first crash; the input is then in the build folder under `TARGET/crashes/`.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { readParserFixtures } from "../support/parser-fixtures.ts";

const root = fileURLToPath(new URL("../../", import.meta.url));
const captures = join(root, "../shared/conformance/captures");

/** What a target's corpus begins with: writes inputs into a folder. */
const targets: Readonly<Record<string, (folder: string) => void>> = {
  parser: collectFrames,
  stream: () => {},
  tracker: writeConnections,
  flow: writeFlows,
};

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seconds: { type: "string", default: "60" },
    build: { type: "string", default: join(root, "build/fuzz") },
  },
});
const seconds = Number(values.seconds);
if (!Number.isInteger(seconds) || seconds < 1) {
  fail(`--seconds: expected a whole number of seconds, not "${values.seconds}"`);
}
for (const name of positionals) {
  if (!Object.hasOwn(targets, name)) fail(`"${name}" is no target: one of ${Object.keys(targets).join(", ")}`);
}

function fail(what: string): never {
  console.error(`error[usage] ${what}`);
  process.exit(2);
}

function run(command: string, ...args: readonly string[]): void {
  const { status, error } = spawnSync(command, args, { stdio: "inherit" });
  if (error !== undefined) throw error;
  if (status !== 0) process.exit(1);
}

function emptyFolder(...names: readonly string[]): string {
  const folder = join(values.build, ...names);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  return folder;
}

function build(names: readonly string[]): void {
  const source = join(root, "test/fuzz");
  run("cmake", "-S", source, "-B", values.build, "-G", "Ninja", "-DCMAKE_CXX_COMPILER=clang++");
  run("cmake", "--build", values.build, "--target", "make_corpus", ...names.map((name) => `${name}_fuzzer`));
}

/** Inputs of parser_fuzzer: the fixtures, and frames of the captures where they are at hand. */
function collectFrames(folder: string): void {
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

/** Inputs of tracker_fuzzer: connections that are opened, used and closed, over either IP version. */
function writeConnections(folder: string): void {
  const step = (direction: 0 | 1, flags: number, payload = 0) => [direction, flags, 0, 0, 255, payload, 0, 1];
  const opening = [...step(0, 0x02), ...step(1, 0x12), ...step(0, 0x10)];
  const talk = [...step(0, 0x18, 100), ...step(1, 0x10), ...step(1, 0x18, 200), ...step(0, 0x10)];
  const closing = [...step(0, 0x11), ...step(1, 0x10), ...step(1, 0x11), ...step(0, 0x10)];
  const endings = { closed: closing, reset: step(1, 0x14), reopened: [...closing, ...opening] };
  for (const [name, ending] of Object.entries(endings)) {
    for (const protocol of [0, 8]) {
      writeFileSync(join(folder, `${name}-${protocol}`), Uint8Array.of(protocol, 0, ...opening, ...talk, ...ending));
    }
  }
}

/** Inputs of flow_fuzzer: of every protocol a question, its answer and their end, alone or with what disturbs flows. */
function writeFlows(folder: string): void {
  const there = 0b0000_1100;
  const back = 0b0000_1010;
  const frame = (proto: number, ends: number, flags = 0, seq = 0, ack = 0, payload = 0, fragment = 0) => [
    ...[proto * 8 + 1, ends, flags, seq, ack, payload, fragment, 0, 7, 0, 0, 0],
  ];
  const ask = (request: number, ends = there) => [request * 8, ends, 1, 0, 0, 5, 0, 0, 7, 0, 0, 0];
  const open = [...frame(0, there, 0x02), ...frame(0, back, 0x12, 0, 1), ...frame(0, there, 0x10, 1, 1)];
  const talk = [...frame(0, there, 0x18, 1, 1, 100), ...frame(0, back, 0x10, 1, 101)];
  const close = [...frame(0, there, 0x11, 101, 1), ...frame(0, back, 0x11, 1, 102), ...frame(0, there, 0x10, 102, 2)];
  const late = [...frame(0, there, 0x18, 11, 1, 10), ...frame(0, there, 0x18, 1, 1, 10), ...close];
  const pieces = [7, 11, 3].flatMap((fragment) => frame(3, there, 0, 0, 0, 16, fragment));
  const flows = {
    tcp: [...open, ...talk, ...close, ...frame(0, there, 0x02)],
    order: [...open, ...late],
    fragments: [...pieces, ...frame(3, back)],
    error: [...frame(3, there), ...frame(5, back, 1, 3, 0, there)],
    ...Object.fromEntries(
      [3, 5, 7, 8].map((proto) => [`reply-${proto}`, [...frame(proto, there), ...frame(proto, back)]]),
    ),
  };
  const requests = [0, 4, 5, 6, 7, 8, 9, 10].flatMap((request) => ask(request));
  for (const [name, steps] of Object.entries(flows)) {
    for (const settings of [0x06, 0x0f]) {
      const config = [8, settings, 0xff, 0xff, 3, 0];
      writeFileSync(join(folder, `${name}-${settings}`), Uint8Array.of(...config, ...steps, ...requests, ...steps));
    }
  }
}

function fuzz(name: string): void {
  const fuzzer = join(values.build, `${name}_fuzzer`);
  const inputs = emptyFolder(name, "inputs");
  const corpus = emptyFolder(name, "corpus");
  const crashes = emptyFolder(name, "crashes");
  targets[name]?.(inputs);
  const count = readdirSync(inputs).length;
  if (count > 0) run(fuzzer, "-merge=1", "-verbosity=0", corpus, inputs);
  console.log(`${name}: ${count} inputs, ${readdirSync(corpus).length} that differ in coverage`);
  run(
    fuzzer,
    `-max_total_time=${seconds}`,
    "-max_len=4096",
    "-print_final_stats=1",
    `-artifact_prefix=${crashes}/`,
    corpus,
  );
  console.log(`${name}: no crash in ${seconds} s`);
}

const names = positionals.length > 0 ? positionals : Object.keys(targets);
build(names);
for (const name of names) fuzz(name);
