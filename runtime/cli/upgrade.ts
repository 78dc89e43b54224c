// sluice upgrade: changes a running chain while traffic flows.
import { userInfo } from "node:os";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { SluiceError } from "../errors.ts";
import { parseCondition } from "../generation/conditions.ts";
import { dataRoot, History, type Transition } from "../generation/history.ts";
import { describeRollback } from "../generation/rollback.ts";
import { parseTime } from "../generation/time-text.ts";
import { type CanaryRequest, requestUpgrade, type UpgradeRequest } from "../generation/upgrade-socket.ts";
import { MIGRATION_LOOK_MS, type UpgradeStatus } from "../generation/upgrade-status.ts";
import { addServerOptions, type ServerOptions } from "./api-client.ts";
import { findEngine } from "./find-engine.ts";
import { addFormat, type FormatOptions, printAs } from "./format.ts";
import { printLine, printTable } from "./output.ts";
import { collect } from "./program.ts";
import { withProgress } from "./progress.ts";
import { findRemote } from "./remote.ts";
import { describeShadow } from "./shadow-text.ts";
import { registerUpgradePlan } from "./upgrade-plan.ts";
import type { Step } from "./upgrade-remote.ts";

interface StepOptions extends ServerOptions, FormatOptions {
  readonly chain?: string;
}

interface SwitchoverOptions extends StepOptions {
  readonly canary?: string;
  readonly canaryMatch?: string;
  readonly abortOn?: readonly string[];
}

interface LoadOptions extends StepOptions {
  readonly set?: readonly string[];
  readonly functions?: readonly string[];
  readonly use?: readonly string[];
  readonly cold?: boolean;
  readonly dryRun?: boolean;
  readonly commitWithin?: string;
  readonly shadow?: boolean;
  readonly abortOn?: readonly string[];
}

const HELP = `
A change lives through these states, each step an operator's act (or all of them at once with \`run\`):

  init → loading → loaded → switching → switched → committing → committed
  and from each before committed: aborting → aborted, back where it began.

load builds the next generation beside the running one, which goes on undisturbed. switchover hands the traffic over
between two batches; with --canary only some flows, and again with more of them, or all. Until commit the generation before stands by: abort, or the end of --commit-within, goes back to it.
FILE is the changed chain document; without it, the document that runs, with other packages (--use) or values (--set).`;

const CONDITIONS_HELP = `
Conditions abort the upgrade by themselves, and the history says which:

  divergence>0.1%     frames that end otherwise in the shadow, of those that were compared
  drop-rate>5%        frames that the shadow drops
  faults>0            calls that trap, results that do not hold, a function that does not return
  ns-per-packet>400   time in the functions

All but faults are judged from 1000 frames on, or as many as \`after\` says: 'divergence>1% after 50'.`;

const steps = {
  commit: "give up the generation before",
  abort: "go back to the generation before, and give up the other",
  status: "show where the upgrade is",
} as const;

export function registerUpgrade(program: Command): void {
  const upgrade = program
    .command("upgrade")
    .description("change a running chain while traffic flows")
    .addHelpText("after", HELP);
  addShadow(addLoad(upgrade.command("load").description("build the next generation beside the running one"))).action(
    async (file: string | undefined, options: LoadOptions) => printStatus(await load(file, options), options),
  );
  addLoad(upgrade.command("run").description("load, switchover and commit in one go")).action(run);
  addCommon(upgrade.command("switchover").description("give the traffic to the loaded generation"))
    .option("--canary <share>", "only that share of flows, by the hash of their tuple: 5%")
    .option("--canary-match <match>", "only the flows that a path's match takes: '{ sources: [10.0.0.0/8] }'")
    .option(
      "--abort-on <condition>",
      "go back by itself: drop-rate>5%, faults>0, ns-per-packet>400 …; repeatable",
      collect,
    )
    .action(switchover);
  for (const [step, description] of Object.entries(steps)) {
    addCommon(upgrade.command(step).description(description)).action(async (options: StepOptions) =>
      printStatus(await ask(options, { step: step as keyof typeof steps }), options),
    );
  }
  registerUpgradePlan(upgrade);
  addCommon(upgrade.command("history").description("show every transition of every upgrade")).action(history);
}

