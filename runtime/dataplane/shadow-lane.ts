// A generation on a lane of its own, which receives copies of what another lane receives and transmits nothing: what
// becomes of each frame here and there is compared.
import { SluiceError } from "../errors.ts";
import { turn } from "./breathe.ts";
import type { FaultReport } from "./faults/lane-faults.ts";
import { Generation } from "./generation.ts";
import { Lane } from "./lane.ts";
import { openLaneMemory } from "./lane-memory.ts";
import { hopCounters, rewriteParts } from "./layout.ts";
import { FRAMES_ADDRESS } from "./memory-map.ts";
import type { NativeAddon } from "./native.ts";
import type { MirrorSource, NativeDifferenceGroup } from "./native-mirror.ts";
import type { SegmentStore } from "./segment-store.ts";
import { describeEnding, type SharedNames, shareNames } from "./shadow-names.ts";
import type { Difference, ShadowCounts, ShadowSetup } from "./shadow-protocol.ts";
import { ShadowStore } from "./shadow-store.ts";
import { TrapCount } from "./trap-count.ts";

/** Besides the fragments that wait: a batch, and what functions emit. */
const SLOTS = 2048;
const BATCH_LIMIT = 256;
/** A lane that sleeps wakes by itself; one whose function hangs comes back when that is ended. */
const COPY_WITHIN_MS = 5000;
const TICKS = hopCounters.indexOf("ticks");

export class ShadowLane {
  readonly lane: Lane;
  readonly copied: { readonly bytes: number; readonly pauseUs: number };
  readonly source: MirrorSource;
  /** Its own memory, which began as a copy of the state. */
  readonly store: SegmentStore;
  readonly #names: SharedNames;
  readonly #nsPerTick: number;
  readonly #traps = new TrapCount();
  #trapped = 0;

  /** Configures the functions, has the state copied, and follows from there. Throws what the functions refuse. */
  constructor(native: NativeAddon, setup: ShadowSetup, calling: Int32Array) {
    const { plan, packages, live, slotBytes } = setup;
    const store = new ShadowStore(native);
    const slots = SLOTS + plan.flows.fragments.held;
    const memory = openLaneMemory(native, { slots, slotBytes }, store);
    const common = { native, plan, packages };
    const place = { lane: setup.laneIndex ?? 0, laneCount: setup.lanes ?? 1, seed: 0n, keepReports: false };
    this.store = store;
    const generation = new Generation({
      ...{ ...common, ...place, memory, store, before: live },
      quarantined: setup.quarantined,
    });
    generation.warmUp();
    this.copied = copyState(native, setup, store);
    generation.migrate();
    const lane = native.createLane({
      ...generation.describeProgram(),
      ...{ umem: memory.umem, counters: memory.counters, slotBytes, framesAddress: FRAMES_ADDRESS },
      laneCounters: generation.counterLayout.lane,
      ...{ laneUse: generation.counterLayout.laneUse, reports: null },
      ...{ keepOutcomes: true, keepBadResults: false, virtualClock: true, batchLimit: BATCH_LIMIT },
    });
    this.#names = shareNames(
      { plan: live.plan, reasons: live.functions.map(({ reasons }) => reasons) },
      { plan, reasons: generation.functions.map(({ state }) => state.reasons) },
    );
    // Payload that waits for what came too early is the lane's own memory, and not copied.
    const newFlowsOnly = [live.plan, plan].some(({ functions }) => functions.some(({ stream }) => stream));
    this.source = lane.follow(setup.mirror, {
      ...{ ...this.#names, reachesHost: setup.reachesHost, linkAddresses: setup.linkAddresses, newFlowsOnly },
    });
    this.#nsPerTick = 1e9 / native.measureTickHz();
    const onFault = (fault: FaultReport) => this.#noteTrap(fault);
    const rest = { slots, slotBytes, batchLimit: BATCH_LIMIT, keepOutcomes: true, virtualClock: true };
    this.lane = new Lane(
      { ...common, ...rest, calling, onFault },
      { memory, native: lane, ports: [], store, generation },
    );
  }

  /** One batch of the other lane; false if there is none. */
  follow(): boolean {
    if (!this.source.fetch()) return false;
    turn(this.lane);
    this.source.compare();
    return true;
  }

  #noteTrap(fault: FaultReport): void {
    this.#trapped += 1;
    const index = this.lane.plan.functions.findIndex(({ name }) => name === fault.function);
    if (this.#traps.isTooMany(index, performance.now())) this.lane.quarantine(index);
  }

  get counts(): ShadowCounts {
    const { frames, compared, differing, skipped, dropped, badResults } = this.source.counters();
    const { hops } = this.lane.counterLayout;
    const ticks = hops.reduce((sum, first) => sum + Number(this.lane.counters[first + TICKS]), 0);
    return {
      ...{ frames, compared, differing, skipped, dropped, faults: this.#trapped + badResults },
      nsPerPacket: frames === 0 ? null : (ticks * this.#nsPerTick) / frames,
    };
  }

  get differences(): Difference[] {
    return this.source.groups().map((group) => this.#describe(group));
  }

  #describe({ live, next, rewrite, count, flows, examples }: NativeDifferenceGroup): Difference {
    const ports = this.lane.plan.ports.map(({ name }) => name);
    return {
      live: describeEnding(live, this.#names, ports),
      next: describeEnding(next, this.#names, ports),
      rewrite: rewrite === 0 ? null : (rewriteParts[rewrite] ?? null),
      frames: count,
      flows,
      examples: examples.map(({ number, received, ...left }) => {
        return { number, received: received ?? new Uint8Array(), live: left.live, next: left.next };
      }),
    };
  }
}

/** What was copied, and how long the lane stood still for the rest of it. */
function copyState(native: NativeAddon, setup: ShadowSetup, store: ShadowStore): ShadowLane["copied"] {
  const mirror = native.attachMirror(setup.mirror);
  mirror.addParts(store.partsFrom(setup.folder, setup.laneIndex ?? 0));
  mirror.wantNotes();
  awaitLane(setup, () => mirror.noting());
  mirror.prepareCopy();
  mirror.wantCopy();
  awaitLane(setup, () => mirror.copied() !== null);
  return mirror.copied() as ShadowLane["copied"];
}

/** Sleeps until the lane has done something between two of its turns. */
function awaitLane({ plan }: ShadowSetup, isDone: () => boolean): void {
  const sleeping = new Int32Array(new SharedArrayBuffer(4));
  const until = performance.now() + COPY_WITHIN_MS;
  while (!isDone()) {
    if (performance.now() > until) {
      const what = `the lane did not come to the end of a turn within ${COPY_WITHIN_MS / 1000} s`;
      throw new SluiceError({ code: "upgrade-failed", where: plan.chain, what });
    }
    Atomics.wait(sleeping, 0, 0, 1);
  }
}
