// One chain's engine, whatever process it is: finds it again when it was started anew, or changed its functions.
import { statSync } from "node:fs";
import { dirname, join } from "node:path";
import { nameInLane } from "../dataplane/lane-files.ts";
import type { NativeAddon } from "../dataplane/native.ts";
import { REPORTS } from "../dataplane/reports.ts";
import { DESCRIPTION, type FoundEngine, findEngines } from "../dataplane/state-folder.ts";
import { ExportedFlows } from "./exported-flows.ts";
import { FlowTables } from "./flow-tables.ts";
import { forgetPositions, readPosition, writePosition } from "./report-position.ts";
import { type Report, ReportReader, type ReportStart } from "./report-reader.ts";

type Native = Pick<NativeAddon, "attachSegment" | "flowStatesOffset" | "openSegment">;

interface Reader {
  readonly inode: number;
  readonly reader: ReportReader;
  /** The end of what was noted as read. */
  noted: bigint;
}

/** Pages of lanes that there are not stay holes. */
const LANES_MAX = 16;

interface Flows {
  readonly inode: number;
  readonly lanes: number;
  readonly table: FlowTables;
  readonly exported: ExportedFlows;
}

export class FollowedEngine {
  readonly #native: Native;
  #found: FoundEngine;
  #described: number;
  /** By lane. */
  #readers: (Reader | undefined)[] = [];
  #flows: Flows | undefined;
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

  /** The first time, from where whoever read them before has stopped, or else from the next report on. */
  attachReports(): void {
    const { lanes = 1 } = this.#found.engine;
    const isFirst = this.#readers.length === 0;
    for (let lane = 0; lane < lanes; lane++) this.#attachLane(lane, lanes, isFirst);
  }

  #attachLane(lane: number, lanes: number, isFirst: boolean): void {
    const inode = inodeOf(join(this.#found.path, nameInLane(REPORTS, lane)));
    const before = this.#readers[lane];
    if (inode === 0 || inode === before?.inode) return;
    const from = isFirst ? this.#startIn(inode, lane) : "oldest";
    const reader = attempt(() => new ReportReader(this.#native, this.#found.path, from, { lane, lanes }));
    if (reader === undefined) return;
    this.#lostBefore += before?.reader.lost ?? 0;
    this.#readers[lane] = { inode, reader, noted: -1n };
  }

  #startIn(inode: number, lane: number): ReportStart {
    const before = readPosition(this.#found.path, lane);
    if (before === undefined) return "next";
    return before.inode === inode ? before : "oldest";
  }

  /** What was read until now is dealt with. */
  noteRead(): void {
    for (const [lane, each] of this.#readers.entries()) {
      const position = each?.reader.position;
      if (each === undefined || position === undefined || position.tail === each.noted) continue;
      each.noted = position.tail;
      writePosition(this.#found.path, { inode: each.inode, ...position }, lane);
    }
  }

  /** What an engine has left in a file that is gone comes before what is in the next one's. None only if there is nothing. */
  readReports(): Report[] {
    const reports = this.#read();
    if (reports.length > 0) return reports;
    this.attachReports();
    return this.#read();
  }

  #read(): Report[] {
    return this.#readers.flatMap((each) => each?.reader.read() ?? []);
  }

  /** Nobody is told of what comes until they are attached again. */
  forgetReports(): void {
    this.#lostBefore = this.lost;
    this.#readers = [];
    forgetPositions(this.#found.path);
  }

  /** Undefined if there is none at present. */
  get flows(): Pick<Flows, "table" | "exported"> | undefined {
    const { path, engine } = this.#found;
    const { flowCapacity, lanes = 1 } = engine;
    const inode = inodeOf(join(path, "flows"));
    const isKnown = inode === this.#flows?.inode && lanes === this.#flows.lanes;
    if (inode === 0 || isKnown) return inode === 0 ? undefined : this.#flows;
    this.#flows = attempt(() => ({
      inode,
      lanes,
      table: FlowTables.attach(this.#native, path, engine),
      exported: ExportedFlows.open(this.#native, flowCapacity * LANES_MAX, path),
    }));
    return this.#flows;
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
