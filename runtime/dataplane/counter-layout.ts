// Where each counter of a lane stands in its counters segment, and what it is called: for the lane, which counts, and
// for observers (`sluice top`, /metrics), which read the same pages.
import { REASONS_CAPACITY } from "../../nfs/sdk/abi.ts";
import type { Plan } from "../chain/plan.ts";
import {
  CALL_COUNTERS,
  CALL_SIZE_BUCKETS,
  engineDropReasons,
  flowCounters,
  functionCounters,
  hopCounters,
  laneCounters,
  laneUseCounters,
  portCounters,
  portGauges,
} from "./layout.ts";

export const COUNTER_BYTES = 8;

/** Indices of u64 counters. */
export interface CounterLayout {
  /** The lane's own, then the engine's drop reasons, then the flows'. */
  readonly lane: number;
  readonly laneUse: number;
  readonly functions: readonly number[];
  readonly ports: readonly number[];
  /** By port. */
  readonly rings: readonly number[];
  readonly hops: readonly number[];
  /** By hop: CALL_COUNTERS each. */
  readonly calls: readonly number[];
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
  const laneUse = reserve("use of the lane", laneUseCounters.length + CALL_SIZE_BUCKETS);
  const ports = plan.ports.map(({ name }) => reserve(`port ${name}`, portCounters.length));
  const rings = plan.ports.map(({ name }) => reserve(`rings of ${name}`, portGauges.length));
  const functions = plan.functions.map(({ name }) => reserve(`function ${name}`, functionCounters.length));
  // Hops of one function are told apart by their order alone: they are only ever summed up.
  const seen = new Map<number, number>();
  const names = plan.hops.map(({ function: index }) => {
    const nth = seen.get(index) ?? 0;
    seen.set(index, nth + 1);
    return `${nth} of ${plan.functions[index]?.name}`;
  });
  const hops = names.map((name) => reserve(`hop ${name}`, hopCounters.length + REASONS_CAPACITY));
  const calls = names.map((name) => reserve(`calls of hop ${name}`, CALL_COUNTERS));
  return { lane, laneUse, functions, ports, rings, hops, calls, count: next, places };
}

/**
 * Where a function that counts under `name` has counted at any of its hops, also those of generations before; `group` is
 * "hop" or "calls of hop".
 */
export function findHopCounters({ places }: Pick<CounterLayout, "places">, group: string, name: string): number[] {
  return Object.entries(places).flatMap(([owner, first]) => {
    const isOwn = owner.startsWith(`${group} `) && owner.replace(/^.*?\d+ of /, "") === name;
    return isOwn ? [first] : [];
  });
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
