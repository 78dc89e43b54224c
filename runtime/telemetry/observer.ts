// Watches a running engine from another process, through its shared pages: costs the packet path nothing.
import type { NativeAddon } from "../dataplane/native.ts";
import type { EngineDescription } from "../dataplane/state-folder.ts";
import { type Snapshot, takeSnapshot } from "./snapshot.ts";

export class Observer {
  readonly engine: EngineDescription;
  readonly #counters: BigUint64Array;
  readonly #declared: readonly BigUint64Array[];

  /** `folder` is the engine's state folder. Throws system-call if the engine has just ended. */
  constructor(native: NativeAddon, folder: string, engine: EngineDescription) {
    this.engine = engine;
    this.#counters = new BigUint64Array(native.attachSegment(`${folder}/counters`).buffer);
    this.#declared = engine.functions.map(
      ({ stateName }) => new BigUint64Array(native.attachSegment(`${folder}/function-${stateName}`).buffer),
    );
  }

  snapshot(): Snapshot {
    return takeSnapshot(this.engine, this.#counters, (index, counter) =>
      Number(Atomics.load(this.#declared[index] as BigUint64Array, counter)),
    );
  }
}
