// The thread of one lane: opens it, tells the engine, breathes until it is told to stop, closes it.
import { setFlagsFromString } from "node:v8";
import { parentPort, workerData } from "node:worker_threads";
import { type Fault, SluiceError } from "../errors.ts";
import { breathe } from "./breathe.ts";
import { type Lane, openLane } from "./lane.ts";
import { loadAddon, steeringProgram } from "./load-addon.ts";
import type { AfxdpPort } from "./native.ts";
import { CONTROL_RUN, type WorkerMessage, type WorkerSetup } from "./worker-protocol.ts";

const GONE_CHECK_TURNS = 4096;
/** Descriptors per ring unless the chain says: two milliseconds of small frames at a million a second. */
const RING_SIZE = 2048;

function post(message: WorkerMessage): void {
  parentPort?.postMessage(message);
}

function run(setup: WorkerSetup): void {
  // Compiled whole before the first packet; the command line's flag says by which compiler (`sluice`).
  setFlagsFromString("--no-wasm-lazy-compilation");
  const native = loadAddon();
  if (setup.cpu !== null) native.pinThread(setup.cpu);
  const control = new Int32Array(setup.control);
  let turns = 0;
  let vanished: AfxdpPort | undefined;
  const lane = openLane({
    native,
    plan: setup.plan,
    packages: setup.packages,
    slots: setup.slots,
    slotBytes: setup.slotBytes,
    batchLimit: 256,
    keepOutcomes: false,
    virtualClock: false,
    openPort: (open, port) =>
      open.openAfxdpPort({
        program: steeringProgram,
        device: port.device,
        queue: port.queues[0] ?? 0,
        kernel: port.kernel,
        ...(port.mode === undefined ? {} : { mode: port.mode }),
        ringSize: port.ringSize ?? RING_SIZE,
      }),
    pathOf: (segment) => `${setup.folder}/${segment}`,
    isMine: () => {
      if (++turns % GONE_CHECK_TURNS === 0) {
        vanished = goneAmong(lane);
        lane.takeLog();
      }
      return Atomics.load(control, 0) === CONTROL_RUN && vanished === undefined;
    },
    onFault: (fault) => {
      // All are counted; a storm is told of ever more rarely.
      if ((fault.count & (fault.count - 1)) === 0) post({ kind: "fault", fault });
    },
    onLog: (level, name, message) => post({ kind: "log", level, function: name, message }),
  });
  post({ kind: "ready", wakeDescriptor: lane.native.wakeDescriptor, ...describe(lane) });
  breathe(lane);
  lane.native.endFlows();
  lane.takeLog();
  const audit = lane.audit();
  lane.close();
  if (vanished !== undefined) post({ kind: "failed", faults: [deviceVanished(vanished)] });
  else post({ kind: "stopped", audit });
}

function goneAmong(lane: Lane): AfxdpPort | undefined {
  return (lane.ports as readonly AfxdpPort[]).find((port) => port.gone);
}

function deviceVanished(port: AfxdpPort): Fault {
  return {
    code: "device-vanished",
    where: port.device,
    what: "the device went away while the chain was running",
    help: "bring the device back, then start the chain again",
  };
}

function describe(lane: Lane): Pick<WorkerMessage & { kind: "ready" }, "ports" | "functions" | "layout" | "recovery"> {
  return {
    ports: lane.plan.ports.map((port, index) => {
      const { mode, refused } = lane.ports[index] as AfxdpPort;
      return { name: port.name, device: port.device, mode, refused: [...refused] };
    }),
    functions: lane.functions.map(({ planned, state }) => ({
      name: planned.name,
      package: `${planned.package.name}@${planned.package.version}`,
      reasons: [...state.reasons],
      counters: [...state.declaredCounters],
    })),
    layout: lane.counterLayout,
    recovery: lane.native.flowRecovery(),
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
