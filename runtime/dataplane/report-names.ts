// What the numbers in a lane's reports stand for, by generation: a file beside the ring, written before a generation can
// have the lane.
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ColumnType, Plan } from "../chain/plan.ts";

export interface ReportNames {
  /** REPORT_NAMES of its reports: one after another, also over restarts. */
  readonly id: number;
  readonly generation: number;
  readonly ports: readonly string[];
  readonly functions: readonly {
    readonly name: string;
    readonly package: string;
    readonly reasons: readonly string[];
  }[];
  /** Index of each hop's function. */
  readonly hops: readonly number[];
  /** By bit. */
  readonly events: readonly string[];
  readonly labels: readonly string[];
  /** Exported ones, in the order of their values. */
  readonly columns: readonly { readonly name: string; readonly type: ColumnType }[];
}

export const REPORT_NAMES_FILE = "report-names";

/** Reports of more generations back are not in the ring any more, or nobody has read them in time. */
const KEPT = 32;

/** Of one chain; for the engine's main thread, which alone writes the file. */
export class ReportNamesFile {
  readonly #path: string;
  #all: readonly ReportNames[];
  #last: number;

  constructor(folder: string) {
    this.#path = join(folder, REPORT_NAMES_FILE);
    this.#all = readReportNames(folder);
    this.#last = Math.max(0, ...this.#all.map(({ id }) => id));
  }

  /** For a generation that is about to be built. */
  next(): number {
    this.#last += 1;
    return this.#last;
  }

  add(names: ReportNames): void {
    this.#all = [...this.#all, names].slice(-KEPT);
    writeFileSync(`${this.#path}.new`, JSON.stringify(this.#all), { mode: 0o600 });
    renameSync(`${this.#path}.new`, this.#path);
  }
}

/** None if there is no such file. */
export function readReportNames(folder: string): ReportNames[] {
  try {
    return JSON.parse(readFileSync(join(folder, REPORT_NAMES_FILE), "utf8")) as ReportNames[];
  } catch {
    return [];
  }
}

export function describeNames(
  id: number,
  generation: number,
  plan: Plan,
  functions: ReportNames["functions"],
): ReportNames {
  return {
    id,
    generation,
    ports: plan.ports.map(({ name }) => name),
    functions: functions.map(({ name, package: from, reasons }) => ({ name, package: from, reasons })),
    hops: plan.hops.map((hop) => hop.function),
    events: plan.events,
    labels: plan.labels,
    columns: plan.columns.flatMap(({ name, type, export: exported }) => (exported ? [{ name, type }] : [])),
  };
}
