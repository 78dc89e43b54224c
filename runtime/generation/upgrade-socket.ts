// How `sluice upgrade` and the control process talk to a running engine.
import { join } from "node:path";
import { ask } from "./line-socket.ts";
import type { PlanPreview } from "./plans.ts";
import type { PlanProgress } from "./running-plan.ts";
import type { UpgradeStatus } from "./upgrade-status.ts";

/** What a change is, read by the engine: absolute paths. */
export interface ChangeRequest {
  /** The chain document; null for the one that runs. */
  readonly file: string | null;
  readonly set: readonly string[];
  readonly functions: readonly string[];
  /** `function=name@range`: other packages than the document names. */
  readonly use: readonly string[];
  /** State that the next generation cannot take over begins anew. */
  readonly cold: boolean;
  readonly dryRun: boolean;
}

/** `share` of all flows, 0 … 1, or those that `match` takes: the text of a path's in a chain document. */
export type CanaryRequest = { readonly share: number } | { readonly match: string };

export type UpgradeRequest = { readonly actor: string } & (
  | { readonly step: "status" | "commit" | "abort" }
  | {
      readonly step: "switchover";
      readonly canary?: CanaryRequest | undefined;
      readonly abortOn?: readonly string[] | undefined;
    }
  | {
      readonly step: "load";
      readonly change: ChangeRequest;
      readonly commitWithinMs?: number | undefined;
      /** The loaded generation is to get copies of the traffic. */
      readonly shadow?: { readonly abortOn: readonly string[] } | undefined;
    }
);

/** Of plans of several steps; files are absolute. */
export type PlanRequest =
  | { readonly step: "preview"; readonly file: string }
  | { readonly step: "execute"; readonly file: string; readonly actor: string }
  | { readonly step: "progress"; readonly since: number };

/** In the engine's state folder. */
export const UPGRADE_SOCKET = "upgrade.sock";
/** It waits for the step before it. */
const STATUS_WITHIN_MS = 30_000;

/** Asks the engine that has this state folder. Throws what the engine says, or not-running. */
export function requestUpgrade(folder: string, request: UpgradeRequest): Promise<UpgradeStatus> {
  return request.step === "status"
    ? ask(join(folder, UPGRADE_SOCKET), request, STATUS_WITHIN_MS)
    : ask(join(folder, UPGRADE_SOCKET), request);
}

/** What the plan would do. Throws what the engine says, or not-running. */
export function previewPlan(folder: string, file: string): Promise<PlanPreview> {
  return ask(join(folder, UPGRADE_SOCKET), { step: "preview", file } satisfies PlanRequest);
}

/** Begins a plan, or looks how far the last one is. Throws what the engine says, or not-running. */
export function requestPlan(
  folder: string,
  request: Exclude<PlanRequest, { readonly step: "preview" }>,
): Promise<PlanProgress> {
  return ask(join(folder, UPGRADE_SOCKET), request);
}
