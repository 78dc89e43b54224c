// Replay: a chain on captures instead of devices. Time is the captures' time, so the same input gives the same output.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { Plan } from "../chain/plan.ts";
import { type Fault, SluiceError } from "../errors.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import { formatDrop } from "../telemetry/eve.ts";
import { LineFile } from "../telemetry/line-file.ts";
import { turn } from "./breathe.ts";
import { FrameReader } from "./frame-reader.ts";
import type { LogLevel } from "./instance.ts";
import { type Lane, openLane } from "./lane.ts";
import type { CaptureInfo, FilePort, NativeAddon } from "./native.ts";
import { type Outcome, readOutcomes } from "./outcomes.ts";
import { findOverwritten, OutputFolder } from "./replay/output-folder.ts";
import { type ReplayPlan, Schedule } from "./replay/schedule.ts";
import { gatherStats, type ReplayStats } from "./replay/stats.ts";
import { Tally } from "./replay/tally.ts";
import { formatVerdict, readVerdict } from "./replay/verdicts.ts";

export interface ReplaySetup extends ReplayPlan {
  readonly native: NativeAddon;
  readonly plan: Plan;
  /** By index of plan.functions. */
  readonly packages: readonly FunctionPackage[];
  /** Captures of each port, by its index. */
  readonly inputs: readonly (readonly string[])[];
  readonly out: string;
  /**
   * Frames per turn, 1 … BATCH_CAPACITY. With 1, each frame is its own batch, and no result depends on where a batch was
   * cut: a trap costs one frame. More is for load; swaps and faults then cannot be placed and are refused.
   */
  readonly batch: number;
  readonly onLog?: (level: LogLevel, functionName: string, message: string) => void;
  /** Ends the replay early; nothing is written then. */
  readonly signal?: AbortSignal;
}

/** Large enough for what segmentation offload leaves in captures. */
const SLOT_BYTES = 131072;
/** A turn gives back all slots that it took. */
const SLOTS = 512;
const ETHERNET = 1;
/** Turns between two looks at whether to stop. */
const STRETCH = 4096;

const lineFiles = ["verdicts.jsonl", "eve.jsonl", "flows.jsonl"] as const;
const STATS_FILE = "stats.json";

/**
 * Runs the captures through the chain and fills `out`: PORT.pcap for every port, verdicts.jsonl, eve.jsonl, flows.jsonl,
 * stats.json. Damaged captures are processed as far as they are readable: see `damage` of the result. Throws
 * file-unreadable, capture-format, capture-link-type, file-unwritable or what the functions refuse, with nothing written.
 */
export async function replay(setup: ReplaySetup): Promise<ReplayStats> {
  requirePlaceable(setup);
  const output = chooseOutput(setup);
  refuseOverwriting(setup);
  const folder = OutputFolder.create(setup.out);
  try {
    const stats = await runInto(folder, setup, output);
    folder.publish();
    return stats;
  } catch (error) {
    folder.discard();
    throw error;
  }
}

/** What every PORT.pcap is: like the inputs if they are alike, otherwise Ethernet, with the finer time. */
function chooseOutput({ native, inputs }: ReplaySetup): CaptureInfo {
  const captures = inputs.flat().map((file) => native.inspectCapture(file));
  const [first = ETHERNET, ...others] = new Set(captures.map(({ linkType }) => linkType));
  return {
    linkType: others.length === 0 ? first : ETHERNET,
    nanoseconds: captures.some(({ nanoseconds }) => nanoseconds),
  };
}

function requirePlaceable({ batch, swaps, swapEvery, faults }: ReplaySetup): void {
  if (batch === 1 || (swaps.length === 0 && faults.length === 0 && swapEvery === undefined)) return;
  const what = "swaps and faults have their place between two frames, so each frame must be its own batch";
  throw new SluiceError({ code: "usage", where: `--batch ${batch}`, what, help: "leave --batch out" });
}

function refuseOverwriting({ plan, inputs, out }: ReplaySetup): void {
  const names = [...plan.ports.map((port) => `${port.name}.pcap`), ...lineFiles, STATS_FILE];
  const file = findOverwritten(out, names, inputs.flat());
  if (file === undefined) return;
  throw new SluiceError({ code: "usage", where: `--out ${out}`, what: `the output would overwrite the input ${file}` });
}

