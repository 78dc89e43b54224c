// The engine's side of upgrade-socket.ts.
import { join } from "node:path";
import type { CanaryRule } from "../chain/canary.ts";
import { parseMatch } from "../chain/match-source.ts";
import { SluiceError } from "../errors.ts";
import type { Change } from "./change.ts";
import { type Condition, parseCondition } from "./conditions.ts";
import { LineServer } from "./line-socket.ts";
import type { PlanPreview, Plans } from "./plans.ts";
import type { PlanProgress } from "./running-plan.ts";
import type { Upgrades } from "./upgrade.ts";
import {
  type CanaryRequest,
  type ChangeRequest,
  type PlanRequest,
  UPGRADE_SOCKET,
  type UpgradeRequest,
} from "./upgrade-socket.ts";
import { COMMIT_WITHIN_MS, type UpgradeStatus } from "./upgrade-status.ts";

type ReadChange = (request: ChangeRequest) => Change;

/** `read` makes a plan of a request, or throws what is wrong with it. */
export function listenForUpgrades(
  folder: string,
  upgrades: Upgrades,
  read: ReadChange,
  plans: Plans,
): Promise<LineServer<UpgradeRequest | PlanRequest>> {
  let busy: Promise<unknown> = Promise.resolve();
  return LineServer.listen(join(folder, UPGRADE_SOCKET), (request: UpgradeRequest | PlanRequest) => {
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
