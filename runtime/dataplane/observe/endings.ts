// How a frame ended, in the names of the chain.
import { exitName } from "../exit-name.ts";
import { engineDropReasons, type OutcomeKind, outcomeKinds } from "../layout.ts";
import type { WatchedOutcome } from "../native-mirror.ts";
import type { WatchedChain } from "./frame-filter.ts";
import type { TracedEnding } from "./trace-events.ts";

export type EndingNumbers = Omit<WatchedOutcome, "bytes">;

export type Ending = Omit<TracedEnding, "bytes">;

export function nameEnding({ plan, reasons }: WatchedChain, numbers: EndingNumbers): Ending {
  const kind = outcomeKinds[numbers.kind] as OutcomeKind;
  const index = numbers.hop < 0 ? undefined : plan.hops[numbers.hop]?.function;
  const isReasoned = kind === "drop" || kind === "fault" || kind === "host" || (kind === "consume" && numbers.byEngine);
  const known: readonly string[] = numbers.byEngine ? engineDropReasons : (reasons[index ?? -1] ?? []);
  const name = isReasoned ? (known[numbers.reason] ?? "unknown") : "";
  return {
    kind,
    to: kind === "forward" ? exitName(plan.ports, numbers.to) : null,
    function: index === undefined ? null : (plan.functions[index]?.name ?? null),
    reason: name === "" || numbers.detail === 0 ? name : `${name}:${numbers.detail}`,
  };
}

/** `forward wan`, `drop fw rule:3`, `drop no-path`, `consume`, `consume answered`. */
export function formatEnding({ kind, to, function: by, reason }: Ending): string {
  if (kind === "forward") return `forward ${to}`;
  return [kind, by, reason].filter((word) => word !== null && word !== "").join(" ");
}
