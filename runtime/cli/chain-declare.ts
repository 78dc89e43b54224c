// sluice chain apply|get|list|delete|confirm|rollback|revisions: what is declared to a box.
import type { Command } from "commander";
import type { ChainResource } from "../control/chain-view.ts";
import type { Applied } from "../control/declarations.ts";
import { diffDocuments } from "../control/diff.ts";
import type { Revision } from "../control/revisions.ts";
import { SluiceError } from "../errors.ts";
import { ApiClient, addServerOptions, type ServerOptions } from "./api-client.ts";
import { type DeclaredDocument, readDeclared, relocate } from "./declared-documents.ts";
import { addFormat, type FormatOptions, printAs } from "./format.ts";
import { paint, printLine, printTable, printWarnings } from "./output.ts";
import { collect } from "./program.ts";
import { withProgress } from "./progress.ts";

interface ApplyOptions extends ServerOptions, FormatOptions {
  readonly set?: readonly string[];
  readonly dryRun?: boolean;
  readonly confirmWithin?: string;
  readonly cold?: boolean;
  readonly restart?: boolean;
}

type ReadOptions = ServerOptions & FormatOptions;
type Summary = Omit<Revision, "declared" | "pinned" | "packages">;

export function registerDeclaring(chain: Command): void {
  addChanges(chain.command("apply").description("declare chains: all of these documents, or none"))
    .argument("<files...>", "documents, folders of them, or - for standard input")
    .option("--set <function.key=value>", "override configuration; @file for a file's text; repeatable", collect)
    .action(apply);
  addReading(chain.command("list").description("show the declared chains")).action(list);
  addReading(chain.command("get").description("show the document that runs")).argument("<chain>").action(get);
  addReading(chain.command("delete").description("stop chains, and forget that they were declared"))
    .argument("<chains...>")
    .action(remove);
  addReading(chain.command("confirm").description("keep a change that waits for it"))
    .argument("<chain>")
    .action(confirm);
  addChanges(
    chain.command("rollback").description("take back what waits to be confirmed, or go back to the revision before"),
  )
    .argument("<chain>")
    .option("--revision <n>", "go back to this one")
    .action(rollback);
  addReading(chain.command("revisions").description("show every revision of a chain"))
    .argument("<chain>")
    .argument("[revision]", "show this one's document")
    .option("--against <n>", "show its difference to that one")
    .action(revisions);
}

function addReading(command: Command): Command {
  return addServerOptions(addFormat(command));
}

function addChanges(command: Command): Command {
  return addReading(command)
    .option("--dry-run", "only show what would be done")
    .option("--confirm-within <time>", "goes back by itself unless confirmed in time: 500ms, 60s, 10m")
    .option("--cold", "state that cannot be taken over begins anew")
    .option("--restart", "a chain may be stopped for what cannot be changed while it runs");
}

async function apply(paths: readonly string[], options: ApplyOptions): Promise<void> {
  const documents = readDeclared(paths, options.set);
  const client = new ApiClient(options);
  const before = new Map((await client.call<ChainResource[]>("/api/v1/chains")).map((each) => [each.chain, each]));
  const send = (dryRun: boolean) => put(client, documents, { ...options, dryRun });
  try {
    const planned = await send(true);
    const isText = options.json !== true && (options.output ?? "table") === "table";
    if (isText) for (const each of planned) printChange(each, before.get(each.chain));
    const applied = options.dryRun === true ? planned : await withProgress("applying", send(false));
    printAs(options, documents.length === 1 ? applied[0] : applied, () => {
      for (const each of applied) printApplied(each, options);
    });
  } catch (error) {
    throw relocate(error, documents);
  }
}

function put(client: ApiClient, documents: readonly DeclaredDocument[], options: ApplyOptions): Promise<Applied[]> {
  const { dryRun, confirmWithin, cold, restart } = options;
  const query = { dryRun, confirmWithin, cold, restart };
  const [only, ...others] = documents;
  if (only !== undefined && others.length === 0) {
    const path = `/api/v1/chains/${only.chain}`;
    return client.call<Applied>(path, { method: "PUT", query, body: only.value }).then((applied) => [applied]);
  }
  const body = { chains: documents.map(({ value }) => value) };
  return client.call("/api/v1/chains", { method: "PUT", query, body });
}

/** What is about to change, before it does. */
function printChange({ chain, plan, document }: Applied, before: ChainResource | undefined): void {
  printWarnings(plan.warnings);
  const { status: _, ...running } = before ?? { status: null };
  for (const line of diffDocuments(chain, before === undefined ? undefined : (running as never), document).split(
    "\n",
  )) {
    if (line !== "") printLine(paintDiff(line));
  }
  for (const { kind, name, function: owner, outcome, why } of plan.state) {
    if (outcome !== "kept") printLine(`${kind} ${name} of ${owner}: ${outcome}${why === undefined ? "" : ` (${why})`}`);
  }
  for (const reason of plan.restartFor) printLine(`it has to be stopped for it: ${reason}`);
  if (plan.flows !== null && plan.flows.affected > 0) {
    printLine(`${plan.flows.affected} of ${plan.flows.live} live flows take another way`);
  }
}

