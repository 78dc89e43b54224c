// Evidence of a function that did not return, after its thread was ended and before anybody else has the lane. Its own
// memory and globals went with the thread; what is shared is still as it left it.
import { COUNTER_BYTES } from "../../../nfs/sdk/abi.ts";
import { nameSegment } from "../flow-memory.ts";
import type { GenerationWorker } from "../generation-worker.ts";
import { callKinds } from "../layout.ts";
import type { NativeAddon, NativeLane } from "../native.ts";
import { CONTROL_CALL_KIND, CONTROL_CALLING } from "../worker-protocol.ts";
import { copySegments, type FaultEvidence, NOT_RETURNED } from "./evidence.ts";

export function collectHungCall(
  native: NativeAddon,
  lane: NativeLane,
  control: Int32Array,
  { setup, description }: Pick<GenerationWorker, "setup" | "description">,
  offender: number,
): FaultEvidence {
  const planned = setup.plan.functions[offender] as (typeof setup.plan.functions)[number];
  const kind = Atomics.load(control, CONTROL_CALLING) === 0 ? 0 : Atomics.load(control, CONTROL_CALL_KIND);
  const pathOf = (segment: string) => `${setup.folder}/${segment}`;
  const segments = planned.segments.map((segment) => {
    return { name: segment.name, segment: native.attachSegment(pathOf(nameSegment(planned, segment))) };
  });
  const { reasons = [], counters = [] } = description.functions[offender] ?? {};
  const counted = native.attachSegment(pathOf(`function-${planned.name}`)).buffer;
  return {
    ...{ kind: "time", function: offender, lane: 0, laneCount: 1, seed: 0n, bad: null, isExact: false, source: null },
    at: new Date().toISOString(),
    message: NOT_RETURNED,
    call: callKinds[kind] ?? "nf_process",
    calls: lane.copyCall(kind, offender, Math.max(0, lane.pulse().hop)),
    state: {
      memory: null,
      globals: null,
      counters: counted.slice(0, counters.length * COUNTER_BYTES),
      segments: copySegments(native, segments),
    },
    declared: { reasons, counters },
    slotBytes: setup.slotBytes,
    umemBytes: setup.slots * setup.slotBytes,
  };
}
