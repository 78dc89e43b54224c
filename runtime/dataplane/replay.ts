// Replay: a chain on captures instead of devices. Time is the captures' time, so the same input gives the same output.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setImmediate } from "node:timers/promises";
import type { Plan } from "../chain/plan.ts";
import type { FixedRoutes } from "../chain/routes-document.ts";
import { type Fault, SluiceError } from "../errors.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import { turn } from "./breathe.ts";
import type { LogLevel } from "./instance.ts";
import type { Lane } from "./lane.ts";
import { FRAMES_BYTES_MAX } from "./memory-map.ts";
import type { CaptureInfo, FilePort, FilePortOptions, NativeAddon, NativeHandover } from "./native.ts";
import { openLane } from "./open-lane.ts";
import { findOverwritten, OutputFolder } from "./replay/output-folder.ts";
import { LaneRecorder, LineFiles, lineFiles, type PlaceOf } from "./replay/recorder.ts";
import { type ReplayPlan, Schedule } from "./replay/schedule.ts";
import { gatherStats, type ReplayStats } from "./replay/stats.ts";

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
  /** 1 … LANES_MAX, over which flows are spread. Swaps, faults and batches need a single one. */
  readonly lanes: number;
  /** By which routed ports' frames leave. */
  readonly routes?: FixedRoutes | undefined;
  /** `line:column` in the document of the rule that a function's reason speaks of. */
  readonly placeOf?: PlaceOf | undefined;
  readonly onLog?: (level: LogLevel, functionName: string, message: string) => void;
  /** Ends the replay early; nothing is written then. */
  readonly signal?: AbortSignal;
}

/** Large enough for what segmentation offload leaves in captures. */
const SLOT_BYTES = 131072;
/** Of a batch, and of what waits for a neighbour; a turn gives the others back. Held fragments have slots beside them. */
const SLOTS = 512;
/** Functions have memory for no more: the oldest give way. */
const HELD_MAX = FRAMES_BYTES_MAX / SLOT_BYTES - SLOTS;
const ETHERNET = 1;
export const LANES_MAX = 16;
/** Turns between two looks at whether to stop. */
const STRETCH = 4096;

/** Flows that come to another lane than their addresses say; more find no way there. */
const DETOURS_MAX = 1 << 20;

const STATS_FILE = "stats.json";

/**
 * Runs the captures through the chain and fills `out`: PORT.pcap for every port, verdicts.jsonl, eve.jsonl, flows.jsonl,
 * stats.json. Damaged captures are processed as far as they are readable: see `damage` of the result. Throws
 * file-unreadable, capture-format, capture-link-type, file-unwritable or what the functions refuse, with nothing written.
 */
export async function replay(setup: ReplaySetup): Promise<ReplayStats> {
  requirePlaceable(setup);
  requireSpread(setup);
  const bounded = { ...setup, plan: boundHeld(setup.plan) };
  const output = chooseOutput(setup);
  refuseOverwriting(setup);
  const folder = OutputFolder.create(setup.out);
  try {
    const stats = await runInto(folder, bounded, output);
    folder.publish();
    return stats;
  } catch (error) {
    folder.discard();
    throw error;
  }
}

