// One chain's engine, whatever process it is: finds it again when it was started anew, or changed its functions.
import { statSync } from "node:fs";
import { dirname, join } from "node:path";
import type { NativeAddon } from "../dataplane/native.ts";
import { REPORTS } from "../dataplane/reports.ts";
import { DESCRIPTION, type FoundEngine, findEngines } from "../dataplane/state-folder.ts";
import { ExportedFlows } from "./exported-flows.ts";
import { FlowTableView } from "./flow-table-view.ts";
import { forgetPosition, readPosition, writePosition } from "./report-position.ts";
import { type Report, ReportReader, type ReportStart } from "./report-reader.ts";

type Native = Pick<NativeAddon, "attachSegment" | "flowStatesOffset" | "openSegment">;

interface Flows {
  readonly inode: number;
  readonly table: FlowTableView;
  readonly exported: ExportedFlows;
}

export class FollowedEngine {
  readonly #native: Native;
  #found: FoundEngine;
  #described: number;
  #reports: { readonly inode: number; readonly reader: ReportReader } | undefined;
  #flows: Flows | undefined;
  /** The end of what was noted as read. */
  #noted = -1n;
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
    return this.#lostBefore + (this.#reports?.reader.lost ?? 0);
  }

  /** The first time, from where whoever read them before has stopped, or else from the next report on. */
  attachReports(): void {
    const inode = inodeOf(join(this.#found.path, REPORTS));
    if (inode === 0 || inode === this.#reports?.inode) return;
    const reader = attempt(() => new ReportReader(this.#native, this.#found.path, this.#startIn(inode)));
    if (reader === undefined) return;
    this.#lostBefore = this.lost;
    this.#reports = { inode, reader };
  }

  #startIn(inode: number): ReportStart {
    if (this.#reports !== undefined) return "oldest";
    const before = readPosition(this.#found.path);
    if (before === undefined) return "next";
    return before.inode === inode ? before : "oldest";
  }

  /** What was read until now is dealt with. */
  noteRead(): void {
    if (this.#reports === undefined) return;
    const { inode, reader } = this.#reports;
    const { position } = reader;
    if (position.tail === this.#noted) return;
    this.#noted = position.tail;
    writePosition(this.#found.path, { inode, ...position });
  }

  /** What an engine has left in a file that is gone comes before what is in the next one's. None only if there is nothing. */
  readReports(): Report[] {
    const reports = this.#reports?.reader.read() ?? [];
    if (reports.length > 0) return reports;
    this.attachReports();
    return this.#reports?.reader.read() ?? [];
  }

  /** Nobody is told of what comes until they are attached again. */
  forgetReports(): void {
    this.#lostBefore = this.lost;
    this.#reports = undefined;
    forgetPosition(this.#found.path);
  }

  /** Undefined if there is none at present. */
  get flows(): Pick<Flows, "table" | "exported"> | undefined {
    const { path, engine } = this.#found;
    const inode = inodeOf(join(path, "flows"));
    if (inode === 0 || inode === this.#flows?.inode) return inode === 0 ? undefined : this.#flows;
    const { flowCapacity } = engine;
    const offset = this.#native.flowStatesOffset(flowCapacity);
    this.#flows = attempt(() => ({
      inode,
      table: new FlowTableView(this.#native.attachSegment(`${path}/flows`), flowCapacity, offset),
      exported: ExportedFlows.open(this.#native, flowCapacity, path),
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
