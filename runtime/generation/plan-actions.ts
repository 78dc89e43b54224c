// An upgrade plan's steps on a running engine: each is a generation of its own. All that the plan builds stay warm until
// it ends, so that every undo gives the lane back to the very generation that had it before.
import type { Plan } from "../chain/plan.ts";
import type { Engine } from "../dataplane/engine/engine.ts";
import { loadAddon } from "../dataplane/load-addon.ts";
import { nameCounters } from "../telemetry/counter-names.ts";
import { Observer } from "../telemetry/observer.ts";
import type { Change } from "./change.ts";
import { type ChainView, requireConditions, sleepFor } from "./plan-checks.ts";
import { type Condition, type PacketText, SETTLE_MS } from "./plan-conditions.ts";
import type { UpgradePlan } from "./plan-document.ts";
import type { PlanActions } from "./plan-run.ts";
import { MIGRATION_LOOK_MS } from "./upgrade-status.ts";

/** A change that was read and found sound. */
export interface PreparedChange {
  /** State that cannot be taken over begins anew. */
  readonly cold: boolean;
  /** For what runs when it is made. Throws what is wrong with it then. */
  follow(before: Plan): Change;
}

export interface PreparedStep {
  readonly change: PreparedChange;
  readonly undo: PreparedChange | null;
}

export type StepState = "loading" | "loaded" | "switching" | "switched" | "committing";

/** What the plan's owner does for it. */
export interface PlanOwner {
  /** `step` null: of the plan as a whole. */
  note(state: StepState, step: number | null, attempt: number, durationMs: number, outcome?: string): void;
  /** The traffic has been switched over for the first time: the time until the commit runs. */
  switched(): void;
  /** Resolves when somebody asks for the commit; at once unless the plan leaves it to the operator. */
  commitAsked(signal: AbortSignal): Promise<void>;
  /** Stores the state of what runs. */
  store(): Promise<void>;
  /** Has what was stored loaded by a process that starts anew. */
  restore(): Promise<void>;
}

const SWITCHED_WITHIN_MS = 5000;

export class EngineActions implements PlanActions {
  readonly #engine: Engine;
  readonly #plan: UpgradePlan;
  readonly #steps: readonly PreparedStep[];
  readonly #packets: PacketText;
  readonly #owner: PlanOwner;
  readonly #committed: number;
  /** By step: the generation that had the lane before it, and its own once it is built. */
  readonly #before: number[] = [];
  readonly #own: (number | undefined)[] = [];
  readonly #built = new Set<number>();
  /** What watches meanwhile that no function is quarantined. */
  #watch: AbortController | undefined;

  constructor(
    engine: Engine,
    plan: UpgradePlan,
    steps: readonly PreparedStep[],
    packets: PacketText,
    owner: PlanOwner,
  ) {
    this.#engine = engine;
    this.#plan = plan;
    this.#steps = steps;
    this.#packets = packets;
    this.#owner = owner;
    this.#committed = engine.running.generation;
  }

  async prepare(signal: AbortSignal): Promise<void> {
    await this.#watched(signal, (both) => this.#requireHolds([], both));
    await this.#owner.store();
  }

  carryOut(index: number, attempt: number, signal: AbortSignal): Promise<void> {
    return this.#watched(signal, (both) => this.#carryOut(index, attempt, both));
  }

