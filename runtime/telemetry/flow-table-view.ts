// The flow table of a running lane, seen from another process: live flows as they are at this moment. The lane writes
// while this reads, so a flow that begins or ends meanwhile may be half there; its numbers are then off, once.
import { FLOW_BYTES, FLOW_START, FLOW_STATE } from "../../nfs/sdk/abi.ts";
import { describeFlow, type FlowDescription } from "../dataplane/flow-reports.ts";
import { FLOW_KEY_BYTES } from "../dataplane/layout.ts";
import type { Segment } from "../dataplane/native.ts";

// native/src/flow_file.h
const HEADER_USED = 32;
const TUPLES = 4096;
const TUPLE_BYTES = 64;
const TUPLE_WHOLE = 0x80;
const TUPLE_SIDE = 0x01;
const TUPLE_BOUND = 0x02;

export interface LiveFlow extends FlowDescription {
  /** Its number in the table, which another flow may have later. */
  readonly flow: number;
}

export class FlowTableView {
  readonly #view: DataView;
  readonly #capacity: number;
  readonly #states: number;

  /** `states`: where the records begin, NativeAddon.flowStatesOffset. */
  constructor(segment: Segment, capacity: number, states: number) {
    this.#view = new DataView(segment.buffer);
    this.#capacity = capacity;
    this.#states = states;
  }

  /** How many of the flows began at `timeNs` (since 1970) or later. */
  countSince(timeNs: bigint): number {
    let count = 0;
    for (const { state } of this.#places()) {
      if (this.#view.getBigUint64(state + FLOW_START, true) >= timeNs) count += 1;
    }
    return count;
  }

  *#places(): Generator<{ readonly flow: number; readonly state: number; readonly key: number }> {
    const used = Math.min(Number(this.#view.getBigUint64(HEADER_USED, true)), this.#capacity);
    for (let flow = 1; flow <= used; flow++) {
      const state = this.#states + flow * FLOW_BYTES;
      const key = TUPLES + flow * TUPLE_BYTES;
      if (this.#view.getUint8(state + FLOW_STATE) !== 0 && this.#is(key, TUPLE_WHOLE)) yield { flow, state, key };
    }
  }

  *flows(): Generator<LiveFlow> {
    for (const { flow, state, key } of this.#places()) {
      const second = TUPLES + (this.#capacity + 1 + flow) * TUPLE_BYTES;
      const reply = this.#is(key, TUPLE_BOUND) ? { key: second, side: 1 - this.#side(second) } : null;
      yield { flow, ...describeFlow(this.#view, { key, state, reply }) };
    }
  }

  #is(tuple: number, bit: number): boolean {
    return (this.#view.getUint8(tuple + FLOW_KEY_BYTES) & bit) !== 0;
  }

  /** The endpoint that sends in direction 0. */
  #side(tuple: number): number {
    return this.#view.getUint8(tuple + FLOW_KEY_BYTES) & TUPLE_SIDE;
  }
}
