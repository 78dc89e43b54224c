// What can be known of a change: what it is, how far it has come, and until when it has to be committed.
import type { CanaryRule } from "../chain/canary.ts";
import type { StateChange } from "../chain/state-changes.ts";
import type { MigrationResult } from "../dataplane/generation.ts";
import type { Change } from "./change.ts";
import type { ChainSource } from "./committed.ts";
import type { Measurements } from "./conditions.ts";
import type { UpgradeState } from "./history.ts";
import type { Rollback } from "./rollback.ts";
import type { ShadowStatus } from "./shadow-watch.ts";

export const COMMIT_WITHIN_MS = 60_000;
/** Whoever waits for entries that are migrated between batches looks so often. */
export const MIGRATION_LOOK_MS = 50;

export interface UpgradeStatus {
  readonly chain: string;
  /** 0: there was none yet. */
  readonly upgrade: number;
  readonly state: UpgradeState;
  readonly generation: number;
  /** The generation that is loaded or switched to, or that was before and still stands by. */
  readonly other: number | null;
  readonly before: string;
  readonly after: string;
  readonly stateChanges: readonly StateChange[];
  /** What nf_migrate could not carry when it was tried on the running state. */
  readonly migrations: readonly MigrationResult[];
  /** Entries of migrated segments that are left to do between batches; commit waits for that. */
  readonly migrationLeft: number;
  /** Of an upgrade that was aborted after its switchover. */
  readonly rollback: Rollback | null;
  /** What was measured since the switchover, of the flows that were switched over; null before. */
  readonly measurements: Measurements | null;
  /** The flows that were switched over; null: all, or none yet. */
  readonly canary: CanaryRule | null;
  /** ISO 8601; null unless switched. */
  readonly commitUntil: string | null;
  /** Of the switchover, in microseconds; null before. */
  readonly pauseUs: number | null;
  /** Of the last change that was loaded; null if it had none. */
  readonly shadow: ShadowStatus | null;
  /** The name of the plan that is being carried out. */
  readonly plan: string | null;
  /** What is committed was read from, and what is loaded or switched to. */
  readonly source: ChainSource;
  readonly nextSource: ChainSource | null;
}

/** A change from its first step to its end. */
export interface UnderWay {
  readonly running: Change;
  readonly change: Change;
  canary: { readonly rule: CanaryRule; readonly generation: number } | null;
  readonly before: string;
  readonly after: string;
  readonly stateChanges: readonly StateChange[];
  /** Generations before and after; 0 while the latter is being built. */
  from: number;
  to: number;
  /** Of the switchover, in ns since 1970. */
  sinceNs: bigint;
  commitWithinMs: number;
  commitUntil: string | null;
  pauseUs: number | null;
  migrations: readonly MigrationResult[];
}

/** Of one that has only begun. */
export const untouched = {
  canary: null,
  sinceNs: 0n,
  stateChanges: [],
  migrations: [],
  from: 0,
  to: 0,
  commitWithinMs: COMMIT_WITHIN_MS,
  commitUntil: null,
  pauseUs: null,
} as const;

/** A plan of several steps that has the engine for itself. */
export interface UpgradeHolder {
  readonly name: string;
  readonly state: UpgradeState;
  readonly commitUntil: string | null;
  commit(): Promise<void>;
  abort(): Promise<void>;
  /** The engine itself went back from that generation, or does not call one of its functions any more. */
  noteQuarantine(why: string): void;
}
