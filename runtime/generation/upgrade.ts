// The life of one change to a running chain, modelled on in-service software upgrade of carrier equipment:
//
//   init → loading → loaded → switching → switched → committing → committed
//             └─────────┴──────────┴──────────┴──▶ aborting → aborted
//
// A canary is a switchover of some flows: switching → switched again and again, the last time of all of them.
// Each step is somebody's act; without a commit in time it goes back by itself. Every transition is written down.

import { setTimeout as sleep } from "node:timers/promises";
import type { CanaryRule } from "../chain/canary.ts";
import { listStateChanges } from "../chain/state-changes.ts";
import type { Engine } from "../dataplane/engine/engine.ts";
import { SluiceError } from "../errors.ts";
import { type Change, changeBack, describeCanary, describeVersions, joinForCanary, listChanged } from "./change.ts";
import type { ChainSource, CommittedChain, CommittedStore } from "./committed.ts";
import type { Condition } from "./conditions.ts";
import type { History, UpgradeState } from "./history.ts";
import { describeRollback, type Rollback, rollBack } from "./rollback.ts";
import { type DescribePacket, ShadowWatch } from "./shadow-watch.ts";
import { SwitchWatch } from "./switch-watch.ts";
import { UpgradeJournal } from "./upgrade-journal.ts";
import {
  COMMIT_WITHIN_MS,
  MIGRATION_LOOK_MS,
  type UnderWay,
  type UpgradeHolder,
  type UpgradeStatus,
  untouched,
} from "./upgrade-status.ts";

const ABORT_AGAIN_MS = 1000;

export interface UpgradesSetup {
  readonly committed: CommittedStore;
  /** Of what the engine runs now. */
  readonly source: ChainSource;
  readonly describePacket: DescribePacket;
}

export class Upgrades {
  readonly #engine: Engine;
  readonly #journal: UpgradeJournal;
  readonly #committed: CommittedStore;
  #source: ChainSource;
  readonly #describePacket: DescribePacket;
  #underWay: UnderWay | undefined;
  #rollback: Rollback | null = null;
  #deadline: NodeJS.Timeout | undefined;
  /** By function: the generation with its version, or configuration, before the one that is committed. */
  readonly #previous = new Map<string, Change>();
  #shadow: ShadowWatch | undefined;
  #watch: SwitchWatch | undefined;
  #holder: UpgradeHolder | undefined;

  /** A change that was under way when an engine died is aborted. */
  constructor(engine: Engine, history: History, { committed, source, describePacket }: UpgradesSetup) {
    this.#describePacket = describePacket;
    this.#engine = engine;
    this.#journal = new UpgradeJournal(history, engine.description.chain);
    this.#committed = committed;
    this.#source = source;
    const { interrupted } = this.#journal;
    if (interrupted !== null) {
      const { plan, packages } = engine.running;
      const { before, after } = interrupted;
      const running = { source, plan, packages };
      this.#underWay = { ...untouched, running, change: running, before, after };
      this.#move("aborting", "restart", 0, "the engine died");
      this.#finish("aborted", "restart", 0, "the engine died");
    }
    committed.save(this.describeRunning(source));
  }

  /** Of what is committed: where later changes begin. */
  get source(): ChainSource {
    return this.#source;
  }

  /** A plan has the engine from now on, until `release`. Returns the number of its upgrade. Throws upgrade-state. */
  hold(holder: UpgradeHolder): number {
    this.#require("execute", "init", "committed", "aborted");
    this.#holder = holder;
    this.#journal.number += 1;
    return this.#journal.number;
  }

  /** `request`: what was committed; absent if it was not. */
  release(source?: ChainSource): void {
    this.#holder = undefined;
    this.#journal.state = source === undefined ? "aborted" : "committed";
    if (source === undefined) return;
    this.#source = source;
    this.#committed.complete();
  }

  /** To be called before the history is told that what runs is committed. */
  prepareCommit(source: ChainSource): void {
    this.#committed.prepare(this.#journal.number, this.describeRunning(source));
  }

