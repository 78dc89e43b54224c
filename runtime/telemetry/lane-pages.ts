// The counters of a chain's lanes, seen from another process: each by itself, or all as one.
import { nameInLanes } from "../dataplane/lane-files.ts";
import type { NativeAddon } from "../dataplane/native.ts";

/** A counters segment of every lane, by lane. Throws system-call if the engine has just ended. */
export function attachLanes(
  native: Pick<NativeAddon, "attachSegment">,
  folder: string,
  segment: string,
  lanes = 1,
): BigUint64Array[] {
  return nameInLanes(segment, lanes).map(
    (file) => new BigUint64Array(native.attachSegment(`${folder}/${file}`).buffer),
  );
}

/** The first `count` counters, those of all lanes added up. Of a single lane its own pages. */
export function addLanes(lanes: readonly BigUint64Array[], count: number): BigUint64Array {
  const [first] = lanes;
  if (first !== undefined && lanes.length === 1) return first;
  const sum = new BigUint64Array(count);
  for (const lane of lanes) {
    for (let index = 0; index < count; index++) sum[index] = (sum[index] as bigint) + Atomics.load(lane, index);
  }
  return sum;
}

/** One counter, of all lanes. */
export function addCounter(lanes: readonly BigUint64Array[], index: number): number {
  return lanes.reduce((sum, lane) => sum + Number(Atomics.load(lane, index)), 0);
}
