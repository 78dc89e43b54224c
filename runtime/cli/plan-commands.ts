// What sluice upgrade plan and execute do.
import { readFileSync } from "node:fs";
import { userInfo } from "node:os";
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { findEngines } from "../dataplane/state-folder.ts";
import { SluiceError } from "../errors.ts";
import { dataRoot, History, type Transition } from "../generation/history.ts";
import { OVERRUN, parsePlan, type UpgradePlan } from "../generation/plan-document.ts";
import { planSchema } from "../generation/plan-schema.ts";
import type { PlanPreview } from "../generation/plans.ts";
import type { PlanProgress } from "../generation/running-plan.ts";
import { formatTime } from "../generation/time-text.ts";
import { previewPlan, requestPlan } from "../generation/upgrade-socket.ts";
import { encodePacket, formatPacket } from "../testing/packet-text.ts";
import { findEngine } from "./find-engine.ts";
import { printJson, printLine, printTable } from "./output.ts";

interface JsonOption {
  readonly json?: boolean;
}

export interface ShowOptions extends JsonOption {
  readonly schema?: boolean;
}

export interface ExecuteOptions extends JsonOption {
  readonly detach?: boolean;
}

/** Throws all that is wrong with it. */
function readPlan(file: string): UpgradePlan {
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new SluiceError({ code: "file-unreadable", where: file, what: (error as Error).message });
  }
  return parsePlan(text, file, { encode: encodePacket, format: formatPacket });
}

export async function showPlanFile(file: string | undefined, options: ShowOptions): Promise<void> {
  if (options.schema) return printJson(planSchema);
  if (file === undefined) {
    const help = "see sluice upgrade plan --help";
    throw new SluiceError({
      code: "usage",
      where: "sluice upgrade plan",
      what: "missing required argument 'file'",
      help,
    });
  }
  const plan = readPlan(file);
  const running = findEngines().find(({ engine }) => engine.chain === plan.chain);
  const preview = running === undefined ? null : await previewPlan(running.path, resolve(file));
  if (options.json) printJson({ ...plan, preview: preview?.steps ?? null });
  else showPlan(plan, preview);
}

function showPlan(plan: UpgradePlan, preview: PlanPreview | null): void {
  const { name, chain, description, expectedMs, commit, commitWithinMs, conditions, steps } = plan;
  printLine(`plan ${name} for the chain ${chain}${description === "" ? "" : `: ${description}`}`);
  const by = commit === "automatic" ? "commits by itself" : "waits for the commit";
  const limit = formatTime(expectedMs * OVERRUN);
  printLine(`  expected ${formatTime(expectedMs)}, at most ${limit}; ${by}, within ${formatTime(commitWithinMs)}`);
  for (const { text } of conditions) printLine(`  always: ${text}`);
  printLine();
  const rows = steps.map(({ name, expectedMs, retries, waitMs, undo }) => {
    return [
      name,
      formatTime(expectedMs),
      retries,
      formatTime(waitMs),
      undo.change === null ? "go back" : "a change of its own",
    ];
  });
  printTable(["step", "expected", "retries", "wait", "undo"], rows);
  for (const step of steps) {
    for (const { text } of step.conditions) printLine(`  after ${step.name}: ${text}`);
    for (const { text } of step.undo.conditions) printLine(`  after its undo: ${text}`);
  }
  if (preview === null) printLine("the chain is not running: what the steps change was not looked at");
  else showPreview(preview);
}

function showPreview({ steps }: PlanPreview): void {
  printLine();
  for (const { step, before, after, stateChanges } of steps) {
    printLine(before === after ? `${step}: ${after}` : `${step}: ${before}  →  ${after}`);
    for (const { function: owner, kind, name, outcome, why } of stateChanges) {
      printLine(`  ${kind} ${name} of ${owner}: ${outcome}${why === undefined ? "" : ` (${why})`}`);
    }
  }
}

const LOOK_EVERY_MS = 200;

export async function executePlan(file: string, options: ExecuteOptions): Promise<void> {
  const plan = readPlan(file);
  const { path } = findEngine(plan.chain, "sluice upgrade execute");
  const actor = userInfo().username;
  let progress = await requestPlan(path, { step: "execute", file: resolve(file), actor });
  const { upgrade } = progress;
  if (options.detach) {
    if (options.json) printLine(JSON.stringify(progress));
    else printLine(`upgrade ${upgrade} of ${plan.chain}: the plan ${plan.name} is being carried out`);
    return;
  }
  let seen = showTransitions(progress.transitions, options);
  while (progress.end === null) {
    await sleep(LOOK_EVERY_MS);
    progress = (await look(path, seen)) ?? lookBack(plan, upgrade, seen);
    seen += showTransitions(progress.transitions, options);
  }
  showEnd(progress, options);
}

/** Undefined if the engine has ended. */
async function look(path: string, since: number): Promise<PlanProgress | undefined> {
  try {
    return await requestPlan(path, { step: "progress", since });
  } catch (error) {
    if (error instanceof SluiceError && error.code === "not-running") return undefined;
    throw error;
  }
}

/** What the history says of an engine that has ended. */
function lookBack({ name, chain }: UpgradePlan, upgrade: number, seen: number): PlanProgress {
  const history = new History(dataRoot());
  const all = history.list(chain).filter((transition) => transition.upgrade === upgrade);
  history.close();
  const restoring = all.find(({ state }) => state === "restoring");
  const why = restoring?.outcome ?? "the engine ended";
  const end = restoring === undefined ? "failed" : "restored";
  return { plan: name, chain, upgrade, state: "aborting", end, why, commitUntil: null, transitions: all.slice(seen) };
}

function showTransitions(transitions: readonly Transition[], { json }: JsonOption): number {
  for (const transition of transitions) printLine(json ? JSON.stringify(transition) : describe(transition));
  return transitions.length;
}

function describe({ at, step, attempt, state, durationMs, outcome }: Transition): string {
  const nth = attempt === null || attempt === 1 ? "" : ` (attempt ${attempt})`;
  const subject = step === null ? "" : `${step}${nth}: `;
  const took = durationMs < 1 ? "" : `, ${durationMs.toFixed(0)} ms`;
  return `${at.slice(11, 23)}  ${subject}${state}${took}${outcome === "ok" ? "" : `: ${outcome}`}`;
}

const ends: Readonly<Record<NonNullable<PlanProgress["end"]>, string>> = {
  committed: "committed",
  "rolled-back": "rolled back, step by step",
  "fell-back": "fallen back to the generation that was committed before",
  restored: "to be restored from what was stored before: the engine has ended for that",
  failed: "neither committed nor taken back",
};

function showEnd({ plan, chain, upgrade, end, why, state, commitUntil }: PlanProgress, { json }: JsonOption): void {
  if (end === null) return;
  if (json) printLine(JSON.stringify({ plan, chain, upgrade, end, why, state, commitUntil }));
  else if (end === "committed") printLine(`upgrade ${upgrade} of ${chain}: the plan ${plan} is committed`);
  if (end !== "committed") {
    throw new SluiceError({ code: "upgrade-failed", where: `plan ${plan}`, what: `${why}; it was ${ends[end]}` });
  }
}
