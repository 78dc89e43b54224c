// The thread of one generation: opens the lane or attaches to it, tells the engine, and breathes whenever the lane is its
// own, until it is told to stop.
import { flushCompileCache } from "node:module";
import { setFlagsFromString } from "node:v8";
import { parentPort, workerData } from "node:worker_threads";
import { stateNameOf } from "../chain/canary.ts";
import type { PlannedPort } from "../chain/plan.ts";
import { type Fault, SluiceError } from "../errors.ts";
import { breathe, turn } from "./breathe.ts";
import { type FaultEvidence, listBuffers } from "./faults/evidence.ts";
import type { FaultReport } from "./faults/lane-faults.ts";
import type { Lane } from "./lane.ts";
import { nameInLane } from "./lane-files.ts";
import { inletProgram, loadAddon, steeringProgram } from "./load-addon.ts";
import type { AfxdpPort, NativeLane } from "./native.ts";
import { attachLane, openLane } from "./open-lane.ts";
import { TrapCount } from "./trap-count.ts";
import {
  CONTROL_AWAKE,
  CONTROL_CALL_KIND,
  CONTROL_CALLING,
  CONTROL_COMMAND,
  CONTROL_FORCED,
  CONTROL_MIGRATION_LEFT,
  CONTROL_OFFENDER,
  CONTROL_OWNER,
  CONTROL_RUN,
  CONTROL_RUNNING,
  TIME_RELEASED,
  TIME_TAKEN,
  type WorkerMessage,
  type WorkerSetup,
} from "./worker-protocol.ts";

const GONE_CHECK_TURNS = 4096;
/** Who waits for the lane looks so often whether it is still to have it. */
const BATON_CHECK_MS = 20;
/** Descriptors per ring unless the chain says: two milliseconds of small frames at a million a second. */
const RING_SIZE = 2048;

function post(message: WorkerMessage): void {
  parentPort?.postMessage(message);
}

function run(setup: WorkerSetup): void {
  // Compiled whole before the first packet; the command line's flag says by which compiler (`sluice`).
  setFlagsFromString("--no-wasm-lazy-compilation");
  const control = new Int32Array(setup.control);
  const lane = open(setup, control);
  // A killed process has no time to write down what it compiled; the next one starts the faster for it.
  flushCompileCache();
  const ready = describe(lane);
  // Not before: what is being built shall not take the lane's core from the generation that runs. But then: who is woken
  // on the core that the other one leaves has it at once.
  const native = loadAddon();
  const thread = setup.cpu === null ? null : native.claimLaneCpu(cpuOf(setup.cpu, setup.lane));
  post({ kind: "ready", thread, ...ready });
  const times = new BigInt64Array(setup.times);
  for (;;) {
    if (thread !== null) native.comeFirst(true);
    awaitLane(setup, control, lane);
    if (isStopped(lane, control)) break;
    take(lane, setup, control, times);
    // Not before its first turn: whoever becomes an ordinary thread may have to wait for its core.
    if (thread !== null) native.comeFirst(false);
    breathe(lane);
    if (isStopped(lane, control)) break;
    const owner = Atomics.load(control, CONTROL_OWNER);
    const isAwaited = owner !== 0 && owner !== setup.generation;
    native.releaseLane(control, CONTROL_RUNNING, times, TIME_RELEASED, isAwaited);
  }
  if (Atomics.load(control, CONTROL_RUNNING) === setup.generation) end(lane);
}

/** Fewer cores than lanes: some share one. */
function cpuOf(first: number, lane: number): number {
  const cpus = first + 1;
  return (first - (lane % cpus) + cpus) % cpus;
}

function open(setup: WorkerSetup, control: Int32Array): Lane {
  const { plan, packages, slots, slotBytes, quarantined, generation, reportNames } = setup;
  const native = loadAddon();
  const traps = new TrapCount();
  let turns = 0;
  let isGone = false;
  const common = {
    ...{ native, plan, packages, slots, slotBytes, quarantined, reportNames },
    batchLimit: 256,
    keepOutcomes: false,
    virtualClock: false,
    lane: setup.lane,
    laneCount: setup.lanes,
    handover: setup.handover,
    pathOf: (segment: string) => `${setup.folder}/${nameInLane(segment, setup.lane)}`,
    isMine: () => {
      if (++turns % GONE_CHECK_TURNS === 0) {
        isGone = lane.native.gonePort() >= 0;
        lane.takeLog();
      }
      return isOwn(generation, control) && Atomics.load(control, CONTROL_COMMAND) === CONTROL_RUN && !isGone;
    },
    calling: control.subarray(CONTROL_CALLING, CONTROL_CALL_KIND + 1),
    migrationLeft: control.subarray(CONTROL_MIGRATION_LEFT, CONTROL_MIGRATION_LEFT + 1),
    onFault: (fault: FaultReport) => {
      // All are counted; a storm is told of ever more rarely.
      if ((fault.count & (fault.count - 1)) === 0) post({ kind: "fault", fault });
      const index = plan.functions.findIndex(({ name }) => name === fault.function);
      if (!traps.isTooMany(index, performance.now())) return;
      lane.quarantine(index);
      post({ kind: "quarantined", function: index, traps: fault.count });
    },
    onEvidence: (evidence: FaultEvidence) => {
      parentPort?.postMessage({ kind: "evidence", evidence } satisfies WorkerMessage, listBuffers(evidence));
    },
    onLog: (level: (WorkerMessage & { kind: "log" })["level"], name: string, message: string) =>
      post({ kind: "log", level, function: name, message }),
  };
  const openPort = (open: NativeLane, port: PlannedPort) =>
    open.openAfxdpPort({
      program: steeringProgram,
      device: port.device,
      queue: port.queues[setup.lane] ?? 0,
      kernel: port.kernel,
      ...(port.mode === undefined ? {} : { mode: port.mode }),
      ringSize: port.ringSize ?? RING_SIZE,
      keeper: setup.keeper,
      dropsWhenDown: plan.whenDown === "drop",
      routed: port.forwarding === "routed",
      inactive: setup.attach !== undefined || setup.waits === true,
    });
  const lane: Lane =
    setup.attach === undefined
      ? openLane({ ...common, openPort, before: setup.before })
      : attachLane({ ...common, openPort }, setup.attach.lane, setup.attach.before);
  if (setup.attach === undefined) joinKernel(lane.native);
  lane.prepare();
  return lane;
}

