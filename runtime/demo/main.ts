// The demonstration: `npm start` runs a chain on a small built-in network and says where to look; with --once it prints
// its report and exits 0 only if everything in it held.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { formatTable, paint, printError, printLine } from "../cli/output.ts";
import { formatRates, watch } from "../cli/top.ts";
import { loadAddon } from "../dataplane/load-addon.ts";
import { type EngineDescription, findEngines } from "../dataplane/state-folder.ts";
import { SluiceError } from "../errors.ts";
import { Observer } from "../telemetry/observer.ts";
import { networkObstacle } from "../testing/network.ts";
import { type BuiltInNetwork, buildNetwork, keepTalking } from "./built-in-network.ts";
import { type Check, checkReleased, runChecks } from "./checks.ts";
import { replayInstead } from "./replay-instead.ts";
import { until } from "./until.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const CHAIN = "office";
const chainFile = `${root}chains/${CHAIN}.yaml`;

async function demonstrate(stayUp: boolean): Promise<boolean> {
  const network = await buildNetwork();
  try {
    const engine = await startEngine(network);
    const checks = await runChecks(network, engine.observer);
    printReport(engine.observer, checks);
    if (stayUp) await showLive(network);
    const checked = [...checks, ...(await stopEngine(engine, network))];
    if (!stayUp) printLine(formatChecks(checked.slice(checks.length)).slice(1).join("\n"));
    return checked.every(({ held }) => held);
  } finally {
    await network.close();
  }
}

interface RunningEngine {
  readonly observer: Observer;
  readonly exit: Promise<unknown[]>;
  stop(): void;
}

/** The engine as an operator runs it, in the box's namespace. */
async function startEngine({ box }: BuiltInNetwork): Promise<RunningEngine> {
  const child = spawn("ip", ["netns", "exec", box.name, `${root}sluice`, "up", chainFile], {
    stdio: ["ignore", "ignore", "inherit"],
    // Ctrl-C in the terminal is for the demonstration, which stops the engine in its turn.
    detached: true,
  });
  const exit = once(child, "exit");
  process.once("exit", () => child.kill("SIGKILL"));
  const found = await until("the engine runs", async () => {
    const engine = findEngines().find(({ engine }) => engine.chain === CHAIN && isRunBy(engine, child.pid));
    if (engine !== undefined) return engine;
    if (child.exitCode !== null) throw new SluiceError({ code: "test-failed", where: "sluice up", what: "it ended" });
    throw new Error("it has not said so yet");
  });
  const observer = new Observer(loadAddon(), found.path, found.engine);
  return { observer, exit, stop: () => void child.kill("SIGTERM") };
}

function isRunBy({ pid, supervisor }: EngineDescription, started: number | undefined): boolean {
  return pid === started || supervisor?.pid === started;
}

async function stopEngine(engine: RunningEngine, network: BuiltInNetwork): Promise<Check[]> {
  engine.stop();
  const [status] = await engine.exit;
  const stopped = {
    name: "engine stopped, every frame accounted for",
    expected: "exit 0",
    observed: `exit ${status}`,
    held: status === 0,
  };
  return [stopped, await checkReleased(network)];
}

function printReport(observer: Observer, checks: readonly Check[]): void {
  const { ports, functions } = observer.engine;
  printLine(paint("bold", "office ── lan0 │ acl, hello │ wan0 ── internet"));
  printLine();
  for (const { name, device, mode } of ports) printLine(`port ${name}: ${device}, AF_XDP ${mode}`);
  for (const { name, package: from } of functions) printLine(`function ${name}: ${from}`);
  printLine();
  for (const line of formatChecks(checks)) printLine(line);
}

function formatChecks(checks: readonly Check[]): string[] {
  return formatTable(
    ["check", "expected", "observed", ""],
    checks.map(({ name, expected, observed, held }) => [
      name.padEnd(42),
      expected.padEnd(26),
      observed.padEnd(38),
      held ? "held" : "FAILED",
    ]),
  );
}

/** Until interrupted. */
async function showLive(network: BuiltInNetwork): Promise<void> {
  const end = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => end.abort());
  keepTalking(network.office);
  const live = process.stdout.isTTY === true;
  const hints = [
    "",
    `try    ip netns exec ${network.office.name} curl -sI http://10.77.0.1/download.bin`,
    `watch  ./sluice top ${CHAIN}`,
    "stop   Ctrl-C",
  ];
  for (const line of hints) printLine(line);
  const show = (rates: Parameters<typeof formatRates>[0]) =>
    process.stdout.write(`${live ? "\u001b[H\u001b[2J" : "\n"}${[...formatRates(rates), ...hints].join("\n")}\n`);
  const watching = watch(CHAIN, { seconds: live ? 1 : 10, views: Infinity, show, signal: end.signal });
  await watching.catch((error: Error) => {
    if (error.name !== "AbortError") throw error;
  });
}

try {
  const obstacle = networkObstacle();
  const once = process.argv.includes("--once");
  const held = obstacle === null ? await demonstrate(!once) : await replayInstead(obstacle, chainFile);
  process.exitCode = held ? 0 : 1;
} catch (error) {
  process.exitCode = printError(error);
}
