// A lookout as the engine sees it: a thread that looks at copies of the traffic, and for some questions at a copy of the
// state and of the functions. It can fail, hang or fall behind without anything of that reaching the lane.
import { Worker } from "node:worker_threads";
import { SluiceError } from "../../errors.ts";
import { formatHeader, formatStatistics } from "../../telemetry/pcapng.ts";
import { loadAddon } from "../load-addon.ts";
import type { NativeLane } from "../native.ts";
import type { NativeMirror } from "../native-mirror.ts";
import { Watchdog } from "../watchdog.ts";
import { CONTROL_COMMAND, CONTROL_RUNNING, CONTROL_STOP, CONTROL_WORDS } from "../worker-protocol.ts";
import type { CaptureCounts, LookoutMessage, LookoutSetup } from "./lookout-protocol.ts";
import type { TracedPacket } from "./trace-events.ts";

export interface LookoutOptions
  extends Omit<LookoutSetup, "mirror" | "control" | "reachesHost" | "linkAddresses" | "outstanding"> {
  readonly lane: NativeLane;
  /** Of the lane's mirrors. */
  readonly place: number;
  readonly batchLimitMs: number;
  readonly ringBytes?: number;
}

export interface LookoutListener {
  /** A capture's bytes; `taken` is to be called when they are on their way. */
  readonly onBytes?: (bytes: Uint8Array, taken: () => void) => void;
  readonly onPacket?: (packet: TracedPacket) => void;
}

export interface Copied {
  readonly copiedBytes: number;
  readonly pauseUs: number;
}

export interface LookoutEnd {
  readonly why: string;
  /** Frames that it was too slow to look at. */
  readonly missed: number;
}

const RING_BYTES = 16 << 20;
const START_WITHIN_MS = 30_000;
const STOP_WITHIN_MS = 5000;
/** By then the lane has ended a turn, and let go of the mirror. */
const RELEASE_AFTER_MS = 300;

export class Lookout {
  /** When it looks at the traffic. Rejects with what keeps it from that. */
  readonly started: Promise<Copied>;
  /** The last thing that happens: the lane's place is free again. */
  readonly ended: Promise<LookoutEnd>;
  readonly #setup: LookoutOptions;
  readonly #listener: LookoutListener;
  readonly #mirror: NativeMirror;
  readonly #control: Int32Array;
  readonly #outstanding = new Int32Array(new SharedArrayBuffer(4));
  readonly #worker: Worker;
  readonly #started = Promise.withResolvers<Copied>();
  readonly #ended = Promise.withResolvers<LookoutEnd>();
  readonly #late: NodeJS.Timeout;
  #counts: CaptureCounts = { accepted: [], leftOut: [] };
  #watchdog: Watchdog | undefined;
  /** Its own lane, once it has one. */
  #own: NativeLane | undefined;
  #why: string | undefined;
  #hasHeader = false;
  #isReleased = false;

