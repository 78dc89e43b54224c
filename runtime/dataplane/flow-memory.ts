// The memory of one lane's flows: the table, one array per column, the stream buffer, and the functions' segments. Each
// function gets windows on what its manifest names, and on nothing else.
import { FLOW_BYTES } from "../../nfs/sdk/abi.ts";
import { FLOW_COLUMN } from "../chain/columns.ts";
import type { Plan, PlannedFunction } from "../chain/plan.ts";
import { listSeenColumns, type PlacedWindow, placeWindows, type WindowLayout } from "../chain/windows.ts";
import { PAGE_BYTES } from "./memory-map.ts";
import type { NativeAddon, NativeFlows, Segment, Window } from "./native.ts";

/** What one function sees of flows and segments, and the answers to its questions while it is configured. */
export interface FunctionWindows {
  readonly windows: readonly Window[];
  /** Address of entry 0, 0 if the function does not declare the column or its values have another size. */
  column(name: string, bytes: number): number;
  /** Address, 0 if the function declares no such segment. */
  segment(name: string): number;
  segmentBytes(name: string): number;
  /** Number of the event's bit, -1 if the function neither defines it nor subscribes to it. */
  event(name: string): number;
  /** The label's bit, 0 if the function does not declare it. */
  label(name: string): number;
}

export interface FlowMemory {
  readonly table: Segment;
  /** By index of plan.columns. */
  readonly columns: readonly Segment[];
  /** Null if no function takes streams. */
  readonly streams: Segment | null;
  /** By index of plan.functions. */
  readonly functions: readonly FunctionWindows[];
  /** For createLane. */
  describe(seed: bigint, keepReports: boolean): NativeFlows;
}

/** `pathOf` names the file of a segment; none keeps it anonymous. */
export function openFlowMemory(native: NativeAddon, plan: Plan, pathOf?: (segment: string) => string): FlowMemory {
  const { capacity } = plan.flows;
  const layout = placeWindows(plan);
  const open = (name: string, bytes: number) => native.openSegment(roundUp(bytes), pathOf?.(name));
  const table = open("flows", native.flowTableBytes(capacity));
  const columns = plan.columns.map(({ name }, index) => open(`column-${name}`, bytesOf(layout.columns[index])));
  const streams = layout.streams === null ? null : open("streams", layout.streams.bytes);
  const states = { segment: table, offset: native.flowStatesOffset(capacity) };
  const functions = plan.functions.map((planned, index) => {
    const segments = planned.segments.map((segment, place) =>
      open(`segment-${planned.name}-${segment.name}`, bytesOf(layout.segments[index]?.[place])),
    );
    return new SeenMemory(plan, layout, index, { states, columns, streams, segments });
  });
  const describe = (seed: bigint, keepReports: boolean) =>
    describeFlows(plan, { table, columns, streams, layout }, seed, keepReports);
  return { table, columns, streams, functions, describe };
}

function bytesOf(placed: PlacedWindow | undefined): number {
  return (placed as PlacedWindow).bytes;
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}

interface LaneFlows {
  readonly table: Segment;
  readonly columns: readonly Segment[];
  readonly streams: Segment | null;
  readonly layout: WindowLayout;
}

function describeFlows(
  { flows, ports, columns: planned }: Plan,
  { table, columns, streams, layout }: LaneFlows,
  seed: bigint,
  keepReports: boolean,
): NativeFlows {
  return {
    segment: table,
    capacity: flows.capacity,
    seed,
    zones: ports.map((port) => port.zone),
    columns: planned.map(({ bytes, export: exported }, index) => ({
      segment: columns[index] as Segment,
      bytes,
      exported,
    })),
    timeouts: flows.timeouts,
    midstream: flows.midstream,
    liberal: flows.liberal,
    fragments: flows.fragments,
    streamBuffer: streams,
    streamBufferAddress: layout.streams?.address ?? 0,
    streamBytesPerFlow: flows.streams.flowBytes,
    streamHoldMs: flows.streams.holdMs,
    lastOverlapWins: flows.overlap === "last",
    keepReports,
  };
}

interface SeenSegments {
  readonly states: { readonly segment: Segment; readonly offset: number };
  readonly columns: readonly Segment[];
  readonly streams: Segment | null;
  /** The function's own. */
  readonly segments: readonly Segment[];
}

class SeenMemory implements FunctionWindows {
  readonly windows: readonly Window[];
  readonly #plan: Plan;
  readonly #function: PlannedFunction;
  readonly #layout: WindowLayout;
  readonly #segments: readonly PlacedWindow[];

  constructor(plan: Plan, layout: WindowLayout, index: number, seen: SeenSegments) {
    this.#plan = plan;
    this.#layout = layout;
    this.#function = plan.functions[index] as PlannedFunction;
    this.#segments = layout.segments[index] as readonly PlacedWindow[];
    this.windows = this.#place(index, seen);
  }

  #place(index: number, { states, columns, streams, segments }: SeenSegments): Window[] {
    const window = (placed: PlacedWindow, segment: Segment, segmentOffset: number, writable: boolean): Window => {
      return { address: placed.address, segment, segmentOffset, bytes: placed.bytes, writable };
    };
    const windows = listSeenColumns(this.#function, this.#plan.columns).map((column) => {
      const isOwner = this.#plan.columns[column]?.owner === index;
      return window(this.#layout.columns[column] as PlacedWindow, columns[column] as Segment, 0, isOwner);
    });
    const { flow, streams: buffer } = this.#layout;
    if (flow !== null && this.#readsFlow) windows.push(window(flow, states.segment, states.offset, false));
    if (buffer !== null && streams !== null && this.#function.stream) windows.push(window(buffer, streams, 0, false));
    const own = segments.map((segment, place) => window(this.#segments[place] as PlacedWindow, segment, 0, true));
    return [...windows, ...own];
  }

  get #readsFlow(): boolean {
    return this.#function.columns.reads.includes(FLOW_COLUMN);
  }

  column(name: string, bytes: number): number {
    if (name === FLOW_COLUMN)
      return this.#readsFlow && bytes === FLOW_BYTES ? (this.#layout.flow as PlacedWindow).address : 0;
    const { columns } = this.#plan;
    const index = columns.findIndex((column) => column.name === name && column.bytes === bytes);
    const isSeen = listSeenColumns(this.#function, columns).includes(index);
    return isSeen ? (this.#layout.columns[index] as PlacedWindow).address : 0;
  }

  segment(name: string): number {
    return this.#segments[this.#findSegment(name)]?.address ?? 0;
  }

  segmentBytes(name: string): number {
    return this.#function.segments[this.#findSegment(name)]?.bytes ?? 0;
  }

  #findSegment(name: string): number {
    return this.#function.segments.findIndex((segment) => segment.name === name);
  }

  event(name: string): number {
    const { defines, subscribes } = this.#function.events;
    const bit = name === "" ? -1 : this.#plan.events.indexOf(name);
    return bit >= 0 && (((defines | subscribes) >>> bit) & 1) === 1 ? bit : -1;
  }

  label(name: string): number {
    const bit = this.#plan.labels.indexOf(name);
    return bit < 0 ? 0 : this.#function.labels & (1 << bit);
  }
}
