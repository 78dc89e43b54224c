// The generation that has the traffic, or a canary's part of it: what its functions cost and do since then, and whether a
// condition is broken. Read from the shared counters; the packet path knows nothing of it.
import { countLanes } from "../chain/plan.ts";
import { readCounters } from "../dataplane/counter-layout.ts";
import type { Engine } from "../dataplane/engine/engine.ts";
import { hopCounters } from "../dataplane/layout.ts";
import { loadAddon } from "../dataplane/load-addon.ts";
import { addLanes, attachLanes } from "../telemetry/lane-pages.ts";
import { type Condition, findBroken, type Measurements } from "./conditions.ts";

const LOOK_EVERY_MS = 100;

interface Sums {
  /** Frames that entered the paths, of those that have any functions. */
  readonly frames: number;
  readonly dropped: number;
  readonly faults: number;
  readonly ticks: number;
}

export class SwitchWatch {
  readonly #sum: () => Sums;
  readonly #before: Sums;
  readonly #tickHz: number;
  readonly #timer: NodeJS.Timeout;

  /** `onBroken` is told once of the first condition that is broken by what `engine` runs now. */
  constructor(engine: Engine, conditions: readonly Condition[], onBroken: (why: string) => void) {
    this.#sum = summer(engine);
    this.#before = this.#sum();
    this.#tickHz = engine.description.tickHz;
    this.#timer = setInterval(() => {
      const why = findBroken(conditions, this.measurements);
      if (why === undefined) return;
      this.stop();
      onBroken(why);
    }, LOOK_EVERY_MS);
  }

  get measurements(): Measurements {
    const now = this.#sum();
    const frames = now.frames - this.#before.frames;
    const share = (count: number) => (frames === 0 ? null : count / frames);
    const ticks = share(now.ticks - this.#before.ticks);
    const values = {
      divergence: null,
      "drop-rate": share(now.dropped - this.#before.dropped),
      faults: now.faults - this.#before.faults,
      "ns-per-packet": ticks === null ? null : (ticks * 1e9) / this.#tickHz,
    };
    return { frames, values };
  }

  stop(): void {
    clearInterval(this.#timer);
  }
}

/** The hops of the flows that were switched over: of a canary those of its paths, otherwise all. */
function summer({ folder, running: { plan }, description: { layout } }: Engine): () => Sums {
  const lanes = attachLanes(loadAddon(), folder, "counters", countLanes(plan));
  const paths = plan.paths.map(({ side }, index) => ({ side, index })).filter(({ side }) => side !== "stays");
  const entries = paths.flatMap(({ index }) => {
    const first = plan.paths[index]?.first;
    return first?.kind === "hop" ? [first.hop] : [];
  });
  const hops = plan.hops.flatMap(({ path, function: owner }, hop) => {
    const bypasses = plan.functions[owner]?.onFault === "bypass";
    return paths.some(({ index }) => index === path) ? [{ hop, bypasses }] : [];
  });
  return () => {
    const counters = addLanes(lanes, layout.count);
    const read = (hop: number) => readCounters(counters, layout.hops[hop] as number, hopCounters);
    const all = hops.map(({ hop, bypasses }) => ({ ...read(hop), bypasses }));
    const total = (of: (each: (typeof all)[number]) => number) => all.reduce((sum, each) => sum + of(each), 0);
    return {
      frames: entries.reduce((sum, hop) => sum + read(hop).frames, 0),
      dropped: total((each) => each.drop + (each.bypasses ? 0 : each.fault_frames)),
      faults: total((each) => each.faults),
      ticks: total((each) => each.ticks),
    };
  };
}
