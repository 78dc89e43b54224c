// What the host keeps for one function of a chain in one generation of a lane, whatever instance runs it: its context
// page, what it exchanges with the lane, and the names that it declared. Its counters are those of all generations.
import {
  ABI_VERSION,
  CONTEXT_ABI_VERSION,
  CONTEXT_ADDRESS,
  CONTEXT_BATCH_ADDRESS,
  CONTEXT_BYTES,
  CONTEXT_CHUNKS_ADDRESS,
  CONTEXT_COUNTERS_ADDRESS,
  CONTEXT_EVENTS_ADDRESS,
  CONTEXT_FLOW_CAPACITY,
  CONTEXT_FRAMES_ADDRESS,
  CONTEXT_FRAMES_BYTES,
  CONTEXT_LANE,
  CONTEXT_LANE_COUNT,
  CONTEXT_LANE_PORTS,
  CONTEXT_OUTBOX_ADDRESS,
  CONTEXT_PORT_COUNT,
  CONTEXT_PORTS_ADDRESS,
  CONTEXT_RECORDS_ADDRESS,
  CONTEXT_RESULTS_ADDRESS,
  CONTEXT_SEED,
  CONTEXT_SLOT_BYTES,
  COUNTER_BYTES,
  COUNTER_KIND_GAUGE,
  COUNTERS_CAPACITY,
  REASONS_CAPACITY,
} from "../../nfs/sdk/abi.ts";
import { stateNameOf } from "../chain/canary.ts";
import type { Plan, PlannedFunction } from "../chain/plan.ts";
import type { LaneMemory } from "./lane-memory.ts";
import {
  SHARED_BATCH_OFFSET,
  SHARED_BYTES,
  SHARED_PORTS_OFFSET,
  SHARED_RECORDS_OFFSET,
  SHARED_RESULTS_OFFSET,
  STATE_BYTES,
  STATE_CHUNKS_OFFSET,
  STATE_EVENTS_OFFSET,
  STATE_OUTBOX_OFFSET,
} from "./layout.ts";
import {
  BATCH_ADDRESS,
  CHUNKS_ADDRESS,
  COUNTERS_ADDRESS,
  COUNTERS_BYTES,
  EVENTS_ADDRESS,
  FRAMES_ADDRESS,
  OUTBOX_ADDRESS,
  PAGE_BYTES,
  PORTS_ADDRESS,
  RECORDS_ADDRESS,
  RESULTS_ADDRESS,
} from "./memory-map.ts";
import type { NativeAddon, NativeFunction, Segment, Window } from "./native.ts";

export interface DeclaredCounter {
  readonly name: string;
  /** `key=value`, or empty. */
  readonly labels: string;
  readonly kind: "counter" | "gauge";
}

/** What the host tells a function about where it runs. */
export interface FunctionPlace {
  readonly lane: number;
  readonly laneCount: number;
  /** 0: the chain does not spread flows by hosts. */
  readonly lanePorts: number;
  readonly portCount: number;
  readonly flowCapacity: number;
  readonly seed: bigint;
}

/** What of it the plan says. */
export function placeOf({ ports, flows }: Plan): Pick<FunctionPlace, "lanePorts" | "portCount" | "flowCapacity"> {
  return { lanePorts: flows.spread?.portsInTurn ?? 0, portCount: ports.length, flowCapacity: flows.capacity };
}

/** What of a planned function decides on its windows. */
type Exchange = Pick<PlannedFunction, "name" | "canaryOf" | "side" | "frames" | "events" | "stream" | "labels">;

type ExchangedPages = Omit<NativeFunction, "counters" | "readsFrames" | "readsFlow" | "columns" | "recorder">;

/** What the generation before declared: the same names keep their counters. */
export interface DeclaredNames {
  readonly reasons: readonly string[];
  readonly counters: readonly DeclaredCounter[];
}

const UNSPECIFIED = "unspecified";

export class FunctionState {
  readonly #segment: Segment;
  readonly #counterSegment: Segment;
  readonly #counters: DeclaredCounter[] = [];
  readonly #counterIndices = new Map<string, number>();
  readonly #values: BigUint64Array;
  #reasons: string[] = [UNSPECIFIED];

  /** `counters` has COUNTERS_BYTES. */
  constructor(
    native: NativeAddon,
    memory: LaneMemory,
    place: FunctionPlace,
    counters: Segment,
    before: DeclaredNames = { reasons: [], counters: [] },
  ) {
    this.#segment = native.openSegment(STATE_BYTES);
    this.#counterSegment = counters;
    this.#values = new BigUint64Array(counters.buffer, 0, COUNTERS_CAPACITY);
    for (const { name, labels, kind } of before.counters) this.#addCounter(name, labels, kind);
    for (const reason of before.reasons) this.declareReason(reason);
    this.#writeContext(memory, place);
  }