function boundHeld(plan: Plan): Plan {
  const { flows } = plan;
  const held = Math.min(flows.fragments.held, HELD_MAX);
  return { ...plan, flows: { ...flows, fragments: { ...flows.fragments, held } } };
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

/** Throws usage where several lanes would not do what one does. */
function requireSpread({ lanes, plan, packages }: ReplaySetup): void {
  if (lanes === 1 || plan.flows.spread !== undefined) return;
  const index = packages.findIndex(({ manifest }) => manifest.spread === "hosts");
  if (index < 0) return;
  const { name } = plan.functions[index] as Plan["functions"][number];
  const what = `the function "${name}" needs all that a host has on one lane, and flows are spread by pairs of addresses`;
  const help = "say in the chain which hosts these are, and which outside addresses they share: flows.spread";
  throw new SluiceError({ code: "usage", where: `--lanes ${lanes}`, what, help });
}

function requirePlaceable({ batch, lanes, swaps, swapEvery, faults }: ReplaySetup): void {
  const hasPlan = swaps.length > 0 || faults.length > 0 || swapEvery !== undefined;
  if (batch > 1 && hasPlan) {
    const what = "swaps and faults have their place between two frames, so each frame must be its own batch";
    throw new SluiceError({ code: "usage", where: `--batch ${batch}`, what, help: "leave --batch out" });
  }
  if (lanes > 1 && (batch > 1 || hasPlan)) {
    const what = "swaps, faults and batches of more than one frame are for a single lane";
    throw new SluiceError({ code: "usage", where: `--lanes ${lanes}`, what, help: "leave --lanes out" });
  }
}

function refuseOverwriting({ plan, inputs, out }: ReplaySetup): void {
  const names = [...plan.ports.map((port) => `${port.name}.pcap`), ...lineFiles, STATS_FILE];
  const file = findOverwritten(out, names, inputs.flat());
  if (file === undefined) return;
  throw new SluiceError({ code: "usage", where: `--out ${out}`, what: `the output would overwrite the input ${file}` });
}

async function runInto(folder: OutputFolder, setup: ReplaySetup, output: CaptureInfo): Promise<ReplayStats> {
  const lanes: Lane[] = [];
  let stats: ReplayStats;
  try {
    const handover = setup.lanes === 1 ? undefined : makeHandover(setup);
    while (lanes.length < setup.lanes) lanes.push(openNextLane(lanes, folder, setup, output, handover));
    const schedule = new Schedule(lanes[0] as Lane, setup);
    const recorders = await run(lanes, schedule, folder, setup);
    stats = gatherStats(recorders, schedule);
  } finally {
    for (const lane of lanes) lane.close();
  }
  requireWritten(lanes, folder);
  writeStats(folder, stats);
  return stats;
}

/** What each lane has to know of the others' flows. */
function makeHandover({ native, lanes, plan }: ReplaySetup): NativeHandover {
  const { capacity, spread = null } = plan.flows;
  return native.makeHandover(lanes, Math.min(lanes * capacity, DETOURS_MAX), spread);
}

/** All lanes receive all frames, each keeps its own; what they transmit goes into the same files. */
function openNextLane(
  lanes: readonly Lane[],
  folder: OutputFolder,
  setup: ReplaySetup,
  output: CaptureInfo,
  handover: NativeHandover | undefined,
): Lane {
  const lane = openLane({
    native: setup.native,
    plan: setup.plan,
    packages: setup.packages,
    slots: SLOTS + setup.plan.flows.fragments.held,
    slotBytes: SLOT_BYTES,
    batchLimit: setup.batch,
    keepOutcomes: true,
    virtualClock: true,
    lane: lanes.length,
    laneCount: setup.lanes,
    sharedInput: true,
    ...(handover === undefined ? {} : { handover: handover.id }),
    openPort: (native, port, index) =>
      native.openFilePort({
        inputs: setup.inputs[index] ?? [],
        outputLinkType: output.linkType,
        outputNanoseconds: output.nanoseconds,
        ...chooseTarget(lanes[0]?.ports[index] as FilePort | undefined, folder.stage(`${port.name}.pcap`)),
      }),
    ...(setup.onLog === undefined ? {} : { onLog: setup.onLog }),
  });
  if (setup.routes !== undefined) lane.native.fixRoutes(setup.routes);
  return lane;
}

function chooseTarget(first: FilePort | undefined, output: string): Pick<FilePortOptions, "output" | "sharedOutput"> {
  return first === undefined ? { output } : { sharedOutput: first.output };
}

/** Turns until all inputs are at their end. */
async function run(
  lanes: readonly Lane[],
  schedule: Schedule,
  folder: OutputFolder,
  { placeOf, signal }: Pick<ReplaySetup, "placeOf" | "signal">,
): Promise<readonly LaneRecorder[]> {
  const files = new LineFiles(folder, placeOf);
  const recorders = lanes.map((lane, index) => new LaneRecorder(lane, index, lanes.length, files));
  try {
    while (breatheFor(Math.ceil(STRETCH / lanes.length), recorders, schedule)) {
      await setImmediate();
      signal?.throwIfAborted();
    }
    for (const recorder of recorders) runOut(recorder);
  } finally {
    files.close();
  }
  return recorders;
}

/** The lanes in rotation, so that they stay at the same frame. False when there is nothing more to receive. */
function breatheFor(rounds: number, recorders: readonly LaneRecorder[], schedule: Schedule): boolean {
  const areSeveral = recorders.length > 1;
  for (let round = 0; round < rounds; round++) {
    let isBusy = false;
    for (const recorder of recorders) {
      if (areSeveral) catchUp(recorder, schedule);
      isBusy = breatheOnce(recorder, schedule) || isBusy;
    }
    while (areSeveral && recorders.some((recorder) => catchUp(recorder, schedule)));
    if (!isBusy) return false;
  }
  return true;
}

/** What lanes pass on to each other ends before the next frame comes, as it would on one lane. */
function catchUp(recorder: LaneRecorder, schedule: Schedule): boolean {
  const wasBehind = recorder.lane.native.isBehind();
  while (recorder.lane.native.isBehind()) breatheOnce(recorder, schedule);
  return wasBehind;
}

function breatheOnce(recorder: LaneRecorder, schedule: Schedule): boolean {
  const { lane } = recorder;
  const frame = lane.native.received + 1;
  schedule.before(frame);
  const isBusy = turn(lane);
  recorder.recordTurn();
  if (lane.native.received === frame) schedule.after(frame);
  return isBusy;
}

/** All timers run out, one after the other: flows end, fragments that wait are given up, functions hear of it. */
function runOut(recorder: LaneRecorder): void {
  const { lane } = recorder;
  while (lane.native.runOut()) {
    recorder.recordTurn();
    turn(lane);
    recorder.recordTurn();
  }
}

function requireWritten(lanes: readonly Lane[], folder: OutputFolder): void {
  const faults = lanes.flatMap((lane) =>
    lane.ports.flatMap((port, index): Fault[] => {
      const { writeError } = port as FilePort;
      const where = join(folder.path, `${lane.plan.ports[index]?.name}.pcap`);
      return writeError === null ? [] : [{ code: "file-unwritable", where, what: writeError }];
    }),
  );
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