/** What the lane has of the kernel, besides devices, for as long as it lives. */
function joinKernel(native: NativeLane): void {
  native.followRoutes();
  try {
    native.openInlet(inletProgram);
  } catch (error) {
    const message = `nothing can be left to the kernel: ${(error as Error).message}`;
    post({ kind: "log", level: "warn", function: "engine", message });
  }
}

/** The one that is to have the lane next wakes up before this one lets it go, not after. */
function isOwn(generation: number, control: Int32Array): boolean {
  const owner = Atomics.load(control, CONTROL_OWNER);
  return owner === generation || (owner !== 0 && owner !== Atomics.load(control, CONTROL_AWAKE));
}

/** Sleeps until the lane is to be this generation's, or to end, and nobody has it any more. */
function awaitLane({ generation }: WorkerSetup, control: Int32Array, lane: Lane): void {
  const native = loadAddon();
  for (;;) {
    const owner = Atomics.load(control, CONTROL_OWNER);
    const ends = Atomics.load(control, CONTROL_COMMAND) !== CONTROL_RUN;
    if (owner !== generation && !ends) {
      Atomics.wait(control, CONTROL_OWNER, owner);
      continue;
    }
    if (Atomics.exchange(control, CONTROL_AWAKE, generation) !== generation) native.wake(lane.native.wakeDescriptor);
    if (native.takeLane(control, CONTROL_RUNNING, generation, BATON_CHECK_MS)) return;
  }
}

function take(lane: Lane, { generation }: WorkerSetup, control: Int32Array, at: BigInt64Array): void {
  if (Atomics.compareExchange(control, CONTROL_FORCED, generation, 0) === generation) {
    const offender = Atomics.exchange(control, CONTROL_OFFENDER, 0);
    Atomics.store(control, CONTROL_CALLING, 0);
    lane.takeOver(offender === 0 ? undefined : offender - 1);
  } else {
    // What did not return on another lane.
    const offender = Atomics.exchange(control, CONTROL_OFFENDER, 0);
    if (offender !== 0) lane.quarantine(offender - 1);
    lane.install();
  }
  at[TIME_TAKEN] = process.hrtime.bigint();
  turn(lane);
  const released = at[TIME_RELEASED] as bigint;
  post({ kind: "taken", pauseNs: released === 0n ? 0 : Number((at[TIME_TAKEN] as bigint) - released) });
}

function isStopped(lane: Lane, control: Int32Array): boolean {
  return Atomics.load(control, CONTROL_COMMAND) !== CONTROL_RUN || lane.native.gonePort() >= 0;
}

function end(lane: Lane): void {
  const gone = lane.native.gonePort();
  lane.native.endFlows();
  lane.takeLog();
  const audit = lane.audit();
  lane.close();
  if (gone >= 0) post({ kind: "failed", faults: [deviceVanished(lane.plan.ports[gone]?.device ?? "device")] });
  else post({ kind: "stopped", audit });
}

function deviceVanished(device: string): Fault {
  return {
    code: "device-vanished",
    where: device,
    what: "the device went away while the chain was running",
    help: "bring the device back, then start the chain again",
  };
}

function describe(lane: Lane): Omit<WorkerMessage & { kind: "ready" }, "kind" | "thread"> {
  return {
    lane: lane.native.id,
    wakeDescriptor: lane.native.wakeDescriptor,
    ports: lane.ports.map((port) => {
      const { index, device, ifindex, mode, refused } = port as AfxdpPort;
      return { name: lane.plan.ports[index]?.name ?? "", device, ifindex, mode, refused: [...refused] };
    }),
    functions: lane.functions.map(({ planned, state }) => ({
      name: planned.name,
      stateName: stateNameOf(planned),
      package: `${planned.package.name}@${planned.package.version}`,
      reasons: [...state.reasons],
      counters: [...state.declaredCounters],
    })),
    layout: lane.counterLayout,
    recovery: lane.native.flowRecovery(),
    migrations: lane.migrations,
  };
}

try {
  run(workerData as WorkerSetup);
} catch (error) {
  const faults =
    error instanceof SluiceError
      ? error.faults
      : [{ code: "internal" as const, where: "worker", what: (error as Error).stack ?? String(error) }];
  post({ kind: "failed", faults });
}
