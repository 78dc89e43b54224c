// The life of one change to a running chain, modelled on in-service software upgrade of carrier equipment:
//
//   init → loading → loaded → switching → switched → committing → committed
//             └─────────┴──────────┴──────────┴──▶ aborting → aborted
//
// Each step is somebody's act; without a commit in time it goes back by itself. Every transition is written down.

import type { Plan } from "../chain/plan.ts";
import { listStateChanges, type StateChange } from "../chain/state-changes.ts";
import type { Engine } from "../dataplane/engine.ts";
import type { MigrationResult } from "../dataplane/generation.ts";
import { SluiceError } from "../errors.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import { NO_CHANGE } from "./change-request.ts";
import type { History, UpgradeState } from "./history.ts";
import type { ChangeRequest } from "./upgrade-socket.ts";

export interface Change {
  readonly plan: Plan;
  readonly packages: readonly FunctionPackage[];
  /** What was asked for, together with all that was committed before. */
  readonly request: ChangeRequest;
}

/** A plan of several steps that has the engine for itself. */
export interface UpgradeHolder {
  readonly name: string;
  readonly state: UpgradeState;
  readonly commitUntil: string | null;
  commit(): Promise<void>;
  abort(): Promise<void>;
  /** The engine itself went back from that generation, or does not call one of its functions any more. */
  noteQuarantine(why: string): void;
}

export interface UpgradeStatus {
  readonly chain: string;
  /** 0: there was none yet. */
  readonly upgrade: number;
  readonly state: UpgradeState;
  readonly generation: number;
  /** The generation that is loaded or switched to, or that was before and still stands by. */
  readonly other: number | null;
  readonly before: string;
  readonly after: string;
  readonly stateChanges: readonly StateChange[];
  /** What nf_migrate could not carry when it was tried on the running state. */
  readonly migrations: readonly MigrationResult[];
  /** ISO 8601; null unless switched. */
  readonly commitUntil: string | null;
  /** Of the switchover, in microseconds; null before. */
  readonly pauseUs: number | null;
  /** The name of the plan that is being carried out. */
  readonly plan: string | null;
}

interface UnderWay {
  readonly request: ChangeRequest;
  readonly before: string;
  readonly after: string;
  readonly stateChanges: readonly StateChange[];
  /** Generations before and after; 0 while the latter is being built. */
  from: number;
  to: number;
  commitWithinMs: number;
  commitUntil: string | null;
  pauseUs: number | null;
  migrations: readonly MigrationResult[];
}

export const COMMIT_WITHIN_MS = 60_000;

export class Upgrades {
  readonly #engine: Engine;
  readonly #history: History;
  readonly #chain: string;
  #state: UpgradeState = "init";
  #number: number;
  #underWay: UnderWay | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #holder: UpgradeHolder | undefined;
  #committed: ChangeRequest;

  /** `committed`: what the running chain was changed by since its document. */
  constructor(engine: Engine, history: History, committed = NO_CHANGE) {
    this.#engine = engine;
    this.#history = history;
    this.#committed = committed;
    this.#chain = engine.description.chain;
    this.#number = history.lastUpgrade(this.#chain);
  }

  /** What later changes come on top of. */
  get committed(): ChangeRequest {
    return this.#committed;
  }

  /** A plan has the engine from now on, until `release`. Returns the number of its upgrade. Throws upgrade-state. */
  hold(holder: UpgradeHolder): number {
    this.#require("execute", "init", "committed", "aborted");
    this.#holder = holder;
    this.#number += 1;
    return this.#number;
  }

  /** `request`: what was committed; absent if it was not. */
  release(request?: ChangeRequest): void {
    this.#holder = undefined;
    this.#state = request === undefined ? "aborted" : "committed";
    this.#committed = request ?? this.#committed;
  }

