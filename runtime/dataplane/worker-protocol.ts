// What the engine and the workers of a lane's generations say to each other.
import type { Plan } from "../chain/plan.ts";
import type { Fault } from "../errors.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import type { CounterLayout } from "./counter-layout.ts";
import type { FaultEvidence } from "./faults/evidence.ts";
import type { FaultReport } from "./faults/lane-faults.ts";
import type { MigrationResult, Numbering, Predecessor } from "./generation.ts";
import type { LogLevel } from "./instance.ts";
import type { FlowRecovery, FrameAudit, LinkKeeper } from "./native.ts";
import type { FunctionDescription, PortDescription } from "./state-folder.ts";

/** What the engine hands to a worker. */
export interface WorkerSetup {
  /** Counted from 1. */
  readonly generation: number;
  readonly plan: Plan;
  readonly packages: readonly FunctionPackage[];
  readonly folder: string;
  /** Of the lane among `lanes`. */
  readonly lane: number;
  readonly lanes: number;
  /** What they hand over to each other. */
  readonly handover: number;
  /** The first lane's core; those of others go down from there. Null: whichever is free. */
  readonly cpu: number | null;
  readonly slots: number;
  readonly slotBytes: number;
  /** Int32: CONTROL_* words. */
  readonly control: SharedArrayBuffer;
  /** BigInt64: when the lane was let go and taken last, in ns of the monotonic clock. */
  readonly times: SharedArrayBuffer;
  /** The lane that another generation has; absent for the first, which opens it. */
  readonly attach?: { readonly lane: number; readonly before: Predecessor };
  /** A lane that this generation opens, and has only when it is switched to. */
  readonly waits?: boolean;
  /** For the first: how an engine that died had numbered what it left, and what keeps its XDP programs. */
  readonly before?: Numbering | undefined;
  readonly keeper?: LinkKeeper | undefined;
  /** The number under which readers of its reports find its names. */
  readonly reportNames: number;
  /** Indices of functions that are not to be called. */
  readonly quarantined: readonly number[];
}

/** CONTROL_RUN or CONTROL_STOP. */
export const CONTROL_COMMAND = 0;
/** The generation that is to have the lane. */
export const CONTROL_OWNER = 1;
/** The generation that has it; 0 between two. */
export const CONTROL_RUNNING = 2;
/** The generation that takes the lane from one which was ended wherever it was. */
export const CONTROL_FORCED = 3;
/** The function that is quarantined then: its index + 1. */
export const CONTROL_OFFENDER = 4;
/** The function whose nf_events or nf_tick runs: its index + 1. */
export const CONTROL_CALLING = 5;
/** Which of them: index into callKinds. */
export const CONTROL_CALL_KIND = 6;
/** Entries that the generation which has the lane still migrates between batches. */
export const CONTROL_MIGRATION_LEFT = 7;
/** The generation that has heard that it is to have the lane, and waits for it: the one before goes on until then. */
export const CONTROL_AWAKE = 8;
export const CONTROL_WORDS = 9;

export const CONTROL_RUN = 0;
export const CONTROL_STOP = 1;

export const TIME_RELEASED = 0;
export const TIME_TAKEN = 1;
export const TIME_WORDS = 2;

export type WorkerMessage =
  | {
      readonly kind: "ready";
      /** Its id, if it has claimed the lane's CPU. */
      readonly thread: number | null;
      readonly lane: number;
      readonly wakeDescriptor: number;
      /** Of the generation that opened them. */
      readonly ports: readonly PortDescription[];
      readonly functions: readonly FunctionDescription[];
      readonly layout: CounterLayout;
      readonly recovery: FlowRecovery | null;
      readonly migrations: readonly MigrationResult[];
    }
  /** It has the lane, and has done a turn; `pauseNs`: nobody had it. */
  | { readonly kind: "taken"; readonly pauseNs: number }
  | { readonly kind: "quarantined"; readonly function: number; readonly traps: number }
  | { readonly kind: "fault"; readonly fault: FaultReport }
  | { readonly kind: "evidence"; readonly evidence: FaultEvidence }
  | { readonly kind: "log"; readonly level: LogLevel; readonly function: string; readonly message: string }
  | { readonly kind: "failed"; readonly faults: readonly Fault[] }
  | { readonly kind: "stopped"; readonly audit: FrameAudit };
