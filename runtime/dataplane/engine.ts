// Runs one chain on real devices: claims its state folder, starts the lane's first generation, builds others beside it
// and hands the lane over between two batches; ends a function that does not return; leaves nothing behind.
import { rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { setTimeout as sleep } from "node:timers/promises";
import { countLanes, type Plan } from "../chain/plan.ts";
import { SluiceError } from "../errors.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import { requireChangeable } from "./changeable.ts";
import type { CounterLayout } from "./counter-layout.ts";
import { EngineLane, makeSeat } from "./engine-lane.ts";
import type { FaultEvidence } from "./faults/evidence.ts";
import { collectHungCall } from "./faults/hung-call.ts";
import { listStateSegments } from "./flow-memory.ts";
import type { MigrationResult, Numbering } from "./generation.ts";
import { GenerationThreads, type LaneSeat, type ThreadsSetup } from "./generation-threads.ts";
import type { FaultyChain, GenerationWorker, Taken } from "./generation-worker.ts";
import type { LogLevel } from "./instance.ts";
import type { FaultReport } from "./lane.ts";
import { nameInLanes } from "./lane-files.ts";
import { loadAddon } from "./load-addon.ts";
import type { FlowRecovery, FrameAudit, LinkKeeper, NativeHandover } from "./native.ts";
import type { WatchedChain } from "./observe/frame-filter.ts";
import type { Lookout, LookoutListener } from "./observe/lookout.ts";
import { LookoutGroup } from "./observe/lookout-group.ts";
import type { Observation } from "./observe/lookout-protocol.ts";
import { describeNames, REPORT_NAMES_FILE, ReportNamesFile } from "./report-names.ts";
import { type DropSampling, EXPORTED_FLOWS, REPORTS, REPORTS_READ } from "./reports.ts";
import { Shadow } from "./shadow.ts";
import {
  COMMITTED,
  COMMITTING,
  DESCRIPTION,
  type EngineDescription,
  type PortDescription,
  processStartOf,
  StateFolder,
} from "./state-folder.ts";
import { sendTestFrame, type TestFrameOutcome } from "./test-frame.ts";
import type { WorkerSetup } from "./worker-protocol.ts";

export interface EngineSetup {
  readonly plan: Plan;
  readonly packages: readonly FunctionPackage[];
  /** Frames in the lane's UMEM. */
  readonly slots?: number;
  readonly slotBytes?: number;
  /** Processor time that a function may take for one batch. */
  readonly batchLimitMs?: number;
  /** The process that starts the engine again should it die, and what keeps its XDP programs attached meanwhile. */
  readonly supervisor?: { readonly pid: number; readonly keeper: LinkKeeper } | undefined;
  /** The plan is the committed one of an engine that died: all that it left of its state goes on. */
  readonly resume?: Numbering | undefined;
  readonly onFault?: (fault: FaultReport) => void;
  /** What there is of some faults: enough of each kind. */
  readonly onEvidence?: (evidence: FaultEvidence, chain: FaultyChain) => void;
  readonly onLog?: (level: LogLevel, functionName: string, message: string) => void;
}

export interface Quarantine {
  /** Null: the generation's thread died, and no function is quarantined for it. */
  readonly function: string | null;
  readonly package: string | null;
  readonly why: "traps" | "time" | "death";
  /** The generation in which it happened, and that which has the lane now. */
  readonly generation: number;
  readonly successor: number;
  /** The successor is the generation before, where the function is as it was. */
  readonly isFallback: boolean;
  /** From the moment when it was noticed until the lane ran again; 0 if it never stopped. */
  readonly outageMs: number;
}

const SLOTS = 16384;
const SLOT_BYTES = 2048;
const BATCH_LIMIT_MS = 50;
const STANDBY_AFTER_MS = 500;
const PAUSED_WITHIN_MS = 1000;
/** The other lanes of a generation that is replaced end their batches by then, or are ended. */
const RELEASED_WITHIN_MS = 100;
/** Flows have moved to other lanes by then. */
const MOVED_WITHIN_MS = 10_000;
const LOOK_EVERY_MS = 5;
const STOPPED_WITHIN_MS = 2000;
/** By how many lanes' tables detours have room for: each flow has one at the most, and lanes may become more. */
const DETOURS_PER_FLOW = 2;

/** Starts a chain. Throws chain-running, device-missing, not-permitted … with everything undone. */
export async function startEngine(setup: EngineSetup): Promise<Engine> {
  const folder = StateFolder.claim(setup.plan.chain, (dead) => listStaying(setup, dead));
  const lanes = countLanes(setup.plan);
  const handover = loadAddon().makeHandover(lanes, DETOURS_PER_FLOW * setup.plan.flows.capacity);
  const shared = {
    folder: folder.path,
    handover: handover.id,
    // The first core is left to the kernel's interrupts and to everything else that the box does.
    cpu: availableParallelism() > 1 ? availableParallelism() - 1 : null,
    slots: setup.slots ?? SLOTS,
    slotBytes: setup.slotBytes ?? SLOT_BYTES,
  };
  const names = new ReportNamesFile(folder.path);
  const inherited = { before: setup.resume ?? folder.dead ?? undefined, keeper: setup.supervisor?.keeper };
  const seats = Array.from({ length: lanes }, (_, lane) => makeSeat(lane));
  try {
    const first = await GenerationThreads.open(
      { ...shared, lanes, ...chainOf(setup), ...inherited, generation: 1, reportNames: names.next(), quarantined: [] },
      seats,
      setup,
    );
    return new Engine(setup, folder, { shared, first, names, seats, handover });
  } catch (error) {
    // What a dead engine left may be of use to the next attempt.
    if (folder.dead === null) folder.remove();
    throw error;
  }
}

export interface Loaded {
  readonly generation: number;
  /** What nf_migrate could not carry when it was tried. */
  readonly migrations: readonly MigrationResult[];
}

interface EngineParts {
  readonly shared: Shared;
  readonly first: GenerationThreads;
  readonly names: ReportNamesFile;
  readonly seats: readonly LaneSeat[];
  readonly handover: NativeHandover;
}

type Shared = Pick<WorkerSetup, "folder" | "handover" | "cpu" | "slots" | "slotBytes">;

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
  readonly #shared: Shared;
  /** Those that any generation has, by index. */
  readonly #lanes: EngineLane[];
  /** Their files stay: what they have counted is part of all sums. */
  #lanesEver: number;
  readonly #handover: NativeHandover;
  /** Of the lanes that have ended. */
  readonly #audits = new Map<number, FrameAudit>();
  #spreadOver: number;
  /** Those that the lanes have, and that other generations will have or had, by index. */
  #ports: readonly PortDescription[];
  readonly #tickHz: number;
  readonly #supervisor: EngineDescription["supervisor"];
  readonly #started = new Date().toISOString();
  #running: GenerationThreads;
  /** What the lane goes back to if the one that runs fails. */
  #committed: GenerationThreads;
  /** Those that are built and can take the lane: a copy of what runs, what is to come, what was before. */
  readonly #others = new Set<GenerationThreads>();
  #standby: GenerationThreads | undefined;
  #standbyTimer: NodeJS.Timeout | undefined;
  #shadow: { readonly of: GenerationThreads; readonly shadow: Shadow } | undefined;
  #lastGeneration = 1;
  /** Of the generation that was built last: what any of them ever counted keeps its place. */
  #layout: CounterLayout;
  readonly #names: ReportNamesFile;
  #replacing: Promise<void> = Promise.resolve();
  #isStopping = false;

  constructor(setup: EngineSetup, state: StateFolder, { shared, first, names, seats, handover }: EngineParts) {
    const native = loadAddon();
    this.#setup = setup;
    this.#state = state;
    this.folder = state.path;
    this.recovery = addRecoveries(first.threads.map(({ description }) => description.recovery));
    this.#shared = shared;
    this.#running = first;
    this.#committed = first;
    this.#layout = first.description.layout;
    this.#names = names;
    this.#nameReports(first);
    this.#ports = first.description.ports;
    this.#handover = handover;
    this.#spreadOver = seats.length;
    this.#lanes = seats.map((seat) => this.#openLane(seat, first.on(seat.lane)));
    this.#lanesEver = Math.max(seats.length, state.dead?.lanes ?? 1);
    this.#supervisor = describeProcess(setup.supervisor?.pid);
    this.ended = this.#end.promise.finally(() => this.#release());
    this.ended.catch(() => {});
    this.#watch(first);
    this.begun = first.taken().catch(() => {});
    this.#own(first);
    // What it would be measured to be in the same boot.
    this.#tickHz = state.dead?.tickHz ?? native.measureTickHz();
    this.#describe();
    this.#planStandby([]);
  }

  #openLane(seat: LaneSeat, { description }: GenerationWorker): EngineLane {
    this.#audits.delete(seat.lane);
    const batchLimitMs = this.#setup.batchLimitMs ?? BATCH_LIMIT_MS;
    const onHung = (offender: number) => this.#replaceNext(seat.lane, offender);
    return new EngineLane(seat, description, { folder: this.folder, batchLimitMs, onHung });
  }

  get description(): EngineDescription {
    const { plan, generation } = this.#running.setup;
    const { functions, layout } = this.#running.description;
    return {
      chain: plan.chain,
      pid: process.pid,
      processStart: processStartOf(process.pid) ?? 0,
      supervisor: this.#supervisor,
      started: this.#started,
      lanes: this.#lanesEver,
      generation,
      ports: this.#ports.slice(0, plan.ports.length),
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
    return this.#running.setup;
  }

  /**
   * Builds another generation beside the running one, which goes on undisturbed. Throws
   * change-refused, config-invalid, function-fault … or the signal's reason, with everything undone.
   */
  async load(plan: Plan, packages: readonly FunctionPackage[], signal?: AbortSignal): Promise<Loaded> {
    requireChangeable(this.#running.setup.plan, plan);
    this.#requireMigrated();
    this.#forgetState(plan);
    const worker = await this.#build({ ...chainOf({ plan, packages }), quarantined: [] }, signal);
    return { generation: worker.setup.generation, migrations: [...worker.migrations, ...this.#crowd(plan)] };
  }

  /** Flows that would have no room if they came to fewer lanes now. */
  #crowd(plan: Plan): MigrationResult[] {
    const lanes = countLanes(plan);
    const { capacity } = plan.flows;
    if (lanes >= countLanes(this.#running.setup.plan)) return [];
    const live = this.#lanes.reduce((sum, lane) => sum + lane.countFlows(this.#layout), 0);
    const lost = Math.max(0, live - lanes * capacity);
    return [{ function: "the flow engine", segments: ["flows"], lost }];
  }

  /**
   * Another instance of a generation that stands by gets copies of the traffic and of the state, and transmits nothing,
   * until it is switched to or retired. Throws what keeps it from that, with everything undone.
   */
  async shadow(generation: number): Promise<Shadow> {
    this.#requireOneLane("a shadow");
    const { plan } = this.#find(generation).setup;
    if (plan.ports.length !== this.#running.setup.plan.ports.length) {
      const what = "a shadow gets copies of what comes on the ports that there are, and the change brings new ones";
      throw new SluiceError({ code: "change-refused", where: "ports", what, help: "switch over without a shadow" });
    }
    const of = this.#find(generation);
    await this.#endShadow();
    const { functions, layout } = this.#running.description;
    const { cpu, folder, slotBytes } = this.#shared;
    const shadow = new Shadow({
      ...{ plan: of.setup.plan, packages: of.setup.packages, folder, slotBytes },
      live: { layout, functions, plan: this.#running.setup.plan },
      lane: this.#first.native,
      cpu: cpu === null ? null : cpu - 1,
      batchLimitMs: this.#setup.batchLimitMs ?? BATCH_LIMIT_MS,
    });
    this.#shadow = { of, shadow };
    await shadow.started();
    return shadow;
  }

  /** What a question about the traffic can name. */
  get watched(): WatchedChain {
    return {
      plan: this.#running.setup.plan,
      reasons: this.#running.description.functions.map(({ reasons }) => reasons),
    };
  }

  /** Somebody looks at copies of the traffic, until the chain is another one. Throws watch-limit, not-running, system-call. */
  observe(observation: Observation, listener: LookoutListener): LookoutGroup {
    if (this.#isStopping)
      throw new SluiceError({ code: "not-running", where: this.#state.path, what: "the engine stops" });
    if (observation.kind !== "tap" && this.migrationLeft > 0) {
      const what = `${this.migrationLeft} entries are still to be migrated`;
      throw new SluiceError({ code: "watch-failed", where: this.#state.path, what, help: "wait until they are" });
    }
    const start = (lane: number, own: LookoutListener) => this.#lookOut(lane, observation, own);
    const { kind } = observation;
    // Frames that are given go where the first of them would.
    const given = kind === "given" ? (observation.frames[0]?.bytes ?? new Uint8Array()) : undefined;
    const lanes = given === undefined ? this.#lanes.map(({ index }) => index) : [this.#handover.laneOf(given)];
    return new LookoutGroup(lanes, start, listener, kind === "trace" ? observation.count : undefined);
  }

  #lookOut(lane: number, observation: Observation, listener: LookoutListener): Lookout {
    const { functions, layout } = this.#running.description;
    const { plan, packages } = this.#running.setup;
    const { cpu, folder, slotBytes } = this.#shared;
    const { native, lookouts } = this.#lanes[lane] as EngineLane;
    return lookouts.start(
      {
        ...{ observation, plan, packages, folder, slotBytes, live: { layout, functions, plan }, lane: native },
        ...{ laneIndex: lane, lanes: countLanes(plan) },
        quarantined: [...this.#running.quarantined],
        cpu: cpu === null ? null : cpu - 1,
        batchLimitMs: this.#setup.batchLimitMs ?? BATCH_LIMIT_MS,
      },
      listener,
    );
  }

  /** Between two batches, the generation has the lane from now on; the one before stands by. */
  async switchTo(generation: number): Promise<Taken & { readonly before: number }> {
    const next = this.#find(generation);
    await this.#endShadow();
    const before = this.#running;
    this.#stopLookouts(`generation ${generation} takes over`);
    const taken = next.taken();
    this.#others.delete(next);
    this.#others.add(before);
    this.#running = next;
    this.#own(next);
    const result = await taken;
    await this.#spread();
    this.#describe();
    return { ...result, before: before.setup.generation };
  }

  /**
   * Ends a generation that stands by, and forgets the state that only it had. If it is the one to go back to, that is the
   * running one from now on.
   */
  async retire(generation: number): Promise<void> {
    const worker = this.#find(generation);
    if (this.#shadow?.of === worker) await this.#endShadow();
    this.#others.delete(worker);
    if (worker === this.#committed) this.#committed = this.#running;
    await this.#closeLanes(worker);
    await worker.terminate();
    this.#closePorts();
    if (this.#standby !== undefined && this.#standby.setup.plan !== this.#running.setup.plan) await this.#dropStandby();
    this.#forgetState(worker.setup.plan);
    this.#planStandby([]);
  }

  /** Flows go to the lanes that the running generation has. */
  async #spread(): Promise<void> {
    const lanes = countLanes(this.#running.setup.plan);
    if (lanes === this.#spreadOver) return;
    this.#spreadOver = lanes;
    this.#handover.spreadOver(lanes);
    const deadline = performance.now() + MOVED_WITHIN_MS;
    do {
      for (const lane of this.#lanes) lane.wake();
      await sleep(LOOK_EVERY_MS);
    } while (!this.#handover.settle() && performance.now() < deadline);
  }

  /** Those that no generation has any more but `retiring`; all their flows are elsewhere. */
  async #closeLanes(retiring: GenerationThreads): Promise<void> {
    const generations = [this.#running, ...this.#others];
    const count = Math.max(...generations.map(({ setup }) => countLanes(setup.plan)));
    const closing = this.#lanes.splice(count);
    await Promise.all(closing.map((lane) => this.#closeLane(lane, [...generations, retiring])));
    for (const generation of generations) generation.leaveLanes(count);
  }

  async #closeLane(lane: EngineLane, generations: readonly GenerationThreads[]): Promise<void> {
    await lane.lookouts.endAll("the lane ends");
    const holder = generations.find(({ setup }) => setup.generation === lane.running)?.on(lane.index);
    lane.stop();
    await Promise.race([holder?.ended, sleep(STOPPED_WITHIN_MS)]);
    await holder?.terminate();
  }

  /** When no generation that did not return or died is being replaced. */
  settled(): Promise<void> {
    return this.#replacing;
  }

  /** Whether `switchTo` can give the lane to it. */
  standsBy(generation: number): boolean {
    return [...this.#others].some((worker) => worker.setup.generation === generation);
  }

  /** Between two batches, nobody has the lane while `work` runs. Throws upgrade-failed if no batch ends in time. */
  async pause(work: () => void): Promise<Taken> {
    const worker = this.#running;
    const { generation } = worker.setup;
    const taken = worker.taken();
    taken.catch(() => {});
    for (const lane of this.#lanes) lane.giveTo(0);
    await Promise.all(this.#lanes.map((lane) => lane.released(generation, PAUSED_WITHIN_MS)));
    try {
      // Or somebody else has a lane by now: the one before did not return.
      const isPaused = this.#running === worker && this.#lanes.every(({ running }) => running === 0);
      if (!isPaused) throw new SluiceError({ code: "upgrade-failed", where: this.#state.path, what: "no batch ended" });
      work();
    } finally {
      if (this.#running === worker) this.#own(worker);
    }
    return taken;
  }

  /** A frame that goes through the chain and is kept where it would leave. Throws upgrade-failed, or the signal's reason. */
  testFrame(port: string, bytes: Uint8Array, signal: AbortSignal): Promise<TestFrameOutcome> {
    const lane = this.#lanes[this.#handover.laneOf(bytes)] as EngineLane;
    return sendTestFrame(lane.native, this.description, { port, bytes, signal }, () => lane.wake());
  }

  /** Which drops are reported to other processes, from now on. */
  sampleDrops(sampling: DropSampling): void {
    for (const lane of this.#lanes) lane.sampleDrops(sampling);
  }

  /** Stops the lane and releases its devices. */
  stop(): Promise<FrameAudit> {
    if (this.#isStopping) return this.ended;
    this.#isStopping = true;
    for (const lane of this.#lanes) lane.stop();
    return this.ended;
  }

  /** Entries that the running generation still migrates between batches. */
  get migrationLeft(): number {
    return this.#lanes.reduce((sum, lane) => sum + lane.migrationLeft, 0);
  }

  /** Only the generation that migrates sees what is left of the layout before. */
  #requireMigrated(): void {
    if (this.migrationLeft === 0) return;
    const what = `${this.migrationLeft} entries are still to be migrated`;
    throw new SluiceError({ code: "change-refused", where: this.#state.path, what, help: "wait until they are" });
  }

  get #first(): EngineLane {
    return this.#lanes[0] as EngineLane;
  }

  #requireOneLane(what: string): void {
    if (this.#lanes.length === 1) return;
    const { chain } = this.#running.setup.plan;
    throw new SluiceError({ code: "not-supported", where: chain, what: `${what}: the chain has several lanes` });
  }

  #stopLookouts(why: string): void {
    for (const { lookouts } of this.#lanes) lookouts.stopAll(why);
  }

  async #endShadow(): Promise<void> {
    const ending = this.#shadow?.shadow;
    this.#shadow = undefined;
    await ending?.end();
  }

  #find(generation: number): GenerationThreads {
    const found = [...this.#others].find((worker) => worker.setup.generation === generation);
    if (found !== undefined) return found;
    const what = `there is no generation ${generation} that stands by`;
    throw new SluiceError({ code: "upgrade-state", where: this.#state.path, what });
  }

  async #build(
    chain: Pick<ThreadsSetup, "plan" | "packages" | "quarantined">,
    signal?: AbortSignal,
  ): Promise<GenerationThreads> {
    const { plan } = this.#running.setup;
    const before = { layout: this.#layout, plan, functions: this.#running.description.functions };
    const numbers = { generation: ++this.#lastGeneration, reportNames: this.#names.next() };
    const { plan: next, packages, quarantined } = chain;
    const lanes = countLanes(next);
    this.#handover.addLanes(Math.max(lanes, this.#lanes.length));
    const known = this.#lanes.map(({ seat, index }) => {
      return { ...seat, attach: { lane: this.#holderOf(index).description.lane, before } };
    });
    const fresh = Array.from({ length: Math.max(0, lanes - known.length) }, (_, index): LaneSeat => {
      return { ...makeSeat(known.length + index), waits: true, before };
    });
    const setup = { ...this.#shared, lanes, plan: next, packages, quarantined, ...numbers };
    const worker = GenerationThreads.build(setup, [...known, ...fresh], this.#setup);
    try {
      await (signal === undefined ? worker.ready : Promise.race([worker.ready, rejectOn(signal)]));
    } catch (error) {
      await worker.terminate();
      this.#closePorts();
      throw error;
    }
    for (const seat of fresh) this.#lanes.push(this.#openLane(seat, worker.on(seat.lane)));
    this.#lanesEver = Math.max(this.#lanesEver, this.#lanes.length);
    this.#ports = [...this.#ports, ...worker.description.ports];
    this.#layout = worker.description.layout;
    this.#nameReports(worker);
    this.#watch(worker);
    this.#others.add(worker);
    return worker;
  }

  /** A thread that knows the lane. */
  #holderOf(lane: number): GenerationWorker {
    const generations = [this.#running, ...this.#others];
    return (generations.find((each) => each.has({ index: lane })) as GenerationThreads).on(lane);
  }

  /** One change may follow another at once: the copy is made when it is quiet. */
  #planStandby(quarantined: readonly number[]): void {
    clearTimeout(this.#standbyTimer);
    this.#standbyTimer = setTimeout(() => {
      if (this.migrationLeft > 0) this.#planStandby(quarantined);
      else if (this.#standby === undefined) void this.#makeStandby(quarantined);
    }, STANDBY_AFTER_MS);
  }

  /** A copy of what runs: it takes over at once if a function does not return. */
  async #makeStandby(quarantined: readonly number[]): Promise<void> {
    const { plan, packages, generation } = this.#running.setup;
    try {
      const standby = await this.#build({ plan, packages, quarantined });
      if (this.#isStopping || this.#running.setup.generation !== generation || this.#standby !== undefined) {
        this.#others.delete(standby);
        await standby.terminate();
      } else this.#standby = standby;
    } catch (error) {
      if (!this.#isStopping) this.#setup.onLog?.("warn", "engine", `no standby: ${(error as Error).message}`);
    }
  }

  async #dropStandby(): Promise<void> {
    const standby = this.#standby as GenerationThreads;
    this.#standby = undefined;
    this.#others.delete(standby);
    await standby.terminate();
  }

  #own({ setup: { generation }, threads }: GenerationThreads): void {
    for (const lane of this.#lanes.slice(0, threads.length)) lane.giveTo(generation);
  }

  #watch(worker: GenerationThreads): void {
    for (const thread of worker.threads) {
      thread.onQuarantine = (index) => this.#noteQuarantine(worker, index);
      thread.ended.then(
        (audit) => this.#noteEnd(thread.setup.lane, audit),
        (error) => this.#noteDeath(worker, thread.setup.lane, error),
      );
    }
  }

  #noteQuarantine({ setup: { plan, generation } }: GenerationThreads, index: number): void {
    const offender = plan.functions[index] as Plan["functions"][number];
    const where = { generation, successor: generation, isFallback: false, outageMs: 0 };
    this.onQuarantine?.({ function: offender.name, package: nameOf(offender), why: "traps", ...where });
  }

  /** A lane has ended as it was told to. */
  #noteEnd(lane: number, audit: FrameAudit): void {
    this.#audits.set(lane, audit);
    const hasEnded = this.#isStopping && this.#lanes.every(({ index }) => this.#audits.has(index));
    if (hasEnded) this.#end.resolve(addAudits([...this.#audits.values()]));
  }

  #noteDeath(worker: GenerationThreads, lane: number, error: Error): void {
    this.#others.delete(worker);
    if (worker !== this.#running || this.#lanes[lane]?.watchdog.isHandling) return;
    // What the lane itself says of its end is final; a thread that died can be replaced.
    const isDead = !(error instanceof SluiceError) || error.code === "internal";
    if (!isDead || this.#isStopping || this.#successorOf(worker) === undefined) this.#end.reject(error);
    else {
      this.#setup.onLog?.("error", "engine", `generation ${worker.setup.generation} died: ${error.message}`);
      this.#replaceNext(lane, null);
    }
  }

  /** One after the other: several lanes may fail at once. */
  #replaceNext(lane: number, offender: number | null): void {
    this.#replacing = this.#replacing.then(() => this.#replace(lane, offender)).catch(this.#end.reject);
  }

  /**
   * The thread that has the lane is ended, within the function `offender` or dead already, and another generation takes
   * all lanes over.
   */
  async #replace(index: number, offender: number | null): Promise<void> {
    const started = performance.now();
    const lane = this.#lanes[index] as EngineLane;
    const hung = this.#running;
    if (lane.running !== hung.setup.generation) return this.#endPredecessor(lane);
    await hung.on(index).terminate();
    if (offender !== null) this.#collectHungCall(hung, index, offender);
    const quarantined = offender === null ? hung.setup.quarantined : [...hung.setup.quarantined, offender];
    const successor = this.#successorOf(hung) ?? (await this.#build({ ...hung.setup, quarantined }));
    const taken = successor.on(index).taken();
    const isCopy = successor.setup.plan === hung.setup.plan;
    if (!isCopy) this.#stopLookouts(`generation ${successor.setup.generation} takes over`);
    if (hung === this.#committed) this.#committed = successor;
    this.#others.delete(successor);
    if (successor === this.#standby) this.#standby = undefined;
    this.#running = successor;
    for (const each of this.#lanes) each.quarantine(isCopy ? offender : null);
    lane.forceTo(successor.setup.generation);
    await this.#followTo(hung, successor, lane);
    await taken;
    const outageMs = performance.now() - started;
    lane.watchdog.resume();
    this.#describe();
    const planned = offender === null ? undefined : hung.setup.plan.functions[offender];
    this.onQuarantine?.({
      function: planned?.name ?? null,
      package: planned === undefined ? null : nameOf(planned),
      why: planned === undefined ? "death" : "time",
      outageMs,
      isFallback: !isCopy,
      generation: hung.setup.generation,
      successor: successor.setup.generation,
    });
    this.#planStandby(isCopy ? quarantined : []);
  }

  /** It did not return while the lane was to go to the one that runs; or another lane's failure has ended it already. */
  async #endPredecessor(lane: EngineLane): Promise<void> {
    const stuck = [...this.#others].find(({ setup }) => setup.generation === lane.running);
    if (stuck !== undefined) {
      this.#others.delete(stuck);
      if (stuck === this.#committed) this.#committed = this.#running;
      if (stuck === this.#standby) this.#standby = undefined;
      await stuck.on(lane.index).terminate();
      await this.#followTo(stuck, this.#running, lane);
      lane.forceTo(this.#running.setup.generation);
    }
    lane.watchdog.resume();
  }

  /** The other lanes come to the successor between two batches, or, where a function does not return there, either, so. */
  async #followTo(hung: GenerationThreads, successor: GenerationThreads, forced: EngineLane): Promise<void> {
    const { generation } = hung.setup;
    const others = this.#lanes.filter((each) => each !== forced);
    for (const each of others) if (successor.has(each)) each.giveTo(successor.setup.generation);
    await Promise.all(others.map((each) => each.released(generation, RELEASED_WITHIN_MS)));
    await hung.terminate();
    for (const each of others) {
      if (each.running !== generation) continue;
      each.forceTo(successor.setup.generation);
      each.watchdog.resume();
    }
  }

  /** What cannot be collected is no reason not to go on. */
  #collectHungCall(hung: GenerationThreads, index: number, offender: number): void {
    if (this.#setup.onEvidence === undefined) return;
    try {
      const { native: lane, control } = this.#lanes[index] as EngineLane;
      const call = { native: loadAddon(), lane, control, worker: hung.on(index), offender };
      this.#setup.onEvidence(collectHungCall(call), hung.setup);
    } catch (error) {
      this.#setup.onLog?.("warn", "engine", `nothing could be kept of the fault: ${(error as Error).message}`);
    }
  }

  /** A generation that is not committed gives way to the one before; otherwise the copy takes over. */
  #successorOf(hung: GenerationThreads): GenerationThreads | undefined {
    return hung === this.#committed ? this.#standby : this.#committed;
  }

  #nameReports({ setup: { plan, generation, reportNames }, description }: GenerationThreads): void {
    this.#names.add(describeNames(reportNames, generation, plan, description.functions));
  }

  #describe(): void {
    this.#state.describe(this.description);
  }

  /** Those that no generation has. */
  #closePorts(): void {
    const count = Math.max(...[this.#running, ...this.#others].map(({ setup }) => setup.plan.ports.length));
    if (!this.#isStopping) for (const lane of this.#lanes) lane.native.closePorts(count);
    this.#ports = this.#ports.slice(0, count);
  }

  /** Removes the files of state that no generation but this plan's would have. */
  #forgetState(plan: Plan): void {
    const held = new Set([this.#running, ...this.#others].flatMap(({ setup }) => listStateSegments(setup.plan)));
    for (const name of listStateSegments(plan)) {
      if (held.has(name)) continue;
      for (const file of nameInLanes(name, this.#lanesEver)) rmSync(this.#state.pathOf(file), { force: true });
    }
  }

  async #release(): Promise<void> {
    this.#isStopping = true;
    for (const lane of this.#lanes) lane.watchdog.stop();
    clearTimeout(this.#standbyTimer);
    await this.#endShadow();
    await Promise.all(this.#lanes.map(({ lookouts }) => lookouts.endAll("the engine stops")));
    await Promise.all([this.#running, ...this.#others].map((worker) => worker.terminate()));
    this.#state.remove();
  }
}

function rejectOn(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

function chainOf({ plan, packages }: EngineSetup): Pick<WorkerSetup, "plan" | "packages"> {
  return { plan, packages: packages.map(({ manifest, wasm, origin }) => ({ manifest, wasm, origin })) };
}

function nameOf({ package: { name, version } }: Plan["functions"][number]): string {
  return `${name}@${version}`;
}

/** Columns and segments stay for the plan that had them; an engine that is not a dead one's successor has to be alike. */
function listStaying({ plan, resume }: EngineSetup, dead: EngineDescription | null): string[] {
  if (resume === undefined && dead?.stateKey !== stateKeyOf(plan)) return [];
  const counted = (resume ?? dead)?.functions.map(({ name }) => `function-${name}`) ?? [];
  const lanes = Math.max(countLanes(plan), dead?.lanes ?? 1);
  const segments = ["flows", ...listStateSegments(plan), "counters", ...counted, REPORTS, REPORTS_READ];
  const files = segments.flatMap((name) => nameInLanes(name, lanes));
  const state = [DESCRIPTION, ...files, REPORT_NAMES_FILE, EXPORTED_FLOWS];
  return resume === undefined ? state : [...state, COMMITTED, COMMITTING];
}

function addRecoveries(all: readonly (FlowRecovery | null)[]): FlowRecovery | null {
  return all.reduce((sum, each) => {
    if (sum === null || each === null) return sum ?? each;
    return { fresh: sum.fresh && each.fresh, kept: sum.kept + each.kept, dropped: sum.dropped + each.dropped };
  }, null);
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

function describeProcess(pid: number | undefined): EngineDescription["supervisor"] {
  return pid === undefined ? null : { pid, processStart: processStartOf(pid) ?? 0 };
}

/** Segments hold what a function's code left there: only the same version of it takes them over. */
function stateKeyOf({ flows, columns, functions, labels, zones, ports }: Plan): string {
  const packages = functions.map(({ name, package: from, segments }) => [name, from.name, from.version, segments]);
  return JSON.stringify([
    countLanes({ ports }),
    flows.capacity,
    columns,
    packages,
    labels,
    zones,
    ports.map((port) => port.zone),
  ]);
}
