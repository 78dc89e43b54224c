// A shadow as the engine sees it: a thread that runs another generation on copies of the traffic and of the state. It can
// fail, hang or fall behind without anything of that reaching the lane.
import { Worker } from "node:worker_threads";
import { SluiceError } from "../errors.ts";
import { MIRROR_OF_CHANGE } from "./layout.ts";
import { loadAddon } from "./load-addon.ts";
import type { NativeLane } from "./native.ts";
import type { NativeMirror } from "./native-mirror.ts";
import type { Difference, ShadowCounts, ShadowMessage, ShadowSetup } from "./shadow-protocol.ts";
import { Watchdog } from "./watchdog.ts";
import { CONTROL_COMMAND, CONTROL_RUNNING, CONTROL_STOP, CONTROL_WORDS } from "./worker-protocol.ts";

export interface ShadowReport extends ShadowCounts {
  readonly state: "starting" | "following" | "ended";
  /** Why it ended by itself; null if it did not. */
  readonly why: string | null;
  /** Frames that were not handed to it: it was too slow. */
  readonly missed: number;
  readonly copiedBytes: number;
  /** How long the lane stood still while its state was copied. */
  readonly pauseUs: number;
  readonly differences: readonly Difference[];
}

export interface ShadowOptions extends Omit<ShadowSetup, "mirror" | "control" | "reachesHost" | "linkAddresses"> {
  /** The lane that is mirrored. */
  readonly lane: NativeLane;
  /** Processor time that a function may take for one batch. */
  readonly batchLimitMs: number;
  readonly ringBytes?: number;
}

/** Tens of milliseconds of small frames at a million a second. */
const RING_BYTES = 16 << 20;
/** A function whose nf_configure takes longer is refused. */
const START_WITHIN_MS = 30_000;
const STOP_WITHIN_MS = 500;
/** By then the lane has ended a turn, and let go of the mirror. */
const RELEASE_AFTER_MS = 300;

export class Shadow {
  /** With each report, some times a second, and at its end. */
  onReport: ((report: ShadowReport) => void) | undefined;
  /** NativeMirror.id. */
  readonly mirror: number;
  readonly #lane: NativeLane;
  /** Undefined once the thread has ended. */
  #mirror: NativeMirror | undefined;
  #missed = 0;
  /** The shadow's own lane, which has the other end of the mirror. */
  #own: NativeLane | undefined;
  readonly #control: Int32Array;
  readonly #worker: Worker;
  readonly #following = Promise.withResolvers<void>();
  readonly #exit: Promise<void>;
  readonly #plan: ShadowSetup["plan"];
  readonly #batchLimitMs: number;
  readonly #late: NodeJS.Timeout;
  #watchdog: Watchdog | undefined;
  #report: Omit<ShadowReport, "missed"> = nothing;
  #isEnding = false;

  /** Begins to start one; `started` says whether it came to that. Throws system-call if there is no memory for it. */
  constructor({ lane, batchLimitMs, ringBytes = RING_BYTES, ...rest }: ShadowOptions) {
    const { plan, slotBytes } = rest;
    this.#lane = lane;
    this.#plan = plan;
    this.#batchLimitMs = batchLimitMs;
    const flowCapacity = plan.flows.capacity;
    const mirror = loadAddon().createMirror({ ringBytes, slotBytes, flowCapacity, wholeFlows: true });
    this.#mirror = mirror;
    this.mirror = mirror.id;
    const control = new SharedArrayBuffer(CONTROL_WORDS * 4);
    this.#control = new Int32Array(control);
    const ports = { reachesHost: lane.reachesHost(), linkAddresses: lane.linkAddresses() };
    const setup: ShadowSetup = { ...rest, mirror: mirror.id, control, ...ports };
    this.#following.promise.catch(() => {});
    lane.setMirror(mirror.id, MIRROR_OF_CHANGE);
    this.#worker = new Worker(new URL("shadow-worker.ts", import.meta.url), { workerData: setup });
    this.#exit = new Promise<void>((resolve) => this.#worker.once("exit", () => resolve())).then(() => this.#release());
    this.#worker.on("message", (message: ShadowMessage) => this.#hear(message));
    this.#worker.on("error", (error) => this.#fail((error as Error).message));
    this.#worker.on("exit", () => this.#fail("its thread ended unasked"));
    this.#late = setTimeout(() => this.#fail(`it did not start within ${START_WITHIN_MS / 1000} s`), START_WITHIN_MS);
  }