function addCommon(command: Command): Command {
  return addServerOptions(addFormat(command)).option("--chain <name>", "the chain; needed if several are running");
}

function addLoad(command: Command): Command {
  return addCommon(command)
    .argument("[file]", "the changed chain document; the running one unless given")
    .option("--set <function.key=value>", "override configuration; @file for a file's text; repeatable", collect)
    .option("--use <function=name@range>", "another package for a function; repeatable", collect)
    .option("--functions <dir>", "look for functions in this folder too; repeatable", collect)
    .option("--cold", "state that the next generation cannot take over begins anew")
    .option("--dry-run", "only say what would become of the state")
    .option("--commit-within <time>", "go back by itself unless committed in time: 500ms, 60s, 10m", "60s");
}

function addShadow(command: Command): Command {
  return command
    .option("--shadow", "it gets copies of traffic and state until the switchover; differences are in the status")
    .option("--abort-on <condition>", "of the shadow: divergence>0.1%, drop-rate>5%, faults>0 …; repeatable", collect)
    .addHelpText("after", CONDITIONS_HELP);
}

async function ask(options: StepOptions, step: Step): Promise<UpgradeStatus> {
  const remote = await findRemote(options.chain, options, "sluice upgrade");
  if (remote !== null) return (await import("./upgrade-remote.ts")).askRemote(remote, step);
  const { path } = findEngine(options.chain, "sluice upgrade");
  return requestUpgrade(path, { ...step, actor: userInfo().username } as UpgradeRequest);
}

async function load(file: string | undefined, options: LoadOptions): Promise<UpgradeStatus> {
  const { set = [], functions = [], use = [], cold = false, dryRun = false, abortOn = [] } = options;
  for (const condition of abortOn) parseCondition(condition);
  if (abortOn.length > 0 && options.shadow !== true) {
    const what = "it is about a shadow";
    throw new SluiceError({ code: "usage", where: "--abort-on", what, help: "add --shadow" });
  }
  const change = {
    file: file === undefined ? null : resolve(file),
    set: set.map(resolveFile),
    functions: functions.map((folder) => resolve(folder)),
    ...{ use, cold, dryRun },
  };
  const shadow = options.shadow === true ? { abortOn } : undefined;
  const commitWithinMs = readTime(options.commitWithin ?? "60s");
  return withProgress("loading", ask(options, { step: "load", change, commitWithinMs, shadow }));
}

/** `@file` is relative to where the command runs, not to where the engine does. */
function resolveFile(override: string): string {
  const [, key, file] = /^([^=]+=)@(?!@)(.+)$/s.exec(override) ?? [];
  return file === undefined ? override : `${key}@${resolve(file)}`;
}

async function switchover(options: SwitchoverOptions): Promise<void> {
  const { abortOn } = options;
  printStatus(await ask(options, { step: "switchover", canary: readCanary(options), abortOn }), options);
}

function readCanary({ canary, canaryMatch }: SwitchoverOptions): CanaryRequest | undefined {
  if (canary !== undefined && canaryMatch !== undefined) {
    throw new SluiceError({ code: "usage", where: "--canary-match", what: "is in place of --canary" });
  }
  if (canaryMatch !== undefined) return { match: canaryMatch };
  if (canary === undefined) return undefined;
  const percent = Number(/^(\d+(?:\.\d+)?)%$/.exec(canary)?.[1]);
  if (percent > 0 && percent < 100) return { share: percent / 100 };
  throw new SluiceError({ code: "usage", where: "--canary", what: `"${canary}" is not a share such as 5%` });
}

async function run(file: string | undefined, options: LoadOptions): Promise<void> {
  const loaded = await load(file, options);
  if (options.dryRun) {
    printStatus(loaded, options);
    return;
  }
  const switched = await ask(options, { step: "switchover" });
  await untilMigrated(options);
  const committed = await ask(options, { step: "commit" });
  printStatus(
    { ...committed, before: loaded.before, stateChanges: loaded.stateChanges, pauseUs: switched.pauseUs },
    options,
  );
}