  /** Throws system-call if there is no memory for it. */
  constructor(options: LookoutOptions, listener: LookoutListener) {
    const { lane, place, batchLimitMs, ringBytes = RING_BYTES, ...rest } = options;
    this.#setup = options;
    this.#listener = listener;
    this.started = this.#started.promise;
    this.started.catch(() => {});
    this.ended = this.#ended.promise;
    const { plan, slotBytes } = rest;
    this.#mirror = loadAddon().createMirror({
      ...{ ringBytes, slotBytes, flowCapacity: plan.flows.capacity },
      wholeFlows: rest.observation.kind !== "tap",
    });
    const control = new SharedArrayBuffer(CONTROL_WORDS * 4);
    this.#control = new Int32Array(control);
    const shared = { mirror: this.#mirror.id, control, outstanding: this.#outstanding.buffer as SharedArrayBuffer };
    const ports = { reachesHost: lane.reachesHost(), linkAddresses: lane.linkAddresses() };
    const workerData: LookoutSetup = { ...rest, ...shared, ...ports };
    this.#worker = new Worker(new URL("lookout-worker.ts", import.meta.url), { workerData });
    this.#worker.on("message", (message: LookoutMessage) => {
      // Nothing of this may reach the lane, or its engine.
      try {
        this.#hear(message);
      } catch (error) {
        this.#fail(error as Error);
      }
    });
    this.#worker.on("error", (error) => this.#fail(error as Error));
    this.#worker.on("exit", () => this.#finish());
    this.#late = setTimeout(
      () => this.#fail(new Error(`it did not start within ${START_WITHIN_MS / 1000} s`)),
      START_WITHIN_MS,
    );
    lane.setMirror(this.#mirror.id, place);
  }

  /** Once: what was seen so far is still handed over. */
  stop(why: string): void {
    this.#why ??= why;
    // What is left is in the ring then.
    if (this.#setup.observation.kind === "tap") this.#letGo();
    Atomics.store(this.#control, CONTROL_COMMAND, CONTROL_STOP);
    Atomics.notify(this.#control, CONTROL_COMMAND);
    setTimeout(() => void this.#worker.terminate(), STOP_WITHIN_MS).unref();
  }

  /** The same, when the chain is about to be another one. */
  detach(why: string): void {
    this.#letGo();
    this.stop(why);
  }

  #hear(message: LookoutMessage): void {
    if (message.kind === "following") this.#follow(message);
    else if (message.kind === "traced") this.#listener.onPacket?.(message.packet);
    else if (message.kind === "captured") this.#hand(message.bytes, message.counts);
    else if (message.kind === "done")
      this.#why ??= message.why === "count" ? "all that was asked for" : "asked to stop";
    else this.#fail(new SluiceError(...(message.faults as [SluiceError["faults"][0]])));
  }

  #hand(bytes: Uint8Array, counts: CaptureCounts): void {
    this.#counts = counts;
    this.#write(bytes, () => Atomics.sub(this.#outstanding, 0, bytes.length));
  }

  #write(bytes: Uint8Array, taken: () => void): void {
    this.#listener.onBytes?.(bytes, taken);
  }

  #follow({ lane, copiedBytes, pauseUs }: Extract<LookoutMessage, { kind: "following" }>): void {
    clearTimeout(this.#late);
    const { observation, batchLimitMs, plan } = this.#setup;
    // It needs the state as it was at one moment, and nothing of what comes afterwards.
    if (observation.kind === "given") this.#letGo();
    if (lane !== null) {
      this.#own = loadAddon().attachLane(lane);
      this.#watchdog = new Watchdog(this.#own, this.#control, batchLimitMs, (offender) => {
        const { name, package: from } = plan.functions[offender] as LookoutSetup["plan"]["functions"][number];
        this.#fail(new Error(`${name} (${from.name}@${from.version}) did not return`));
      });
      Atomics.store(this.#control, CONTROL_RUNNING, 1);
      Atomics.notify(this.#control, CONTROL_RUNNING);
    }
    if ("capture" in observation) {
      this.#hasHeader = true;
      this.#write(formatHeader("sluice", observation.capture.interfaces), () => {});
    }
    this.#started.resolve({ copiedBytes, pauseUs });
  }

  /** Whoever waits for its start hears of it; afterwards it is the end. */
  #fail(error: Error): void {
    const { chain } = this.#setup.plan;
    const what = `nobody watches: ${error.message}`;
    this.#started.reject(
      error instanceof SluiceError ? error : new SluiceError({ code: "watch-failed", where: chain, what }),
    );
    this.#why ??= error.message;
    void this.#worker.terminate();
  }

  #finish(): void {
    clearTimeout(this.#late);
    this.#watchdog?.stop();
    const why = this.#why ?? "its thread ended unasked";
    const missed = this.#mirror.missed();
    const { observation } = this.#setup;
    if ("capture" in observation && this.#hasHeader)
      this.#write(this.#statistics(observation.capture.interfaces.length, why), () => {});
    this.#letGo();
    this.#release();
    this.#started.reject(new SluiceError({ code: "watch-failed", where: this.#setup.plan.chain, what: why }));
    this.#ended.resolve({ why, missed });
  }

  #statistics(interfaces: number, why: string): Uint8Array {
    const timeNs = BigInt(Date.now()) * 1_000_000n;
    const ports = this.#setup.plan.ports.length;
    return Buffer.concat(
      Array.from({ length: interfaces }, (_, index) => {
        // Behind the ports are functions, which any frame may be on its way to.
        const unseen = index < ports ? this.#mirror.missedOf(index) : this.#mirror.missed();
        const leftOut = this.#counts.leftOut[index] ?? 0;
        const accepted = this.#counts.accepted[index] ?? 0;
        return formatStatistics({
          interface: index,
          timeNs,
          accepted,
          dropped: leftOut + unseen,
          unseen,
          comment: why,
        });
      }),
    );
  }

  /** Tens of megabytes that the garbage collector knows nothing of. */
  #release(): void {
    this.#own?.close();
    this.#mirror.close();
  }

  #letGo(): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    const { lane, place } = this.#setup;
    lane.setMirror(null, place);
    setTimeout(() => lane.freeMirror(place), RELEASE_AFTER_MS).unref();
  }
}
