// The segments of a shadow: memory of its own, which begins as a copy of what the running lane has of the same name.
import { join } from "node:path";
import { nameInLane } from "./lane-files.ts";
import type { Segment } from "./native.ts";
import type { MirrorPart } from "./native-mirror.ts";
import { SegmentStore } from "./segment-store.ts";

const FLOWS = "flows";
/** Flows, columns, segments, and the counters that functions read and write. */
const COPIED = /^(flows$|column-|segment-|function-)/;

export class ShadowStore extends SegmentStore {
  readonly #copied = new Map<string, Segment>();

  override open(name: string, bytes: number): Segment {
    const segment = super.open(name, bytes);
    if (COPIED.test(name)) this.#copied.set(name, segment);
    return segment;
  }

  /** What is to be copied from the state folder of the running lane. */
  partsFrom(folder: string, lane: number): MirrorPart[] {
    return [...this.#copied].map(([name, segment]) => {
      return { path: join(folder, nameInLane(name, lane)), segment, isFlows: name === FLOWS };
    });
  }
}
