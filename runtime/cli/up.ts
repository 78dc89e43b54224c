// sluice up: runs a chain on real devices until it is interrupted.

import type { Command } from "commander";
import { throwFaults } from "../chain/faults.ts";
import { findStateFaults } from "../chain/state-changes.ts";
import { type Engine, type Quarantine, startEngine } from "../dataplane/engine.ts";
import type { FaultReport } from "../dataplane/lane.ts";
import type { FrameAudit } from "../dataplane/native.ts";
import { SluiceError } from "../errors.ts";
import { admit } from "../function/admission.ts";
import { History } from "../generation/history.ts";
import { type Change, Upgrades } from "../generation/upgrade.ts";
import { type ChangeRequest, UpgradeServer } from "../generation/upgrade-socket.ts";
import { formatPacket } from "../testing/packet-text.ts";
import { type ChainOptions, loadChain, loadChange } from "./load-chain.ts";
import { printLine, printWarnings } from "./output.ts";
import { collect } from "./program.ts";

interface UpOptions extends ChainOptions {
  readonly json?: boolean;
}

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
  const engine = await startChain(file, options);
  const upgrades = new Upgrades(engine, history, formatPacket);
  engine.onQuarantine = (quarantine) => {
    printQuarantine(quarantine);
    if (quarantine.why !== "traps") upgrades.noteFallback(quarantine.generation, describeQuarantine(quarantine));
  };
  const server = await UpgradeServer.listen(engine.folder, upgrades, changeReader(engine, file, options));
  const interrupted = onInterrupt(() => void engine.stop().catch(() => {}));
  printStart(engine, options.json === true);
  try {
    printEnd(await engine.ended, options.json === true);
  } finally {
    interrupted.dispose();
    upgrades.stop();
    server.close();
    history.close();
  }
}

/** Later changes begin at what is running: a document that was given remains the one. */
function changeReader(engine: Engine, file: string, options: ChainOptions): (request: ChangeRequest) => Change {
  return (request) => {
    const before = engine.running.plan;
    const functions = [...(options.functions ?? []), ...request.functions];
    const set = request.file === null ? [...(options.set ?? []), ...request.set] : request.set;
    const change = loadChange(request.file ?? file, { functions, set, use: request.use }, before);
    for (const { wasm, manifest } of change.packages) admit(wasm, manifest);
    if (!request.cold) throwFaults(findStateFaults(before, change.plan, "load"));
    return change;
  };
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

function printQuarantine(quarantine: Quarantine): void {
  process.stderr.write(`${describeQuarantine(quarantine)}\n`);
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

function printStart({ description, recovery }: Engine, json: boolean): void {
  if (json) {
    process.stdout.write(`${JSON.stringify({ state: "running", ...description, recovery })}\n`);
    return;
  }
  printLine(`chain ${description.chain} is running (process ${description.pid})`);
  for (const { name, device, mode, refused } of description.ports) {
    const better = refused.map((refusal) => `${refusal.mode}: ${refusal.why}`).join("; ");
    printLine(`  port ${name}: ${device}, ${mode}${better === "" ? "" : ` (not ${better})`}`);
  }
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