  /** Resolves when it follows the traffic. Throws what its functions refuse, with everything undone. */
  async started(): Promise<void> {
    try {
      await this.#following.promise;
    } catch (error) {
      await this.end();
      throw error;
    }
  }

  get report(): ShadowReport {
    return { ...this.#report, missed: this.#mirror?.missed() ?? this.#missed };
  }

  /** What it has not worked off yet. */
  get backlogBytes(): number {
    return this.#mirror?.filled() ?? 0;
  }

  /** Tens of megabytes that the garbage collector knows nothing of. */
  #release(): void {
    this.#missed = this.#mirror?.missed() ?? 0;
    this.#own?.close();
    this.#mirror?.close();
    [this.#own, this.#mirror] = [undefined, undefined];
  }

  /** Lets go of the lane at once, and ends the thread wherever it is. */
  async end(): Promise<void> {
    if (!this.#isEnding) this.#letGo();
    this.#following.reject(new SluiceError(failureOf(this.#plan.chain, "it was ended")));
    Atomics.store(this.#control, CONTROL_COMMAND, CONTROL_STOP);
    Atomics.notify(this.#control, CONTROL_COMMAND);
    const late = setTimeout(() => void this.#worker.terminate(), STOP_WITHIN_MS);
    await this.#exit;
    clearTimeout(late);
    this.#report = { ...this.#report, state: "ended" };
  }

  #letGo(): void {
    this.#isEnding = true;
    clearTimeout(this.#late);
    this.#watchdog?.stop();
    this.#watchdog = undefined;
    this.#lane.setMirror(null, MIRROR_OF_CHANGE);
    setTimeout(() => this.#lane.freeMirror(MIRROR_OF_CHANGE), RELEASE_AFTER_MS).unref();
  }

  #hear(message: ShadowMessage): void {
    if (message.kind === "following") this.#follow(message);
    else if (message.kind === "differences") this.#report = { ...this.#report, differences: message.differences };
    else if (message.kind === "failed") this.#fail(new SluiceError(...(message.faults as [SluiceError["faults"][0]])));
    else {
      this.#report = { ...this.#report, ...message.counts };
      if (!this.#isEnding) this.onReport?.(this.report);
    }
  }

  #follow({ lane, copiedBytes, pauseUs }: Extract<ShadowMessage, { kind: "following" }>): void {
    if (this.#isEnding) return;
    clearTimeout(this.#late);
    this.#report = { ...this.#report, state: "following", copiedBytes, pauseUs };
    const own = loadAddon().attachLane(lane);
    this.#own = own;
    Atomics.store(this.#control, CONTROL_RUNNING, 1);
    this.#watchdog = new Watchdog(own, this.#control, this.#batchLimitMs, (offender) => {
      const { name, package: from } = this.#plan.functions[offender] as ShadowSetup["plan"]["functions"][number];
      this.#fail(`${name} (${from.name}@${from.version}) did not return`);
      void this.#worker.terminate();
    });
    this.#following.resolve();
  }

  #fail(cause: string | SluiceError): void {
    const error = cause instanceof SluiceError ? cause : undefined;
    const why = error?.faults.map(({ what }) => what).join("; ") ?? String(cause);
    this.#following.reject(error ?? new SluiceError(failureOf(this.#plan.chain, why)));
    if (this.#isEnding) return;
    this.#letGo();
    this.#report = { ...this.#report, state: "ended", why, faults: this.#report.faults + 1 };
    this.onReport?.(this.report);
  }
}

function failureOf(chain: string, why: string): SluiceError["faults"][0] {
  return { code: "upgrade-failed", where: chain, what: `there is no shadow: ${why}` };
}

const nothing: Omit<ShadowReport, "missed"> = {
  ...{ state: "starting", why: null, copiedBytes: 0, pauseUs: 0, differences: [] },
  ...{ frames: 0, compared: 0, differing: 0, skipped: 0, dropped: 0, faults: 0, nsPerPacket: null },
};
