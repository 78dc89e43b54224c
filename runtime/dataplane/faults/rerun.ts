// A function on a stage of its own, with the state and the calls of a bundle, and nothing else of its chain.
import * as abi from "../../../nfs/sdk/abi.ts";
import { FLOW_COLUMN } from "../../chain/columns.ts";
import type { Plan, PlannedFunction } from "../../chain/plan.ts";
import { listSeenColumns, placeWindows } from "../../chain/windows.ts";
import { resolveFault } from "../../function/host-module.ts";
import { type FlowMemory, openFlowMemory } from "../flow-memory.ts";
import { FunctionState, placeOf } from "../function-state.ts";
import { type FunctionInstance, instantiate } from "../instance.ts";
import type { LaneMemory } from "../lane-memory.ts";
import {
  CALL_CHUNK_KEPT,
  SHARED_BATCH_OFFSET,
  SHARED_BYTES,
  SHARED_RECORDS_OFFSET,
  SHARED_RESULTS_OFFSET,
} from "../layout.ts";
import { COUNTERS_BYTES, FRAMES_ADDRESS } from "../memory-map.ts";
import type { NativeAddon, SegmentPart } from "../native.ts";
import { SegmentStore } from "../segment-store.ts";
import type { Bundle } from "./bundle.ts";
import type { FlowRow, RecordedCall } from "./call-log.ts";
import { restoreMemory, restorePages } from "./restore.ts";
import { findBadResult } from "./result-check.ts";

/** What came of the calls. */
export interface RerunOutcome {
  /** Null: every call returned, and the last one's results hold. */
  readonly fault: {
    readonly message: string;
    readonly source: string | null;
    /** Of a result that does not hold: which frame's. */
    readonly position: number | null;
    readonly result: string | null;
  } | null;
  /** Calls made, with the one that failed. */
  readonly calls: number;
}

export class Rerun {
  readonly #bundle: Bundle;
  readonly #index: number;
  readonly #plan: Plan;
  readonly #memory: LaneMemory;
  readonly #flows: FlowMemory;
  readonly #states: SegmentPart;
  readonly #function: FunctionState;
  readonly #instance: FunctionInstance;

