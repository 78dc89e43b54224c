// One chain's engine, whatever process it is: finds it again when it was started anew, or changed its functions.
import { statSync } from "node:fs";
import { dirname, join } from "node:path";
import { nameInLane } from "../dataplane/lane-files.ts";
import type { NativeAddon } from "../dataplane/native.ts";
import { REPORTS } from "../dataplane/reports.ts";
import { DESCRIPTION, type FoundEngine, findEngines } from "../dataplane/state-folder.ts";
import { FlowTables } from "./flow-tables.ts";
import { type Report, ReportReader } from "./report-reader.ts";

type Native = Pick<NativeAddon, "attachSegment" | "flowStatesOffset">;

export class FollowedEngine {
  readonly #native: Native;
  #found: FoundEngine;
  #described: number;
  /** By lane. */
  #readers: ({ readonly inode: number; readonly reader: ReportReader } | undefined)[] = [];
  /** What comes in a file that was not there before is not to be missed. */
  #hasRead = false;
  #flows: { readonly inode: number; readonly table: FlowTables } | undefined;
  #lostBefore = 0;

  constructor(native: Native, found: FoundEngine) {
    this.#native = native;
    this.#found = found;
    this.#described = inodeOf(join(found.path, DESCRIPTION));
  }

  get found(): FoundEngine {
    return this.#found;
  }

  /** True if it is another process than before. */
  refresh(): boolean {
    const { path, engine } = this.#found;
    const described = inodeOf(join(path, DESCRIPTION));
    if (described === this.#described) return false;
    const found = findEngines(dirname(path)).find((each) => each.path === path);
    if (found === undefined) return false;
    this.#described = described;
    this.#found = found;
    return found.engine.pid !== engine.pid || found.engine.processStart !== engine.processStart;
  }

  /** Reports that were overwritten before they were read. */
  get lost(): number {
    return this.#readers.reduce((sum, each) => sum + (each?.reader.lost ?? 0), this.#lostBefore);
  }

  /** The first time, from the next report on. */
  attachReports(): void {
    const { lanes = 1 } = this.#found.engine;
    for (let lane = 0; lane < lanes; lane++) this.#attachLane(lane, lanes);
  }

  #attachLane(lane: number, lanes: number): void {
    const inode = inodeOf(join(this.#found.path, nameInLane(REPORTS, lane)));
    const before = this.#readers[lane];
    if (inode === 0 || inode === before?.inode) return;
    const from = this.#hasRead ? "oldest" : "next";
    const reader = attempt(() => new ReportReader(this.#native, this.#found.path, from, { lane, lanes }));
    if (reader === undefined) return;
    this.#lostBefore += before?.reader.lost ?? 0;
    this.#readers[lane] = { inode, reader };
  }

  /** What an engine has left in a file that is gone comes before what is in the next one's. None only if there is nothing. */
  readReports(): Report[] {
    const reports = this.#read();
    if (reports.length > 0) return reports;
    this.attachReports();
    return this.#read();
  }

  #read(): Report[] {
    this.#hasRead = this.#hasRead || this.#readers.length > 0;
    return this.#readers.flatMap((each) => each?.reader.read() ?? []);
  }

  /** Nobody is told of what comes until they are attached again. */
  forgetReports(): void {
    this.#lostBefore = this.lost;
    this.#readers = [];
    this.#hasRead = false;
  }

  /** Undefined if there is none at present. */
  get flows(): FlowTables | undefined {
    const { path, engine } = this.#found;
    const inode = inodeOf(join(path, "flows"));
    if (inode === 0 || inode === this.#flows?.inode) return inode === 0 ? undefined : this.#flows?.table;
    const table = attempt(() => FlowTables.attach(this.#native, path, engine));
    this.#flows = table === undefined ? undefined : { inode, table };
    return table;
  }
}

/** 0: there is no such file. */
function inodeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.ino ?? 0;
}

/** What fails because an engine ends or begins just now is tried again. */
function attempt<R>(attach: () => R): R | undefined {
  try {
    return attach();
  } catch {
    return undefined;
  }
}
