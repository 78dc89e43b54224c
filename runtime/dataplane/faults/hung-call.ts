// Evidence of a function that did not return, after its thread was ended and before anybody else has the lane. Its own
// memory and globals went with the thread, unless its recorder kept them; what is shared is still as it left it.
import { COUNTER_BYTES } from "../../../nfs/sdk/abi.ts";
import type { FunctionPackage } from "../../function/catalog.ts";
import type { GenerationWorker } from "../engine/generation-worker.ts";
import { nameSegment } from "../flow-memory.ts";
import type { DeclaredNames } from "../function-state.ts";
import { nameInLane } from "../lane-files.ts";
import { callKinds } from "../layout.ts";
import type { NativeAddon, NativeLane } from "../native.ts";
import { CONTROL_CALL_KIND, CONTROL_CALLING } from "../worker-protocol.ts";
import { copySegments, type FaultEvidence, NOT_RETURNED, type StateCopy } from "./evidence.ts";
import { readRecordedState } from "./function-recorder.ts";

export interface HungCall {
  readonly native: NativeAddon;
  readonly lane: NativeLane;
  readonly control: Int32Array;
  /** The one whose thread was ended. */
  readonly worker: Pick<GenerationWorker, "setup" | "description">;
  /** Index of the function. */
  readonly offender: number;
}

export function collectHungCall(hung: HungCall): FaultEvidence {
  const { control, offender } = hung;
  const { setup, description } = hung.worker;
  const kind = Atomics.load(control, CONTROL_CALLING) === 0 ? 0 : Atomics.load(control, CONTROL_CALL_KIND);
  const call = callKinds[kind];
  if (call === undefined) throw new Error("it migrated entries, and that is not kept");
  const { reasons = [], counters = [] } = description.functions[offender] ?? {};
  return {
    ...{
      kind: "time",
      function: offender,
      lane: setup.lane,
      laneCount: setup.lanes,
      seed: 0n,
      bad: null,
      source: null,
    },
    at: new Date().toISOString(),
    message: NOT_RETURNED,
    call,
    ...collectCalls(hung, kind, { reasons, counters }),
    declared: { reasons, counters },
    slotBytes: setup.slotBytes,
    umemBytes: setup.slots * setup.slotBytes,
  };
}

function collectCalls(
  hung: HungCall,
  kind: number,
  declared: DeclaredNames,
): Pick<FaultEvidence, "calls" | "state" | "isExact"> {
  const { lane, offender, worker } = hung;
  const recording = lane.copyRecording(offender);
  if (recording === null) {
    const calls = lane.copyCall(kind, offender, Math.max(0, lane.pulse().hop));
    return { calls, state: copyShared(hung, declared), isExact: false };
  }
  const { wasm } = worker.setup.packages[offender] as FunctionPackage;
  const names = plannedOf(hung).segments.map(({ name }) => name);
  return { calls: recording.calls, state: readRecordedState(recording, wasm, names), isExact: true };
}

function plannedOf({ worker, offender }: HungCall) {
  const { functions } = worker.setup.plan;
  return functions[offender] as (typeof functions)[number];
}

function copyShared(hung: HungCall, { counters }: DeclaredNames): StateCopy {
  const { native, worker } = hung;
  const planned = plannedOf(hung);
  const open = (name: string) => native.attachSegment(`${worker.setup.folder}/${nameInLane(name, worker.setup.lane)}`);
  const segments = planned.segments.map((segment) => {
    return { name: segment.name, segment: open(nameSegment(planned, segment, worker.setup.plan)) };
  });
  return {
    memory: null,
    globals: null,
    counters: open(`function-${planned.name}`).buffer.slice(0, counters.length * COUNTER_BYTES),
    segments: copySegments(native, segments),
  };
}
