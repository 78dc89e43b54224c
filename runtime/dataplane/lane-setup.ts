// What a lane is opened with, and the generations that are built from that.
import type { Plan, PlannedPort } from "../chain/plan.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import type { FaultEvidence } from "./faults/evidence.ts";
import type { FaultReport } from "./faults/lane-faults.ts";
import { Generation, type Numbering, type Predecessor } from "./generation.ts";
import type { LogLevel } from "./instance.ts";
import type { LaneMemory } from "./lane-memory.ts";
import type { NativeAddon, NativeLane, OpenPort } from "./native.ts";
import type { SegmentStore } from "./segment-store.ts";

export interface LaneSetup {
  readonly native: NativeAddon;
  readonly plan: Plan;
  /** By index of plan.functions. */
  readonly packages: readonly FunctionPackage[];
  readonly slots: number;
  /** A power of two. */
  readonly slotBytes: number;
  /** Frames per turn, 1 … BATCH_CAPACITY. */
  readonly batchLimit: number;
  /** Keep one outcome per frame (replay, tests). */
  readonly keepOutcomes: boolean;
  /** Time is that of the frames, not of the machine. */
  readonly virtualClock: boolean;
  readonly openPort: (lane: NativeLane, port: PlannedPort, index: number) => OpenPort;
  readonly lane?: number;
  readonly laneCount?: number;
  /** The ports of all lanes receive the same frames; this lane keeps its own (replay). */
  readonly sharedInput?: boolean;
  /** The lanes' NativeHandover by its id (live). */
  readonly handover?: number;
  readonly seed?: bigint;
  /** Flows that end, drops and events are reported to other processes, which find the generation's names by this number. */
  readonly reportNames?: number | undefined;
  /** Names the file of a segment; without it all end with the process. */
  readonly pathOf?: (segment: string) => string;
  readonly isMine?: () => boolean;
  /** Of an engine that died: counters and names go on from there. */
  readonly before?: Numbering | undefined;
  /** Indices of functions that are not to be called. */
  readonly quarantined?: readonly number[];
  /** While nf_events or nf_tick of a function runs: its index + 1, and which of them as an index into callKinds. */
  readonly calling?: Int32Array;
  /** The first word is how many entries functions still have to migrate between batches. */
  readonly migrationLeft?: Int32Array;
  readonly onFault?: (fault: FaultReport) => void;
  /** Of some faults: enough of each kind, and none while nobody listens. */
  readonly onEvidence?: (evidence: FaultEvidence) => void;
  readonly onLog?: (level: LogLevel, functionName: string, message: string) => void;
}

export function makeGeneration(
  setup: Omit<LaneSetup, "openPort">,
  memory: LaneMemory,
  store: SegmentStore,
  before?: Predecessor | Numbering,
): Generation {
  const { native, plan, packages, onLog, quarantined, reportNames } = setup;
  return new Generation({
    ...{ native, plan, packages, memory, store, before, onLog, quarantined, reportNames },
    lane: setup.lane ?? 0,
    laneCount: setup.laneCount ?? 1,
    seed: setup.seed ?? 0n,
    keepReports: setup.keepOutcomes,
  });
}
