// How an upgrade plan is carried out, and gone back from. Knows nothing of engines: PlanActions does the work.
//
//   step ──▶ step ──▶ … ──▶ commit                                             committed
//    │ fails or overruns: undone, waited, retried
//    └──▶ rollback: what was done so far is undone in reverse                  rolled-back
//           └ an undo fails ──▶ fallback: the committed generation, at once    fell-back
//                                 └ that fails ──▶ restore: the stored state   restored
import { SluiceError } from "../errors.ts";
import { OVERRUN, type UpgradePlan } from "./plan-document.ts";
import { formatTime } from "./time-text.ts";

export const planEnds = ["committed", "rolled-back", "fell-back", "restored"] as const;
export type PlanEnd = (typeof planEnds)[number];

/** What the run writes down; the actions add what they do within a step. */
export type RunState =
  | "init"
  | "done"
  | "failed"
  | "undoing"
  | "undone"
  | "waiting"
  | "aborting"
  | "falling-back"
  | "restoring";

export interface Note {
  readonly state: RunState;
  /** Index of the step; null: the plan as a whole. */
  readonly step: number | null;
  /** Counted from 1; 0 for the plan as a whole. */
  readonly attempt: number;
  readonly durationMs: number;
  /** `ok`, or what went wrong. */
  readonly outcome: string;
}

/** All of them reject soon after their signal is aborted, with its reason. */
export interface PlanActions {
  /** Before anything is changed. Rejects if the plan cannot begin. */
  prepare(signal: AbortSignal): Promise<void>;
  /** Changes the chain and waits until the step's conditions have held. Rejects if it failed, wherever it was. */
  carryOut(step: number, attempt: number, signal: AbortSignal): Promise<void>;
  /** After carryOut, whether it failed or not. Rejects if the chain is not as it was before the step. */
  undo(step: number, signal: AbortSignal): Promise<void>;
  /** Rejects if nobody committed in time. */
  commit(signal: AbortSignal): Promise<void>;
  /** Rejects if the generation that was committed last does not have the traffic again, or its conditions fail. */
  fallBack(signal: AbortSignal): Promise<void>;
  /** Has the stored state loaded by a process that starts anew. */
  restore(): Promise<void>;
  wait(timeMs: number, signal: AbortSignal): Promise<void>;
  /** Aborted with `reason` after that time. */
  limit(timeMs: number, reason: string): AbortSignal;
}

const FALLBACK_WITHIN_MS = 30_000;

export class PlanRun {
  readonly #plan: UpgradePlan;
  readonly #actions: PlanActions;
  readonly #note: (note: Note) => void;
  readonly #done: number[] = [];

  constructor(plan: UpgradePlan, actions: PlanActions, note: (note: Note) => void) {
    this.#plan = plan;
    this.#actions = actions;
    this.#note = note;
  }

  /** Rejects only if even the restore failed. `signal` takes everything back. */
  async run(signal: AbortSignal): Promise<PlanEnd> {
    this.#say("init", null, 0);
    try {
      await this.#goOn(signal);
      return "committed";
    } catch (error) {
      return this.#goBack(error);
    }
  }

  async #goOn(signal: AbortSignal): Promise<void> {
    const { expectedMs, steps } = this.#plan;
    const limitMs = expectedMs * OVERRUN;
    const late = this.#actions.limit(limitMs, `the plan takes longer than ${formatTime(limitMs)}`);
    const both = AbortSignal.any([signal, late]);
    await this.#actions.prepare(both);
    for (let step = 0; step < steps.length; step++) {
      await this.#makeStep(step, both);
      this.#done.push(step);
    }
    both.throwIfAborted();
    await this.#actions.commit(signal);
  }

  async #makeStep(step: number, signal: AbortSignal): Promise<void> {
    const { retries, waitMs } = this.#step(step);
    for (let attempt = 1; ; attempt++) {
      signal.throwIfAborted();
      const failure = await this.#try(step, attempt, signal);
      if (failure === undefined) return;
      await this.#undo(step, attempt);
      if (signal.aborted || attempt > retries) throw failure;
      this.#say("waiting", step, attempt);
      await this.#actions.wait(waitMs, signal);
    }
  }

  /** Undefined if it is done. */
  async #try(step: number, attempt: number, signal: AbortSignal): Promise<Error | undefined> {
    const limitMs = this.#step(step).expectedMs * OVERRUN;
    const late = this.#actions.limit(limitMs, `overrun: takes longer than ${formatTime(limitMs)}`);
    const both = AbortSignal.any([signal, late]);
    const started = performance.now();
    try {
      await this.#actions.carryOut(step, attempt, both);
      both.throwIfAborted();
      this.#say("done", step, attempt, performance.now() - started);
      return undefined;
    } catch (error) {
      this.#say("failed", step, attempt, performance.now() - started, describeFailure(error));
      return error as Error;
    }
  }

  /** Goes on although the plan is to be taken back, or just because of that. */
  async #undo(step: number, attempt: number): Promise<void> {
    const limitMs = this.#step(step).expectedMs * OVERRUN;
    this.#say("undoing", step, attempt);
    const started = performance.now();
    try {
      const late = this.#actions.limit(limitMs, `overrun: takes longer than ${formatTime(limitMs)}`);
      await this.#actions.undo(step, late);
      late.throwIfAborted();
    } catch (error) {
      throw new UndoFailure(`${this.#step(step).name} cannot be undone: ${describeFailure(error)}`);
    }
    this.#say("undone", step, attempt, performance.now() - started);
  }

  async #goBack(failure: unknown): Promise<PlanEnd> {
    this.#say("aborting", null, 0, 0, describeFailure(failure));
    try {
      if (failure instanceof UndoFailure) throw failure;
      for (const step of this.#done.toReversed()) await this.#undo(step, 0);
      return "rolled-back";
    } catch (error) {
      return this.#fallBack(error);
    }
  }

  async #fallBack(failure: unknown): Promise<PlanEnd> {
    this.#say("falling-back", null, 0, 0, describeFailure(failure));
    try {
      const late = this.#actions.limit(FALLBACK_WITHIN_MS, `overrun: takes longer than ${FALLBACK_WITHIN_MS} ms`);
      await this.#actions.fallBack(late);
      return "fell-back";
    } catch (error) {
      this.#say("restoring", null, 0, 0, describeFailure(error));
      await this.#actions.restore();
      return "restored";
    }
  }

  #step(index: number): UpgradePlan["steps"][number] {
    return this.#plan.steps[index] as UpgradePlan["steps"][number];
  }

  #say(state: RunState, step: number | null, attempt: number, durationMs = 0, outcome = "ok"): void {
    this.#note({ state, step, attempt, durationMs, outcome });
  }
}

class UndoFailure extends Error {}

export function describeFailure(error: unknown): string {
  if (error instanceof SluiceError) return error.faults.map(({ what }) => what).join("; ");
  return error instanceof Error ? error.message : String(error);
}
