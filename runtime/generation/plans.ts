// The upgrade plans of a running chain: read with all that they name, checked, and begun one at a time.
import { readFileSync } from "node:fs";
import { throwFaults } from "../chain/faults.ts";
import { suggest } from "../chain/nearest.ts";
import type { Plan } from "../chain/plan.ts";
import { findStateFaults, listStateChanges, type StateChange } from "../chain/state-changes.ts";
import { type Fault, SluiceError } from "../errors.ts";
import { type Change, describeVersions } from "./change.ts";
import { type ChainSource, followSource } from "./committed.ts";
import type { PreparedChange, PreparedStep } from "./plan-actions.ts";
import { parsePlan, type UpgradePlan } from "./plan-document.ts";
import { type PlanProgress, type PlansSetup, RunningPlan } from "./running-plan.ts";

/** What a plan would do, step by step. */
export interface PlanPreview {
  readonly plan: string;
  readonly chain: string;
  readonly steps: readonly {
    readonly step: string;
    readonly before: string;
    readonly after: string;
    readonly stateChanges: readonly StateChange[];
  }[];
}

export class Plans {
  readonly #setup: PlansSetup;
  #run: RunningPlan | undefined;

  constructor(setup: PlansSetup) {
    this.#setup = setup;
  }

  /** Reads a plan and all that it names, without doing anything. Throws all that is wrong with it. */
  preview(file: string): PlanPreview {
    const { plan } = this.#read(file);
    let before = this.#setup.engine.running.plan;
    const steps = this.#prepare(plan).map(({ change }, index) => {
      const { plan: after } = change.follow(before);
      const step = {
        step: plan.steps[index]?.name ?? "",
        before: describeVersions(before),
        after: describeVersions(after),
        stateChanges: listStateChanges(before, after),
      };
      before = after;
      return step;
    });
    return { plan: plan.name, chain: plan.chain, steps };
  }

  /** Begins to carry it out. Throws all that is wrong with it; then nothing has changed. */
  execute(file: string, actor: string): PlanProgress {
    const { plan, sources } = this.#read(file);
    const steps = this.#prepare(plan);
    this.#run = new RunningPlan(this.#setup, plan, steps, sources.at(-1) as ChainSource, actor);
    return this.#run.progress(0);
  }

  /** Of the last plan, from its transition number `since` on. Throws upgrade-state if there was none. */
  progress(since: number): PlanProgress {
    if (this.#run !== undefined) return this.#run.progress(since);
    const what = "no plan has been carried out since the chain was started";
    throw new SluiceError({ code: "upgrade-state", where: this.#setup.engine.description.chain, what });
  }

  /** The engine ends: what is under way is neither carried on nor taken back. */
  stop(): void {
    this.#run?.stop();
  }

  #read(file: string): { readonly plan: UpgradePlan; readonly sources: readonly ChainSource[] } {
    const plan = parsePlan(readPlanFile(file), file, this.#setup.packets);
    requireFit(plan, this.#setup.engine.running.plan, file);
    return { plan, sources: this.#listSources(plan) };
  }

  /** Each step comes on top of those before it. */
  #listSources({ steps }: UpgradePlan): ChainSource[] {
    const sources: ChainSource[] = [];
    for (const { change } of steps) sources.push(followSource(sources.at(-1) ?? this.#setup.upgrades.source, change));
    return sources;
  }

  /** Everything is read and tried once: what is wrong with the last step is known before the first. */
  #prepare(plan: UpgradePlan): PreparedStep[] {
    const sources = this.#listSources(plan);
    let before = this.#setup.engine.running.plan;
    const faults: Fault[] = [];
    const steps = plan.steps.map(({ change: { cold }, undo, where }, index): PreparedStep => {
      const source = sources[index] as ChainSource;
      const change = this.#prepareChange(source, cold, `${where}: change`, before, faults);
      before = change.after ?? before;
      if (undo.change === null) return { change, undo: null };
      const back = followSource(source, undo.change);
      return { change, undo: this.#prepareChange(back, undo.change.cold, `${where}: undo`, before, faults) };
    });
    throwFaults(faults);
    return steps;
  }

  #prepareChange(
    source: ChainSource,
    cold: boolean,
    where: string,
    before: Plan,
    faults: Fault[],
  ): PreparedChange & { readonly after?: Plan } {
    try {
      const read = this.#setup.read(source);
      const follow = (running: Plan): Change => {
        const change = read(running);
        if (!cold) throwFaults(findStateFaults(running, change.plan, "change"));
        return change;
      };
      return { cold, follow, after: follow(before).plan };
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      faults.push(...error.faults.map((fault) => ({ ...fault, where, what: `${fault.where}: ${fault.what}` })));
      return {
        cold: false,
        follow: () => {
          throw error;
        },
      };
    }
  }
}

function readPlanFile(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new SluiceError({ code: "file-unreadable", where: file, what: (error as Error).message });
  }
}

/** It is for this chain, and probes ports that this has. */
function requireFit({ chain, conditions, steps }: UpgradePlan, running: Plan, file: string): void {
  if (chain !== running.chain) {
    const what = `the plan is for the chain "${chain}"; the one that runs is "${running.chain}"`;
    throw new SluiceError({ code: "change-refused", where: file, what });
  }
  const known = running.ports.map(({ name }) => name);
  const all = [...conditions, ...steps.flatMap((step) => [...step.conditions, ...step.undo.conditions])];
  const faults = all.flatMap((condition): Fault[] => {
    const named = condition.kind === "probe" ? [condition.from, condition.to ?? condition.from] : [];
    const unknown = named.filter((port) => !known.includes(port));
    return unknown.map((port) => {
      const what = `${condition.text}: the chain has no port "${port}"`;
      return { code: "unknown-port", where: file, what, help: suggest(port, known, "ports") };
    });
  });
  throwFaults(faults);
}
