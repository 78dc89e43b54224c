// Runs one chain on real devices: builds generations beside the running one and hands its lanes over between two batches;
// ends a function that does not return; leaves nothing behind.
import { countLanes, type Plan } from "../../chain/plan.ts";
import { SluiceError } from "../../errors.ts";
import type { FunctionPackage } from "../../function/catalog.ts";
import { requireChangeable } from "../changeable.ts";
import type { MigrationResult } from "../generation.ts";
import { loadAddon } from "../load-addon.ts";
import type { FlowRecovery, FrameAudit, NativeHandover } from "../native.ts";
import type { WatchedChain } from "../observe/frame-filter.ts";
import type { LookoutListener } from "../observe/lookout.ts";
import type { LookoutGroup } from "../observe/lookout-group.ts";
import type { Observation } from "../observe/lookout-protocol.ts";
import type { ReportNamesFile } from "../report-names.ts";
import type { DropSampling } from "../reports.ts";
import type { ShadowGroup } from "../shadow-group.ts";
import { type EngineDescription, processStartOf, type StateFolder } from "../state-folder.ts";
import { sendTestFrame, type TestFrameOutcome } from "../test-frame.ts";
import type { GenerationThreads, LaneSeat } from "./generation-threads.ts";
import type { Taken } from "./generation-worker.ts";
import { Generations } from "./generations.ts";
import { Lanes } from "./lanes.ts";
import { batchLimitOf, chainOf, type EngineSetup, type Shared } from "./setup.ts";
import { stateKeyOf } from "./staying-state.ts";
import { nameOf, type Quarantine, Succession } from "./succession.ts";
import { TrafficCopies } from "./traffic-copies.ts";

const PAUSED_WITHIN_MS = 1000;

export interface Loaded {
  readonly generation: number;
  /** What nf_migrate could not carry when it was tried. */
  readonly migrations: readonly MigrationResult[];
}

export interface EngineParts {
  readonly shared: Shared;
  readonly first: GenerationThreads;
  readonly names: ReportNamesFile;
  readonly seats: readonly LaneSeat[];
  readonly handover: NativeHandover;
}

export class Engine {
  readonly folder: string;
  /** What was left of an earlier process; null if the chain keeps no flows. */
  readonly recovery: FlowRecovery | null;
  /** Ends when the engine does: with the frame count, or with an error (device-vanished, internal). */
  readonly ended: Promise<FrameAudit>;
  /** When its first turn is over, or will not be. */
  readonly begun: Promise<unknown>;
  /** A function is not called any more, and why. */
  onQuarantine: ((quarantine: Quarantine) => void) | undefined;
  readonly #end = Promise.withResolvers<FrameAudit>();
  readonly #setup: EngineSetup;
  readonly #state: StateFolder;
  readonly #lanes: Lanes;
  readonly #generations: Generations;
  readonly #succession: Succession;
  readonly #copies: TrafficCopies;
  readonly #tickHz: number;
  readonly #supervisor: EngineDescription["supervisor"];
  readonly #started = new Date().toISOString();
  #isStopping = false;

