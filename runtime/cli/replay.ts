// sluice replay: a chain on captures.
import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { BATCH_CAPACITY } from "../../nfs/sdk/abi.ts";
import type { Plan } from "../chain/plan.ts";
import { type FixedRoutes, parseRoutes } from "../chain/routes-document.ts";
import { looksLikeBundle } from "../dataplane/faults/bundle.ts";
import type { LogLevel } from "../dataplane/instance.ts";
import { loadAddon } from "../dataplane/load-addon.ts";
import type { ReplayStats } from "../dataplane/replay/stats.ts";
import { sumCounts } from "../dataplane/replay/tally.ts";
import { LANES_MAX, type ReplaySetup, replay } from "../dataplane/replay.ts";
import { type Fault, SluiceError } from "../errors.ts";
import { admit } from "../function/admission.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import { type ChainOptions, loadChain, replanWith } from "../function/load-chain.ts";
import { RulePlaces } from "../generation/rule-places.ts";
import { printJson, printLine, printTable, printWarnings, type Warning } from "./output.ts";
import { collect } from "./program.ts";
import { replayBundle } from "./replay-bundle.ts";
import { readCount, readFault, readInputs, readSwap, readSwapEvery, requireSwappable } from "./replay-options.ts";

interface ReplayOptions extends ChainOptions {
  readonly in: readonly string[];
  readonly out: string;
  readonly swap?: readonly string[];
  readonly swapEvery?: string;
  readonly fault?: readonly string[];
  readonly routes?: string;
  readonly lanes: string;
  readonly batch: string;
  readonly json?: boolean;
}

type GivenOptions = Omit<ReplayOptions, "in" | "out"> & Partial<Pick<ReplayOptions, "in" | "out">>;

const HELP = `
Every port of the chain becomes a file port. Inputs are merged by timestamp; time is that of the captures.
Captures are pcap or pcapng, of link type Ethernet (1), NULL (0), LOOP (108), RAW (12, 101), SLL (113), IPV4 (228) or
IPV6 (229).

DIR receives PORT.pcap for every port, verdicts.jsonl, eve.jsonl, flows.jsonl and stats.json, all of them or none. The
same input through the same chain gives the same bytes. PORT.pcap has the inputs' link type, or Ethernet (with zero
addresses where a frame had none) if the inputs differ.

With --lanes above 1 each lane has its share of the flows (by pairs of addresses, or as flows.spread of the chain says),
its own instances of the functions and its own limits. What is said of a flow is the same; its number and the order of
lines may differ. --swap, --swap-every, --fault and --batch above 1 are refused then, and NAT without flows.spread.

A capture that is damaged or cut short is processed as far as it is readable; then the exit status is 1.

The bundle of a fault (\`sluice up\` says where it put one) needs no options but --json: the function is called with what
it was called with then. The exit status is 0 if the same fault came of it.`;

export function registerReplay(program: Command): void {
  program
    .command("replay")
    .description("run captures through a chain, or a recorded fault once more")
    .argument("<file>", "the chain document (YAML or JSON), or the bundle of a fault")
    .option("--in <port=file>", "a capture that enters at a port; repeatable", collect)
    .option("--out <dir>", "the folder for the results; created if missing")
    .option("--set <function.key=value>", "override configuration; @file for a file's text; repeatable", collect)
    .option("--functions <dir>", "look for functions in this folder too; repeatable", collect)
    .option("--swap <n:function=name@version>", "replace a function just before input frame n; repeatable", collect)
    .option("--swap-every <k:function=name@version>", "replace a function after every k input frames")
    .option("--fault <n:function>", "make a function trap on input frame n; repeatable", collect)
    .option("--routes <file>", "addresses, routes and neighbours of ports that route")
    .option("--lanes <n>", `lanes to spread the flows over, at most ${LANES_MAX}`, "1")
    .option("--batch <n>", `frames per batch, at most ${BATCH_CAPACITY}; with 1 no result depends on batches`, "1")
    .option("--json", "print the content of stats.json")
    .addHelpText("after", HELP)
    .action(replayCommand);
}

async function replayCommand(file: string, { in: inputs, out, ...rest }: GivenOptions): Promise<void> {
  if (looksLikeBundle(file)) {
    const { json = false, lanes: _, batch: __, ...others } = { in: inputs, out, ...rest };
    const given = Object.entries(others).find(([, value]) => value !== undefined);
    if (given === undefined) return replayBundle(file, json);
    throw new SluiceError({
      code: "usage",
      where: `--${given[0]}`,
      what: "a bundle says all that it is replayed with",
    });
  }
  if (inputs === undefined) throw missing("--in <port=file>");
  if (out === undefined) throw missing("--out <dir>");
  return replayChain(file, { ...rest, in: inputs, out });
}

function missing(option: string): SluiceError {
  return new SluiceError({ code: "usage", where: "sluice replay", what: `required option '${option}' not specified` });
}

