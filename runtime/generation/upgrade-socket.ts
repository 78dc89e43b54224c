// How `sluice upgrade` and the control process talk to a running engine.
import { join } from "node:path";
import type { CanaryRule } from "../chain/canary.ts";
import { parseMatch } from "../chain/match-source.ts";
import { SluiceError } from "../errors.ts";
import type { Change } from "./change.ts";
import { type Condition, parseCondition } from "./conditions.ts";
import { ask, LineServer } from "./line-socket.ts";
import type { PlanPreview, Plans } from "./plans.ts";
import type { PlanProgress } from "./running-plan.ts";
import type { Upgrades } from "./upgrade.ts";
import { COMMIT_WITHIN_MS, type UpgradeStatus } from "./upgrade-status.ts";

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

const SOCKET = "upgrade.sock";
/** It waits for the step before it. */
const STATUS_WITHIN_MS = 30_000;

type ReadChange = (request: ChangeRequest) => Change;

/** `read` makes a plan of a request, or throws what is wrong with it. */
export function listenForUpgrades(
  folder: string,
  upgrades: Upgrades,
  read: ReadChange,
  plans: Plans,
): Promise<LineServer<UpgradeRequest | PlanRequest>> {
  let busy: Promise<unknown> = Promise.resolve();
  return LineServer.listen(join(folder, SOCKET), (request: UpgradeRequest | PlanRequest) => {
    // Who only looks at a plan does not wait for its end.
    if (request.step === "progress") return Promise.resolve(plans.progress(request.since));
    // Otherwise one step after the other, whoever asks.
    const answer = busy.then(() => answerRequest(request, upgrades, read, plans));
    busy = answer.catch(() => {});
    return answer;
  });
}

async function answerRequest(
  request: UpgradeRequest | PlanRequest,
  upgrades: Upgrades,
  read: ReadChange,
  plans: Plans,
): Promise<UpgradeStatus | PlanPreview | PlanProgress> {
  switch (request.step) {
    case "preview":
      return plans.preview(request.file);
    case "execute":
      return plans.execute(request.file, request.actor);
    case "progress":
      return plans.progress(request.since);
    default:
      return carryOut(request, upgrades, read);
  }
}

async function carryOut(
  request: UpgradeRequest,
  upgrades: Upgrades,
  read: (request: ChangeRequest) => Change,
): Promise<UpgradeStatus> {
  const { actor } = request;
  switch (request.step) {
    case "load": {
      const change = read(request.change);
      if (request.change.dryRun) return upgrades.preview(change);
      const conditions = request.shadow?.abortOn.map((text) => parseCondition(text));
      const loaded = await upgrades.load(change, actor, request.commitWithinMs ?? COMMIT_WITHIN_MS);
      return conditions === undefined ? loaded : upgrades.shadow(conditions, actor);
    }
    case "switchover":
      return upgrades.switchover(actor, readCanary(request.canary, upgrades), readConditions(request.abortOn));
    case "commit":
      return upgrades.commit(actor);
    case "abort":
      return upgrades.abort(actor);
    default:
      return upgrades.status;
  }
}

function readConditions(texts: readonly string[] = []): Condition[] {
  const conditions = texts.map((text) => parseCondition(text));
  const compared = conditions.find(({ measure }) => measure === "divergence");
  if (compared === undefined) return conditions;
  const what = `"${compared.text}" compares with a shadow; after the switchover there is none`;
  throw new SluiceError({ code: "usage", where: "--abort-on", what, help: "say it with `load --shadow`" });
}

function readCanary(request: CanaryRequest | undefined, { labels }: Upgrades): CanaryRule | null {
  if (request === undefined) return null;
  if ("share" in request) return { share: request.share, match: null };
  const match = parseMatch(request.match, "--canary-match", labels);
  return { share: match === null ? 1 : 0, match };
}

/** Asks the engine that has this state folder. Throws what the engine says, or not-running. */
export function requestUpgrade(folder: string, request: UpgradeRequest): Promise<UpgradeStatus> {
  return request.step === "status"
    ? ask(join(folder, SOCKET), request, STATUS_WITHIN_MS)
    : ask(join(folder, SOCKET), request);
}

/** What the plan would do. Throws what the engine says, or not-running. */
export function previewPlan(folder: string, file: string): Promise<PlanPreview> {
  return ask(join(folder, SOCKET), { step: "preview", file } satisfies PlanRequest);
}

/** Begins a plan, or looks how far the last one is. Throws what the engine says, or not-running. */
export function requestPlan(
  folder: string,
  request: Exclude<PlanRequest, { readonly step: "preview" }>,
): Promise<PlanProgress> {
  return ask(join(folder, SOCKET), request);
}
