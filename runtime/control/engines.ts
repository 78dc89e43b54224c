// What the engines are asked to do: the steps of a change, on one chain.
import { setTimeout as sleep } from "node:timers/promises";
import { type FoundEngine, findEngines } from "../dataplane/state-folder.ts";
import { SluiceError } from "../errors.ts";
import { askHost, type HostedStatus, type RunRequest } from "../generation/host-socket.ts";
import { requestUpgrade, type UpgradeRequest } from "../generation/upgrade-socket.ts";
import { COMMIT_WITHIN_MS, MIGRATION_LOOK_MS, type UpgradeStatus } from "../generation/upgrade-status.ts";

type Step = UpgradeRequest extends infer Request ? (Request extends unknown ? Omit<Request, "actor"> : never) : never;

/** The engine of a chain that runs now; undefined if none does. */
export function findRunning(chain: string): FoundEngine | undefined {
  return findEngines().find(({ engine }) => engine.chain === chain);
}

/** Throws what the engine says, or not-running. */
export async function ask(chain: string, step: Step, actor: string): Promise<UpgradeStatus> {
  const found = findRunning(chain);
  if (found !== undefined) return requestUpgrade(found.path, { ...step, actor } as UpgradeRequest);
  throw new SluiceError({ code: "not-running", where: chain, what: "no engine runs this chain" });
}

export function statusOf(chain: string): Promise<UpgradeStatus> {
  return ask(chain, { step: "status" }, "control");
}

export interface LoadRequest {
  readonly file: string;
  readonly functions: readonly string[];
  readonly cold: boolean;
  readonly commitWithinMs?: number | undefined;
  readonly shadow?: { readonly abortOn: readonly string[] } | undefined;
}

export function load(chain: string, request: LoadRequest, actor: string): Promise<UpgradeStatus> {
  const { file, functions, cold, commitWithinMs = COMMIT_WITHIN_MS, shadow } = request;
  const change = { file, functions, cold, set: [], use: [], dryRun: false };
  return ask(chain, { step: "load", change, commitWithinMs, shadow }, actor);
}

/** When all state is migrated. */
export async function commit(chain: string, actor: string): Promise<UpgradeStatus> {
  while ((await statusOf(chain)).migrationLeft > 0) await sleep(MIGRATION_LOOK_MS);
  return ask(chain, { step: "commit" }, actor);
}

export function start(request: RunRequest): Promise<HostedStatus> {
  return askHost({ step: "run", ...request });
}

/** It is no error if it does not run. */
export async function stop(chain: string): Promise<void> {
  const hosted = await listHosted();
  if (hosted.some((each) => each.chain === chain)) await askHost({ step: "stop", chain });
}

/** What was started goes on from now on. */
export async function confirm(chain: string): Promise<void> {
  await askHost({ step: "confirm", chain });
}

export function listHosted(): Promise<HostedStatus[]> {
  return askHost({ step: "list" });
}
