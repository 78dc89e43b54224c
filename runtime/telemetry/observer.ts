// Watches a running engine from another process, through its shared pages: costs the packet path nothing.
import type { NativeAddon } from "../dataplane/native.ts";
import type { EngineDescription } from "../dataplane/state-folder.ts";
import { addCounter, addLanes, attachLanes } from "./lane-pages.ts";
import { type Snapshot, takeSnapshot } from "./snapshot.ts";

/** Of all lanes together, and what the lanes have each. */
export interface LanesSnapshot extends Snapshot {
  readonly lanes: readonly Pick<Snapshot, "lane" | "flows">[];
}

export class Observer {
  readonly engine: EngineDescription;
  /** By lane. */
  readonly #counters: readonly BigUint64Array[];
  /** By function, by lane. */
  readonly #declared: readonly (readonly BigUint64Array[])[];

  /** `folder` is the engine's state folder. Throws system-call if the engine has just ended. */
  constructor(native: NativeAddon, folder: string, engine: EngineDescription) {
    this.engine = engine;
    this.#counters = attachLanes(native, folder, "counters", engine.lanes);
    this.#declared = engine.functions.map(({ stateName }) =>
      attachLanes(native, folder, `function-${stateName}`, engine.lanes),
    );
  }

  snapshot(): LanesSnapshot {
    const all = this.#take(this.#counters, (index, counter) => addCounter(this.#declared[index] ?? [], counter));
    const lanes = this.#counters.map((counters) => this.#take([counters], () => 0));
    return { ...all, lanes: lanes.map(({ lane, flows }) => ({ lane, flows })) };
  }

  #take(lanes: readonly BigUint64Array[], declared: (index: number, counter: number) => number): Snapshot {
    return takeSnapshot(this.engine, addLanes(lanes, this.engine.layout.count), declared);
  }
}
