// Per-flow fields of a chain: who writes and who reads them, and whether that holds together.

import type { Report } from "./faults.ts";
import { suggest } from "./nearest.ts";
import type { ColumnType, PlannedColumn, PlannedHop, WrittenColumn } from "./plan.ts";
import type { ResolvedFunction } from "./plan-functions.ts";

export const columnTypes: readonly ColumnType[] = ["u8", "u16", "u32", "u64", "i32", "i64", "f32", "f64"];

/** The host's own record of every flow (nfs/sdk/ABI.md, section 9): a column that nobody writes and all may read. */
export const FLOW_COLUMN = "flow";

/** As a manifest has them. */
export interface ColumnDeclarations {
  readonly writes?: Readonly<Record<string, ColumnType | { readonly type: ColumnType; readonly export?: boolean }>>;
  readonly reads?: readonly (string | ColumnRead)[];
}

interface ColumnRead {
  readonly name: string;
  /** What the reader takes it for; absent, the owner's word is good enough. */
  readonly type?: ColumnType;
  /** The reader does without it where nobody writes it. */
  readonly optional?: boolean;
}

/** Of one value. */
export function columnBytes(type: ColumnType): number {
  return Number(type.slice(1)) / 8;
}

export function listWrites({ writes = {} }: ColumnDeclarations = {}): WrittenColumn[] {
  return Object.entries(writes).map(([name, declared]) => {
    const { type, export: isExported = false } = typeof declared === "string" ? { type: declared } : declared;
    return { name, type, export: isExported };
  });
}

export function listReads({ reads = [] }: ColumnDeclarations = {}): ColumnRead[] {
  return reads.map((read) => (typeof read === "string" ? { name: read } : read));
}

/** Each column with its one owner; a second one is reported. */
export function planColumns(functions: readonly ResolvedFunction[], report: Report): PlannedColumn[] {
  const columns: PlannedColumn[] = [];
  for (const [index, { name, pointer, manifest }] of functions.entries())
    for (const written of listWrites(manifest.columns)) {
      const other = columns.find((column) => column.name === written.name);
      if (other === undefined) columns.push({ ...written, bytes: columnBytes(written.type), owner: index });
      else {
        const owner = (functions[other.owner] as ResolvedFunction).name;
        const what = `"${owner}" and "${name}" both write the column ${written.name}`;
        report("column-conflict", pointer, what, "a column has one writer; leave one of the two out of the chain");
      }
    }
  return columns;
}

/** Reports who reads what nobody writes, writes later only, or writes as another type. `hops` may be empty: unknown. */
export function checkReaders(
  functions: readonly ResolvedFunction[],
  columns: readonly PlannedColumn[],
  hops: readonly PlannedHop[],
  report: Report,
): void {
  const before = findEarlier(hops);
  for (const [index, { name, pointer, manifest }] of functions.entries())
    for (const read of listReads(manifest.columns)) {
      if (read.name === FLOW_COLUMN) continue;
      const column = columns.find((candidate) => candidate.name === read.name);
      if (column === undefined) {
        if (read.optional === true) continue;
        const what = `"${name}" reads the column ${read.name}, which no function of the chain writes`;
        const known = columns.map((candidate) => candidate.name);
        report("column-unwritten", pointer, what, suggest(read.name, known, "columns"));
        continue;
      }
      const owner = (functions[column.owner] as ResolvedFunction).name;
      if (read.type !== undefined && read.type !== column.type) {
        const what = `"${name}" reads the column ${read.name} as ${read.type}, "${owner}" writes it as ${column.type}`;
        report("column-type", pointer, what);
      }
      const earlier = before.get(index);
      if (read.optional === true) continue;
      if (column.owner === index || earlier === undefined || earlier.has(column.owner)) continue;
      const what = `"${name}" reads the column ${read.name}, but on no path does "${owner}", its writer, come before it`;
      report("column-unwritten", pointer, what, `put "${owner}" before "${name}" on a path`);
    }
}

/** By function: those that a frame may have been through when it comes to it, on any path. Hops are in their order. */
function findEarlier(hops: readonly PlannedHop[]): ReadonlyMap<number, ReadonlySet<number>> {
  const atHop = hops.map(() => new Set<number>());
  const atFunction = new Map<number, Set<number>>();
  for (const [index, { function: functionIndex, next, branches }] of hops.entries()) {
    const earlier = atHop[index] as Set<number>;
    atFunction.set(functionIndex, (atFunction.get(functionIndex) ?? new Set()).union(earlier));
    for (const target of [next, ...branches]) {
      if (target.kind !== "hop") continue;
      const later = atHop[target.hop] as Set<number>;
      for (const passed of [...earlier, functionIndex]) later.add(passed);
    }
  }
  return atFunction;
}
