// Who gets copies of the traffic and transmits nothing: the shadow of a generation that is to come, and those who look on.
import { countLanes, type Plan } from "../../chain/plan.ts";
import { SluiceError } from "../../errors.ts";
import type { Lookout, LookoutListener } from "../observe/lookout.ts";
import { LookoutGroup } from "../observe/lookout-group.ts";
import type { Observation } from "../observe/lookout-protocol.ts";
import { Shadow } from "../shadow.ts";
import { ShadowGroup } from "../shadow-group.ts";
import type { EngineLane } from "./engine-lane.ts";
import type { GenerationThreads } from "./generation-threads.ts";
import type { Generations } from "./generations.ts";
import type { Lanes } from "./lanes.ts";
import type { Shared } from "./setup.ts";

export interface TrafficCopiesParts {
  readonly generations: Generations;
  readonly lanes: Lanes;
  readonly shared: Shared;
  readonly batchLimitMs: number;
}

export class TrafficCopies {
  readonly #parts: TrafficCopiesParts;
  #shadow: { readonly of: GenerationThreads; readonly shadow: ShadowGroup } | undefined;

  constructor(parts: TrafficCopiesParts) {
    this.#parts = parts;
  }

  /** Another instance of a generation that stands by, on every lane, until `endShadow`. Throws what keeps it from that. */
  async startShadow(of: GenerationThreads): Promise<ShadowGroup> {
    const { generations, lanes } = this.#parts;
    requireComparable(generations.running.setup.plan, of.setup.plan);
    await this.endShadow();
    const shadow = new ShadowGroup(lanes.all.map((lane) => () => this.#shadowOn(lane, of)));
    this.#shadow = { of, shadow };
    await shadow.started();
    return shadow;
  }

  #shadowOn({ native: lane, index }: EngineLane, { setup: { plan, packages } }: GenerationThreads): Shadow {
    const { generations, lanes, shared, batchLimitMs } = this.#parts;
    const { description, setup } = generations.running;
    const { folder, slotBytes } = shared;
    return new Shadow({
      ...{ plan, packages, folder, slotBytes, batchLimitMs, cpu: this.#cpu, lane },
      ...{ laneIndex: index, lanes: lanes.count },
      live: { layout: description.layout, functions: description.functions, plan: setup.plan },
    });
  }

  /** Of that generation, or of any. */
  async endShadow(of = this.#shadow?.of): Promise<void> {
    if (this.#shadow?.of !== of) return;
    const ending = this.#shadow?.shadow;
    this.#shadow = undefined;
    await ending?.end();
  }

  /** Until the chain is another one. Throws watch-limit, system-call. */
  observe(observation: Observation, listener: LookoutListener): LookoutGroup {
    const { lanes } = this.#parts;
    const start = (lane: number, own: LookoutListener) => this.#lookOut(lane, observation, own);
    const { kind } = observation;
    // Frames that are given go where the first of them would.
    const given = kind === "given" ? (observation.frames[0]?.bytes ?? new Uint8Array()) : undefined;
    const on = given === undefined ? lanes.all : [lanes.of(given)];
    const indices = on.map(({ index }) => index);
    return new LookoutGroup(indices, start, listener, kind === "trace" ? observation.count : undefined);
  }

  stopLookouts(why: string): void {
    for (const { lookouts } of this.#parts.lanes.all) lookouts.stopAll(why);
  }

  async end(): Promise<void> {
    await this.endShadow();
    await Promise.all(this.#parts.lanes.all.map(({ lookouts }) => lookouts.endAll("the engine stops")));
  }

  #lookOut(index: number, observation: Observation, listener: LookoutListener): Lookout {
    const { generations, lanes, shared, batchLimitMs } = this.#parts;
    const { description, setup, quarantined } = generations.running;
    const { functions, layout } = description;
    const { plan, packages } = setup;
    const { folder, slotBytes } = shared;
    const { native, lookouts } = lanes.on(index);
    return lookouts.start(
      {
        ...{ observation, plan, packages, folder, slotBytes, batchLimitMs, cpu: this.#cpu },
        ...{ live: { layout, functions, plan }, lane: native, laneIndex: index, lanes: countLanes(plan) },
        quarantined: [...quarantined],
      },
      listener,
    );
  }

  /** None of the lanes', where there are enough. */
  get #cpu(): number | null {
    const { cpu } = this.#parts.shared;
    return cpu === null ? null : Math.max(0, cpu - this.#parts.lanes.count);
  }
}

function requireComparable(running: Plan, next: Plan): void {
  const refuse = (what: string) => {
    throw new SluiceError({ code: "change-refused", where: "ports", what, help: "switch over without a shadow" });
  };
  if (next.ports.length !== running.ports.length)
    refuse("a shadow gets copies of what comes on the ports that there are, and the change brings new ones");
  if (countLanes(next) !== countLanes(running))
    refuse("a shadow gets copies of what comes on each lane, and the change brings another number of lanes");
}
