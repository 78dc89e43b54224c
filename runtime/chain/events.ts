// Events of a chain by the number of their bit: the engine's own, then those that functions define.

import { EVENT_CUSTOM, EVENT_CUSTOM_COUNT } from "../../nfs/sdk/abi.ts";
import type { Report } from "./faults.ts";
import { suggest } from "./nearest.ts";
import type { ResolvedFunction } from "./plan-functions.ts";

/** By the number of their bit: EVENT_START is 1 << 0. */
export const builtInEvents: readonly string[] = [
  "start",
  "established",
  "data",
  "retransmission",
  "out-of-order",
  "half-closed",
  "closed",
  "reset",
  "timeout",
  "evicted",
  "icmp-error",
  "invalid",
  "zero-window",
  "challenge",
];

/** As a manifest has them. */
export interface EventDeclarations {
  readonly defines?: readonly string[];
  readonly subscribes?: readonly string[];
}

/**
 * Names by the number of their bit, "" where there is none; those that an earlier plan has keep theirs. Reports what two
 * define, or nobody, or what is too many.
 */
export function planEvents(
  functions: readonly ResolvedFunction[],
  report: Report,
  before: readonly string[] = [],
): string[] {
  const owners = new Map<string, string>();
  for (const { name, pointer, manifest } of functions)
    for (const event of manifest.events?.defines ?? []) {
      const other = owners.get(event);
      if (other !== undefined)
        report("event-conflict", pointer, `"${other}" and "${name}" both define the event ${event}`);
      else if (owners.size === EVENT_CUSTOM_COUNT)
        report(
          "chain-limit",
          pointer,
          `"${name}" defines ${event}: more than ${EVENT_CUSTOM_COUNT} events in the chain`,
        );
      else owners.set(event, name);
    }
  const custom = Math.log2(EVENT_CUSTOM);
  const none = Array<string>(custom - builtInEvents.length).fill("");
  const events = [...builtInEvents, ...none, ...numberEvents([...owners.keys()], before.slice(custom))];
  for (const { name, pointer, manifest } of functions)
    for (const event of manifest.events?.subscribes ?? []) {
      if (events.includes(event)) continue;
      const what = `"${name}" subscribes to the event ${event}, which no function of the chain defines`;
      const known = events.filter((candidate) => candidate !== "");
      report("unknown-event", pointer, what, suggest(event, known, "events"));
    }
  return events;
}

/** A defined event that was there before has its old number; the others take what is left. */
function numberEvents(defined: readonly string[], before: readonly string[]): string[] {
  const numbered = before.map((event) => (defined.includes(event) ? event : ""));
  for (const event of defined) {
    if (numbered.includes(event)) continue;
    const free = numbered.indexOf("");
    numbered[free < 0 ? numbered.length : free] = event;
  }
  return numbered;
}

/** The bits of these names; names that are not there have none. */
export function maskOf(names: readonly string[], all: readonly string[]): number {
  const bits = names.map((name) => all.indexOf(name)).filter((bit) => bit >= 0);
  return bits.reduce((mask, bit) => (mask | (1 << bit)) >>> 0, 0);
}
