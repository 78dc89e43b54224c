// A turn of a lookout's lane, hop by hop: what each function was given of the frames that somebody watches, and what
// it made of them.
import * as abi from "../../../nfs/sdk/abi.ts";
import { resolveFault } from "../../function/host-module.ts";
import { finishTurn, type Hop } from "../breathe.ts";
import type { Lane } from "../lane.ts";
import { SHARED_BATCH_OFFSET, SHARED_RECORDS_OFFSET, SHARED_RESULTS_OFFSET } from "../layout.ts";
import { FRAMES_ADDRESS } from "../memory-map.ts";
import type { WatchedFrame } from "../native-mirror.ts";
import { type OutboxMessage, readOutbox } from "./outbox-messages.ts";

export interface FrameAtHop {
  readonly hop: number;
  /** Index of its record. */
  readonly record: number;
  readonly flow: number;
  readonly mark: number;
  readonly bytes: Uint8Array;
  /** No other frame is in the batch. */
  readonly isAlone: boolean;
}

export interface HopResult {
  readonly verdict: number;
  readonly flags: number;
  readonly reason: number;
  readonly target: number;
  readonly value: number;
  /** The frame where the function wants it to begin and end. */
  readonly bytes: Uint8Array;
  readonly messages: readonly OutboxMessage[];
}

export interface HopTrap {
  readonly message: string;
  readonly source: string | null;
}

/** Is told in the order in which it happens. */
export interface TurnListener {
  /** Its flow is known, and no function was called yet. */
  came?(frame: WatchedFrame, place: FrameAtHop): void;
  before(frame: WatchedFrame, place: FrameAtHop): void;
  after(frame: WatchedFrame, place: FrameAtHop, result: HopResult | HopTrap): void;
}

interface Entered {
  readonly frame: WatchedFrame;
  readonly record: number;
}

/** Inhale to exhale, as breathe.ts has it. */
export function watchTurn(
  lane: Lane,
  watched: readonly WatchedFrame[],
  recordOf: (number: number) => number,
  listener: TurnListener,
): void {
  const sight = new TurnSight(lane);
  let hop = lane.native.inhale();
  const entered = watched
    .map((frame) => ({ frame, record: recordOf(frame.number) }))
    .filter(({ record }) => record >= 0);
  for (const { frame, record } of entered) listener.came?.(frame, sight.look(-1, record, false));
  while (hop >= 0) {
    const present = sight.present(hop, entered);
    for (const { frame, place } of present) listener.before(frame, place);
    try {
      (lane.hops[hop] as Hop).process();
    } catch (error) {
      const trap = sight.explain(hop, error as Error);
      for (const { frame, place } of present) listener.after(frame, place, trap);
      hop = lane.fault(hop, error);
      continue;
    }
    for (const { frame, place, position } of present) listener.after(frame, place, sight.result(place, position));
    hop = lane.native.advance(hop);
  }
  finishTurn(lane, -1);
}

class TurnSight {
  readonly #lane: Lane;
  readonly #batch: DataView;
  readonly #results: DataView;
  readonly #records: DataView;
  readonly #frames: ArrayBuffer;

  constructor(lane: Lane) {
    const { shared, umem } = lane.memory;
    this.#lane = lane;
    this.#batch = new DataView(shared.buffer, SHARED_BATCH_OFFSET, abi.BATCH_BYTES);
    this.#results = new DataView(shared.buffer, SHARED_RESULTS_OFFSET);
    this.#records = new DataView(shared.buffer, SHARED_RECORDS_OFFSET);
    this.#frames = umem.buffer;
  }

  /** Those that the hop's batch has. */
  present(hop: number, entered: readonly Entered[]) {
    const count = this.#batch.getUint32(abi.BATCH_COUNT, true);
    const records = new Uint16Array(this.#batch.buffer, this.#batch.byteOffset + abi.BATCH_INPUT, count);
    return entered.flatMap(({ frame, record }) => {
      const position = records.indexOf(record);
      return position < 0 ? [] : [{ frame, position, place: this.look(hop, record, count === 1) }];
    });
  }

  look(hop: number, record: number, isAlone: boolean): FrameAtHop {
    const at = record * abi.RECORD_BYTES;
    const field = (offset: number) => this.#records.getUint32(at + offset, true);
    const start = field(abi.RECORD_FRAME) - FRAMES_ADDRESS;
    const bytes = this.#copy(start, field(abi.RECORD_LENGTH));
    return { hop, record, isAlone, flow: field(abi.RECORD_FLOW), mark: field(abi.RECORD_MARK), bytes };
  }

  result({ hop, record }: FrameAtHop, position: number): HopResult {
    const at = position * abi.RESULT_BYTES;
    const flags = this.#results.getUint8(at + abi.RESULT_FLAGS);
    return {
      verdict: this.#results.getUint8(at + abi.RESULT_VERDICT),
      flags,
      reason: this.#results.getUint16(at + abi.RESULT_REASON, true),
      target: this.#results.getUint16(at + abi.RESULT_TARGET, true),
      value: this.#results.getUint32(at + abi.RESULT_VALUE, true),
      bytes: this.#changed(record, at, (flags & abi.RESULT_FLAG_RESIZED) !== 0),
      messages: this.#messages(hop),
    };
  }

  #changed(record: number, result: number, isResized: boolean): Uint8Array {
    const at = record * abi.RECORD_BYTES;
    const start = this.#records.getUint32(at + abi.RECORD_FRAME, true) - FRAMES_ADDRESS;
    const length = this.#records.getUint32(at + abi.RECORD_LENGTH, true);
    if (!isResized) return this.#copy(start, length);
    const head = this.#results.getInt16(result + abi.RESULT_HEAD, true);
    return this.#copy(start + head, this.#results.getUint32(result + abi.RESULT_LENGTH, true));
  }

  #messages(hop: number): OutboxMessage[] {
    const { plan, functions } = this.#lane;
    const each = functions[plan.hops[hop]?.function ?? -1];
    if (each === undefined) return [];
    const { outbox } = each.state.exchange(each.planned);
    return outbox === null ? [] : readOutbox(new DataView(outbox.segment.buffer, outbox.offset), plan);
  }

  explain(hop: number, error: Error): HopTrap {
    const each = this.#lane.functions[this.#lane.plan.hops[hop]?.function ?? -1];
    return each === undefined ? { message: error.message, source: null } : resolveFault(error, each.package.wasm);
  }

  /** What a function asks for may lie outside of the frames: the lane will refuse it. */
  #copy(start: number, length: number): Uint8Array {
    if (start < 0 || start + length > this.#frames.byteLength) return new Uint8Array();
    return new Uint8Array(this.#frames.slice(start, start + length));
  }
}