  constructor(setup: EngineSetup, state: StateFolder, { shared, first, names, seats, handover }: EngineParts) {
    this.#setup = setup;
    this.#state = state;
    this.folder = state.path;
    this.recovery = addRecoveries(first.threads.map(({ description }) => description.recovery));
    const batchLimitMs = batchLimitOf(setup);
    this.#lanes = new Lanes(seats, first, {
      ...{ folder: state.path, batchLimitMs, handover, before: state.dead?.lanes ?? 1 },
      onHung: (lane, offender) => this.#succession.noteHung(lane, offender),
    });
    const lanes = this.#lanes;
    const watch = (generation: GenerationThreads) => this.#watch(generation);
    this.#generations = new Generations({ setup, shared, first, names, lanes, watch });
    const generations = this.#generations;
    this.#copies = new TrafficCopies({ generations, lanes, shared, batchLimitMs });
    this.#succession = new Succession({
      ...{ setup, generations, lanes, onFailure: this.#end.reject },
      onSuccession: (quarantine) => this.#noteSuccession(quarantine),
      onOtherChain: (generation) => this.#copies.stopLookouts(`generation ${generation} takes over`),
    });
    this.#supervisor = describeProcess(setup.supervisor?.pid);
    this.ended = this.#end.promise.finally(() => this.#release());
    this.ended.catch(() => {});
    this.begun = first.taken().catch(() => {});
    this.#lanes.giveTo(first);
    // What it would be measured to be in the same boot.
    this.#tickHz = state.dead?.tickHz ?? loadAddon().measureTickHz();
    this.#describe();
    generations.planStandby([]);
  }

  get description(): EngineDescription {
    const { running, ports } = this.#generations;
    const { plan, generation } = running.setup;
    const { functions, layout } = running.description;
    return {
      chain: plan.chain,
      pid: process.pid,
      processStart: processStartOf(process.pid) ?? 0,
      supervisor: this.#supervisor,
      started: this.#started,
      lanes: this.#lanes.ever,
      generation,
      ports: ports.slice(0, plan.ports.length),
      functions,
      hops: plan.hops.map((hop) => ({ function: hop.function, path: hop.path })),
      layout,
      stateKey: stateKeyOf(plan),
      flowCapacity: plan.flows.capacity,
      tickHz: this.#tickHz,
    };
  }

  /** Everything that is asked of it fails from now on. */
  get isStopping(): boolean {
    return this.#isStopping;
  }

  /** The generation that has the lane. */
  get running(): { readonly generation: number; readonly plan: Plan; readonly packages: readonly FunctionPackage[] } {
    return this.#generations.running.setup;
  }

  /**
   * Builds another generation beside the running one, which goes on undisturbed. Throws
   * change-refused, config-invalid, function-fault … or the signal's reason, with everything undone.
   */
  async load(plan: Plan, packages: readonly FunctionPackage[], signal?: AbortSignal): Promise<Loaded> {
    requireChangeable(this.running.plan, plan);
    this.#requireMigrated("change-refused");
    this.#generations.forgetState(plan);
    const { setup, migrations } = await this.#generations.build(
      { ...chainOf({ plan, packages }), quarantined: [] },
      signal,
    );
    return { generation: setup.generation, migrations: [...migrations, ...this.#crowd(plan)] };
  }

  /** Flows that would have no room if they came to fewer lanes now. */
  #crowd(plan: Plan): MigrationResult[] {
    const lanes = countLanes(plan);
    if (lanes >= countLanes(this.running.plan)) return [];
    const lost = Math.max(0, this.#lanes.countFlows(this.#generations.layout) - lanes * plan.flows.capacity);
    return [{ function: "the flow engine", segments: ["flows"], lost }];
  }

  /**
   * Another instance of a generation that stands by gets copies of the traffic and of the state, and transmits nothing,
   * until it is switched to or retired. Throws what keeps it from that, with everything undone.
   */
  async shadow(generation: number): Promise<ShadowGroup> {
    return this.#copies.startShadow(this.#generations.find(generation));
  }

  /** What a question about the traffic can name. */
  get watched(): WatchedChain {
    const { setup, description } = this.#generations.running;
    return { plan: setup.plan, reasons: description.functions.map(({ reasons }) => reasons) };
  }

  /** Somebody looks at copies of the traffic, until the chain is another one. Throws watch-limit, not-running, system-call. */
  observe(observation: Observation, listener: LookoutListener): LookoutGroup {
    if (this.#isStopping)
      throw new SluiceError({ code: "not-running", where: this.#state.path, what: "the engine stops" });
    if (observation.kind !== "tap") this.#requireMigrated("watch-failed");
    return this.#copies.observe(observation, listener);
  }

  /**
   * Between two batches, the generation has the lane from now on; the one before stands by. If it dies before that,
   * whoever had the lane has it again when this throws.
   */
  async switchTo(generation: number): Promise<Taken & { readonly before: number }> {
    const next = this.#generations.find(generation);
    await this.#copies.endShadow();
    const before = this.#generations.running;
    this.#copies.stopLookouts(`generation ${generation} takes over`);
    const taken = next.taken();
    this.#generations.run(next);
    this.#lanes.giveTo(next);
    const result = await taken.catch((error: unknown) => this.#succession.settled().then(() => Promise.reject(error)));
    await this.#lanes.spreadFlows(next.setup.plan);
    await this.#requireStill(next);
    this.#describe();
    return { ...result, before: before.setup.generation };
  }

  /** It may have failed while flows moved; whoever took over has the lanes when this throws. */
  async #requireStill(next: GenerationThreads): Promise<void> {
    if (this.#generations.running === next && !this.#isStopping) return;
    await this.#succession.settled();
    const what = this.#isStopping ? "the engine stops" : `generation ${next.setup.generation} gave way to another`;
    throw new SluiceError({ code: "upgrade-failed", where: this.#state.path, what });
  }

  /**
   * Ends a generation that stands by, and forgets the state that only it had. If it is the one to go back to, that is the
   * running one from now on.
   */
  async retire(generation: number): Promise<void> {
    const generations = this.#generations;
    const retiring = generations.find(generation);
    await this.#copies.endShadow(retiring);
    generations.forget(retiring);
    await generations.closeLanes([retiring]);
    await retiring.terminate();
    generations.closePorts();
    await generations.dropStandby();
    generations.forgetState(retiring.setup.plan);
    generations.planStandby([]);
  }

  /** When no generation that did not return or died is being replaced. */
  settled(): Promise<void> {
    return this.#succession.settled();
  }

  /** Whether `switchTo` can give the lane to it. */
  standsBy(generation: number): boolean {
    return [...this.#generations.others].some(({ setup }) => setup.generation === generation);
  }

  /** Between two batches, nobody has the lane while `work` runs. Throws upgrade-failed if no batch ends in time. */
  async pause(work: () => void): Promise<Taken> {
    const { running } = this.#generations;
    const { generation } = running.setup;
    const taken = running.taken();
    taken.catch(() => {});
    const lanes = this.#lanes.all;
    for (const lane of lanes) lane.giveTo(0);
    await Promise.all(lanes.map((lane) => lane.released(generation, PAUSED_WITHIN_MS)));
    const isStill = () => this.#generations.running === running;
    try {
      // Or somebody else has a lane by now: the one before did not return.
      const isPaused = isStill() && lanes.every((lane) => lane.running === 0);
      if (!isPaused) throw new SluiceError({ code: "upgrade-failed", where: this.#state.path, what: "no batch ended" });
      work();
    } finally {
      if (isStill()) this.#lanes.giveTo(running);
    }
    return taken;
  }

  /** A frame that goes through the chain and is kept where it would leave. Throws upgrade-failed, or the signal's reason. */
  testFrame(port: string, bytes: Uint8Array, signal: AbortSignal): Promise<TestFrameOutcome> {
    const lane = this.#lanes.of(bytes);
    return sendTestFrame(lane.native, this.description, { port, bytes, signal }, () => lane.wake());
  }

  /** Which drops are reported to other processes, from now on. */
  sampleDrops(sampling: DropSampling): void {
    this.#lanes.sampleDrops(sampling);
  }

  /** Stops the lane and releases its devices. */
  stop(): Promise<FrameAudit> {
    if (this.#isStopping) return this.ended;
    this.#isStopping = true;
    this.#generations.stop();
    this.#lanes.stop();
    return this.ended;
  }

  /** Entries that the running generation still migrates between batches. */
  get migrationLeft(): number {
    return this.#lanes.migrationLeft;
  }

  /** Only the generation that migrates sees what is left of the layout before. */
  #requireMigrated(code: "change-refused" | "watch-failed"): void {
    if (this.migrationLeft === 0) return;
    const what = `${this.migrationLeft} entries are still to be migrated`;
    throw new SluiceError({ code, where: this.#state.path, what, help: "wait until they are" });
  }

  #watch(generation: GenerationThreads): void {
    for (const thread of generation.threads) {
      thread.onQuarantine = (index) => this.#noteQuarantine(generation, index);
      thread.ended.then(
        (audit) => this.#noteEnd(thread.setup.lane, audit),
        (error) => this.#noteDeath(generation, thread.setup.lane, error),
      );
    }
  }

  #noteQuarantine({ setup: { plan, generation } }: GenerationThreads, index: number): void {
    const offender = plan.functions[index] as Plan["functions"][number];
    const where = { generation, successor: generation, isFallback: false, outageMs: 0 };
    this.onQuarantine?.({ function: offender.name, package: nameOf(offender), why: "traps", ...where });
  }

  #noteSuccession(quarantine: Quarantine): void {
    this.#describe();
    this.onQuarantine?.(quarantine);
  }

  /** A lane has ended as it was told to. */
  #noteEnd(lane: number, audit: FrameAudit): void {
    this.#lanes.noteEnd(lane, audit);
    const all = this.#isStopping ? this.#lanes.audit : null;
    if (all !== null) this.#end.resolve(all);
  }

  #noteDeath(generation: GenerationThreads, index: number, error: Error): void {
    const generations = this.#generations;
    const lane = this.#lanes.all[index];
    const isRunning = generation === generations.running;
    if (!isRunning) generations.forget(generation);
    const hasLane = lane?.running === generation.setup.generation;
    if (!isRunning && !hasLane) this.#endRest(generation);
    // The end of one that hangs is the watchdog's.
    if ((!isRunning && !hasLane) || lane?.watchdog.isHandling(generation.setup.generation)) return;
    // What the lane itself says of its end is final; a thread that died can be replaced.
    const isDead = !(error instanceof SluiceError) || error.code === "internal";
    const canGoOn = !isRunning || generations.successorOf(generation) !== undefined;
    if (!isDead || this.#isStopping || !canGoOn) this.#end.reject(error);
    else {
      this.#setup.onLog?.("error", "engine", `generation ${generation.setup.generation} died: ${error.message}`);
      this.#succession.noteDeath(generation, index);
    }
  }

  /** One that stood by without having a lane. */
  #endRest(generation: GenerationThreads): void {
    void generation.terminate();
    if (!this.#isStopping) this.#generations.planStandby(this.#generations.running.setup.quarantined);
  }

  #describe(): void {
    this.#state.describe(this.description);
  }

  async #release(): Promise<void> {
    this.#isStopping = true;
    for (const { watchdog } of this.#lanes.all) watchdog.stop();
    this.#generations.stop();
    await this.#copies.end();
    await this.#generations.end();
    this.#state.remove();
  }
}

function addRecoveries(all: readonly (FlowRecovery | null)[]): FlowRecovery | null {
  return all.reduce((sum, each) => {
    if (sum === null || each === null) return sum ?? each;
    return { fresh: sum.fresh && each.fresh, kept: sum.kept + each.kept, dropped: sum.dropped + each.dropped };
  }, null);
}

function describeProcess(pid: number | undefined): EngineDescription["supervisor"] {
  return pid === undefined ? null : { pid, processStart: processStartOf(pid) ?? 0 };
}
