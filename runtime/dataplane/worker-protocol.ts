// What the engine and a lane's worker say to each other.
import type { Plan } from "../chain/plan.ts";
import type { Fault } from "../errors.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import type { CounterLayout } from "./counter-layout.ts";
import type { LogLevel } from "./instance.ts";
import type { FaultReport } from "./lane.ts";
import type { FlowRecovery, FrameAudit } from "./native.ts";
import type { FunctionDescription, PortDescription } from "./state-folder.ts";

/** What the engine hands to a worker. */
export interface WorkerSetup {
  readonly plan: Plan;
  readonly packages: readonly FunctionPackage[];
  readonly folder: string;
  readonly cpu: number | null;
  readonly slots: number;
  readonly slotBytes: number;
  /** Int32: CONTROL_RUN or CONTROL_STOP. */
  readonly control: SharedArrayBuffer;
}

export const CONTROL_RUN = 0;
export const CONTROL_STOP = 1;

export type WorkerMessage =
  | {
      readonly kind: "ready";
      readonly wakeDescriptor: number;
      readonly ports: readonly PortDescription[];
      readonly functions: readonly FunctionDescription[];
      readonly layout: CounterLayout;
      readonly recovery: FlowRecovery | null;
    }
  | { readonly kind: "fault"; readonly fault: FaultReport }
  | { readonly kind: "log"; readonly level: LogLevel; readonly function: string; readonly message: string }
  | { readonly kind: "failed"; readonly faults: readonly Fault[] }
  | { readonly kind: "stopped"; readonly audit: FrameAudit };
