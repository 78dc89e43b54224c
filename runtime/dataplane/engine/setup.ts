// What an engine is told when it is started, and what of that all its generations share.
import { availableParallelism } from "node:os";
import type { Plan } from "../../chain/plan.ts";
import type { FunctionPackage } from "../../function/catalog.ts";
import type { FaultEvidence } from "../faults/evidence.ts";
import type { FaultReport } from "../faults/lane-faults.ts";
import type { Numbering } from "../generation.ts";
import type { LogLevel } from "../instance.ts";
import type { LinkKeeper } from "../native.ts";
import type { WorkerSetup } from "../worker-protocol.ts";
import type { FaultyChain } from "./generation-worker.ts";

export interface EngineSetup {
  readonly plan: Plan;
  readonly packages: readonly FunctionPackage[];
  /** Frames in the lane's UMEM. */
  readonly slots?: number;
  readonly slotBytes?: number;
  /** Processor time that a function may take for one batch. */
  readonly batchLimitMs?: number;
  /** The process that starts the engine again should it die, and what keeps its XDP programs attached meanwhile. */
  readonly supervisor?: { readonly pid: number; readonly keeper: LinkKeeper } | undefined;
  /** The plan is the committed one of an engine that died: all that it left of its state goes on. */
  readonly resume?: Numbering | undefined;
  readonly onFault?: (fault: FaultReport) => void;
  /** What there is of some faults: enough of each kind. */
  readonly onEvidence?: (evidence: FaultEvidence, chain: FaultyChain) => void;
  readonly onLog?: (level: LogLevel, functionName: string, message: string) => void;
}

export type Shared = Pick<WorkerSetup, "folder" | "handover" | "cpu" | "slots" | "slotBytes">;

const SLOTS = 16384;
const SLOT_BYTES = 2048;
const BATCH_LIMIT_MS = 50;

export function sharedOf({ slots, slotBytes }: EngineSetup, folder: string, handover: number): Shared {
  return {
    ...{ folder, handover },
    // The first core is left to the kernel's interrupts and to everything else that the box does.
    cpu: availableParallelism() > 1 ? availableParallelism() - 1 : null,
    slots: slots ?? SLOTS,
    slotBytes: slotBytes ?? SLOT_BYTES,
  };
}

export function batchLimitOf({ batchLimitMs }: EngineSetup): number {
  return batchLimitMs ?? BATCH_LIMIT_MS;
}

/** As threads can be told of it. */
export function chainOf({
  plan,
  packages,
}: Pick<EngineSetup, "plan" | "packages">): Pick<WorkerSetup, "plan" | "packages"> {
  return { plan, packages: packages.map(({ manifest, wasm, origin }) => ({ manifest, wasm, origin })) };
}
