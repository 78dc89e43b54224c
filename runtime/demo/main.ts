// The demonstration: `npm start` runs a chain on a small built-in network and says where to look; with --once it prints
// its report and exits 0 only if everything in it held.
import { readFileSync } from "node:fs";
import { constants } from "node:os";
import { fileURLToPath } from "node:url";
import { formatTable, paint, printError, printLine } from "../cli/output.ts";
import { formatRates, watch } from "../cli/top.ts";
import { loadAddon } from "../dataplane/load-addon.ts";
import { type FoundEngine, findEngines } from "../dataplane/state-folder.ts";
import { Observer } from "../telemetry/observer.ts";
import { networkObstacle } from "../testing/network.ts";
import { type Box, startBox } from "./box.ts";
import { type BuiltInNetwork, buildNetwork, DOWNLOAD, keepTalking, SERVER } from "./built-in-network.ts";
import { type Check, checkReleased, runChecks } from "./checks.ts";
import { declareChain, removeChain } from "./declare.ts";
import { describeGateway } from "./gateway-report.ts";
import { replayInstead } from "./replay-instead.ts";
import { unlessAborted } from "./until.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
const CHAIN = "gateway";
const chainFile = `${root}chains/${CHAIN}.yaml`;
/** For machines where there can be no network. */
const replayedFile = `${root}chains/office.yaml`;

async function demonstrate(stayUp: boolean, interrupted: AbortSignal): Promise<boolean> {
  const network = await buildNetwork();
  try {
    const box = await startBox(network.box, interrupted);
    try {
      const checks = await unlessAborted(interrupted, tryOut(network, box));
      if (stayUp) await showLive(network, box, interrupted);
      const ended = [...(await removeChain(box, CHAIN)), await checkReleased(network)];
      if (!stayUp) printLine(formatChecks(ended).slice(1).join("\n"));
      return [...checks, ...ended].every(({ held }) => held);
    } finally {
      await box.close();
    }
  } finally {
    await network.close();
  }
}

async function tryOut(network: BuiltInNetwork, box: Box): Promise<Check[]> {
  const document = readFileSync(chainFile, "utf8");
  const declared = await declareChain(box, document);
  const { path, engine } = findEngines().find(({ engine }) => engine.chain === CHAIN) as FoundEngine;
  const observer = new Observer(loadAddon(), path, engine);
  const checks = [...declared, ...(await runChecks(network, observer))];
  printReport(observer, checks);
  for (const line of describeGateway(path, observer, document)) printLine(line);
  return checks;
}

function printReport(observer: Observer, checks: readonly Check[]): void {
  const { ports, functions } = observer.engine;
  printLine(paint("bold", "office ── lan0 │ firewall, nat, routes │ wan0 ── internet"));
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
async function showLive(network: BuiltInNetwork, { api }: Box, interrupted: AbortSignal): Promise<void> {
  keepTalking(network.office);
  const live = process.stdout.isTTY === true;
  const hints = [
    "",
    `try    ip netns exec ${network.office.name} curl -sI http://${SERVER.ipv4}/${DOWNLOAD}`,
    `API    ${api.address}, its token in ${api.tokenFile}`,
    `try    curl -sH "Authorization: Bearer $(cat ${api.tokenFile})" ${api.address}/api/v1/chains`,
    `watch  ./sluice top ${CHAIN}`,
    "stop   Ctrl-C",
  ];
  for (const line of hints) printLine(line);
  const show = (rates: Parameters<typeof formatRates>[0]) =>
    process.stdout.write(`${live ? "\u001b[H\u001b[2J" : "\n"}${[...formatRates(rates), ...hints].join("\n")}\n`);
  const watching = watch(CHAIN, { seconds: live ? 1 : 10, views: Infinity, show, signal: interrupted });
  await watching.catch((error: Error) => {
    if (error.name !== "AbortError") throw error;
  });
}

/** The first signal lets everything be taken away in its order; whoever sends another wants to wait no longer. */
function listenForSignals(): AbortSignal {
  const interrupted = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.on(signal, () => {
      if (interrupted.signal.aborted) process.exit(128 + constants.signals[signal]);
      interrupted.abort(signal);
    });
  }
  return interrupted.signal;
}

const interrupted = listenForSignals();
try {
  const obstacle = networkObstacle();
  const once = process.argv.includes("--once");
  const held = obstacle === null ? await demonstrate(!once, interrupted) : await replayInstead(obstacle, replayedFile);
  process.exit(held ? 0 : 1);
} catch (error) {
  const signal = interrupted.aborted && error === interrupted.reason ? (error as NodeJS.Signals) : undefined;
  process.exit(signal === undefined ? printError(error) : 128 + constants.signals[signal]);
}
