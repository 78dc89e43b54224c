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
  /** The first counter of each of these by what it belongs to: a later generation's layout keeps them there. */
  readonly places: Readonly<Record<string, number>>;
}

/** Counters that a lane has room for, in pages that are taken only where something is counted. */
export const LANE_COUNTERS_CAPACITY = 1 << 20;

/** A cache line: no two writers of different groups share one. */
const GROUP = 8;

/** With the layout of the generation `before`, everything that both have stays where it is and counts on. */
export function layOutCounters(
  plan: Pick<Plan, "hops"> & { readonly [K in "ports" | "functions"]: readonly { readonly name: string }[] },
  before?: CounterLayout,
): CounterLayout {
  const places: Record<string, number> = { ...before?.places };
  let next = before?.count ?? 0;
  const reserve = (owner: string, count: number) => {
    const known = places[owner];
    if (known !== undefined) return known;
    const first = next;
    places[owner] = first;
    next += Math.ceil(count / GROUP) * GROUP;
    return first;
  };
  const lane = reserve("lane", laneCounters.length + engineDropReasons.length + flowCounters.length);
  const ports = plan.ports.map(({ name }) => reserve(`port ${name}`, portCounters.length));
  const functions = plan.functions.map(({ name }) => reserve(`function ${name}`, functionCounters.length));
  // Hops of one function are told apart by their order alone: they are only ever summed up.
  const seen = new Map<number, number>();
  const hops = plan.hops.map(({ function: index }) => {
    const nth = seen.get(index) ?? 0;
    seen.set(index, nth + 1);
    return reserve(`hop ${nth} of ${plan.functions[index]?.name}`, hopCounters.length + REASONS_CAPACITY);
  });
  return { lane, ports, functions, hops, count: next, places };
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