  get status(): UpgradeStatus {
    const { generation } = this.#engine.running;
    const running = describeVersions(this.#engine.running.plan);
    const {
      before = running,
      after = running,
      stateChanges = [],
      migrations = [],
      commitUntil = null,
      pauseUs = null,
    } = this.#underWay ?? {};
    const other = this.#underWay === undefined || this.#underWay.to === 0 ? null : this.#other(this.#underWay);
    const plan = this.#holder?.name ?? null;
    return {
      ...{ chain: this.#chain, upgrade: this.#number, state: this.#holder?.state ?? this.#state, generation, other },
      ...{ before, after, stateChanges, migrations, pauseUs, plan },
      commitUntil: this.#holder?.commitUntil ?? commitUntil,
    };
  }

  /** What a change would do to the state, without doing anything. */
  preview(change: Change): UpgradeStatus {
    const stateChanges = listStateChanges(this.#engine.running.plan, change.plan);
    return { ...this.status, after: describeVersions(change.plan), stateChanges };
  }

  /** Builds the next generation beside the running one. Throws what is wrong with the change; then nothing has changed. */
  async load(change: Change, actor: string, commitWithinMs = COMMIT_WITHIN_MS): Promise<UpgradeStatus> {
    this.#require("load", "init", "committed", "aborted");
    const { plan: running, generation } = this.#engine.running;
    this.#number += 1;
    this.#underWay = {
      request: change.request,
      before: describeVersions(running),
      after: describeVersions(change.plan),
      stateChanges: listStateChanges(running, change.plan),
      ...{ from: generation, to: 0, commitWithinMs, commitUntil: null, pauseUs: null, migrations: [] },
    };
    const underWay = this.#underWay;
    this.#move("init", actor, 0);
    this.#move("loading", actor, 0);
    const started = performance.now();
    try {
      const { generation, migrations } = await this.#engine.load(change.plan, change.packages);
      underWay.to = generation;
      underWay.migrations = migrations;
    } catch (error) {
      const why = error instanceof SluiceError ? error.faults.map(({ what }) => what).join("; ") : String(error);
      this.#move("aborting", actor, performance.now() - started, why);
      this.#finish("aborted", actor, 0, why);
      throw error;
    }
    this.#move("loaded", actor, performance.now() - started);
    return this.status;
  }

  /** The new generation has the traffic from now on. Goes back by itself unless `commit` comes in time. */
  async switchover(actor: string): Promise<UpgradeStatus> {
    const underWay = this.#require("switchover", "loaded");
    this.#move("switching", actor, 0);
    const started = performance.now();
    const { pauseNs, before } = await this.#switch(underWay, actor, started);
    // Another copy of it may have taken over meanwhile.
    underWay.from = before;
    underWay.pauseUs = pauseNs / 1000;
    underWay.commitUntil = new Date(Date.now() + underWay.commitWithinMs).toISOString();
    this.#deadline = setTimeout(() => void this.abort("deadline").catch(() => {}), underWay.commitWithinMs);
    this.#move("switched", actor, performance.now() - started);
    return this.status;
  }

  async #switch(underWay: UnderWay, actor: string, started: number): ReturnType<Engine["switchTo"]> {
    try {
      return await this.#engine.switchTo(underWay.to);
    } catch (error) {
      const why = (error as Error).message;
      this.#move("aborting", actor, performance.now() - started, why);
      this.#finish("aborted", actor, 0, why);
      throw error;
    }
  }

  /** The generation before is given up. */
  async commit(actor: string): Promise<UpgradeStatus> {
    if (this.#holder !== undefined) return this.#holder.commit().then(() => this.status);
    const underWay = this.#require("commit", "switched");
    clearTimeout(this.#deadline);
    this.#move("committing", actor, 0);
    const started = performance.now();
    await this.#engine.retire(underWay.from);
    this.#committed = underWay.request;
    this.#finish("committed", actor, performance.now() - started);
    return this.status;
  }

  /** Back to where it began. */
  async abort(actor: string, why = "ok"): Promise<UpgradeStatus> {
    if (this.#holder !== undefined) return this.#holder.abort().then(() => this.status);
    const underWay = this.#require("abort", "loaded", "switched");
    clearTimeout(this.#deadline);
    const wasSwitched = this.#state === "switched";
    this.#move("aborting", actor, 0, why);
    const started = performance.now();
    if (wasSwitched && this.#engine.running.generation === underWay.to) await this.#engine.switchTo(underWay.from);
    await this.#engine.retire(underWay.to);
    this.#finish("aborted", actor, performance.now() - started, why);
    return this.status;
  }

  /** The engine itself went back from a generation whose function did not return; that generation is gone. */
  noteFallback(generation: number, why: string): void {
    if (this.#underWay?.to !== generation || this.#state !== "switched") return;
    clearTimeout(this.#deadline);
    this.#move("aborting", "watchdog", 0, why);
    this.#finish("aborted", "watchdog", 0, why);
  }

  /** A function is not called any more, whatever for. */
  noteQuarantine(why: string): void {
    this.#holder?.noteQuarantine(why);
  }

  stop(): void {
    clearTimeout(this.#deadline);
  }

  #other({ from, to }: UnderWay): number | null {
    if (this.#state === "loaded") return to;
    return this.#state === "switched" ? from : null;
  }

  #require(step: string, ...states: readonly UpgradeState[]): UnderWay {
    if (this.#holder !== undefined) {
      const what = `the plan ${this.#holder.name} is being carried out`;
      const help = "take it back with `sluice upgrade abort`, or wait until it ends";
      throw new SluiceError({ code: "upgrade-state", where: this.#chain, what, help });
    }
    if (states.includes(this.#state)) return this.#underWay as UnderWay;
    const what = `${step} is possible in the states ${states.join(", ")}; the upgrade is ${this.#state}`;
    throw new SluiceError({ code: "upgrade-state", where: this.#chain, what, help: "see `sluice upgrade status`" });
  }

  #move(state: UpgradeState, actor: string, durationMs: number, outcome = "ok"): void {
    this.#state = state;
    const { before, after } = this.#underWay as UnderWay;
    const at = new Date().toISOString();
    this.#history.add({
      chain: this.#chain,
      upgrade: this.#number,
      state,
      at,
      actor,
      before,
      after,
      durationMs,
      outcome,
    });
  }

  #finish(state: "committed" | "aborted", actor: string, durationMs: number, outcome = "ok"): void {
    this.#move(state, actor, durationMs, outcome);
    this.#underWay = undefined;
  }
}

/** `fw=acl@1.0.0 count=hello@1.0.0`, in the order of the chain. */
export function describeVersions({ functions }: Plan): string {
  return functions.map(({ name, package: from }) => `${name}=${from.name}@${from.version}`).join(" ");
}