  #writeContext(memory: LaneMemory, place: FunctionPlace): void {
    const context = new DataView(this.#segment.buffer, 0, CONTEXT_BYTES);
    const set = (offset: number, value: number) => context.setUint32(offset, value, true);
    set(CONTEXT_ABI_VERSION, ABI_VERSION);
    set(CONTEXT_FRAMES_ADDRESS, FRAMES_ADDRESS);
    set(CONTEXT_FRAMES_BYTES, memory.umem.bytes);
    set(CONTEXT_SLOT_BYTES, memory.slotBytes);
    set(CONTEXT_RECORDS_ADDRESS, RECORDS_ADDRESS);
    set(CONTEXT_BATCH_ADDRESS, BATCH_ADDRESS);
    set(CONTEXT_RESULTS_ADDRESS, RESULTS_ADDRESS);
    set(CONTEXT_COUNTERS_ADDRESS, COUNTERS_ADDRESS);
    set(CONTEXT_LANE, place.lane);
    set(CONTEXT_LANE_COUNT, place.laneCount);
    set(CONTEXT_PORT_COUNT, place.portCount);
    set(CONTEXT_FLOW_CAPACITY, place.flowCapacity);
    set(CONTEXT_OUTBOX_ADDRESS, OUTBOX_ADDRESS);
    set(CONTEXT_EVENTS_ADDRESS, EVENTS_ADDRESS);
    set(CONTEXT_CHUNKS_ADDRESS, CHUNKS_ADDRESS);
    set(CONTEXT_PORTS_ADDRESS, PORTS_ADDRESS);
    set(CONTEXT_LANE_PORTS, place.lanePorts);
    context.setBigUint64(CONTEXT_SEED, place.seed, true);
  }

  /** The windows of one instance: what its manifest asked for, and nothing else. */
  windows(memory: LaneMemory, { frames, events, stream }: Exchange): Window[] {
    const { shared, umem } = memory;
    const own = (address: number, segmentOffset: number, end: number, writable: boolean): Window => {
      return { address, segment: this.#segment, segmentOffset, bytes: end - segmentOffset, writable };
    };
    const ofLane = (address: number, segmentOffset: number, bytes: number, writable: boolean): Window => {
      return { address, segment: shared, segmentOffset, bytes, writable };
    };
    const windows = [
      own(CONTEXT_ADDRESS, 0, CONTEXT_BYTES, false),
      {
        address: COUNTERS_ADDRESS,
        segment: this.#counterSegment,
        segmentOffset: 0,
        bytes: COUNTERS_BYTES,
        writable: true,
      },
      own(OUTBOX_ADDRESS, STATE_OUTBOX_OFFSET, STATE_EVENTS_OFFSET, true),
      ofLane(BATCH_ADDRESS, SHARED_BATCH_OFFSET, PAGE_BYTES, false),
      ofLane(RESULTS_ADDRESS, SHARED_RESULTS_OFFSET, PAGE_BYTES, true),
      ofLane(RECORDS_ADDRESS, SHARED_RECORDS_OFFSET, SHARED_PORTS_OFFSET - SHARED_RECORDS_OFFSET, false),
      ofLane(PORTS_ADDRESS, SHARED_PORTS_OFFSET, SHARED_BYTES - SHARED_PORTS_OFFSET, false),
    ];
    if (events.subscribes !== 0) windows.push(own(EVENTS_ADDRESS, STATE_EVENTS_OFFSET, STATE_CHUNKS_OFFSET, false));
    if (stream) windows.push(own(CHUNKS_ADDRESS, STATE_CHUNKS_OFFSET, STATE_BYTES, false));
    if (frames !== "none")
      windows.push({
        address: FRAMES_ADDRESS,
        segment: umem,
        segmentOffset: 0,
        bytes: umem.bytes,
        writable: frames === "write",
      });
    return windows;
  }

  /** What the lane reads and writes of it besides the counters. */
  exchange({ name, canaryOf, side, events, stream, labels }: Exchange): ExchangedPages {
    const part = (offset: number) => ({ segment: this.#segment, offset });
    return {
      name: stateNameOf({ name, canaryOf }),
      side,
      outbox: part(STATE_OUTBOX_OFFSET),
      events: events.subscribes === 0 ? null : part(STATE_EVENTS_OFFSET),
      chunks: stream ? part(STATE_CHUNKS_OFFSET) : null,
      ...events,
      labels,
    };
  }

  /** Index of the counter; the same one if an earlier instance declared it. -1 if there are too many. */
  declareCounter(name: string, labels: string, kind: number): number {
    const key = `${name}{${labels}}`;
    const known = this.#counterIndices.get(key);
    if (known !== undefined) return known;
    if (this.#counters.length === COUNTERS_CAPACITY) return -1;
    return this.#addCounter(name, labels, kind === COUNTER_KIND_GAUGE ? "gauge" : "counter");
  }

  #addCounter(name: string, labels: string, kind: DeclaredCounter["kind"]): number {
    const index = this.#counters.push({ name, labels, kind }) - 1;
    this.#counterIndices.set(`${name}{${labels}}`, index);
    return index;
  }

  /** Index of the reason, or -1 if there are too many. */
  declareReason(name: string): number {
    const known = this.#reasons.indexOf(name);
    if (known >= 0) return known;
    return this.#reasons.length === REASONS_CAPACITY ? -1 : this.#reasons.push(name) - 1;
  }

  get reasons(): readonly string[] {
    return this.#reasons;
  }

  get declaredCounters(): readonly DeclaredCounter[] {
    return this.#counters;
  }

  /** COUNTERS_BYTES, of which the declared ones are the first. */
  get counterSegment(): Segment {
    return this.#counterSegment;
  }

  /** A copy of what was counted, by declared counter. */
  copyCounters(): ArrayBuffer {
    return this.#counterSegment.buffer.slice(0, this.#counters.length * COUNTER_BYTES);
  }

  /** The value of a declared counter. */
  counter(index: number): number {
    return Number(Atomics.load(this.#values, index));
  }
}
