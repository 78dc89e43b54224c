// Functions and reasons have other numbers in each generation: what a shadow compares is their names.
import type { Plan } from "../chain/plan.ts";
import { engineDropReasons, outcomeKinds, PORT_ROUTE } from "./layout.ts";
import type { EndingNames, NativeEnding } from "./native-mirror.ts";

/** A generation's hops, and by function of its plan the reasons that it declared. */
export interface NamedPlan {
  readonly plan: Plan;
  readonly reasons: readonly (readonly string[])[];
}

export interface SharedNames {
  readonly live: EndingNames;
  readonly next: EndingNames;
  readonly functions: readonly string[];
  readonly reasons: readonly string[];
}

export function shareNames(live: NamedPlan, next: NamedPlan): SharedNames {
  const functions = new NameList();
  const reasons = new NameList();
  const number = ({ plan, reasons: declared }: NamedPlan): EndingNames => ({
    functions: plan.hops.map((hop) => functions.indexOf(plan.functions[hop.function]?.name ?? "")),
    reasons: plan.hops.map((hop) => (declared[hop.function] ?? []).map((name) => reasons.indexOf(name))),
    engineReasons: engineDropReasons.map((name) => reasons.indexOf(name)),
  });
  return { live: number(live), next: number(next), functions: functions.names, reasons: reasons.names };
}

class NameList {
  readonly names: string[] = [];
  readonly #indices = new Map<string, number>();

  indexOf(name: string): number {
    const known = this.#indices.get(name);
    if (known !== undefined) return known;
    this.#indices.set(name, this.names.length);
    return this.names.push(name) - 1;
  }
}

/** `forward wan`, `drop fw rule:3`, `drop no-path`, `fault fw bad-length`, `consume`. */
export function describeEnding(
  { kind, to, function: by, reason, detail }: NativeEnding,
  { functions, reasons }: Pick<SharedNames, "functions" | "reasons">,
  ports: readonly string[],
): string {
  const name = outcomeKinds[kind] ?? "unknown";
  if (name === "forward") return `forward ${to === PORT_ROUTE ? "route" : ports[to]}`;
  if (name === "consume") return name;
  const why = `${reasons[reason] ?? "unknown"}${detail === 0 ? "" : `:${detail}`}`;
  return by < 0 ? `${name} ${why}` : `${name} ${functions[by]} ${why}`;
}
