// The flow table of a running lane, seen from another process: live flows as they are at this moment. The lane writes
// while this reads, so a flow that begins or ends meanwhile may be half there; its numbers are then off, once.
import { FLOW_BYTES, FLOW_START, FLOW_STATE } from "../../nfs/sdk/abi.ts";
import { describeFlow, type FlowDescription, flowStates } from "../dataplane/flow-reports.ts";
import { FLOW_KEY_BYTES } from "../dataplane/layout.ts";
import type { Segment } from "../dataplane/native.ts";

// native/src/flow_file.h
const HEADER_USED = 32;
const TUPLES = 4096;
const TUPLE_BYTES = 64;
const TUPLE_PORTS = 56;
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

  /** Live flows by the name of their state, all states. */
  countByState(): Readonly<Record<string, number>> {
    const bytes = new Uint8Array(this.#view.buffer);
    const counts = new Uint32Array(256);
    const { used } = this;
    for (let flow = 1; flow <= used; flow++) {
      const state = bytes[this.#states + flow * FLOW_BYTES + FLOW_STATE] as number;
      const word = bytes[TUPLES + flow * TUPLE_BYTES + FLOW_KEY_BYTES] as number;
      if ((word & TUPLE_WHOLE) !== 0) counts[state] = (counts[state] as number) + 1;
    }
    return Object.fromEntries(flowStates.slice(1).map((name, index) => [name, counts[index + 1] as number]));
  }

  /** The highest number that a flow has had. */
  get used(): number {
    return Math.min(Number(this.#view.getBigUint64(HEADER_USED, true)), this.#capacity);
  }

  *#places(): Generator<{ readonly flow: number; readonly state: number; readonly key: number }> {
    const { used } = this;
    for (let flow = 1; flow <= used; flow++) {
      if (this.isLive(flow)) yield { flow, state: this.#stateOf(flow), key: TUPLES + flow * TUPLE_BYTES };
    }
  }

  *flows(): Generator<LiveFlow> {
    for (const { flow } of this.#places()) yield this.#describe(flow);
  }

  /** Those that live and are wanted, by number and by when they began (ms since 1970). */
  *flowsBetween(
    first: number,
    last: number,
    isWanted: (flow: number, startMs: number) => boolean,
  ): Generator<LiveFlow> {
    for (let flow = first; flow <= last; flow++) {
      if (!this.isLive(flow)) continue;
      const start = this.#stateOf(flow) + FLOW_START;
      const startNs = this.#view.getUint32(start + 4, true) * 2 ** 32 + this.#view.getUint32(start, true);
      if (isWanted(flow, startNs / 1e6)) yield this.#describe(flow);
    }
  }

  isLive(flow: number): boolean {
    const isWhole = this.#is(TUPLES + flow * TUPLE_BYTES, TUPLE_WHOLE);
    return isWhole && this.#view.getUint8(this.#stateOf(flow) + FLOW_STATE) !== 0;
  }

  #describe(flow: number): LiveFlow {
    const key = TUPLES + flow * TUPLE_BYTES;
    const second = TUPLES + (this.#capacity + 1 + flow) * TUPLE_BYTES;
    const reply = this.#is(key, TUPLE_BOUND) ? { key: second, side: 1 - this.#side(second) } : null;
    return { flow, ...describeFlow(this.#view, { key, state: this.#stateOf(flow), ports: key + TUPLE_PORTS, reply }) };
  }

  #stateOf(flow: number): number {
    return this.#states + flow * FLOW_BYTES;
  }

  #is(tuple: number, bit: number): boolean {
    return (this.#view.getUint8(tuple + FLOW_KEY_BYTES) & bit) !== 0;
  }

  /** The endpoint that sends in direction 0. */
  #side(tuple: number): number {
    return this.#view.getUint8(tuple + FLOW_KEY_BYTES) & TUPLE_SIDE;
  }
}
