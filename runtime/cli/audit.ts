// sluice audit: who changed what, when, and how it ended.
import type { Command } from "commander";
import type { AuditEntry } from "../control/audit.ts";
import { ApiClient, addServerOptions, type ServerOptions } from "./api-client.ts";
import { addFormat, type FormatOptions, printAs } from "./format.ts";
import { paint, printLine, printTable } from "./output.ts";

interface Options extends ServerOptions, FormatOptions {
  readonly limit: string;
  readonly diff?: boolean;
}

export function registerAudit(program: Command): void {
  addServerOptions(addFormat(program.command("audit").description("show who changed what, newest first")))
    .option("--limit <n>", "so many entries at the most", "100")
    .option("--diff", "with what was changed in documents")
    .action(audit);
}

async function audit(options: Options): Promise<void> {
  const query = { limit: options.limit };
  const entries = await new ApiClient(options).call<AuditEntry[]>("/api/v1/audit", { query });
  printAs(options, entries, () => {
    if (options.diff === true) for (const entry of entries) printEntry(entry);
    else printTable(["at", "actor", "role", "change", "outcome"], entries.map(rowOf));
  });
}

function rowOf({ at, actor, role, action, subject, outcome }: AuditEntry): string[] {
  return [at, actor, role, `${action.split(" ")[0]} ${subject}`, outcome];
}

function printEntry(entry: AuditEntry): void {
  printLine(paint("bold", rowOf(entry).join("  ")));
  for (const line of entry.diff.split("\n")) if (line !== "") printLine(`  ${line}`);
}