async function replayChain(chain: string, options: ReplayOptions): Promise<void> {
  const lanes = readCount(options.lanes, "--lanes", LANES_MAX);
  const batch = readCount(options.batch, "--batch", BATCH_CAPACITY);
  const loaded = loadChain(chain, options);
  printWarnings(loaded.warnings);
  for (const { wasm, manifest } of loaded.packages) admit(wasm, manifest);
  const swaps = (options.swap ?? []).map((text) => readSwap(loaded, text));
  const swapEvery = options.swapEvery === undefined ? undefined : readSwapEvery(loaded, options.swapEvery);
  const replan = (packages: readonly FunctionPackage[]) => replanWith(loaded, packages);
  requireSwappable(loaded, swapEvery === undefined ? swaps : [...swaps, swapEvery], replan);
  const places = new RulePlaces(loaded.plan, chain);
  const setup: Omit<ReplaySetup, "signal"> = {
    native: loadAddon(),
    plan: loaded.plan,
    packages: loaded.packages,
    inputs: readInputs(loaded.plan, options.in),
    out: options.out,
    batch,
    lanes,
    swaps,
    swapEvery,
    replan,
    faults: (options.fault ?? []).map((text) => readFault(loaded.plan, text)),
    routes: readRoutes(loaded.plan, options.routes),
    // Without the file's name: the same chain says the same wherever it lies.
    placeOf: (name, reason) => /\d+:\d+$/.exec(places.find(name, reason)?.where ?? "")?.[0] ?? null,
    onLog: printFirstTime(),
  };
  const stats = await untilInterrupted((signal) => replay({ ...setup, signal }));
  if (options.json) printJson(stats);
  else printSummary(stats, options.out);
  printWarnings(warnOfMissed(stats));
  refuseDamage(stats);
}

/** Ports that route have nobody's routes in a replay but those. */
function readRoutes({ ports }: Plan, file: string | undefined): FixedRoutes | undefined {
  const where = file === undefined ? "--routes" : `--routes ${file}`;
  if (file === undefined) {
    if (ports.every(({ forwarding }) => forwarding !== "routed")) return undefined;
    const what = "the chain has ports that route";
    throw new SluiceError({ code: "usage", where, what, help: "name a file with their addresses and routes" });
  }
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new SluiceError({ code: "file-unreadable", where, what: (error as Error).message });
  }
  return parseRoutes(text, file, ports);
}

/** What functions complain of, once: a function that is replaced or traps is configured again and again. */
function printFirstTime(): (level: LogLevel, functionName: string, message: string) => void {
  const printed = new Set<string>();
  return (level, functionName, message) => {
    const line = `${level} ${functionName}: ${message}\n`;
    if ((level !== "warn" && level !== "error") || printed.has(line)) return;
    printed.add(line);
    process.stderr.write(line);
  };
}

/** An interrupted replay writes nothing; the process then ends as the signal asks. */
async function untilInterrupted<R>(run: (signal: AbortSignal) => Promise<R>): Promise<R> {
  const abort = new AbortController();
  const signals = ["SIGINT", "SIGTERM"] as const;
  let received: NodeJS.Signals | undefined;
  const interrupt = (signal: NodeJS.Signals) => {
    received = signal;
    abort.abort();
  };
  for (const signal of signals) process.once(signal, interrupt);
  try {
    return await run(abort.signal);
  } finally {
    for (const signal of signals) process.off(signal, interrupt);
    if (received !== undefined) process.kill(process.pid, received);
  }
}

function printSummary(stats: ReplayStats, out: string): void {
  const ports = Object.keys(stats.ports);
  const at = (counts: Readonly<Record<string, number>>, key: string) => counts[key] ?? 0;
  printTable(
    ["port", "received", "transmitted", "consumed"],
    ports.map((port) => [port, at(stats.received, port), at(stats.transmitted, port), at(stats.consumed, port)]),
  );
  printCounts("dropped because of", stats.dropped);
  printCounts("to the host because of", stats.host);
  printCounts("malformed", stats.malformed);
  const { answered, asked } = stats.neighbours;
  if (answered + asked > 0) printCounts("questions for link addresses", { answered, asked });
  if (stats.faults.length > 0) {
    printLine();
    const rows = stats.faults.map((each) => [each.function, each.message, each.source ?? "-", each.count]);
    printTable(["function", "fault", "source", "times"], rows);
  }
  printLine();
  const swaps = stats.swaps === 0 ? "" : `, ${stats.swaps} changes of generation`;
  printLine(`${sumCounts(stats.received)} frames${swaps}; results in ${out}`);
}

function printCounts(title: string, counts: Readonly<Record<string, number>>): void {
  if (Object.keys(counts).length === 0) return;
  printLine();
  printTable([title, "frames"], Object.entries(counts));
}

function warnOfMissed({ missed }: ReplayStats): Warning[] {
  const warn = (option: string, what: string) => (text: string) => ({
    code: "unused-option",
    where: `${option} ${text}`,
    what,
  });
  return [
    ...missed.swaps.map(warn("--swap", "the input has fewer frames")),
    ...missed.faults.map(warn("--fault", "that frame did not come to the function")),
  ];
}

function refuseDamage({ damage, received }: ReplayStats): void {
  const faults = damage.map(({ file, what }): Fault => {
    const processed = `${sumCounts(received)} frames were processed`;
    const isMixed = /different from the .* of the first interface/.test(what);
    const help = isMixed
      ? "libpcap reads one link type and snapshot length per capture; split it by interface"
      : undefined;
    return { code: "capture-truncated", where: file, what: `${what}; ${processed}`, help };
  });
  const [first, ...rest] = faults;
  if (first !== undefined) throw new SluiceError(first, ...rest);
}
