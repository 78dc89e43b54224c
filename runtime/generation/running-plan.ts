// One upgrade plan that is carried out, in the engine's process: whoever asked for it may be gone by then. Every
// transition is written down.
import { setTimeout as sleep } from "node:timers/promises";
import type { Plan } from "../chain/plan.ts";
import type { Engine } from "../dataplane/engine/engine.ts";
import { SluiceError } from "../errors.ts";
import { type Change, describeVersions } from "./change.ts";
import type { ChainSource } from "./committed.ts";
import { type History, type Transition, type UpgradeState, upgradeStates } from "./history.ts";
import { EngineActions, type PlanOwner, type PreparedStep } from "./plan-actions.ts";
import type { PacketText } from "./plan-conditions.ts";
import type { UpgradePlan } from "./plan-document.ts";
import { describeFailure, type Note, type PlanEnd, PlanRun } from "./plan-run.ts";
import { StoredState } from "./stored-state.ts";
import type { Upgrades } from "./upgrade.ts";
import type { UpgradeHolder } from "./upgrade-status.ts";

const ENDING_MS = 100;

export interface PlanProgress {
  readonly plan: string;
  readonly chain: string;
  readonly upgrade: number;
  readonly state: UpgradeState;
  /** Null as long as it goes on. */
  readonly end: PlanEnd | "failed" | null;
  /** Why it went back; null if it did not. */
  readonly why: string | null;
  /** ISO 8601; null before the first switchover. */
  readonly commitUntil: string | null;
  /** All since the number that was asked for. */
  readonly transitions: readonly Transition[];
}

export interface PlansSetup {
  readonly engine: Engine;
  readonly upgrades: Upgrades;
  readonly history: History;
  readonly packets: PacketText;
  /** The document that the chain was started with, absolute. */
  readonly file: string;
  /** Reads what a request names; the change is planned when it is made. Throws what is wrong with it. */
  readonly read: (source: ChainSource) => (before: Plan) => Change;
  /** The stored state is to be loaded: this process ends so that another one begins with it. */
  readonly restart: (why: string) => void;
  readonly warn: (text: string) => void;
}

/** One plan under way, or ended. */
export class RunningPlan implements UpgradeHolder, PlanOwner {
  readonly #setup: PlansSetup;
  readonly #plan: UpgradePlan;
  readonly #source: ChainSource;
  readonly #actor: string;
  readonly #upgrade: number;
  readonly #before: string;
  readonly #actions: EngineActions;
  readonly #stop = new AbortController();
  readonly #commitAsked = Promise.withResolvers<void>();
  readonly #ended: Promise<void>;
  readonly #transitions: Transition[] = [];
  #state: UpgradeState = "init";
  #end: PlanProgress["end"] = null;
  #why: string | null = null;
  #commitUntil: string | null = null;
  #deadline: NodeJS.Timeout | undefined;
  #stored: StoredState | undefined;
  #isWaiting = false;

  constructor(
    setup: PlansSetup,
    plan: UpgradePlan,
    steps: readonly PreparedStep[],
    source: ChainSource,
    actor: string,
  ) {
    this.#setup = setup;
    this.#plan = plan;
    this.#source = source;
    this.#actor = actor;
    this.#before = describeVersions(setup.engine.running.plan);
    this.#actions = new EngineActions(setup.engine, plan, steps, setup.packets, this);
    this.#upgrade = setup.upgrades.hold(this);
    if (plan.commit === "automatic") this.#commitAsked.resolve();
    this.#ended = this.#carryOut();
  }

  get name(): string {
    return this.#plan.name;
  }

  get state(): UpgradeState {
    return this.#state;
  }

  get commitUntil(): string | null {
    return this.#end === null ? this.#commitUntil : null;
  }

