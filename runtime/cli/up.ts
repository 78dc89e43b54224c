// sluice up: runs a chain on real devices until it is interrupted.

import { resolve } from "node:path";
import type { Command } from "commander";
import { throwFaults } from "../chain/faults.ts";
import type { Plan } from "../chain/plan.ts";
import { findStateFaults } from "../chain/state-changes.ts";
import { type Engine, type Quarantine, startEngine } from "../dataplane/engine.ts";
import type { FaultReport } from "../dataplane/lane.ts";
import type { FrameAudit } from "../dataplane/native.ts";
import { type Fault, SluiceError } from "../errors.ts";
import { admit } from "../function/admission.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import { followRequest } from "../generation/change-request.ts";
import { History } from "../generation/history.ts";
import { Plans } from "../generation/plans.ts";
import { type StoredChain, StoredState, takeStored } from "../generation/stored-state.ts";
import { type Change, describeVersions, Upgrades } from "../generation/upgrade.ts";
import { type ChangeRequest, UpgradeServer } from "../generation/upgrade-socket.ts";
import { encodePacket, formatPacket } from "../testing/packet-text.ts";
import { type ChainOptions, loadChain, readChange } from "./load-chain.ts";
import { printError, printLine, printWarnings } from "./output.ts";
import { collect } from "./program.ts";

interface UpOptions extends ChainOptions {
  readonly json?: boolean;
}

const ENDED_WITHIN_MS = 3000;

export function registerUp(program: Command): void {
  program
    .command("up")
    .description("run a chain on real devices until interrupted")
    .argument("<file>", "the chain document (YAML or JSON)")
    .option("--set <function.key=value>", "override configuration; @file for a file's text; repeatable", collect)
    .option("--functions <dir>", "look for functions in this folder too; repeatable", collect)
    .option("--json", "print JSON, one document per line")
    .action(upCommand);
}

async function upCommand(file: string, options: UpOptions): Promise<void> {
  const history = new History();
  const stored = takeStored(resolve(file));
  const engine = stored === undefined ? await startChain(file, options) : await start(stored.plan, stored.packages);
  StoredState.forget(engine.folder);
  const upgrades = new Upgrades(engine, history, stored?.request);
  if (stored !== undefined) noteRestored(stored, upgrades, history);
  const read = changeReader(file, options);
  const plans = new Plans({
    ...{
      engine,
      upgrades,
      history,
      packets: { encode: encodePacket, format: formatPacket },
      file: resolve(file),
      read,
    },
    restart: (why) => endForRestore(engine, why),
    warn: (text) => process.stderr.write(`warn ${text}\n`),
  });
  engine.onQuarantine = (quarantine) => {
    const what = describeQuarantine(quarantine);
    process.stderr.write(`${what}\n`);
    if (quarantine.why !== "traps") upgrades.noteFallback(quarantine.generation, what);
    upgrades.noteQuarantine(what);
  };
  const readNow = (request: ChangeRequest) => follow(read, upgrades.committed, request, engine.running.plan);
  const server = await UpgradeServer.listen(engine.folder, upgrades, readNow, plans);
  const interrupted = onInterrupt(() => {
    plans.stop();
    void engine.stop().catch(() => {});
  });
  printStart(engine, options.json === true, stored?.upgradePlan);
  try {
    printEnd(await engine.ended, options.json === true);
    if (restoreAsked !== undefined) throw new SluiceError(restoreAsked);
  } finally {
    interrupted.dispose();
    plans.stop();
    upgrades.stop();
    server.close();
    history.close();
  }
}

/** Later changes come on top of what was committed: a document that was given remains the one. */
function changeReader(file: string, options: ChainOptions): (request: ChangeRequest) => (before: Plan) => Change {
  return (request) => {
    const functions = [...(options.functions ?? []), ...request.functions];
    const set = request.file === null ? [...(options.set ?? []), ...request.set] : request.set;
    const plan = readChange(request.file ?? file, { functions, set, use: request.use });
    return (before) => {
      const change = plan(before);
      for (const { wasm, manifest } of change.packages) admit(wasm, manifest);
      return { ...change, request };
    };
  };
}

function follow(
  read: ReturnType<typeof changeReader>,
  committed: ChangeRequest,
  request: ChangeRequest,
  before: Plan,
): Change {
  const change = read(followRequest(committed, request))(before);
  if (!request.cold) throwFaults(findStateFaults(before, change.plan, "load"));
  return change;
}

let restoreAsked: Fault | undefined;