  /**
   * Instantiates and configures the function, then gives it its state back; `asConfigured` leaves its own memory and
   * globals as they are then. Throws what `instantiate` does.
   */
  constructor(native: NativeAddon, bundle: Bundle, asConfigured: boolean) {
    const { description, state } = bundle;
    const { plan, lane, laneCount, seed } = description;
    const store = new SegmentStore(native);
    const { capacity } = plan.flows;
    this.#bundle = bundle;
    this.#plan = plan;
    this.#index = plan.functions.findIndex(({ name }) => name === description.function);
    this.#memory = {
      umem: native.openSegment(description.umemBytes),
      slotBytes: description.slotBytes,
      shared: native.openSegment(SHARED_BYTES),
      counters: native.openSegment(abi.COUNTER_BYTES),
    };
    this.#flows = openFlowMemory(native, plan, store);
    this.#states = { segment: this.#flows.table, offset: native.flowStatesOffset(capacity) };
    const place = { lane, laneCount, seed: BigInt(seed), ...placeOf(plan) };
    const counters = native.openSegment(COUNTERS_BYTES);
    this.#function = new FunctionState(native, this.#memory, place, counters, description.declared);
    new Uint8Array(counters.buffer).set(new Uint8Array(state.counters));
    const windows = this.#flows.functions[this.#index] as FlowMemory["functions"][number];
    for (const { name, segment } of windows.segments) {
      restorePages(segment.buffer, 0, state.segments.find((kept) => kept.name === name)?.pages ?? null);
    }
    this.#instance = instantiate({
      native,
      memory: this.#memory,
      state: this.#function,
      flows: windows,
      function: this.#planned,
      package: bundle.package,
      ports: plan.ports.map((port) => port.name),
      log: () => {},
    });
    new Uint8Array(counters.buffer).set(new Uint8Array(state.counters));
    if (!asConfigured) restoreMemory(native, this.#instance, state);
  }

  /** All calls, until one fails. */
  run(): RerunOutcome {
    const { calls } = this.#bundle;
    for (const [index, call] of calls.entries()) {
      this.#present(call);
      try {
        this.#call(call);
      } catch (trap) {
        const { message, source } = resolveFault(trap as Error, this.#bundle.package.wasm);
        return { fault: { message, source, position: null, result: null }, calls: index + 1 };
      }
    }
    return { fault: this.#findBadResult(calls.at(-1)), calls: calls.length };
  }

  get #planned(): PlannedFunction {
    return this.#plan.functions[this.#index] as PlannedFunction;
  }

  #call({ kind }: RecordedCall): void {
    if (kind === "nf_process") this.#instance.process();
    else if (kind === "nf_events") this.#instance.events?.();
    else this.#instance.tick?.();
  }

  #findBadResult(call: RecordedCall | undefined): RerunOutcome["fault"] {
    if (call?.kind !== "nf_process") return null;
    const results = new DataView(this.#memory.shared.buffer, SHARED_RESULTS_OFFSET);
    const limits = {
      ports: this.#plan.ports.length,
      branches: this.#planned.branches.length,
      reasons: this.#function.reasons.length,
      writable: this.#planned.frames === "write",
      slotBytes: this.#memory.slotBytes,
    };
    for (const [position, { address }] of call.frames.entries()) {
      const at = position * abi.RESULT_BYTES;
      const reason = findBadResult(results, at, address - FRAMES_ADDRESS, limits);
      if (reason === null) continue;
      const bytes = this.#memory.shared.buffer.slice(
        SHARED_RESULTS_OFFSET + at,
        SHARED_RESULTS_OFFSET + at + abi.RESULT_BYTES,
      );
      return { message: reason, source: null, position, result: Buffer.from(bytes).toString("hex") };
    }
    return null;
  }

  /** Everything where the function found it. */
  #present(call: RecordedCall): void {
    const { shared, umem } = this.#memory;
    const batch = new DataView(shared.buffer, SHARED_BATCH_OFFSET, abi.BATCH_BYTES);
    batch.setUint32(abi.BATCH_COUNT, call.frames.length, true);
    batch.setUint32(abi.BATCH_HOP, call.hop, true);
    batch.setBigUint64(abi.BATCH_TIME, call.timeNs, true);
    new Uint8Array(shared.buffer, SHARED_RESULTS_OFFSET, call.frames.length * abi.RESULT_BYTES).fill(0);
    call.frames.forEach(({ index, record, address, bytes, row }, position) => {
      batch.setUint16(abi.BATCH_INPUT + position * 2, index, true);
      new Uint8Array(shared.buffer, SHARED_RECORDS_OFFSET).set(record, index * abi.RECORD_BYTES);
      new Uint8Array(umem.buffer).set(bytes, address - FRAMES_ADDRESS);
      this.#restoreRow(row);
    });
    const pages = this.#function.exchange(this.#planned);
    if (pages.outbox !== null) viewOf(pages.outbox).setBigUint64(0, 0n);
    if (pages.chunks !== null) this.#presentChunks(viewOf(pages.chunks), call);
    if (pages.events !== null) this.#presentEvents(viewOf(pages.events), call);
  }

  #presentChunks(page: DataView, { chunks }: RecordedCall): void {
    const { streams } = placeWindows(this.#plan);
    page.setUint32(abi.CHUNKS_COUNT, chunks.length, true);
    chunks.forEach(({ entry, address, bytes }, index) => {
      const at = abi.CHUNKS_ENTRIES + index * abi.CHUNK_BYTES;
      new Uint8Array(page.buffer, page.byteOffset + at).set(entry);
      page.setUint32(at + CALL_CHUNK_KEPT, 0, true);
      if (bytes.length > 0 && this.#flows.streams !== null && streams !== null) {
        new Uint8Array(this.#flows.streams.buffer).set(bytes, address - streams.address);
      }
    });
  }

  #presentEvents(page: DataView, { events, missed }: RecordedCall): void {
    page.setUint32(abi.EVENTS_COUNT, events.length, true);
    page.setUint32(abi.EVENTS_MISSED, missed, true);
    events.forEach(({ entry, row }, index) => {
      new Uint8Array(page.buffer, page.byteOffset + abi.EVENTS_ENTRIES + index * abi.EVENT_ENTRY_BYTES).set(entry);
      this.#restoreRow(row);
    });
  }

  /** In the order in which native/src/lane_calls.cc writes it. */
  #restoreRow({ flow, bytes }: FlowRow): void {
    if (flow === 0) return;
    let at = 0;
    if (this.#planned.columns.reads.includes(FLOW_COLUMN)) {
      const { segment, offset } = this.#states;
      new Uint8Array(segment.buffer).set(bytes.subarray(0, abi.FLOW_BYTES), offset + flow * abi.FLOW_BYTES);
      at += abi.FLOW_BYTES;
    }
    for (const index of listSeenColumns(this.#planned, this.#plan.columns)) {
      const { bytes: size } = this.#plan.columns[index] as Plan["columns"][number];
      const column = new Uint8Array((this.#flows.columns[index] as FlowMemory["columns"][number]).buffer);
      column.set(bytes.subarray(at, at + size), flow * size);
      at += 8;
    }
  }
}

function viewOf({ segment, offset }: SegmentPart): DataView {
  return new DataView(segment.buffer, offset);
}
