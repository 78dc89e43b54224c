// Runs one chain on real devices: claims its state folder, starts the lane's worker, stops it, leaves nothing behind.
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import type { Plan } from "../chain/plan.ts";
import { SluiceError } from "../errors.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import type { LogLevel } from "./instance.ts";
import type { FaultReport } from "./lane.ts";
import { loadAddon } from "./load-addon.ts";
import type { FlowRecovery, FrameAudit } from "./native.ts";
import { type EngineDescription, processStartOf, StateFolder } from "./state-folder.ts";
import { CONTROL_RUN, CONTROL_STOP, type WorkerMessage, type WorkerSetup } from "./worker-protocol.ts";

export interface EngineSetup {
  readonly plan: Plan;
  readonly packages: readonly FunctionPackage[];
  /** Frames in the lane's UMEM. */
  readonly slots?: number;
  readonly slotBytes?: number;
  readonly onFault?: (fault: FaultReport) => void;
  readonly onLog?: (level: LogLevel, functionName: string, message: string) => void;
}

export interface Engine {
  readonly description: EngineDescription;
  /** What was left of an earlier process; null if the chain keeps no flows. */
  readonly recovery: FlowRecovery | null;
  readonly folder: string;
  /** Ends when the engine does: with the frame count, or with an error (device-vanished, internal). */
  readonly ended: Promise<FrameAudit>;
  /** Stops the lane and releases its devices. */
  stop(): Promise<FrameAudit>;
}

const SLOTS = 16384;
const SLOT_BYTES = 2048;

/** Starts a chain. Throws chain-running, device-missing, not-permitted … with everything undone. */
export async function startEngine(setup: EngineSetup): Promise<Engine> {
  const native = loadAddon();
  const folder = StateFolder.claim(setup.plan.chain, stateKeyOf(setup.plan));
  const control = new Int32Array(new SharedArrayBuffer(4));
  Atomics.store(control, 0, CONTROL_RUN);
  const worker = new Worker(new URL("worker.ts", import.meta.url), {
    workerData: workerSetup(setup, folder, control.buffer as SharedArrayBuffer),
  });
  const inbox = new Inbox(worker, setup);
  try {
    const ready = await inbox.ready;
    const description = describe(setup.plan, ready, native.measureTickHz());
    folder.describe(description);
    const ended = inbox.ended.finally(() => folder.remove());
    ended.catch(() => {});
    return {
      description,
      recovery: ready.recovery,
      folder: folder.path,
      ended,
      stop: () => {
        Atomics.store(control, 0, CONTROL_STOP);
        native.wake(ready.wakeDescriptor);
        return ended;
      },
    };
  } catch (error) {
    await worker.terminate();
    folder.remove();
    throw error;
  }
}

function workerSetup(setup: EngineSetup, folder: StateFolder, control: SharedArrayBuffer): WorkerSetup {
  const cpus = availableParallelism();
  return {
    plan: setup.plan,
    packages: setup.packages.map(({ manifest, wasm, origin }) => ({ manifest, wasm, origin })),
    folder: folder.path,
    // The first core is left to the kernel's interrupts and to everything else that the box does.
    cpu: cpus > 1 ? cpus - 1 : null,
    slots: setup.slots ?? SLOTS,
    slotBytes: setup.slotBytes ?? SLOT_BYTES,
    control,
  };
}

/** Segments hold what a function's code left there: only the same version of it takes them over. */
function stateKeyOf({ flows, columns, functions, zones, ports }: Plan): string {
  const packages = functions.map(({ name, package: from, segments }) => [name, from.name, from.version, segments]);
  return JSON.stringify([flows.capacity, columns, packages, zones, ports.map((port) => port.zone)]);
}

type Ready = Extract<WorkerMessage, { kind: "ready" }>;

function describe(plan: Plan, ready: Ready, tickHz: number): EngineDescription {
  return {
    chain: plan.chain,
    pid: process.pid,
    processStart: processStartOf(process.pid) ?? 0,
    started: new Date().toISOString(),
    ports: ready.ports,
    functions: ready.functions,
    hops: plan.hops.map((hop) => ({ function: hop.function, path: hop.path })),
    layout: ready.layout,
    stateKey: stateKeyOf(plan),
    flowCapacity: plan.flows.capacity,
    tickHz,
  };
}

/** The worker's messages as promises. */
class Inbox {
  readonly ready: Promise<Ready>;
  readonly ended: Promise<FrameAudit>;

  constructor(worker: Worker, setup: EngineSetup) {
    const ready = Promise.withResolvers<Ready>();
    const ended = Promise.withResolvers<FrameAudit>();
    this.ready = ready.promise;
    this.ended = ended.promise;
    this.ended.catch(() => {});
    this.ready.catch(() => {});
    let audit: FrameAudit | undefined;
    const fail = (error: Error) => {
      ready.reject(error);
      ended.reject(error);
    };
    worker.on("message", (message: WorkerMessage) => {
      if (message.kind === "ready") ready.resolve(message);
      else if (message.kind === "fault") setup.onFault?.(message.fault);
      else if (message.kind === "log") setup.onLog?.(message.level, message.function, message.message);
      else if (message.kind === "stopped") audit = message.audit;
      else fail(new SluiceError(...(message.faults as [SluiceError["faults"][0]])));
    });
    worker.on("error", fail);
    worker.on("exit", () => {
      if (audit !== undefined) ended.resolve(audit);
      fail(new SluiceError({ code: "internal", where: "worker", what: "the lane's thread ended unasked" }));
    });
  }
}
