// Outcomes as the lane leaves them after a turn.
import {
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
} from "../layout.ts";

/** Stands on one outcome and moves from one to the next. */
export class OutcomeReader {
  readonly #outcomes: DataView;
  #at = 0;

  constructor(outcomes: ArrayBuffer) {
    this.#outcomes = new DataView(outcomes);
  }

  moveTo(index: number): void {
    this.#at = index * OUTCOME_BYTES;
  }

  /** 1-based number of the input frame. */
  get number(): number {
    const at = this.#at + OUTCOME_NUMBER;
    return this.#outcomes.getUint32(at, true) + this.#outcomes.getUint32(at + 4, true) * 2 ** 32;
  }

  get timeNs(): bigint {
    return this.#outcomes.getBigUint64(this.#at + OUTCOME_TIME, true);
  }

  get kind(): OutcomeKind {
    return outcomeKinds[this.#byte(OUTCOME_KIND)] as OutcomeKind;
  }

  /** The hop that decided, -1 for none. */
  get hop(): number {
    return this.#outcomes.getInt16(this.#at + OUTCOME_HOP, true);
  }

  get isEngineReason(): boolean {
    return this.#byte(OUTCOME_ENGINE) !== 0;
  }

  /** Index into the function's reasons, or into engineDropReasons. */
  get reason(): number {
    return this.#outcomes.getUint16(this.#at + OUTCOME_REASON, true);
  }

  get detail(): number {
    return this.#outcomes.getUint32(this.#at + OUTCOME_DETAIL, true);
  }

  /** 0 for none. */
  get flow(): number {
    return this.#outcomes.getUint32(this.#at + OUTCOME_FLOW, true);
  }

  /** Index of the port where the frame entered. */
  get port(): number {
    return this.#byte(OUTCOME_PORT);
  }

  /** Index of the port where it left; only of a forwarded frame. */
  get to(): number {
    return this.#byte(OUTCOME_TO);
  }

  get record(): number {
    return this.#outcomes.getUint16(this.#at + OUTCOME_RECORD, true);
  }

  #byte(offset: number): number {
    return this.#outcomes.getUint8(this.#at + offset);
  }
}

/** The outcomes [0, count) of one turn, in the order in which their frames came in. */
export function sortByNumber(outcomes: OutcomeReader, count: number): readonly number[] {
  const numbers = Array.from({ length: count }, (_, index) => {
    outcomes.moveTo(index);
    return outcomes.number;
  });
  return numbers.map((_, index) => index).sort((a, b) => (numbers[a] as number) - (numbers[b] as number));
}
