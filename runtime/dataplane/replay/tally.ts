// How many frames had which fate, counted from their verdicts.
import * as abi from "../../../nfs/sdk/abi.ts";
import type { Verdict } from "./verdicts.ts";

export type Counts = Record<string, number>;

/** `MALFORMED_IP_SHORT` → `ip-short`, by its number. */
const malformedNames: ReadonlyMap<number, string> = new Map(
  Object.entries(abi)
    .filter(([name]) => name.startsWith("MALFORMED_"))
    .map(([name, value]) => [value, name.slice("MALFORMED_".length).toLowerCase().replaceAll("_", "-")]),
);

/** The number of frames that were not received. */
export const EMITTED = 0;

export class Tally {
  /** By port. */
  readonly received: Counts;
  readonly transmitted: Counts;
  /** By `function:reason`, or the engine's reason alone. */
  readonly dropped: Counts = {};
  /** By port. */
  readonly consumed: Counts;
  /** By `function:reason`. */
  readonly host: Counts = {};
  /** Received frames whose headers are wrong, by what is wrong with them. */
  readonly malformed: Counts = {};
  /** Frames that functions built. */
  emitted = 0;

  constructor(ports: readonly string[]) {
    const zeroes = () => Object.fromEntries(ports.map((port) => [port, 0]));
    this.received = zeroes();
    this.transmitted = zeroes();
    this.consumed = zeroes();
  }

  add(verdict: Verdict, malformed: number): void {
    if (verdict.number === EMITTED) this.emitted += 1;
    else increase(this.received, verdict.port);
    if (malformed !== abi.MALFORMED_NONE) increase(this.malformed, malformedNames.get(malformed) ?? String(malformed));
    if (verdict.kind === "forward") increase(this.transmitted, verdict.to as string);
    else if (verdict.kind === "consume") increase(this.consumed, verdict.port);
    else increase(verdict.kind === "host" ? this.host : this.dropped, keyOf(verdict));
  }
}

function keyOf({ function: by, reasonName = "" }: Verdict): string {
  return by === undefined ? reasonName : `${by}:${reasonName}`;
}

function increase(counts: Counts, key: string): void {
  counts[key] = (counts[key] ?? 0) + 1;
}

/** What tallies hold together. */
export function addTallies(tallies: readonly Tally[]): Omit<Tally, "add"> {
  const add = (read: (tally: Tally) => Counts) => addCounts(tallies.map(read));
  return {
    received: add((tally) => tally.received),
    transmitted: add((tally) => tally.transmitted),
    dropped: add((tally) => tally.dropped),
    consumed: add((tally) => tally.consumed),
    host: add((tally) => tally.host),
    malformed: add((tally) => tally.malformed),
    emitted: tallies.reduce((total, { emitted }) => total + emitted, 0),
  };
}

/** Key by key. */
export function addCounts(parts: readonly Readonly<Counts>[]): Counts {
  const totals: Counts = {};
  for (const [key, count] of parts.flatMap((part) => Object.entries(part))) totals[key] = (totals[key] ?? 0) + count;
  return totals;
}

export function sumCounts(counts: Readonly<Counts>): number {
  return Object.values(counts).reduce((total, count) => total + count, 0);
}