  progress(since: number): PlanProgress {
    const { chain } = this.#plan;
    return {
      ...{ plan: this.name, chain, upgrade: this.#upgrade, state: this.#state, end: this.#end, why: this.#why },
      ...{ commitUntil: this.commitUntil, transitions: this.#transitions.slice(since) },
    };
  }

  /** Resolves when it is committed, or else rejects with why it is not. */
  async commit(): Promise<void> {
    if (!this.#isWaiting) {
      const what = `the plan ${this.name} has steps to do before it can be committed`;
      throw new SluiceError({ code: "upgrade-state", where: this.#plan.chain, what });
    }
    this.#commitAsked.resolve();
    await this.#ended;
    if (this.#end !== "committed") {
      throw new SluiceError({ code: "upgrade-failed", where: this.name, what: this.#why ?? "it was taken back" });
    }
  }

  async abort(): Promise<void> {
    this.#stop.abort(new Error("somebody took it back"));
    await this.#ended;
  }

  noteQuarantine(why: string): void {
    if (!this.#actions.noteQuarantine(why)) this.#stop.abort(new Error(why));
  }

  note(state: Transition["state"], step: number | null, attempt: number, durationMs: number, outcome = "ok"): void {
    const named = step === null ? null : (this.#plan.steps[step]?.name ?? null);
    if (this.#end !== null) return;
    const transition: Transition = {
      ...{ chain: this.#plan.chain, upgrade: this.#upgrade, state, at: new Date().toISOString(), actor: this.#actor },
      ...{ before: this.#before, after: describeVersions(this.#setup.engine.running.plan), durationMs, outcome },
      ...{ plan: this.name, step: named, attempt: attempt === 0 ? null : attempt },
    };
    this.#transitions.push(transition);
    try {
      this.#setup.history.add(transition);
    } catch (error) {
      // A full disk shall not be what stops the way back.
      this.#setup.warn(`history: ${describeFailure(error)}`);
    }
    if (isUpgradeState(state)) this.#state = state;
  }

  switched(): void {
    if (this.#deadline !== undefined) return;
    const { commitWithinMs } = this.#plan;
    this.#commitUntil = new Date(Date.now() + commitWithinMs).toISOString();
    this.#deadline = setTimeout(() => this.#stop.abort(new Error("nobody committed in time")), commitWithinMs);
  }

  async commitAsked(signal: AbortSignal): Promise<void> {
    this.#isWaiting = true;
    const stopped = new Promise<never>((_, reject) => {
      if (signal.aborted) reject(signal.reason);
      signal.addEventListener("abort", () => reject(signal.reason), { once: true });
    });
    try {
      await Promise.race([this.#commitAsked.promise, stopped]);
    } finally {
      this.#isWaiting = false;
      clearTimeout(this.#deadline);
    }
  }

  async store(): Promise<void> {
    const started = performance.now();
    const { file, engine, upgrades } = this.#setup;
    const chain = upgrades.describeRunning(upgrades.source);
    this.#stored = await StoredState.store(engine, { ...chain, file, upgrade: this.#upgrade, upgradePlan: this.name });
    const { bytes, pauseNs } = this.#stored;
    const outcome = `ok, ${bytes} bytes, paused for ${(pauseNs / 1000).toFixed(0)} µs`;
    this.note("stored", null, 0, performance.now() - started, outcome);
  }

  async restore(): Promise<void> {
    // An engine that ends for another reason makes everything fail, too.
    await sleep(ENDING_MS);
    if (this.#stored === undefined || this.#setup.engine.isStopping) throw new Error("the engine ends");
    this.#stored.request();
    this.#stored = undefined;
  }

  stop(): void {
    if (this.#end !== null) return;
    this.#why = "the engine ended";
    this.note("aborted", null, 0, 0, this.#why);
    this.#end = "failed";
    this.#stop.abort(new Error(this.#why));
    this.#stored?.remove();
    this.#stored = undefined;
  }

  async #carryOut(): Promise<void> {
    // Whoever begins it is told of it first.
    await Promise.resolve();
    const run = new PlanRun(this.#plan, this.#actions, (note) => this.#noteRun(note));
    const end = await run.run(this.#stop.signal).catch((error: unknown): "failed" => {
      this.#why = describeFailure(error);
      return "failed";
    });
    clearTimeout(this.#deadline);
    if (this.#end !== null) return;
    if (end !== "restored")
      await this.#actions.end().catch((error: unknown) => this.#setup.warn(describeFailure(error)));
    if (end === "committed") {
      this.#setup.upgrades.prepareCommit(this.#source);
      this.note("committed", null, 0, 0);
    } else if (end !== "restored") this.note("aborted", null, 0, 0, end);
    this.#stored?.remove();
    this.#setup.upgrades.release(end === "committed" ? this.#source : undefined);
    this.#end = end;
    if (end === "restored") this.#setup.restart(this.#why ?? "");
  }

  #noteRun({ state, step, attempt, durationMs, outcome }: Note): void {
    if (state === "aborting" || state === "falling-back" || state === "restoring") this.#why = outcome;
    this.note(state, step, attempt, durationMs, outcome);
  }
}

function isUpgradeState(state: Transition["state"]): state is UpgradeState {
  return (upgradeStates as readonly string[]).includes(state);
}
