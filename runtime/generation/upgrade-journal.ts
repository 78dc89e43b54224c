// The state that a chain's upgrade is in, and every transition that led there, written down.
import type { History, Transition, UpgradeState } from "./history.ts";
import type { UnderWay } from "./upgrade-status.ts";

export type Move = Pick<Transition, "actor" | "durationMs" | "outcome"> & { readonly state: UpgradeState };

const ends: readonly Transition["state"][] = ["committed", "aborted", "restored"];

export class UpgradeJournal {
  state: UpgradeState = "init";
  /** Of the upgrade that is under way, or was the last one; counted from 1. */
  number: number;
  readonly chain: string;
  readonly #history: History;

  constructor(history: History, chain: string) {
    this.#history = history;
    this.chain = chain;
    this.number = history.last(chain)?.upgrade ?? 0;
  }

  /** The last transition of an upgrade that never came to its end. */
  get interrupted(): Transition | null {
    const last = this.#history.last(this.chain);
    return last === undefined || ends.includes(last.state) ? null : last;
  }

  /** Throws file-unwritable where nothing has been done yet, and where it would be done for good; then it is not. */
  move({ before, after }: Pick<UnderWay, "before" | "after">, move: Move): void {
    const at = new Date().toISOString();
    const transition = { chain: this.chain, upgrade: this.number, at, before, after, ...move };
    if (move.state === "init" || move.state === "committed") this.#history.add(transition);
    else this.#history.note(transition);
    this.state = move.state;
  }
}
