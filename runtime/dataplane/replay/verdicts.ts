// What became of each frame, in the words of verdicts.jsonl.
import type { Plan } from "../../chain/plan.ts";
import type { OutcomeKind } from "../layout.ts";
import type { Outcome } from "../outcomes.ts";

export interface Verdict {
  /** 1-based number of the input frame. */
  readonly number: number;
  readonly kind: OutcomeKind;
  /** Where the frame entered. */
  readonly port: string;
  /** Where it left; only of a forwarded frame. */
  readonly to: string | undefined;
  /** Who decided; none if it was the engine, or nobody had to. */
  readonly function: string | undefined;
  /** None of a frame that was forwarded, or that a path consumed. */
  readonly reason: string | undefined;
  /** The same without the function's detail. */
  readonly reasonName: string | undefined;
  /** 0: none. */
  readonly flow: number;
}

export function readVerdict(plan: Plan, outcome: Outcome): Verdict {
  const { number, kind, flow } = outcome;
  const isReasoned = outcome.reasonName !== "";
  // A fault is the engine's word for what a function did; its other reasons have nothing to do with one.
  const isFunctions = isReasoned && (kind === "fault" || !outcome.byEngine);
  return {
    number,
    kind,
    port: portName(plan, outcome.port),
    to: kind === "forward" ? portName(plan, outcome.to) : undefined,
    function: isFunctions ? plan.functions[outcome.function]?.name : undefined,
    reason: isReasoned ? outcome.reason : undefined,
    reasonName: isReasoned ? outcome.reasonName : undefined,
    flow,
  };
}

/** A line with its newline. Names of ports need no quoting, those of functions and reasons may. */
export function formatVerdict(verdict: Verdict): string {
  const { number, port, kind, to, function: by, reason, flow } = verdict;
  const target = to === undefined ? "" : `,"to":"${to}"`;
  const decider = by === undefined ? "" : `,"function":${JSON.stringify(by)}`;
  const why = reason === undefined ? "" : `,"reason":${JSON.stringify(reason)}`;
  const conversation = flow === 0 ? "" : `,"flow":${flow}`;
  return `{"n":${number},"port":"${port}","verdict":"${kind}"${target}${decider}${why}${conversation}}\n`;
}

function portName(plan: Plan, index: number): string {
  return (plan.ports[index] as Plan["ports"][number]).name;
}