async function untilMigrated(options: StepOptions): Promise<void> {
  while ((await ask(options, { step: "status" })).migrationLeft > 0) await sleep(MIGRATION_LOOK_MS);
}

function readTime(text: string): number {
  const timeMs = parseTime(text);
  if (timeMs !== undefined) return timeMs;
  const what = `"${text}" is not a time from 1ms to 24h such as 60s`;
  throw new SluiceError({ code: "usage", where: "--commit-within", what });
}

function printStatus(status: UpgradeStatus, options: StepOptions): void {
  printAs(options, status, () => describeStatus(status));
}

function describeStatus(status: UpgradeStatus): void {
  const { upgrade, state, generation, before, after, stateChanges, commitUntil, pauseUs } = status;
  printLine(`upgrade ${upgrade} of ${status.chain}: ${state}; generation ${generation} has the traffic`);
  if (status.plan !== null) printLine(`  the plan ${status.plan} is being carried out; see \`sluice upgrade history\``);
  printLine(before === after ? `  ${after}` : `  ${before}  →  ${after}`);
  for (const { function: owner, kind, name, outcome, why } of stateChanges) {
    printLine(`  ${kind} ${name} of ${owner}: ${outcome}${why === undefined ? "" : ` (${why})`}`);
  }
  for (const { function: owner, segments, lost } of status.migrations) {
    const found = lost === null ? "trapped when it was tried" : `could not carry ${lost} entries when it was tried`;
    printLine(`  nf_migrate of ${owner} (${segments.join(", ")}) ${found}`);
  }
  if (status.measurements !== null) printLine(`  since: ${describeMeasurements(status.measurements)}`);
  if (status.canary !== null) printLine(`  canary: ${describeCanary(status.canary)}; the other flows stay`);
  if (status.migrationLeft > 0) printLine(`  ${status.migrationLeft} entries are still to be migrated`);
  if (status.rollback !== null) printLine(`  rollback: ${describeRollback(status.rollback)}`);
  if (pauseUs !== null) printLine(`  traffic paused for ${pauseUs.toFixed(0)} µs`);
  if (commitUntil !== null) printLine(`  goes back by itself at ${commitUntil}, unless committed`);
  if (status.shadow !== null) for (const line of describeShadow(status.shadow)) printLine(`  ${line}`);
}

function describeMeasurements({ frames, values }: NonNullable<UpgradeStatus["measurements"]>): string {
  const drops = values["drop-rate"];
  const ns = values["ns-per-packet"];
  const parts = [
    `${frames} frames`,
    ...(drops === null ? [] : [`${(drops * 100).toFixed(2)} % dropped`]),
    `${values.faults} faults`,
    ...(ns === null ? [] : [`${ns.toFixed(0)} ns per packet`]),
  ];
  return parts.join(", ");
}

function describeCanary({ share, match }: NonNullable<UpgradeStatus["canary"]>): string {
  return match === null ? `${share * 100} % of the flows` : "the flows that match";
}

async function history(options: StepOptions): Promise<void> {
  const remote = await findRemote(options.chain, options, "sluice upgrade history");
  const transitions =
    remote === null
      ? readHistory(options.chain)
      : await remote.client.call<Transition[]>(`${remote.path}/upgrade/history`);
  printAs(options, transitions, () => printHistory(transitions));
}

function readHistory(chain: string | undefined): Transition[] {
  const store = new History(dataRoot());
  try {
    return store.list(chain ?? findEngine(undefined, "sluice upgrade history").engine.chain);
  } finally {
    store.close();
  }
}

function printHistory(transitions: readonly Transition[]): void {
  const rows = transitions.map(({ upgrade, step, attempt, state, at, actor, before, after, durationMs, outcome }) => {
    const versions = before === after ? after : `${before} → ${after}`;
    const nth = attempt === null || attempt === 1 ? "" : ` ×${attempt}`;
    return [upgrade, `${step ?? ""}${nth}`, state, at, actor, durationMs.toFixed(1), outcome, versions];
  });
  printTable(["upgrade", "step", "state", "at", "actor", "ms", "outcome", "functions"], rows);
}