function paintDiff(line: string): string {
  if (line.startsWith("+")) return paint("green", line);
  return line.startsWith("-") ? paint("red", line) : line;
}

function printApplied({ chain, changed, created, revision, state, ...applied }: Applied, options: ApplyOptions): void {
  if (options.dryRun === true) {
    printLine(
      `${chain}: ${applied.plan.way === "none" ? "nothing would change" : `would change (${applied.plan.way})`}`,
    );
    return;
  }
  if (!changed) {
    printLine(`${chain} unchanged, revision ${revision}`);
    return;
  }
  const pause = applied.pauseUs === null ? "" : `, traffic paused for ${applied.pauseUs.toFixed(0)} µs`;
  printLine(
    `${chain} ${created ? "created" : "changed"}, revision ${revision} (${applied.tookMs.toFixed(0)} ms${pause})`,
  );
  if (state !== "pending") return;
  printLine(`  goes back by itself at ${applied.confirmUntil}, unless you say: sluice chain confirm ${chain}`);
}

async function list(options: ReadOptions): Promise<void> {
  const chains = await new ApiClient(options).call<ChainResource[]>("/api/v1/chains");
  printAs(options, chains, () => {
    const rows = chains.map(({ chain, status, ports, functions = {} }) => {
      const uses = Object.values(functions).map(({ use }) => use);
      return [chain, status.state, status.change ?? "-", status.revision, Object.keys(ports).join(" "), uses.join(" ")];
    });
    printTable(["chain", "state", "change", "revision", "ports", "functions"], rows);
  });
}

async function get(chain: string, options: ReadOptions): Promise<void> {
  const found = await new ApiClient(options).call<ChainResource>(`/api/v1/chains/${encodeURIComponent(chain)}`);
  printAs(options, found, () => printAs({ output: "yaml" }, found, () => {}));
}

async function remove(chains: readonly string[], options: ReadOptions): Promise<void> {
  const client = new ApiClient(options);
  for (const chain of chains) await client.call(`/api/v1/chains/${encodeURIComponent(chain)}`, { method: "DELETE" });
  printAs(options, { deleted: chains }, () => {
    for (const chain of chains) printLine(`${chain} deleted`);
  });
}

async function confirm(chain: string, options: ReadOptions): Promise<void> {
  const path = `/api/v1/chains/${encodeURIComponent(chain)}/confirm`;
  const confirmed = await new ApiClient(options).call<Summary[]>(path, { method: "POST" });
  printAs(options, confirmed, () => {
    for (const each of confirmed) printLine(`${each.chain} confirmed, revision ${each.revision}`);
  });
}

async function rollback(chain: string, options: ApplyOptions & { readonly revision?: string }): Promise<void> {
  const { revision, dryRun, confirmWithin, cold, restart } = options;
  const body = revision === undefined ? {} : { revision: readNumber("--revision", revision) };
  const query = { dryRun, confirmWithin, cold, restart };
  const path = `/api/v1/chains/${encodeURIComponent(chain)}/rollback`;
  const applied = await new ApiClient(options).call<Applied[]>(path, { method: "POST", query, body });
  printAs(options, applied, () => {
    for (const each of applied) printApplied(each, options);
    if (applied.length === 0) printLine(`${chain} is stopped: there is no revision before`);
  });
}

async function revisions(
  chain: string,
  revision: string | undefined,
  options: ReadOptions & { readonly against?: string },
): Promise<void> {
  const client = new ApiClient(options);
  const path = `/api/v1/chains/${encodeURIComponent(chain)}/revisions`;
  if (revision !== undefined) {
    const query = { against: options.against };
    const found = await client.call<{ document: object; diff?: string }>(
      `${path}/${readNumber("revision", revision)}`,
      {
        query,
      },
    );
    printAs(options, found, () => {
      if (found.diff === undefined) printAs({ output: "yaml" }, found.document, () => {});
      else for (const line of found.diff.trimEnd().split("\n")) printLine(paintDiff(line));
    });
    return;
  }
  const found = await client.call<Summary[]>(path);
  printAs(options, found, () => {
    const rows = found.map((each) => [each.revision, each.state, each.at, each.actor, each.outcome]);
    printTable(["revision", "state", "at", "actor", "outcome"], rows);
  });
}

function readNumber(option: string, given: string): number {
  if (/^[1-9]\d*$/.test(given)) return Number(given);
  throw new SluiceError({ code: "usage", where: option, what: `"${given}" is not a revision` });
}
