// Runs one chain on real devices: claims its state folder, starts the lane's first generation, builds others beside it
// and hands the lane over between two batches; ends a function that does not return; leaves nothing behind.
import { rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import type { Plan } from "../chain/plan.ts";
import { SluiceError } from "../errors.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import { listStateSegments } from "./flow-memory.ts";
import type { MigrationResult } from "./generation.ts";
import { GenerationWorker, type Taken } from "./generation-worker.ts";
import type { LogLevel } from "./instance.ts";
import type { FaultReport } from "./lane.ts";
import { loadAddon } from "./load-addon.ts";
import type { FlowRecovery, FrameAudit, NativeLane } from "./native.ts";
import { Shadow } from "./shadow.ts";
import { type EngineDescription, type PortDescription, processStartOf, StateFolder } from "./state-folder.ts";
import { Watchdog } from "./watchdog.ts";
import {
  CONTROL_CALLING,
  CONTROL_COMMAND,
  CONTROL_FORCED,
  CONTROL_OFFENDER,
  CONTROL_OWNER,
  CONTROL_RUNNING,
  CONTROL_STOP,
  CONTROL_WORDS,
  TIME_WORDS,
  type WorkerSetup,
} from "./worker-protocol.ts";

export interface EngineSetup {
  readonly plan: Plan;
  readonly packages: readonly FunctionPackage[];
  /** Frames in the lane's UMEM. */
  readonly slots?: number;
  readonly slotBytes?: number;
  /** Processor time that a function may take for one batch. */
  readonly batchLimitMs?: number;
  readonly onFault?: (fault: FaultReport) => void;
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
  /** From the moment when it was noticed until the lane ran again; 0 if it never stopped. */
  readonly outageMs: number;
}

const SLOTS = 16384;
const SLOT_BYTES = 2048;
const BATCH_LIMIT_MS = 50;
const STANDBY_AFTER_MS = 500;

/** Starts a chain. Throws chain-running, device-missing, not-permitted … with everything undone. */
export async function startEngine(setup: EngineSetup): Promise<Engine> {
  const folder = StateFolder.claim(setup.plan.chain, stateKeyOf(setup.plan));
  const shared = {
    folder: folder.path,
    // The first core is left to the kernel's interrupts and to everything else that the box does.
    cpu: availableParallelism() > 1 ? availableParallelism() - 1 : null,
    slots: setup.slots ?? SLOTS,
    slotBytes: setup.slotBytes ?? SLOT_BYTES,
    control: new SharedArrayBuffer(CONTROL_WORDS * 4),
    times: new SharedArrayBuffer(TIME_WORDS * 8),
  };
  const first = new GenerationWorker({ ...shared, ...chainOf(setup), generation: 1, quarantined: [] }, setup);
  try {
    const ready = await first.ready;
    return new Engine(setup, folder, shared, first, ready.ports, ready.recovery);
  } catch (error) {
    await first.terminate();
    folder.remove();
    throw error;
  }
}

export interface Loaded {
  readonly generation: number;
  /** What nf_migrate could not carry when it was tried. */
  readonly migrations: readonly MigrationResult[];
}

type Shared = Pick<WorkerSetup, "folder" | "cpu" | "slots" | "slotBytes" | "control" | "times">;

export class Engine {
  readonly folder: string;
  /** What was left of an earlier process; null if the chain keeps no flows. */
  readonly recovery: FlowRecovery | null;
  /** Ends when the engine does: with the frame count, or with an error (device-vanished, internal). */
  readonly ended: Promise<FrameAudit>;
  /** A function is not called any more, and why. */
  onQuarantine: ((quarantine: Quarantine) => void) | undefined;
  readonly #end = Promise.withResolvers<FrameAudit>();
  readonly #setup: EngineSetup;
  readonly #state: StateFolder;
  readonly #shared: Shared;
  readonly #control: Int32Array;
  readonly #lane: NativeLane;
  readonly #wakeDescriptor: number;
  readonly #ports: readonly PortDescription[];
  readonly #tickHz: number;
  readonly #started = new Date().toISOString();
  readonly #watchdog: Watchdog;
  #running: GenerationWorker;
  /** Those that are built and can take the lane: a copy of what runs, what is to come, what was before. */
  readonly #others = new Set<GenerationWorker>();
  #standby: GenerationWorker | undefined;
  #standbyTimer: NodeJS.Timeout | undefined;
  #shadow: { readonly of: GenerationWorker; readonly shadow: Shadow } | undefined;
  #lastGeneration = 1;
  #isStopping = false;

  constructor(
    setup: EngineSetup,
    state: StateFolder,
    shared: Shared,
    first: GenerationWorker,
    ports: readonly PortDescription[],
    recovery: FlowRecovery | null,
  ) {
    const native = loadAddon();
    this.#setup = setup;
    this.#state = state;
    this.folder = state.path;
    this.recovery = recovery;
    this.#shared = shared;
    this.#control = new Int32Array(shared.control);
    this.#running = first;
    this.#ports = ports;
    this.#lane = native.attachLane(first.description.lane);
    this.#wakeDescriptor = first.description.wakeDescriptor;
    this.#tickHz = native.measureTickHz();
    this.ended = this.#end.promise.finally(() => this.#release());
    this.ended.catch(() => {});
    this.#watch(first);
    this.#own(first);
    this.#describe();
    this.#watchdog = new Watchdog(this.#lane, this.#control, setup.batchLimitMs ?? BATCH_LIMIT_MS, (offender) => {
      this.#replace(offender).catch(this.#end.reject);
    });
    this.#planStandby([]);
  }

  get description(): EngineDescription {
    const { plan, generation } = this.#running.setup;
    const { functions, layout } = this.#running.description;
    return {
      chain: plan.chain,
      pid: process.pid,
      processStart: processStartOf(process.pid) ?? 0,
      started: this.#started,
      generation,
      ports: this.#ports,
      functions,
      hops: plan.hops.map((hop) => ({ function: hop.function, path: hop.path })),
      layout,
      stateKey: stateKeyOf(plan),
      flowCapacity: plan.flows.capacity,
      tickHz: this.#tickHz,
    };
  }

  /** The generation that has the lane. */
  get running(): { readonly generation: number; readonly plan: Plan; readonly packages: readonly FunctionPackage[] } {
    return this.#running.setup;
  }

  /**
   * Builds another generation beside the running one, which goes on undisturbed. Throws
   * change-refused, config-invalid, function-fault …, with everything undone.
   */
  async load(plan: Plan, packages: readonly FunctionPackage[]): Promise<Loaded> {
    requireChangeable(this.#running.setup.plan, plan);
    this.#forgetState(plan);
    const worker = await this.#build({ ...chainOf({ plan, packages }), quarantined: [] });
    return { generation: worker.setup.generation, migrations: worker.description.migrations };
  }

  /**
   * Another instance of a generation that stands by gets copies of the traffic and of the state, and transmits nothing,
   * until it is switched to or retired. Throws what keeps it from that, with everything undone.
   */
  async shadow(generation: number): Promise<Shadow> {
    const of = this.#find(generation);
    await this.#endShadow();
    const { functions, layout } = this.#running.description;
    const { cpu, folder, slotBytes } = this.#shared;
    const shadow = new Shadow({
      ...{ plan: of.setup.plan, packages: of.setup.packages, folder, slotBytes },
      live: { layout, functions, plan: this.#running.setup.plan },
      lane: this.#lane,
      cpu: cpu === null ? null : cpu - 1,
      batchLimitMs: this.#setup.batchLimitMs ?? BATCH_LIMIT_MS,
    });
    this.#shadow = { of, shadow };
    await shadow.started();
    return shadow;
  }

  /** Between two batches, the generation has the lane from now on; the one before stands by. */
  async switchTo(generation: number): Promise<Taken & { readonly before: number }> {
    const next = this.#find(generation);
    await this.#endShadow();
    const before = this.#running;
    const taken = next.taken();
    this.#others.delete(next);
    this.#others.add(before);
    this.#running = next;
    this.#own(next);
    const result = await taken;
    this.#describe();
    return { ...result, before: before.setup.generation };
  }

  /** Ends a generation that stands by, and forgets the state that only it had. */
  async retire(generation: number): Promise<void> {
    const worker = this.#find(generation);
    if (this.#shadow?.of === worker) await this.#endShadow();
    this.#others.delete(worker);
    await worker.terminate();
    if (this.#standby !== undefined && this.#standby.setup.plan !== this.#running.setup.plan) await this.#dropStandby();
    this.#forgetState(worker.setup.plan);
    this.#planStandby([]);
  }

  /** Stops the lane and releases its devices. */
  stop(): Promise<FrameAudit> {
    this.#isStopping = true;
    this.#watchdog.stop();
    Atomics.store(this.#control, CONTROL_COMMAND, CONTROL_STOP);
    loadAddon().wake(this.#wakeDescriptor);
    return this.ended;
  }

  async #endShadow(): Promise<void> {
    const ending = this.#shadow?.shadow;
    this.#shadow = undefined;
    await ending?.end();
  }

  #find(generation: number): GenerationWorker {
    const found = [...this.#others].find((worker) => worker.setup.generation === generation);
    if (found !== undefined) return found;
    const what = `there is no generation ${generation} that stands by`;
    throw new SluiceError({ code: "upgrade-state", where: this.#state.path, what });
  }

  async #build(chain: Pick<WorkerSetup, "plan" | "packages" | "quarantined">): Promise<GenerationWorker> {
    const { plan, packages } = this.#running.setup;
    const { functions, layout, lane } = this.#running.description;
    const before = { layout, plan, functions };
    const setup = { ...this.#shared, ...chain, generation: ++this.#lastGeneration, attach: { lane, before } };
    const worker = new GenerationWorker({ ...setup, packages: chain.packages ?? packages }, this.#setup);
    try {
      await worker.ready;
    } catch (error) {
      await worker.terminate();
      throw error;
    }
    this.#watch(worker);
    this.#others.add(worker);
    return worker;
  }

  /** One change may follow another at once: the copy is made when it is quiet. */
  #planStandby(quarantined: readonly number[]): void {
    clearTimeout(this.#standbyTimer);
    this.#standbyTimer = setTimeout(() => {
      if (this.#standby === undefined) void this.#makeStandby(quarantined);
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
    const standby = this.#standby as GenerationWorker;
    this.#standby = undefined;
    this.#others.delete(standby);
    await standby.terminate();
  }

  #own({ setup: { generation } }: GenerationWorker): void {
    Atomics.store(this.#control, CONTROL_OWNER, generation);
    Atomics.notify(this.#control, CONTROL_OWNER);
    loadAddon().wake(this.#wakeDescriptor);
  }

  #watch(worker: GenerationWorker): void {
    worker.onQuarantine = (index) => {
      const { plan, generation } = worker.setup;
      const offender = plan.functions[index] as Plan["functions"][number];
      const where = { generation, successor: generation, outageMs: 0 };
      this.onQuarantine?.({ function: offender.name, package: nameOf(offender), why: "traps", ...where });
    };
    worker.ended.then(this.#end.resolve, (error) => {
      if (worker !== this.#running || this.#watchdog.isHandling) return;
      // What the lane itself says of its end is final; a thread that died can be replaced.
      const isDead = !(error instanceof SluiceError) || error.code === "internal";
      if (!isDead || this.#isStopping || this.#successorOf(worker) === undefined) this.#end.reject(error);
      else {
        this.#setup.onLog?.("error", "engine", `generation ${worker.setup.generation} died: ${error.message}`);
        this.#replace(null).catch(this.#end.reject);
      }
    });
  }

  /**
   * The thread that has the lane is ended, within the function `offender` or dead already, and another generation takes
   * the lane over.
   */
  async #replace(offender: number | null): Promise<void> {
    const started = performance.now();
    const hung = this.#running;
    await hung.terminate();
    const quarantined = offender === null ? hung.setup.quarantined : [...hung.setup.quarantined, offender];
    const successor = this.#successorOf(hung) ?? (await this.#build({ ...hung.setup, quarantined }));
    const taken = successor.taken();
    const isCopy = successor.setup.plan === hung.setup.plan;
    this.#others.delete(successor);
    if (successor === this.#standby) this.#standby = undefined;
    this.#running = successor;
    Atomics.store(this.#control, CONTROL_CALLING, 0);
    Atomics.store(this.#control, CONTROL_OFFENDER, isCopy && offender !== null ? offender + 1 : 0);
    Atomics.store(this.#control, CONTROL_FORCED, successor.setup.generation);
    this.#own(successor);
    Atomics.store(this.#control, CONTROL_RUNNING, 0);
    Atomics.notify(this.#control, CONTROL_RUNNING);
    await taken;
    const outageMs = performance.now() - started;
    this.#watchdog.resume();
    this.#describe();
    const planned = offender === null ? undefined : hung.setup.plan.functions[offender];
    this.onQuarantine?.({
      function: planned?.name ?? null,
      package: planned === undefined ? null : nameOf(planned),
      why: planned === undefined ? "death" : "time",
      outageMs,
      generation: hung.setup.generation,
      successor: successor.setup.generation,
    });
    this.#planStandby(isCopy ? quarantined : []);
  }

  /** A generation that is not committed gives way to the one before; otherwise the copy takes over. */
  #successorOf(hung: GenerationWorker): GenerationWorker | undefined {
    const older = [...this.#others].filter((other) => {
      return other !== this.#standby && other.setup.generation < hung.setup.generation;
    });
    return older.toSorted((a, b) => b.setup.generation - a.setup.generation)[0] ?? this.#standby;
  }

  #describe(): void {
    this.#state.describe(this.description);
  }

  /** Removes the files of state that no generation but this plan's would have. */
  #forgetState(plan: Plan): void {
    const held = new Set([this.#running, ...this.#others].flatMap(({ setup }) => listStateSegments(setup.plan)));
    for (const name of listStateSegments(plan)) {
      if (!held.has(name)) rmSync(this.#state.pathOf(name), { force: true });
    }
  }

  async #release(): Promise<void> {
    this.#isStopping = true;
    this.#watchdog.stop();
    clearTimeout(this.#standbyTimer);
    await this.#endShadow();
    await Promise.all([this.#running, ...this.#others].map((worker) => worker.terminate()));
    this.#state.remove();
  }
}

function chainOf({ plan, packages }: EngineSetup): Pick<WorkerSetup, "plan" | "packages"> {
  return { plan, packages: packages.map(({ manifest, wasm, origin }) => ({ manifest, wasm, origin })) };
}

function nameOf({ package: { name, version } }: Plan["functions"][number]): string {
  return `${name}@${version}`;
}

/** What belongs to the lane for as long as it lives cannot be changed by a generation. */
function requireChangeable(before: Plan, after: Plan): void {
  const refuse = (where: string, what: string) => {
    const help = "stop the chain and start it again";
    throw new SluiceError({ code: "change-refused", where, what, help });
  };
  const portsOf = (plan: Plan) => JSON.stringify(plan.ports.map(({ zone: _, ...port }) => port));
  if (portsOf(before) !== portsOf(after)) refuse("ports", "a running chain keeps its ports");
  const fixed = ({ flows: { capacity, streams, fragments, overlap } }: Plan) =>
    JSON.stringify({ capacity, streams, fragments, overlap });
  if (fixed(before) !== fixed(after)) {
    refuse("flows", "a running chain keeps capacity, streams, fragments and overlap of its flow table");
  }
}

/** Segments hold what a function's code left there: only the same version of it takes them over. */
function stateKeyOf({ flows, columns, functions, zones, ports }: Plan): string {
  const packages = functions.map(({ name, package: from, segments }) => [name, from.name, from.version, segments]);
  return JSON.stringify([flows.capacity, columns, packages, zones, ports.map((port) => port.zone)]);
}
