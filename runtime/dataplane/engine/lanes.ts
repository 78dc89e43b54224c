// The lanes of a chain: opened with the first generation that has them, given to one generation after the other, closed
// with the last one.
import { setTimeout as sleep } from "node:timers/promises";
import { isSame } from "../../chain/document-changes.ts";
import { countLanes, type Plan, type PlannedSpread } from "../../chain/plan.ts";
import type { CounterLayout } from "../counter-layout.ts";
import type { FrameAudit, NativeHandover } from "../native.ts";
import type { DropSampling } from "../reports.ts";
import { EngineLane, type EngineLaneOptions } from "./engine-lane.ts";
import type { GenerationThreads, LaneSeat } from "./generation-threads.ts";

/** Flows have moved to other lanes by then. */
const MOVED_WITHIN_MS = 10_000;
const LOOK_EVERY_MS = 5;
const STOPPED_WITHIN_MS = 2000;

export interface LanesOptions extends Pick<EngineLaneOptions, "folder" | "batchLimitMs"> {
  readonly handover: NativeHandover;
  /** That an engine before had: their files are still there. */
  readonly before: number;
  /** A function, by its index, does not return. */
  readonly onHung: (lane: number, offender: number) => void;
}

export class Lanes {
  readonly handover: NativeHandover;
  readonly #options: LanesOptions;
  /** Those that any generation has, by index. */
  readonly #lanes: EngineLane[] = [];
  #ever: number;
  #isStopping = false;
  /** Of the lanes that have ended. */
  readonly #audits = new Map<number, FrameAudit>();
  #spread: { readonly lanes: number; readonly rule: PlannedSpread | null };

  constructor(seats: readonly LaneSeat[], first: GenerationThreads, options: LanesOptions) {
    this.#options = options;
    this.handover = options.handover;
    this.#ever = options.before;
    this.#spread = { lanes: seats.length, rule: first.setup.plan.flows.spread ?? null };
    this.open(seats, first);
  }

  get all(): readonly EngineLane[] {
    return this.#lanes;
  }

  get count(): number {
    return this.#lanes.length;
  }

  /** Files of all these stay: what they have counted is part of all sums. */
  get ever(): number {
    return this.#ever;
  }

  on(index: number): EngineLane {
    return this.#lanes[index] as EngineLane;
  }

  /** Those on which the generation has opened what there is to open. */
  open(seats: readonly LaneSeat[], generation: GenerationThreads): void {
    for (const seat of seats) {
      this.#audits.delete(seat.lane);
      const { folder, batchLimitMs } = this.#options;
      const onHung = (offender: number) => this.#options.onHung(seat.lane, offender);
      const { description } = generation.on(seat.lane);
      this.#lanes.push(new EngineLane(seat, description, { folder, batchLimitMs, onHung }));
    }
    this.#ever = Math.max(this.#ever, this.#lanes.length);
  }

  /** Between two batches, the generation has its lanes from now on. */
  giveTo({ setup: { generation }, threads }: GenerationThreads): void {
    for (const lane of this.#lanes.slice(0, threads.length)) lane.giveTo(generation);
  }

  /** The one to which a frame's flow belongs. */
  of(frame: Uint8Array): EngineLane {
    return this.on(this.handover.laneOf(frame));
  }

  /** Flows go to as many as the plan has, and to those that it says. */
  async spreadFlows(plan: Plan): Promise<void> {
    const spread = { lanes: countLanes(plan), rule: plan.flows.spread ?? null };
    if (isSame(spread, this.#spread)) return;
    this.#spread = spread;
    this.handover.spreadOver(spread.lanes, spread.rule);
    const deadline = performance.now() + MOVED_WITHIN_MS;
    do {
      this.wake();
      await sleep(LOOK_EVERY_MS);
    } while (!this.handover.settle() && performance.now() < deadline && !this.#isStopping);
  }

  /** Those from `count` on, whose flows are elsewhere. `generations`: who may have them. */
  async close(count: number, generations: readonly GenerationThreads[]): Promise<void> {
    await Promise.all(this.#lanes.splice(count).map((lane) => closeLane(lane, generations)));
    await Promise.all(generations.map((generation) => generation.leaveLanes(count)));
  }

  /** Sockets of ports that no generation has any more. */
  closePorts(count: number): void {
    for (const lane of this.#lanes) lane.native.closePorts(count);
  }

  wake(): void {
    for (const lane of this.#lanes) lane.wake();
  }

  stop(): void {
    this.#isStopping = true;
    for (const lane of this.#lanes) lane.stop();
  }

  /** When its thread has ended it as it was told to. */
  noteEnd(lane: number, audit: FrameAudit): void {
    this.#audits.set(lane, audit);
  }

  /** What became of all frames; null while a lane has not ended. */
  get audit(): FrameAudit | null {
    if (!this.#lanes.every(({ index }) => this.#audits.has(index))) return null;
    return addAudits([...this.#audits.values()]);
  }

  countFlows(layout: CounterLayout): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.countFlows(layout), 0);
  }

  /** Entries that the running generation still migrates between batches. */
  get migrationLeft(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.migrationLeft, 0);
  }

  sampleDrops(sampling: DropSampling): void {
    for (const lane of this.#lanes) lane.sampleDrops(sampling);
  }
}

/** Whoever has it ends it, or one of those that wait for it if nobody ever had it. */
async function closeLane(lane: EngineLane, generations: readonly GenerationThreads[]): Promise<void> {
  await lane.lookouts.endAll("the lane ends");
  const threads = generations.filter((generation) => generation.has(lane)).map(({ threads }) => threads[lane.index]);
  lane.stop();
  await Promise.race([...threads.map((thread) => thread?.ended.catch(() => {})), sleep(STOPPED_WITHIN_MS)]);
}

function addAudits(all: readonly FrameAudit[]): FrameAudit {
  return all.reduce((sum, each) => ({
    slots: sum.slots + each.slots,
    free: sum.free + each.free,
    fill: sum.fill + each.fill,
    lane: sum.lane + each.lane,
    transmit: sum.transmit + each.transmit,
    doubleFrees: sum.doubleFrees + each.doubleFrees,
    intact: sum.intact && each.intact,
  }));
}
