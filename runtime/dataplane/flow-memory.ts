// The memory of one lane's flows: the table, one array per column, the stream buffer, and the functions' segments. Each
// function gets windows on what its manifest names, and on nothing else.
import { createHash } from "node:crypto";
import { FLOW_BYTES } from "../../nfs/sdk/abi.ts";
import { type CanaryRule, stateNameOf } from "../chain/canary.ts";
import { FLOW_COLUMN } from "../chain/columns.ts";
import { countLanes, type Plan, type PlannedColumn, type PlannedFunction, type PlannedSegment } from "../chain/plan.ts";
import { findMigration } from "../chain/state-changes.ts";
import { listSeenColumns, type PlacedWindow, placeWindows, type WindowLayout } from "../chain/windows.ts";
import { SluiceError } from "../errors.ts";
import { FRAMES_ADDRESS, PAGE_BYTES, WINDOWS_ADDRESS } from "./memory-map.ts";
import type { NativeAddon, NativeCanary, NativeFlows, Segment, Window } from "./native.ts";
import type { SegmentStore } from "./segment-store.ts";

/** What one function sees of flows and segments, and the answers to its questions while it is configured. */
export interface FunctionWindows {
  readonly windows: readonly Window[];
  /** Address of entry 0, 0 if the function does not declare the column or its values have another size. */
  column(name: string, bytes: number): number;
  /** Address, 0 if the function declares no such segment. */
  segment(name: string): number;
  segmentBytes(name: string): number;
  /** What the generation before had of that name in another layout, for nf_migrate; 0 if nothing. */
  previous(name: string): { readonly address: number; readonly bytes: number; readonly layout: number };
  /** Its own, by name. */
  readonly segments: readonly { readonly name: string; readonly segment: Segment }[];
  /** The segments that nf_migrate is to fill. */
  readonly migrated: readonly { readonly name: string; readonly segment: Segment }[];
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

/**
 * A segment is the same for two generations if it has the same name here, which says all that its content depends on.
 * The columns of the plan `before` begin as zeros with each flow, too, since its generation may go on after this one; and
 * functions see its segments that they are to migrate.
 */
export function openFlowMemory(native: NativeAddon, plan: Plan, store: SegmentStore, before?: Plan): FlowMemory {
  const { capacity } = plan.flows;
  const layout = placeWindows(plan);
  const open = (name: string, bytes: number) => store.open(name, roundUp(bytes));
  const table = open("flows", native.flowTableBytes(capacity));
  const columns = plan.columns.map((column, index) => open(nameColumn(column), bytesOf(layout.columns[index])));
  const others = (before?.columns ?? []).filter(
    (column) => !plan.columns.some((own) => nameColumn(own) === nameColumn(column)),
  );
  const cleared = others.map((column) => ({
    segment: open(nameColumn(column), (capacity + 1) * column.bytes),
    bytes: column.bytes,
    exported: false,
  }));
  const streams = layout.streams === null ? null : open("streams", layout.streams.bytes);
  const canary = plan.canary === undefined ? null : describeCanary(native, plan.canary, capacity);
  const states = { segment: table, offset: native.flowStatesOffset(capacity) };
  const functions = plan.functions.map((planned, index) => {
    const segments = planned.segments.map((segment, place) =>
      open(nameSegment(planned, segment, plan), bytesOf(layout.segments[index]?.[place])),
    );
    const migrations = listMigrations(planned, before).map(({ owner, from }) => {
      return { ...from, segment: open(nameSegment(owner, from, plan), roundUp(from.bytes)) };
    });
    return new SeenMemory(plan, layout, index, { states, columns, streams, segments, migrations });
  });
  const describe = (seed: bigint, keepReports: boolean) =>
    describeFlows(plan, { table, columns, streams, layout, cleared, canary }, seed, keepReports);
  return { table, columns, streams, functions, describe };
}

export function nameColumn({ name, type }: Pick<PlannedColumn, "name" | "type">): string {
  return `column-${name}-${type}`;
}

/** Another layout, size or package would read something else in the same bytes. */
export function nameSegment(
  owner: PlannedFunction,
  { name, layout, bytes }: PlannedSegment,
  plan: Pick<Plan, "ports" | "flows">,
): string {
  const share = nameShare(plan);
  return `segment-${stateNameOf(owner)}-${owner.package.name}-${name}-${layout}-${bytes}${share}`;
}

/** What is a lane's share among two is not its share among three, or where flows are spread in another way. */
function nameShare(plan: Pick<Plan, "ports" | "flows">): string {
  const lanes = countLanes(plan);
  if (lanes === 1) return "";
  const { spread } = plan.flows;
  const rule = spread && createHash("sha256").update(JSON.stringify(spread)).digest("hex").slice(0, 16);
  return rule === undefined ? `-of-${lanes}` : `-of-${lanes}-by-${rule}`;
}

/** The segments of a plan that hold what its functions wrote. */
export function listStateSegments(plan: Plan): string[] {
  const { columns, functions } = plan;
  const segments = functions.flatMap((planned) =>
    planned.segments.map((segment) => nameSegment(planned, segment, plan)),
  );
  return [...columns.map(nameColumn), ...segments];
}

function bytesOf(placed: PlacedWindow | undefined): number {
  return (placed as PlacedWindow).bytes;
}

function roundUp(bytes: number): number {
  return Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES;
}

function describeCanary(native: NativeAddon, { share, match }: CanaryRule, capacity: number): NativeCanary {
  return { threshold: Math.round(share * 2 ** 32), match, sides: native.openSegment(roundUp(capacity + 1)) };
}

interface LaneFlows {
  readonly canary: NativeCanary | null;
  readonly table: Segment;
  readonly columns: readonly Segment[];
  readonly streams: Segment | null;
  readonly layout: WindowLayout;
  readonly cleared: NativeFlows["columns"];
}

function describeFlows(
  { flows, ports, columns: planned }: Plan,
  { table, columns, streams, layout, cleared, canary }: LaneFlows,
  seed: bigint,
  keepReports: boolean,
): NativeFlows {
  return {
    segment: table,
    capacity: flows.capacity,
    seed,
    zones: ports.map((port) => port.zone),
    columns: [
      ...planned.map(({ bytes, export: exported }, index) => ({
        segment: columns[index] as Segment,
        bytes,
        exported,
      })),
      ...cleared,
    ],
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
    canary,
  };
}

/** Behind the function's other windows, to be read only. Throws chain-limit if there is no room. */
function placePrevious(
  own: readonly Window[],
  migrations: readonly (PlannedSegment & { readonly segment: Segment })[],
): { readonly window: Window }[] {
  let address = Math.max(WINDOWS_ADDRESS, ...own.map((each) => each.address + each.bytes + PAGE_BYTES));
  return migrations.map(({ name, segment }) => {
    const window = { address, segment, segmentOffset: 0, bytes: segment.bytes, writable: false };
    address += segment.bytes + PAGE_BYTES;
    if (address <= FRAMES_ADDRESS) return { window };
    const what = `there is no room for the segment "${name}" in two layouts at once`;
    throw new SluiceError({ code: "chain-limit", where: name, what });
  });
}

interface SeenSegments {
  readonly states: { readonly segment: Segment; readonly offset: number };
  readonly columns: readonly Segment[];
  readonly streams: Segment | null;
  /** The function's own. */
  readonly segments: readonly Segment[];
  /** Those of the generation before that it is to make another layout of. */
  readonly migrations: readonly (PlannedSegment & { readonly segment: Segment })[];
}

function listMigrations(
  heir: PlannedFunction,
  before?: Plan,
): { readonly owner: PlannedFunction; readonly from: PlannedSegment }[] {
  const owner = before?.functions.find(({ name }) => name === heir.name);
  if (owner === undefined) return [];
  return heir.segments.flatMap(({ name }) => {
    const from = findMigration(owner, heir, name);
    return from === undefined ? [] : [{ owner, from }];
  });
}

class SeenMemory implements FunctionWindows {
  readonly windows: readonly Window[];
  readonly segments: FunctionWindows["segments"];
  readonly migrated: FunctionWindows["migrated"];
  readonly #previous: readonly (PlannedSegment & { readonly address: number })[];
  readonly #plan: Plan;
  readonly #function: PlannedFunction;
  readonly #layout: WindowLayout;
  readonly #placed: readonly PlacedWindow[];

