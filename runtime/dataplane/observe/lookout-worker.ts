// The thread of a lookout: looks at copies of the traffic until it has what was asked for, or is told to stop.
import { constants, setPriority } from "node:os";
import { setFlagsFromString } from "node:v8";
import { parentPort, workerData } from "node:worker_threads";
import { SluiceError } from "../../errors.ts";
import { turn } from "../breathe.ts";
import { loadAddon } from "../load-addon.ts";
import type { NativeAddon } from "../native.ts";
import { ShadowLane } from "../shadow-lane.ts";
import { CONTROL_CALLING, CONTROL_COMMAND, CONTROL_RUN, CONTROL_RUNNING } from "../worker-protocol.ts";
import { CaptureWriter } from "./capture-writer.ts";
import { FlowSight } from "./flow-sight.ts";
import { HookListener } from "./hook-listener.ts";
import type { GivenFrame, LookoutMessage, LookoutSetup, Observation } from "./lookout-protocol.ts";
import { PacketRecorder } from "./packet-recorder.ts";
import { readTapEntries } from "./tap-entries.ts";
import { watchTurn } from "./watched-turn.ts";

const REST_MS = 1;
const TAP_BYTES = 1 << 20;

type Of<Kind extends Observation["kind"]> = Extract<Observation, { kind: Kind }>;

function post(message: LookoutMessage): void {
  parentPort?.postMessage(message);
}

class LookoutThread {
  readonly #native: NativeAddon;
  readonly #setup: LookoutSetup;
  readonly #control: Int32Array;

  constructor(native: NativeAddon, setup: LookoutSetup) {
    this.#native = native;
    this.#setup = setup;
    this.#control = new Int32Array(setup.control);
  }

  run(): void {
    const { observation } = this.#setup;
    if (observation.kind === "tap") this.#tap(observation);
    else if (observation.kind === "trace") this.#trace(this.#follow(), observation);
    else if (observation.kind === "given") this.#give(this.#follow(), observation.frames);
    else this.#hook(this.#follow(), observation);
  }

  get #isWanted(): boolean {
    return Atomics.load(this.#control, CONTROL_COMMAND) === CONTROL_RUN;
  }

  #rest(): void {
    Atomics.wait(this.#control, CONTROL_COMMAND, CONTROL_RUN, REST_MS);
  }

  #follow(): ShadowLane {
    const calling = this.#control.subarray(CONTROL_CALLING, CONTROL_CALLING + 2);
    const shadow = new ShadowLane(this.#native, this.#setup, calling);
    const { bytes: copiedBytes, pauseUs } = shadow.copied;
    post({ kind: "following", lane: shadow.lane.native.id, copiedBytes, pauseUs });
    // Until somebody looks after it.
    while (this.#isWanted && Atomics.load(this.#control, CONTROL_RUNNING) === 0) {
      Atomics.wait(this.#control, CONTROL_RUNNING, 0, REST_MS);
    }
    return shadow;
  }

  #capture(observation: Of<"tap"> | Of<"hooks">): CaptureWriter {
    const outstanding = new Int32Array(this.#setup.outstanding);
    return new CaptureWriter(observation.capture, outstanding, (bytes, counts) =>
      post({ kind: "captured", bytes, counts }),
    );
  }

  #end(why: string | null): void {
    post({ kind: "done", why });
  }

  #tap(observation: Of<"tap">): void {
    const { live, mirror } = this.#setup;
    const chain = { plan: live.plan, reasons: live.functions.map(({ reasons }) => reasons) };
    const tap = this.#native.openTap(mirror, observation.filter, observation.capture.snapLength);
    this.#native.attachMirror(mirror).open();
    post({ kind: "following", lane: null, copiedBytes: 0, pauseUs: 0 });
    const capture = this.#capture(observation);
    const entries = new Uint8Array(TAP_BYTES);
    // What came before the end was told is in the ring, and nothing comes after it.
    for (let bytes = 1; (bytes > 0 || this.#isWanted) && !capture.isFull; ) {
      bytes = tap.read(entries);
      for (const packet of readTapEntries(entries.subarray(0, bytes), chain)) capture.add(packet);
      capture.flush();
      if (bytes === 0) this.#rest();
    }
    this.#end(capture.isFull ? "count" : null);
  }

  #hook(shadow: ShadowLane, observation: Of<"hooks">): void {
    const capture = this.#capture(observation);
    const listener = new HookListener(shadow.lane, observation.hooks, capture);
    shadow.source.watch(observation.filter);
    while (this.#isWanted && !capture.isFull) {
      if (!shadow.source.fetch()) {
        capture.flush();
        this.#rest();
        continue;
      }
      const watched = shadow.source.watched();
      if (watched.length === 0) turn(shadow.lane);
      else watchTurn(shadow.lane, watched, shadow.source.recordOf, listener);
      shadow.source.compare();
    }
    capture.flush();
    this.#end(capture.isFull ? "count" : null);
  }

  #trace(shadow: ShadowLane, { filter, count }: Of<"trace">): void {
    const flows = new FlowSight(this.#native, shadow.lane.plan, shadow.store);
    shadow.source.watch(filter);
    let told = 0;
    while (this.#isWanted && told < count) {
      if (!shadow.source.fetch()) {
        this.#rest();
        continue;
      }
      const watched = shadow.source.watched().slice(0, count - told);
      told += this.#tell(shadow, flows, watched, told);
    }
    this.#end(told >= count ? "count" : null);
  }

  /** Each as if it came at that moment; how many are told of. */
  #tell(
    shadow: ShadowLane,
    flows: FlowSight,
    watched: ReturnType<ShadowLane["source"]["watched"]>,
    told: number,
  ): number {
    if (watched.length === 0) turn(shadow.lane);
    else {
      const recorder = new PacketRecorder(shadow.lane, flows, watched);
      watchTurn(shadow.lane, watched, shadow.source.recordOf, recorder);
      for (const packet of recorder.finish(told + 1)) post({ kind: "traced", packet });
    }
    shadow.source.compare();
    return watched.length;
  }

  #give(shadow: ShadowLane, frames: readonly GivenFrame[]): void {
    const { plan } = shadow.lane;
    const flows = new FlowSight(this.#native, plan, shadow.store);
    shadow.source.watch({ matches: [], flow: 0, comes: [...plan.ports.keys()], leaves: [], causes: null });
    for (const [index, { port, bytes, link, wireLength }] of frames.entries()) {
      if (!this.#isWanted) break;
      const timeNs = BigInt(Date.now()) * 1_000_000n;
      if (!shadow.source.hold(port, bytes, link, wireLength, timeNs)) {
        const what = `frame ${index + 1} has ${bytes.length} bytes, and does not fit a slot`;
        throw new SluiceError({ code: "usage", where: "frames", what });
      }
      this.#tell(shadow, flows, shadow.source.watched(), index);
    }
    this.#end("count");
  }
}

try {
  const setup = workerData as LookoutSetup;
  setFlagsFromString("--no-wasm-lazy-compilation");
  const native = loadAddon();
  if (setup.cpu !== null) native.claimLaneCpu(setup.cpu);
  // Of this thread alone: it takes what the traffic leaves.
  setPriority(0, constants.priority.PRIORITY_LOW);
  new LookoutThread(native, setup).run();
} catch (error) {
  const what = (error as Error).stack ?? String(error);
  const faults = error instanceof SluiceError ? error.faults : [{ code: "internal" as const, where: "lookout", what }];
  post({ kind: "failed", faults });
}
