// What became of each frame: in words, as a line of verdicts.jsonl.
import type { Plan } from "../../chain/plan.ts";
import { engineDropReasons, type OutcomeKind } from "../layout.ts";
import type { OutcomeReader } from "./outcomes.ts";

/** Reads the reasons that a function of the plan has declared. */
export type ReasonsOf = (functionIndex: number) => readonly string[];

export interface Verdict {
  readonly kind: OutcomeKind;
  readonly port: string;
  /** Only of a forwarded frame. */
  readonly to: string | undefined;
  /** Who decided; none if it was the engine, or nobody had to. */
  readonly function: string | undefined;
  /** Without its detail. */
  readonly reason: string | undefined;
  /** `rule:42`: the reason with its detail. */
  readonly fullReason: string | undefined;
}

export class VerdictWords {
  readonly #plan: Plan;
  readonly #reasonsOf: ReasonsOf;
  /** By port and port: forwarded frames are most frames. */
  readonly #forwards: string[] = [];

  constructor(plan: Plan, reasonsOf: ReasonsOf) {
    this.#plan = plan;
    this.#reasonsOf = reasonsOf;
  }

  /** One line, with its newline. */
  formatLine(outcome: OutcomeReader): string {
    const flow = outcome.flow === 0 ? "" : `,"flow":${outcome.flow}`;
    const rest = outcome.kind === "forward" ? this.#formatForward(outcome.port, outcome.to) : this.#formatRest(outcome);
    return `{"n":${outcome.number},${rest}${flow}}\n`;
  }

  describe(outcome: OutcomeReader): Verdict {
    const { kind } = outcome;
    const isReasoned = kind === "drop" || kind === "host" || kind === "fault";
    const reason = isReasoned ? this.#reason(outcome) : undefined;
    const { detail } = outcome;
    return {
      kind,
      port: this.#portName(outcome.port),
      to: kind === "forward" ? this.#portName(outcome.to) : undefined,
      function: isReasoned && !isEngineDrop(outcome) ? this.#functionOf(outcome.hop)?.name : undefined,
      reason,
      fullReason: reason !== undefined && detail !== 0 ? `${reason}:${detail}` : reason,
    };
  }

  #formatForward(port: number, to: number): string {
    const key = port * 256 + to;
    this.#forwards[key] ??= `"port":"${this.#portName(port)}","verdict":"forward","to":"${this.#portName(to)}"`;
    return this.#forwards[key];
  }

  #formatRest(outcome: OutcomeReader): string {
    const { kind, port, function: by, fullReason } = this.describe(outcome);
    const decider = by === undefined ? "" : `,"function":${JSON.stringify(by)}`;
    const reason = fullReason === undefined ? "" : `,"reason":${JSON.stringify(fullReason)}`;
    return `"port":"${port}","verdict":"${kind}"${decider}${reason}`;
  }

  #reason(outcome: OutcomeReader): string {
    const { reason, hop, isEngineReason } = outcome;
    if (isEngineReason) return engineDropReasons[reason] ?? String(reason);
    const index = this.#plan.hops[hop]?.function;
    return (index === undefined ? undefined : this.#reasonsOf(index)[reason]) ?? String(reason);
  }

  #functionOf(hop: number): Plan["functions"][number] | undefined {
    const index = this.#plan.hops[hop]?.function;
    return index === undefined ? undefined : this.#plan.functions[index];
  }

  #portName(index: number): string {
    return this.#plan.ports[index]?.name ?? String(index);
  }
}

/** A fault is the engine's word for what a function did; any other reason of the engine has nothing to do with one. */
function isEngineDrop(outcome: OutcomeReader): boolean {
  return outcome.isEngineReason && outcome.kind !== "fault";
}
