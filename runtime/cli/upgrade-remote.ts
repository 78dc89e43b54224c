// The steps of an upgrade over the API of another box, where only a whole document can be named.
import { SluiceError } from "../errors.ts";
import type { UpgradeRequest } from "../generation/upgrade-socket.ts";
import type { UpgradeStatus } from "../generation/upgrade-status.ts";
import { type DeclaredDocument, readDeclared } from "./declared-documents.ts";
import type { RemoteChain } from "./remote.ts";

export type Step = UpgradeRequest extends infer Request
  ? Request extends unknown
    ? Omit<Request, "actor">
    : never
  : never;

/** Throws what the API says, and usage for what cannot be asked of another box. */
export async function askRemote({ client, path }: RemoteChain, asked: Step): Promise<UpgradeStatus> {
  // Omit loses what tells the steps apart.
  const request = asked as UpgradeRequest;
  const upgrade = `${path}/upgrade`;
  const post = (step: string, body: object = {}) =>
    client.call<UpgradeStatus>(upgrade + step, { method: "POST", body });
  switch (request.step) {
    case "load":
      return post("", describeLoad(request));
    case "switchover":
      return post("/switchover", { canary: request.canary, abortOn: request.abortOn });
    case "commit":
    case "abort":
      return client.call(`${upgrade}/${request.step}`, { method: "POST" });
    default:
      return client.call(upgrade);
  }
}

function describeLoad({ change, commitWithinMs, shadow }: UpgradeRequest & { readonly step: "load" }): object {
  const { file, set, use, functions, cold, dryRun } = change;
  if (file === null || use.length > 0 || functions.length > 0 || dryRun) {
    const what = "another box is given a whole document, which names functions that it has";
    const help = "name the file; `sluice chain apply --dry-run` says what would become of the state";
    throw new SluiceError({ code: "usage", where: "--server", what, help });
  }
  const [{ value: document }] = readDeclared([file], set) as [DeclaredDocument];
  const commitWithin = commitWithinMs === undefined ? undefined : `${commitWithinMs}ms`;
  return { document, cold, commitWithin, shadow };
}