  get status(): UpgradeStatus {
    const { generation } = this.#engine.running;
    const running = describeVersions(this.#engine.running.plan);
    const {
      before = running,
      after = running,
      stateChanges = [],
      migrations = [],
      canary = null,
      commitUntil = null,
      pauseUs = null,
    } = this.#underWay ?? {};
    const other = this.#underWay === undefined || this.#underWay.to === 0 ? null : this.#other(this.#underWay);
    const plan = this.#holder?.name ?? null;
    return {
      ...{
        chain: this.#journal.chain,
        upgrade: this.#journal.number,
        state: this.#holder?.state ?? this.#journal.state,
        generation,
        other,
      },
      ...{ before, after, stateChanges, migrations, pauseUs, plan },
      commitUntil: this.#holder?.commitUntil ?? commitUntil,
      ...{ canary: canary?.rule ?? null, rollback: this.#rollback },
      ...{ migrationLeft: this.#engine.migrationLeft, shadow: this.#shadow?.status ?? null },
      source: withoutDocument(this.#source),
      nextSource: this.#underWay === undefined ? null : withoutDocument(this.#underWay.change.source),
      measurements: this.#journal.state === "switched" ? (this.#watch?.measurements ?? null) : null,
    };
  }

  /** Of the chain as it will be, by bit. */
  get labels(): readonly string[] {
    return (this.#underWay?.change ?? this.#engine.running).plan.labels;
  }

  /** What a change would do to the state, without doing anything. */
  preview(change: Change): UpgradeStatus {
    const stateChanges = listStateChanges(this.#engine.running.plan, change.plan);
    return { ...this.status, after: describeVersions(change.plan), stateChanges };
  }

  /** Builds the next generation beside the running one. Throws what is wrong with the change; then nothing has changed. */
  async load(change: Change, actor: string, commitWithinMs = COMMIT_WITHIN_MS): Promise<UpgradeStatus> {
    this.#require("load", "init", "committed", "aborted");
    this.#shadow = undefined;
    const { plan: running, packages, generation } = this.#engine.running;
    this.#journal.number += 1;
    this.#rollback = null;
    this.#underWay = {
      ...untouched,
      before: describeVersions(running),
      after: describeVersions(change.plan),
      stateChanges: listStateChanges(running, change.plan),
      ...{ running: { plan: running, packages, source: this.#source }, change },
      ...{ from: generation, commitWithinMs },
    };
    const underWay = this.#underWay;
    this.#beginHistory(actor);
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

  #beginHistory(actor: string): void {
    try {
      this.#move("init", actor, 0);
    } catch (error) {
      this.#journal.number -= 1;
      this.#underWay = undefined;
      throw error;
    }
  }

  /**
   * The loaded generation gets copies of the traffic until the switchover. The upgrade is aborted when a condition is
   * broken. Throws why there can be no shadow; the upgrade is aborted then, too.
   */
  async shadow(conditions: readonly Condition[], actor: string): Promise<UpgradeStatus> {
    const underWay = this.#require("shadow", "loaded");
    try {
      const shadow = await this.#engine.shadow(underWay.to);
      this.#shadow = new ShadowWatch(shadow, conditions, this.#describePacket, (why) => {
        if (this.#journal.state === "loaded") void this.abort("condition", why).catch(() => {});
      });
    } catch (error) {
      await this.abort(actor, (error as Error).message);
      throw error;
    }
    return this.status;
  }

  /**
   * The new generation has the traffic from now on, or only the flows of the canary. Goes back by itself unless `commit`
   * comes in time, or when a condition is broken.
   */
  async switchover(
    actor: string,
    rule: CanaryRule | null = null,
    conditions: readonly Condition[] = [],
  ): Promise<UpgradeStatus> {
    const isCanary = this.#underWay?.canary != null;
    const underWay = this.#require("switchover", "loaded", ...(isCanary ? (["switched"] as const) : []));
    const loaded = rule === null ? null : await this.#engine.load(...joinForCanary(underWay, rule));
    if (loaded !== null && (this.#underWay !== underWay || !["loaded", "switched"].includes(this.#journal.state))) {
      await this.#engine.retire(loaded.generation);
      const what = "the upgrade was aborted while the canary was being built";
      throw new SluiceError({ code: "upgrade-state", where: this.#journal.chain, what });
    }
    const canary = rule === null || loaded === null ? null : { rule, generation: loaded.generation };
    clearTimeout(this.#deadline);
    this.#move("switching", actor, 0);
    const started = performance.now();
    underWay.sinceNs ||= BigInt(Date.now()) * 1_000_000n;
    const { pauseNs, before } = await this.#switch(canary?.generation ?? underWay.to, actor, started);
    // Another copy of what ran may have taken over meanwhile.
    if (isCanary) await this.#engine.retire(before);
    else underWay.from = before;
    underWay.canary = canary;
    underWay.pauseUs = pauseNs / 1000;
    underWay.commitUntil = new Date(Date.now() + underWay.commitWithinMs).toISOString();
    this.#goBackAfter(underWay.commitWithinMs);
    this.#move("switched", actor, performance.now() - started, describeCanary(rule));
    this.#watch?.stop();
    this.#watch = new SwitchWatch(this.#engine, conditions, (why) => {
      void this.abort("condition", why).catch(() => {});
    });
    return this.status;
  }

  async #switch(generation: number, actor: string, started: number): ReturnType<Engine["switchTo"]> {
    try {
      return await this.#engine.switchTo(generation);
    } catch (error) {
      const why = (error as Error).message;
      this.#move("aborting", actor, performance.now() - started, why);
      const { to, canary } = this.#underWay as UnderWay;
      for (const each of [to, generation, canary?.generation ?? 0]) {
        if (this.#engine.standsBy(each)) await this.#engine.retire(each);
      }
      this.#finish("aborted", actor, 0, why);
      throw error;
    }
  }

  /** The generation before is given up. */
  async commit(actor: string): Promise<UpgradeStatus> {
    if (this.#holder !== undefined) return this.#holder.commit().then(() => this.status);
    const underWay = this.#require("commit", "switched");
    if (underWay.canary !== null) {
      const what = "only the canary's flows are switched over";
      throw new SluiceError({
        code: "upgrade-state",
        where: this.#journal.chain,
        what,
        help: "switchover the others, or abort",
      });
    }
    if (this.#engine.migrationLeft > 0) {
      const what = `${this.#engine.migrationLeft} entries are still to be migrated`;
      throw new SluiceError({
        code: "upgrade-state",
        where: this.#journal.chain,
        what,
        help: "wait until they are, or abort",
      });
    }
    const started = performance.now();
    this.#committed.prepare(this.#journal.number, this.describeRunning(underWay.change.source));
    clearTimeout(this.#deadline);
    this.#move("committing", actor, 0);
    try {
      // Should the engine die from here on, this is what comes back; so the generation before goes afterwards.
      this.#finish("committed", actor, performance.now() - started);
    } catch (error) {
      this.#move("switched", actor, performance.now() - started, `not committed: ${(error as Error).message}`);
      this.#goBackAfter(Math.max(Date.parse(underWay.commitUntil as string) - Date.now(), ABORT_AGAIN_MS));
      throw error;
    }
    this.#committed.complete();
    this.#source = underWay.change.source;
    for (const name of listChanged(underWay.running, underWay.change)) this.#previous.set(name, underWay.running);
    await this.#engine.retire(underWay.from);
    return this.status;
  }

  /** Back to where it began. If that fails, the upgrade is as before, and is tried again if it is past its deadline. */
  async abort(actor: string, why = "ok"): Promise<UpgradeStatus> {
    if (this.#holder !== undefined) return this.#holder.abort().then(() => this.status);
    const underWay = this.#require("abort", "loaded", "switched");
    const before = this.#journal.state;
    clearTimeout(this.#deadline);
    this.#move("aborting", actor, 0, why);
    const started = performance.now();
    try {
      await this.#takeBack(underWay);
    } catch (error) {
      this.#move(before, actor, performance.now() - started, `not aborted: ${(error as Error).message}`);
      if (before === "switched") this.#goBackAfter(ABORT_AGAIN_MS);
      throw error;
    }
    const outcome = this.#rollback === null || why !== "ok" ? why : describeRollback(this.#rollback);
    this.#finish("aborted", actor, performance.now() - started, outcome);
    return this.status;
  }

  async #takeBack(underWay: UnderWay): Promise<void> {
    const others = [underWay.to, ...(underWay.canary === null ? [] : [underWay.canary.generation])];
    if (others.includes(this.#engine.running.generation)) {
      this.#rollback = await rollBack(this.#engine, underWay);
    }
    // One that died meanwhile is gone already.
    for (const generation of others) if (this.#engine.standsBy(generation)) await this.#engine.retire(generation);
  }

  #goBackAfter(timeMs: number): void {
    this.#deadline = setTimeout(() => {
      this.abort("deadline").catch((error: Error) => process.stderr.write(`upgrade not aborted: ${error.message}\n`));
    }, timeMs);
  }

  /** The engine itself went back from a generation whose function did not return; that generation is gone. */
  async noteFallback(generation: number, why: string): Promise<void> {
    const { to, canary } = this.#underWay ?? {};
    const isCanary = canary?.generation === generation;
    if (this.#journal.state !== "switched" || (to !== generation && !isCanary)) return;
    clearTimeout(this.#deadline);
    this.#move("aborting", "watchdog", 0, why);
    if (isCanary && this.#engine.standsBy(to as number)) await this.#engine.retire(to as number);
    this.#finish("aborted", "watchdog", 0, why);
  }

  /**
   * A function whose onFault is "previous" is not called any more: back to the version of it before. False if there is
   * none that could take its place.
   */
  async returnToPrevious(name: string): Promise<boolean> {
    const actor = "quarantine";
    if (this.#journal.state === "switched" || this.#journal.state === "loaded") {
      const isNew = this.#journal.state === "switched";
      await this.abort(actor, `${name} is quarantined`);
      if (isNew) return true;
    }
    const before = this.#previous.get(name);
    const back = before && changeBack({ ...this.#engine.running, source: this.#source }, before, name);
    if (back == null) return false;
    await this.load(back, actor);
    await this.switchover(actor);
    while (this.#engine.migrationLeft > 0) await sleep(MIGRATION_LOOK_MS);
    await this.commit(actor);
    this.#previous.delete(name);
    return true;
  }

  /** A function is not called any more, whatever for. */
  noteQuarantine(why: string): void {
    this.#holder?.noteQuarantine(why);
  }

  /** The engine has ended: what is not committed is over. */
  stop(): void {
    clearTimeout(this.#deadline);
    if (this.#underWay === undefined) return;
    this.#move("aborting", "stop", 0, "the engine ended");
    this.#finish("aborted", "stop", 0, "the engine ended");
  }

  describeRunning(source: ChainSource): CommittedChain {
    const { plan, packages } = this.#engine.running;
    const { layout, functions } = this.#engine.description;
    const numbering = { layout, functions };
    return { source, plan, packages, numbering };
  }

  #other({ from, to }: UnderWay): number | null {
    if (this.#journal.state === "loaded") return to;
    return this.#journal.state === "switched" ? from : null;
  }

  #require(step: string, ...states: readonly UpgradeState[]): UnderWay {
    if (this.#holder !== undefined) {
      const what = `the plan ${this.#holder.name} is being carried out`;
      const help = "take it back with `sluice upgrade abort`, or wait until it ends";
      throw new SluiceError({ code: "upgrade-state", where: this.#journal.chain, what, help });
    }
    if (states.includes(this.#journal.state)) return this.#underWay as UnderWay;
    const what = `${step} is possible in the states ${states.join(", ")}; the upgrade is ${this.#journal.state}`;
    throw new SluiceError({
      code: "upgrade-state",
      where: this.#journal.chain,
      what,
      help: "see `sluice upgrade status`",
    });
  }

  #move(state: UpgradeState, actor: string, durationMs: number, outcome = "ok"): void {
    this.#journal.move(this.#underWay as UnderWay, { state, actor, durationMs, outcome });
  }

  #finish(state: "committed" | "aborted", actor: string, durationMs: number, outcome = "ok"): void {
    this.#move(state, actor, durationMs, outcome);
    this.#watch?.stop();
    this.#underWay = undefined;
  }
}

function withoutDocument({ document: _, ...source }: ChainSource): ChainSource {
  return source;
}