async function runInto(folder: OutputFolder, setup: ReplaySetup, output: CaptureInfo): Promise<ReplayStats> {
  const lane = openLane({
    native: setup.native,
    plan: setup.plan,
    packages: setup.packages,
    slots: SLOTS,
    slotBytes: SLOT_BYTES,
    batchLimit: setup.batch,
    keepOutcomes: true,
    virtualClock: true,
    openPort: (native, port, index) =>
      native.openFilePort({
        inputs: setup.inputs[index] ?? [],
        output: folder.stage(`${port.name}.pcap`),
        outputLinkType: output.linkType,
        outputNanoseconds: output.nanoseconds,
      }),
    ...(setup.onLog === undefined ? {} : { onLog: setup.onLog }),
  });
  let stats: ReplayStats;
  try {
    const schedule = new Schedule(lane, setup);
    const tally = await run(lane, schedule, folder, setup.signal);
    stats = gatherStats(lane, tally, schedule);
  } finally {
    lane.close();
  }
  requireWritten(lane, folder);
  writeStats(folder, stats);
  return stats;
}

/** Turns until all inputs are at their end. */
async function run(lane: Lane, schedule: Schedule, folder: OutputFolder, signal?: AbortSignal): Promise<Tally> {
  const [verdicts, events, flows] = lineFiles.map(
    (name) => new LineFile(folder.stage(name), join(folder.path, name)),
  ) as [LineFile, LineFile, LineFile];
  const recorder = new Recorder(lane, verdicts, events);
  try {
    while (breatheFor(STRETCH, lane, schedule, recorder)) {
      await setImmediate();
      signal?.throwIfAborted();
    }
  } finally {
    for (const file of [verdicts, events, flows]) file.close();
  }
  return recorder.tally;
}

/** False when there is nothing more to receive. */
function breatheFor(turns: number, lane: Lane, schedule: Schedule, recorder: Recorder): boolean {
  for (let i = 0; i < turns; i++) {
    const frame = recorder.tally.frames + 1;
    schedule.before(frame);
    if (!turn(lane)) return false;
    recorder.recordTurn();
    schedule.after(frame);
  }
  return true;
}

/** Writes down what became of the frames of each turn. */
class Recorder {
  readonly tally: Tally;
  readonly #lane: Lane;
  readonly #verdicts: LineFile;
  readonly #events: LineFile;
  readonly #frame: FrameReader;

  constructor(lane: Lane, verdicts: LineFile, events: LineFile) {
    this.tally = new Tally(lane.plan.ports.map((port) => port.name));
    this.#lane = lane;
    this.#verdicts = verdicts;
    this.#events = events;
    this.#frame = new FrameReader(lane.memory);
  }

  /** Frames of one batch may end in another order than they came in. */
  recordTurn(): void {
    for (const outcome of readOutcomes(this.#lane).sort((a, b) => a.number - b.number)) this.#record(outcome);
  }

  #record(outcome: Outcome): void {
    const verdict = readVerdict(this.#lane.plan, outcome);
    this.#frame.moveTo(outcome.record);
    this.tally.add(verdict, this.#frame.malformed);
    this.#verdicts.write(formatVerdict(verdict));
    const isDropped = verdict.kind === "drop" || verdict.kind === "fault";
    if (isDropped) this.#events.write(formatDrop({ ...verdict, timeNs: outcome.timeNs }, this.#frame));
  }
}

function requireWritten(lane: Lane, folder: OutputFolder): void {
  const faults = lane.ports.flatMap((port, index): Fault[] => {
    const { writeError } = port as FilePort;
    const where = join(folder.path, `${lane.plan.ports[index]?.name}.pcap`);
    return writeError === null ? [] : [{ code: "file-unwritable", where, what: writeError }];
  });
  const [first, ...rest] = faults;
  if (first !== undefined) throw new SluiceError(first, ...rest);
}

function writeStats(folder: OutputFolder, stats: ReplayStats): void {
  try {
    writeFileSync(folder.stage(STATS_FILE), `${JSON.stringify(stats, null, 2)}\n`);
  } catch (error) {
    throw new SluiceError({
      code: "file-unwritable",
      where: join(folder.path, STATS_FILE),
      what: (error as Error).message,
    });
  }
}