/** Who started this process starts it again, and that one finds what was stored. */
function endForRestore(engine: Engine, why: string): void {
  const { chain } = engine.description;
  const help = "start it again: it begins with the state that was stored before the plan";
  restoreAsked = { code: "upgrade-failed", where: chain, what: `the plan cannot be taken back: ${why}`, help };
  void engine.stop().catch(() => {});
  // A lane that does not stop goes with its process.
  setTimeout(() => process.exit(printError(new SluiceError(restoreAsked as Fault))), ENDED_WITHIN_MS).unref();
}

function noteRestored(
  { upgrade, upgradePlan, plan }: StoredChain,
  { status: { chain, before } }: Upgrades,
  history: History,
): void {
  const after = describeVersions(plan);
  const at = new Date().toISOString();
  const what = { chain, upgrade, at, actor: "restore", before, after, plan: upgradePlan };
  history.add({ ...what, state: "restored", durationMs: 0, outcome: "ok" });
}

/** Loads, checks and starts the chain of a document. Throws all that is wrong with it; nothing is left behind then. */
export async function startChain(file: string, options: ChainOptions): Promise<Engine> {
  const { plan, packages, warnings } = loadChain(file, options);
  printWarnings(warnings);
  const other = plan.ports.find((port) => port.driver !== "afxdp");
  if (other !== undefined) {
    throw new SluiceError({
      code: "usage",
      where: `${file}: ports.${other.name}`,
      what: `the driver ${other.driver} has no device to run on`,
      help: "use the driver afxdp, or `sluice replay`",
    });
  }
  const many = plan.ports.find((port) => port.queues.length > 1);
  if (many !== undefined) {
    throw new SluiceError({
      code: "usage",
      where: `${file}: ports.${many.name}.queues`,
      what: "a chain runs on one queue of each port",
      help: `let the device have one: ethtool -L ${many.device} combined 1`,
    });
  }
  for (const { wasm, manifest } of packages) admit(wasm, manifest);
  return start(plan, packages);
}

function start(plan: Plan, packages: readonly FunctionPackage[]): Promise<Engine> {
  return startEngine({
    plan,
    packages,
    onFault: printFault,
    onLog: (level, name, message) => process.stderr.write(`${level} ${name}: ${message}\n`),
  });
}

function onInterrupt(stop: () => void): { dispose(): void } {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, stop);
  return {
    dispose: () => {
      for (const signal of signals) process.off(signal, stop);
    },
  };
}

function describeQuarantine({ function: name, package: from, why, successor, outageMs }: Quarantine): string {
  const subject = name === null ? "replaced: the generation's thread died" : `quarantine ${name} (${from}):`;
  if (why === "traps") return `${subject} trapped too often`;
  const end = `generation ${successor} took over after ${outageMs.toFixed(0)} ms`;
  return why === "time" ? `${subject} did not return; ${end}` : `${subject}; ${end}`;
}

function printFault({ function: name, package: from, message, source, count }: FaultReport): void {
  const times = count === 1 ? "" : ` (${count} times)`;
  process.stderr.write(`fault ${name} (${from})${source === null ? "" : ` ${source}`}: ${message}${times}\n`);
}

function printStart({ description, recovery }: Engine, json: boolean, restored: string | null = null): void {
  if (json) {
    process.stdout.write(`${JSON.stringify({ state: "running", ...description, recovery, restored })}\n`);
    return;
  }
  printLine(`chain ${description.chain} is running (process ${description.pid})`);
  for (const { name, device, mode, refused } of description.ports) {
    const better = refused.map((refusal) => `${refusal.mode}: ${refusal.why}`).join("; ");
    printLine(`  port ${name}: ${device}, ${mode}${better === "" ? "" : ` (not ${better})`}`);
  }
  if (restored !== null) printLine(`  restored as it was before the plan ${restored}`);
  if (recovery?.fresh === false) {
    printLine(`  flows: ${recovery.kept} of the process before go on, ${recovery.dropped} half-written ones dropped`);
  }
  for (const { name, package: from } of description.functions) printLine(`  function ${name}: ${from}`);
  printLine("watch it with `sluice top`; stop it with Ctrl-C");
}

function printEnd(audit: FrameAudit, json: boolean): void {
  if (json) process.stdout.write(`${JSON.stringify({ state: "stopped", frames: audit })}\n`);
  else
    printLine(`stopped; devices released; ${audit.intact ? "no frame lost" : "FRAMES LEAKED"} (${audit.slots} slots)`);
  if (!audit.intact) {
    throw new SluiceError({
      code: "internal",
      where: "frames",
      what: `the frame count is wrong: ${JSON.stringify(audit)}`,
    });
  }
}
