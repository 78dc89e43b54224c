// A lane with its first generation, and the same lane seen from the thread of a later one.
import type { Predecessor } from "./generation.ts";
import { Lane } from "./lane.ts";
import { openLaneMemory } from "./lane-memory.ts";
import { type LaneSetup, makeGeneration } from "./lane-setup.ts";
import { FRAMES_ADDRESS } from "./memory-map.ts";
import { REPORTS, REPORTS_BYTES } from "./reports.ts";
import { SegmentStore } from "./segment-store.ts";

/**
 * Opens a lane's memory, configures its first generation's functions and opens its ports; on any error everything is
 * closed again.
 */
export function openLane(setup: LaneSetup): Lane {
  const store = new SegmentStore(setup.native, setup.pathOf);
  const memory = openLaneMemory(setup.native, setup, store);
  const generation = makeGeneration(setup, memory, store, setup.before);
  const native = setup.native.createLane({
    ...generation.describeProgram(),
    umem: memory.umem,
    slotBytes: setup.slotBytes,
    counters: memory.counters,
    framesAddress: FRAMES_ADDRESS,
    laneCounters: generation.counterLayout.lane,
    laneUse: generation.counterLayout.laneUse,
    reports: setup.reportNames === undefined ? null : store.open(REPORTS, REPORTS_BYTES),
    keepOutcomes: setup.keepOutcomes,
    keepBadResults: setup.onEvidence !== undefined,
    virtualClock: setup.virtualClock,
    batchLimit: setup.batchLimit,
    ...(setup.sharedInput ? { laneIndex: setup.lane ?? 0, laneCount: setup.laneCount ?? 1 } : {}),
    ...(setup.handover === undefined ? {} : { laneIndex: setup.lane ?? 0, handover: setup.handover }),
  });
  try {
    const ports = setup.plan.ports.map((port, index) => setup.openPort(native, port, index));
    return new Lane(setup, { memory, native, ports, store, generation });
  } catch (error) {
    native.close();
    throw error;
  }
}

/**
 * The lane `id`, which another thread has, seen from this one: with a generation that stands by until `install` or
 * `takeOver`. The lane goes on undisturbed; ports that the generation has and the one before had not are opened, for
 * the lane to have from then on.
 */
export function attachLane(setup: LaneSetup, id: number, before: Predecessor): Lane {
  const native = setup.native.attachLane(id);
  const store = new SegmentStore(setup.native, setup.pathOf);
  const memory = openLaneMemory(setup.native, setup, store);
  const generation = makeGeneration(setup, memory, store, before);
  // What it could not carry is known before the switchover, when it is done again on what lies there then.
  const trial = generation.migrate();
  generation.warmUp();
  generation.populate();
  const opened = before.plan.ports.length;
  const ports = setup.plan.ports.slice(opened).map((port, index) => setup.openPort(native, port, opened + index));
  const lane = new Lane(setup, { memory, native, ports, store, generation, trial });
  lane.prepare();
  return lane;
}
