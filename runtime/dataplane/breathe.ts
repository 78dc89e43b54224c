// The hot loop, whole. Never awaits, never allocates. Everything else in this folder prepares for it.
import type { Lane } from "./lane.ts";
import { EXHALE_BAD_RESULT, EXHALE_BUSY, EXHALE_EVENTS, EXHALE_TICK } from "./layout.ts";

/** Turns until the lane is taken away. The control word is read once per turn. */
export function breathe(lane: Lane): void {
  while (lane.isMine()) {
    if (!turn(lane)) lane.rest();
  }
}

/** One turn: true if it received anything. */
export function turn(lane: Lane): boolean {
  return finishTurn(lane, lane.native.inhale()); // receive, parse, classify → the first hop with work, or -1
}

/** The rest of a turn, from the first hop with work on. */
export function finishTurn(lane: Lane, first: number): boolean {
  const { native, hops } = lane;
  let hop = first;
  while (hop >= 0) {
    try {
      (hops[hop] as Hop).process(); // one Wasm call; results are in shared pages
    } catch (trap) {
      hop = lane.fault(hop, trap); // policy: drop | bypass; counted, never rethrown
      continue;
    }
    hop = native.advance(hop); // validate results, count, split by verdict → the next hop with work, or -1
  }
  const state = native.exhale(); // transmit, completions, refill, counters
  if ((state & EXHALE_BAD_RESULT) !== 0) lane.noteBadResult();
  if ((state & EXHALE_EVENTS) !== 0) lane.deliverEvents();
  if ((state & EXHALE_TICK) !== 0) lane.tick();
  return (state & EXHALE_BUSY) !== 0;
}

/** What the loop sees of a hop. The property is exchanged when a function is replaced. */
export interface Hop {
  process: () => void;
}
