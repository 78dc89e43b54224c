// What replay writes down line by line: verdicts, drops and flows, of one lane or of several.
import { join } from "node:path";
import type { Plan, PlannedColumn } from "../../chain/plan.ts";
import { type DropSubject, formatDrop, formatLogLine } from "../../telemetry/eve.ts";
import { formatFlow } from "../../telemetry/flow-lines.ts";
import { LineFile } from "../../telemetry/line-file.ts";
import { readFlowReports } from "../flow-reports.ts";
import { FrameReader } from "../frame-reader.ts";
import type { Lane } from "../lane.ts";
import { type Outcome, readOutcomes } from "../outcomes.ts";
import type { OutputFolder } from "./output-folder.ts";
import { EMITTED, Tally } from "./tally.ts";
import { formatVerdict, readVerdict } from "./verdicts.ts";

export const lineFiles = ["verdicts.jsonl", "eve.jsonl", "flows.jsonl"] as const;

export type PlaceOf = (functionName: string, reason: string) => string | null;

/** The files that all lanes write to. */
export class LineFiles {
  readonly events: LineFile;
  readonly flows: LineFile;
  readonly #verdicts: LineFile;
  /** Verdicts of frames that ended before an earlier one did. */
  readonly #early = new Map<number, string>();
  readonly #placeOf: PlaceOf;
  /** By function and reason: there are few. */
  readonly #places = new Map<string, string | null>();
  #written = 0;

  constructor(folder: OutputFolder, placeOf: PlaceOf = () => null) {
    this.#placeOf = placeOf;
    [this.#verdicts, this.events, this.flows] = lineFiles.map(
      (name) => new LineFile(folder.stage(name), join(folder.path, name)),
    ) as [LineFile, LineFile, LineFile];
  }

  /** In the order of frames. Fragments wait for their first one: a later frame may have ended by then. */
  writeVerdict(number: number, line: string): void {
    this.#early.set(number, line);
    for (let next = this.#early.get(this.#written + 1); next !== undefined; ) {
      this.#verdicts.write(next);
      this.#early.delete(++this.#written);
      next = this.#early.get(this.#written + 1);
    }
  }

  writeDrop({ function: name, reason, ...subject }: DropSubject, frame: FrameReader): void {
    const rule = name === undefined || reason === undefined ? null : this.#placeOfRule(name, reason);
    this.events.write(formatDrop({ ...subject, function: name, reason, rule: rule ?? undefined }, frame));
  }

  #placeOfRule(name: string, reason: string): string | null {
    const key = `${name} ${reason}`;
    let place = this.#places.get(key);
    if (place === undefined) {
      place = this.#placeOf(name, reason);
      this.#places.set(key, place);
    }
    return place;
  }

  close(): void {
    for (const file of [this.#verdicts, this.events, this.flows]) file.close();
  }
}

/** Writes down what became of the frames and flows of each turn of a lane. */
export class LaneRecorder {
  readonly lane: Lane;
  readonly tally: Tally;
  readonly #numberFlow: (serial: number) => number;
  readonly #files: LineFiles;
  readonly #frame: FrameReader;
  #exported: readonly PlannedColumn[] = [];
  #plan: Plan | undefined;
  /** Of the last frame that ended. */
  #timeNs = 0n;

  /** The lane is the one with `index` among `lanes`. */
  constructor(lane: Lane, index: number, lanes: number, files: LineFiles) {
    this.lane = lane;
    this.tally = new Tally(lane.plan.ports.map((port) => port.name));
    // Each lane counts its flows from 1; 0 is none.
    this.#numberFlow = (serial) => (serial === 0 ? 0 : (serial - 1) * lanes + index + 1);
    this.#files = files;
    this.#frame = new FrameReader(lane.memory);
  }

  /** Frames of one batch may end in another order than they came in. */
  recordTurn(): void {
    for (const outcome of readOutcomes(this.lane).sort((a, b) => a.number - b.number)) this.#record(outcome);
    this.lane.takeLog((level, name, message) =>
      this.#files.events.write(formatLogLine(this.#timeNs, level, name, message)),
    );
    const { native, plan } = this.lane;
    if (plan !== this.#plan) this.#exported = plan.columns.filter((column) => column.export);
    this.#plan = plan;
    for (const report of readFlowReports(native.takeFlowReports(), this.#exported.length)) {
      const flow = { ...report, serial: this.#numberFlow(report.serial) };
      this.#files.flows.write(`${formatFlow(flow, this.#exported, plan.labels)}\n`);
    }
  }

  #record(outcome: Outcome): void {
    const verdict = readVerdict(this.lane.plan, { ...outcome, flow: this.#numberFlow(outcome.flow) });
    this.#timeNs = outcome.timeNs;
    this.#frame.moveTo(outcome.record);
    this.tally.add(verdict, this.#frame.malformed);
    if (verdict.number !== EMITTED) this.#files.writeVerdict(verdict.number, formatVerdict(verdict));
    const isDropped = verdict.kind === "drop" || verdict.kind === "fault";
    if (isDropped) this.#files.writeDrop({ ...verdict, timeNs: outcome.timeNs }, this.#frame);
  }
}
