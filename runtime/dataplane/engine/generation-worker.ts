// The thread of one generation as the engine sees it: its messages as promises.
import { Worker } from "node:worker_threads";
import { SluiceError } from "../../errors.ts";
import type { FaultEvidence } from "../faults/evidence.ts";
import type { FaultReport } from "../faults/lane-faults.ts";
import type { LogLevel } from "../instance.ts";
import { loadAddon } from "../load-addon.ts";
import type { FrameAudit } from "../native.ts";
import type { WorkerMessage, WorkerSetup } from "../worker-protocol.ts";

export type Ready = Extract<WorkerMessage, { kind: "ready" }>;

export interface Taken {
  /** From the end of the last batch of the generation before until this one began its first. */
  readonly pauseNs: number;
}

/** The generation in which a fault happened. */
export type FaultyChain = Pick<WorkerSetup, "generation" | "plan" | "packages">;

export interface Listeners {
  readonly onFault?: (fault: FaultReport) => void;
  readonly onEvidence?: (evidence: FaultEvidence, chain: FaultyChain) => void;
  readonly onLog?: (level: LogLevel, functionName: string, message: string) => void;
}

/** A function whose nf_configure takes longer is refused. */
const READY_WITHIN_MS = 30_000;

export class GenerationWorker {
  readonly setup: WorkerSetup;
  readonly ready: Promise<Ready>;
  /** Ends with the lane, or with an error. */
  readonly ended: Promise<FrameAudit>;
  /** The function's index: it trapped too often. */
  onQuarantine: ((index: number) => void) | undefined;
  /** Indices of functions that it does not call. */
  readonly quarantined: Set<number>;
  readonly #worker: Worker;
  readonly #ready = Promise.withResolvers<Ready>();
  readonly #ended = Promise.withResolvers<FrameAudit>();
  #taken = Promise.withResolvers<Taken>();
  #description: Ready | undefined;
  #isTerminated = false;
  #isEnded = false;

  constructor(setup: WorkerSetup, listeners: Listeners) {
    this.setup = setup;
    this.quarantined = new Set(setup.quarantined);
    this.ready = this.#ready.promise;
    this.ended = this.#ended.promise;
    this.ready.catch(() => {});
    this.ended.catch(() => {});
    const timer = setTimeout(() => this.#fail(new SluiceError(tooSlow(setup))), READY_WITHIN_MS);
    this.ready.finally(() => clearTimeout(timer)).catch(() => {});
    this.#worker = new Worker(new URL("../worker.ts", import.meta.url), { workerData: setup });
    this.#listen(listeners);
  }

  /** What it said of itself when it was ready. */
  get description(): Ready {
    return this.#description as Ready;
  }

  /** When it has the lane the next time, and a turn behind it. */
  taken(): Promise<Taken> {
    this.#taken = Promise.withResolvers<Taken>();
    return this.#taken.promise;
  }

  /** Ends the thread wherever it is. */
  async terminate(): Promise<void> {
    this.#isTerminated = true;
    this.#taken.promise.catch(() => {});
    const what = `generation ${this.setup.generation} was ended`;
    const error = new SluiceError({ code: "upgrade-failed", where: this.setup.plan.chain, what });
    this.#taken.reject(error);
    this.#ready.reject(error);
    // What its end costs is not to be paid by the lane.
    const thread = this.#description?.thread ?? null;
    if (thread !== null && !this.#isEnded) loadAddon().leaveLaneCpu(thread);
    await this.#worker.terminate();
  }

  #listen({ onFault, onEvidence, onLog }: Listeners): void {
    let audit: FrameAudit | undefined;
    this.#worker.on("message", (message: WorkerMessage) => {
      if (message.kind === "ready") {
        this.#description = message;
        this.#ready.resolve(message);
      } else if (message.kind === "taken") this.#taken.resolve({ pauseNs: message.pauseNs });
      else if (message.kind === "quarantined") {
        this.quarantined.add(message.function);
        this.onQuarantine?.(message.function);
      } else if (message.kind === "fault") onFault?.(message.fault);
      else if (message.kind === "evidence") onEvidence?.(message.evidence, this.setup);
      else if (message.kind === "log") onLog?.(message.level, message.function, message.message);
      else if (message.kind === "stopped") audit = message.audit;
      else this.#fail(new SluiceError(...(message.faults as [SluiceError["faults"][0]])));
    });
    this.#worker.on("error", (error) => this.#fail(error as Error));
    this.#worker.on("exit", () => {
      this.#isEnded = true;
      if (audit !== undefined) this.#ended.resolve(audit);
      if (this.#isTerminated) return;
      this.#fail(new SluiceError({ code: "internal", where: "worker", what: "the lane's thread ended unasked" }));
    });
  }

  #fail(error: Error): void {
    this.#ready.reject(error);
    this.#ended.reject(error);
    this.#taken.promise.catch(() => {});
    this.#taken.reject(error);
  }
}

function tooSlow({ plan }: WorkerSetup): SluiceError["faults"][0] {
  const what = `its functions were not configured within ${READY_WITHIN_MS / 1000} s`;
  return { code: "function-fault", where: plan.chain, what };
}