  constructor(plan: Plan, layout: WindowLayout, index: number, seen: SeenSegments) {
    this.#plan = plan;
    this.#layout = layout;
    this.#function = plan.functions[index] as PlannedFunction;
    this.#placed = layout.segments[index] as readonly PlacedWindow[];
    const own = this.#place(seen);
    this.segments = this.#function.segments.map(({ name }, place) => {
      return { name, segment: seen.segments[place] as Segment };
    });
    const previous = placePrevious(own, seen.migrations);
    this.windows = [...own, ...previous.map(({ window }) => window)];
    this.#previous = seen.migrations.map((from, place) => ({ ...from, address: previous[place]?.window.address ?? 0 }));
    this.migrated = seen.migrations.map(({ name }) => {
      return { name, segment: seen.segments[this.#findSegment(name)] as Segment };
    });
  }

  #place({ states, columns, streams, segments }: SeenSegments): Window[] {
    const window = (placed: PlacedWindow, segment: Segment, segmentOffset: number, writable: boolean): Window => {
      return { address: placed.address, segment, segmentOffset, bytes: placed.bytes, writable };
    };
    const windows = listSeenColumns(this.#function, this.#plan.columns).map((column) => {
      const isOwner = this.#function.columns.writes.some(({ name }) => name === this.#plan.columns[column]?.name);
      return window(this.#layout.columns[column] as PlacedWindow, columns[column] as Segment, 0, isOwner);
    });
    const { flow, streams: buffer } = this.#layout;
    if (flow !== null && this.#readsFlow) windows.push(window(flow, states.segment, states.offset, false));
    if (buffer !== null && streams !== null && this.#function.stream) windows.push(window(buffer, streams, 0, false));
    const own = segments.map((segment, place) => window(this.#placed[place] as PlacedWindow, segment, 0, true));
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
    return this.#placed[this.#findSegment(name)]?.address ?? 0;
  }

  segmentBytes(name: string): number {
    return this.#function.segments[this.#findSegment(name)]?.bytes ?? 0;
  }

  previous(name: string): { readonly address: number; readonly bytes: number; readonly layout: number } {
    return this.#previous.find((each) => each.name === name) ?? { address: 0, bytes: 0, layout: 0 };
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
