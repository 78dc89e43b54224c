// Where each counter of a lane stands in its counters segment, and what it is called: for the lane, which counts, and
// for observers (`sluice top`, /metrics), which read the same pages.
import { REASONS_CAPACITY } from "../../nfs/sdk/abi.ts";
import type { Plan } from "../chain/plan.ts";
import {
  engineDropReasons,
  flowCounters,
  functionCounters,
  hopCounters,
  laneCounters,
  portCounters,
} from "./layout.ts";

export const COUNTER_BYTES = 8;

/** Indices of u64 counters. */
export interface CounterLayout {
  /** The lane's own, then the engine's drop reasons, then the flows'. */
  readonly lane: number;
  readonly functions: readonly number[];
  readonly ports: readonly number[];
  readonly hops: readonly number[];
  readonly count: number;
}

/** A cache line: no two writers of different groups share one. */
const GROUP = 8;

export function layOutCounters(plan: Pick<Plan, "ports" | "functions" | "hops">): CounterLayout {
  let next = 0;
  const reserve = (count: number) => {
    const first = next;
    next += Math.ceil(count / GROUP) * GROUP;
    return first;
  };
  const lane = reserve(laneCounters.length + engineDropReasons.length + flowCounters.length);
  const ports = plan.ports.map(() => reserve(portCounters.length));
  const functions = plan.functions.map(() => reserve(functionCounters.length));
  const hops = plan.hops.map(() => reserve(hopCounters.length + REASONS_CAPACITY));
  return { lane, ports, functions, hops, count: next };
}

/** A group of named counters, read at one moment. */
export type CounterValues<Name extends string> = Record<Name, number>;

/** Reads the counters `names`, the first of which stands at index `first`. */
export function readCounters<Name extends string>(
  counters: BigUint64Array,
  first: number,
  names: readonly Name[],
): CounterValues<Name> {
  return Object.fromEntries(
    names.map((name, offset) => [name, Number(Atomics.load(counters, first + offset))]),
  ) as CounterValues<Name>;
}
