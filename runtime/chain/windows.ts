// Where per-flow arrays, segments and the stream buffer lie in the functions' memories. Columns have the same address in
// all functions that see them; what only one function sees lies behind them, at addresses of its own.
//
//   WINDOWS_ADDRESS │ flow │ column │ column … │ streams │ segments of this function … │ < FRAMES_ADDRESS
//
// A page that is not there stands between any two, so that whoever runs over the end of one traps.

import { FLOW_BYTES } from "../../nfs/sdk/abi.ts";
import { FRAMES_ADDRESS, PAGE_BYTES, WINDOWS_ADDRESS } from "../dataplane/memory-map.ts";
import { FLOW_COLUMN } from "./columns.ts";
import type { Plan, PlannedFunction } from "./plan.ts";

export interface PlacedWindow {
  readonly address: number;
  /** A multiple of the page size. */
  readonly bytes: number;
}

export interface WindowLayout {
  /** Null if no function reads the column "flow". */
  readonly flow: PlacedWindow | null;
  /** By index of plan.columns. */
  readonly columns: readonly PlacedWindow[];
  /** Null if no function takes streams. */
  readonly streams: PlacedWindow | null;
  /** By function, then by index of its segments. */
  readonly segments: readonly (readonly PlacedWindow[])[];
}

type Placing = Pick<Plan, "columns" | "flows"> & {
  readonly functions: readonly Pick<PlannedFunction, "name" | "columns" | "segments" | "stream">[];
};

export function placeWindows({ functions, columns, flows }: Placing): WindowLayout {
  const rows = flows.capacity + 1;
  const place = placeFrom(WINDOWS_ADDRESS);
  const readsFlow = functions.some((each) => each.columns.reads.includes(FLOW_COLUMN));
  const flow = readsFlow ? place(rows * FLOW_BYTES) : null;
  const placed = columns.map((column) => place(rows * column.bytes));
  const streams = functions.some((each) => each.stream) ? place(flows.streams.bytes) : null;
  const ownAddress = place(0).address;
  const segments = functions.map((each) => {
    const placeOwn = placeFrom(ownAddress);
    return each.segments.map((segment) => placeOwn(segment.bytes));
  });
  return { flow, columns: placed, streams, segments };
}

function placeFrom(address: number): (bytes: number) => PlacedWindow {
  let next = address;
  return (bytes) => {
    const placed = { address: next, bytes: Math.ceil(bytes / PAGE_BYTES) * PAGE_BYTES };
    next += placed.bytes + PAGE_BYTES;
    return placed;
  };
}

/** Indices of the columns that a function writes or reads. */
export function listSeenColumns({ columns }: Pick<PlannedFunction, "columns">, all: Plan["columns"]): number[] {
  const names = [...columns.writes.map(({ name }) => name), ...columns.reads];
  return all
    .keys()
    .filter((index) => names.includes((all[index] as Plan["columns"][number]).name))
    .toArray();
}

/** Reports every function whose windows do not fit below the frames, by its index. */
export function checkWindows(plan: Placing, report: (index: number, what: string, help: string) => void): void {
  const layout = placeWindows(plan);
  for (const [index, planned] of plan.functions.entries()) {
    const flow = planned.columns.reads.includes(FLOW_COLUMN) ? layout.flow : null;
    const columns = listSeenColumns(planned, plan.columns).map((column) => layout.columns[column] as PlacedWindow);
    const segments = layout.segments[index] as readonly PlacedWindow[];
    const seen = [flow, ...columns, planned.stream ? layout.streams : null, ...segments].filter(
      (each) => each !== null,
    );
    if (seen.every(({ address, bytes }) => address + bytes <= FRAMES_ADDRESS)) continue;
    const all = [layout.flow, ...layout.columns, layout.streams].filter((each) => each !== null);
    const room = (FRAMES_ADDRESS - WINDOWS_ADDRESS) >> 20;
    const sizes = `${mebibytes(all)} MiB for all flows and ${mebibytes(segments)} MiB for its segments`;
    const help = `lower flows.capacity (${plan.flows.capacity}), or the bytes of its segments`;
    report(index, `the memory of "${planned.name}" would need ${sizes}; it has room for ${room} MiB`, help);
  }
}

function mebibytes(placed: readonly PlacedWindow[]): number {
  return Math.ceil(placed.reduce((sum, { bytes }) => sum + bytes, 0) / (1 << 20));
}