  async #carryOut(index: number, attempt: number, signal: AbortSignal): Promise<void> {
    this.#before[index] = this.#engine.running.generation;
    this.#own[index] = undefined;
    const { change } = this.#steps[index] as PreparedStep;
    const own = await this.#load(change, signal, (state, ms) => {
      this.#owner.note(state, index, attempt, ms);
    });
    this.#own[index] = own;
    this.#owner.note("switching", index, attempt, 0);
    const started = performance.now();
    const pauseNs = await this.#switchTo(own);
    const pause = `ok, paused for ${(pauseNs / 1000).toFixed(0)} µs`;
    this.#owner.note("switched", index, attempt, performance.now() - started, pause);
    this.#owner.switched();
    // No other change can begin before, nor the commit.
    while (this.#engine.migrationLeft > 0) await sleepFor(MIGRATION_LOOK_MS, signal);
    await this.#requireHolds(this.#plan.steps[index]?.conditions ?? [], signal);
  }

  undo(index: number, signal: AbortSignal): Promise<void> {
    return this.#watched(signal, (both) => this.#undo(index, both));
  }

  async #undo(index: number, signal: AbortSignal): Promise<void> {
    const { undo } = this.#steps[index] as PreparedStep;
    const before = this.#before[index] as number;
    const isOwn = this.#engine.running.generation === this.#own[index];
    const wanted = isOwn && undo !== null ? await this.#load(undo, signal) : before;
    // The watchdog may have gone back already.
    if (this.#engine.running.generation !== wanted) await this.#switchTo(wanted);
    await this.#requireHolds(this.#plan.steps[index]?.undo.conditions ?? [], signal);
    await this.#retire(wanted, ...this.#before.slice(0, index + 1), this.#committed);
  }

  async commit(signal: AbortSignal): Promise<void> {
    await this.#owner.commitAsked(signal);
    this.#owner.note("committing", null, 0, 0);
    await this.#retire(this.#engine.running.generation);
  }

  fallBack(signal: AbortSignal): Promise<void> {
    return this.#watched(signal, async (both) => {
      if (this.#engine.running.generation !== this.#committed) await this.#switchTo(this.#committed);
      await this.#requireHolds([], both);
    });
  }

  restore(): Promise<void> {
    return this.#owner.restore();
  }

  wait(timeMs: number, signal: AbortSignal): Promise<void> {
    return sleepFor(timeMs, signal);
  }

  limit(timeMs: number, reason: string): AbortSignal {
    const late = new AbortController();
    setTimeout(() => late.abort(new Error(reason)), timeMs).unref();
    return late.signal;
  }

  /** Ends all generations that the plan does not leave behind. */
  async end(): Promise<void> {
    await this.#retire(this.#engine.running.generation);
  }

  /** A function was quarantined, or the thread that had the lane is gone. True if a step or its undo fails of it. */
  noteQuarantine(why: string): boolean {
    this.#watch?.abort(new Error(why));
    return this.#watch !== undefined;
  }

  async #load(
    { cold, follow }: PreparedChange,
    signal: AbortSignal,
    note: (state: "loading" | "loaded", durationMs: number) => void = () => {},
  ): Promise<number> {
    note("loading", 0);
    const started = performance.now();
    const { plan, packages } = follow(this.#engine.running.plan);
    const { generation, migrations } = await this.#engine.load(plan, packages, signal);
    this.#built.add(generation);
    const bad = cold ? undefined : migrations.find(({ lost }) => lost !== 0);
    if (bad !== undefined) throw new Error(`nf_migrate of ${bad.function} would lose ${bad.lost ?? "all"} entries`);
    note("loaded", performance.now() - started);
    return generation;
  }

  /** Fails as soon as a function is quarantined or the thread that has the lane is gone, and with that as the reason. */
  async #watched(signal: AbortSignal, work: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const watch = new AbortController();
    this.#watch = watch;
    try {
      await work(AbortSignal.any([signal, watch.signal]));
    } catch (error) {
      // Whatever takes over has done so by then.
      await this.#engine.settled();
      throw watch.signal.aborted ? watch.signal.reason : error;
    } finally {
      this.#watch = undefined;
    }
  }

  /** Nanoseconds for which nobody had the lane. */
  async #switchTo(generation: number): Promise<number> {
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), SWITCHED_WITHIN_MS);
    const tooLate = new Promise<never>((_, reject) => {
      const what = `generation ${generation} does not take the traffic`;
      late.signal.addEventListener("abort", () => reject(new Error(what)));
    });
    try {
      return (await Promise.race([this.#engine.switchTo(generation), tooLate])).pauseNs;
    } finally {
      clearTimeout(timer);
    }
  }

  /** The plan's conditions and these; and whoever has the lane keeps it. */
  async #requireHolds(conditions: readonly Condition[], signal: AbortSignal): Promise<void> {
    const { generation } = this.#engine.running;
    const all = [...this.#plan.conditions, ...conditions];
    await requireConditions(all, this.#view(), this.#packets, SETTLE_MS, signal);
    if (this.#engine.running.generation === generation) return;
    throw new Error(`generation ${generation} lost the traffic to ${this.#engine.running.generation}`);
  }

  #view(): ChainView {
    const observer = new Observer(loadAddon(), this.#engine.folder, this.#engine.description);
    return {
      readCounters: () => nameCounters(observer.snapshot()),
      testFrame: (port, bytes, signal) => this.#engine.testFrame(port, bytes, signal),
    };
  }

  async #retire(...kept: readonly number[]): Promise<void> {
    for (const generation of [this.#committed, ...this.#built]) {
      if (kept.includes(generation) || !this.#engine.standsBy(generation)) continue;
      await this.#engine.retire(generation);
      this.#built.delete(generation);
    }
  }
}
