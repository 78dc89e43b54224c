// What a lane's counters say at one moment, by name: for `sluice top`, replay's stats and whoever else observes.
import { type CounterLayout, type CounterValues, readCounters } from "../dataplane/counter-layout.ts";
import type { DeclaredCounter } from "../dataplane/function-state.ts";
import {
  engineDropReasons,
  flowCounters,
  functionCounters,
  hopCounters,
  laneCounters,
  portCounters,
} from "../dataplane/layout.ts";

export interface SnapshotSource {
  readonly ports: readonly { readonly name: string }[];
  readonly functions: readonly {
    readonly name: string;
    readonly reasons: readonly string[];
    readonly counters: readonly DeclaredCounter[];
  }[];
  readonly hops: readonly { readonly function: number }[];
  readonly layout: CounterLayout;
}

export type HopValues = CounterValues<(typeof hopCounters)[number]>;

export interface FunctionSnapshot extends HopValues {
  readonly name: string;
  /** Frames dropped or handed to the host, by the function's reason. */
  readonly reasons: Readonly<Record<string, number>>;
  readonly counters: readonly (DeclaredCounter & { readonly value: number })[];
  /** What was wrong with its outbox. */
  readonly outbox: CounterValues<(typeof functionCounters)[number]>;
}

export interface Snapshot {
  readonly lane: CounterValues<(typeof laneCounters)[number]>;
  /** Frames that the engine itself dropped, by reason; only reasons that occurred. */
  readonly engineDrops: Readonly<Record<string, number>>;
  readonly flows: CounterValues<(typeof flowCounters)[number]>;
  readonly ports: readonly ({ readonly name: string } & CounterValues<(typeof portCounters)[number]>)[];
  /** By index of the chain's functions, summed over their hops. */
  readonly functions: readonly FunctionSnapshot[];
  readonly hops: readonly HopValues[];
}

/** `declared(function, index)` reads a counter that a function declared. */
export function takeSnapshot(
  source: SnapshotSource,
  counters: BigUint64Array,
  declared: (functionIndex: number, counter: number) => number,
): Snapshot {
  const { layout } = source;
  return {
    lane: readCounters(counters, layout.lane, laneCounters),
    engineDrops: occurred(readCounters(counters, layout.lane + laneCounters.length, engineDropReasons)),
    flows: readCounters(counters, layout.lane + laneCounters.length + engineDropReasons.length, flowCounters),
    ports: source.ports.map(({ name }, index) => ({
      name,
      ...readCounters(counters, layout.ports[index] as number, portCounters),
    })),
    functions: source.functions.map((_, index) => snapshotFunction(source, counters, index, declared)),
    hops: source.hops.map((_, index) => readCounters(counters, layout.hops[index] as number, hopCounters)),
  };
}

function snapshotFunction(
  source: SnapshotSource,
  counters: BigUint64Array,
  index: number,
  declared: (functionIndex: number, counter: number) => number,
): FunctionSnapshot {
  const { name, reasons, counters: names } = source.functions[index] as SnapshotSource["functions"][number];
  const firsts = source.hops.flatMap((hop, position) =>
    hop.function === index ? [source.layout.hops[position] as number] : [],
  );
  return {
    name,
    ...sum(
      hopCounters,
      firsts.map((first) => readCounters(counters, first, hopCounters)),
    ),
    reasons: occurred(
      sum(
        reasons,
        firsts.map((first) => readCounters(counters, first + hopCounters.length, reasons)),
      ),
    ),
    outbox: readCounters(counters, source.layout.functions[index] as number, functionCounters),
    counters: names.map((counter, position) => ({ ...counter, value: declared(index, position) })),
  };
}

function sum<Name extends string>(names: readonly Name[], parts: readonly CounterValues<Name>[]): CounterValues<Name> {
  const totals = names.map((name) => [name, parts.reduce((total, part) => total + part[name], 0)]);
  return Object.fromEntries(totals) as CounterValues<Name>;
}

function occurred(values: Readonly<Record<string, number>>): Record<string, number> {
  return Object.fromEntries(Object.entries(values).filter(([, count]) => count > 0));
}
