// What became of each frame of a turn, by name. For replay and tests; live lanes keep no outcomes.
import type { Lane } from "./lane.ts";
import {
  engineDropReasons,
  OUTCOME_BYTES,
  OUTCOME_DETAIL,
  OUTCOME_ENGINE,
  OUTCOME_FLOW,
  OUTCOME_HOP,
  OUTCOME_KIND,
  OUTCOME_NUMBER,
  OUTCOME_PORT,
  OUTCOME_REASON,
  OUTCOME_RECORD,
  OUTCOME_TIME,
  OUTCOME_TO,
  type OutcomeKind,
  outcomeKinds,
} from "./layout.ts";

export interface Outcome {
  /** 1-based number of the input frame. */
  readonly number: number;
  readonly timeNs: bigint;
  readonly kind: OutcomeKind;
  /** Index of the port where it entered. */
  readonly port: number;
  /** Index of the port where it left, for "forward". */
  readonly to: number;
  /** Index of the function that decided, -1 for the engine. */
  readonly function: number;
  /** Empty for "forward", and for "consume" unless the engine did that. */
  readonly reasonName: string;
  /** The same, or `name:detail` if the function gave a detail. */
  readonly reason: string;
  /** The reason is one of engineDropReasons, not one that the function declared. */
  readonly byEngine: boolean;
  /** 0: none. */
  readonly flow: number;
  /** Index of its record, valid until the next turn. */
  readonly record: number;
}

/** Reads the outcomes of the turn that has just ended, in the order in which frames met their ends. */
export function readOutcomes(lane: Lane): Outcome[] {
  const view = new DataView(lane.native.outcomes);
  return Array.from({ length: lane.native.takeOutcomes() }, (_, index) =>
    readOutcome(lane, view, index * OUTCOME_BYTES),
  );
}

function readOutcome(lane: Lane, view: DataView, at: number): Outcome {
  const hop = view.getInt16(at + OUTCOME_HOP, true);
  const owner = hop < 0 ? -1 : (lane.plan.hops[hop] as Lane["plan"]["hops"][number]).function;
  const kind = outcomeKinds[view.getUint8(at + OUTCOME_KIND)] as OutcomeKind;
  const byEngine = view.getUint8(at + OUTCOME_ENGINE) === 1;
  const detail = view.getUint32(at + OUTCOME_DETAIL, true);
  const reasonName =
    kind === "forward" || (kind === "consume" && !byEngine) ? "" : nameReason(lane, view, at, owner, byEngine);
  return {
    number: Number(view.getBigUint64(at + OUTCOME_NUMBER, true)),
    timeNs: view.getBigUint64(at + OUTCOME_TIME, true),
    kind,
    port: view.getUint8(at + OUTCOME_PORT),
    to: view.getUint8(at + OUTCOME_TO),
    function: owner,
    reasonName,
    reason: reasonName === "" || detail === 0 ? reasonName : `${reasonName}:${detail}`,
    byEngine,
    flow: view.getUint32(at + OUTCOME_FLOW, true),
    record: view.getUint16(at + OUTCOME_RECORD, true),
  };
}

function nameReason(lane: Lane, view: DataView, at: number, owner: number, byEngine: boolean): string {
  const reason = view.getUint16(at + OUTCOME_REASON, true);
  const names = byEngine ? engineDropReasons : lane.functions[owner]?.state.reasons;
  return names?.[reason] ?? "unknown";
}
