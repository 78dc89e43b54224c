// sluice backup, sluice restore: the store of a box as one file, through its API.
import { writeFileSync } from "node:fs";
import { buffer } from "node:stream/consumers";
import type { Command } from "commander";
import { BACKUP_TYPE, type Restored } from "../control/backup.ts";
import { SluiceError } from "../errors.ts";
import { ApiClient, addServerOptions, readNamed, type ServerOptions } from "./api-client.ts";
import { addFormat, type FormatOptions, printAs } from "./format.ts";
import { printLine } from "./output.ts";
import { withProgress } from "./progress.ts";

type Options = ServerOptions & FormatOptions;

export function registerBackup(program: Command): void {
  const add = (command: Command) => addServerOptions(addFormat(command)).argument("<file>");
  add(program.command("backup").description("write everything that is declared to a box into one file")).action(backup);
  add(program.command("restore").description("let a box be as it was when a backup was made")).action(restore);
}

async function backup(file: string, options: Options): Promise<void> {
  const bytes = await buffer(await new ApiClient(options).open("/api/v1/backup"));
  try {
    writeFileSync(file, bytes, { mode: 0o600, flush: true });
  } catch (error) {
    throw new SluiceError({ code: "file-unwritable", where: file, what: (error as Error).message });
  }
  printAs(options, { file, bytes: bytes.length }, () => printLine(`${file}: ${bytes.length} bytes`));
}

async function restore(file: string, options: Options): Promise<void> {
  const body = readNamed("backup", file);
  const headers = { "content-type": BACKUP_TYPE };
  const restored = await withProgress(
    "restoring",
    new ApiClient(options).call<Restored>("/api/v1/backup", { method: "PUT", headers, body }),
  );
  printAs(options, restored, () => {
    const { chains, revisions, tokens } = restored;
    printLine(`to run: ${chains.join(" ") || "nothing"} (${revisions} revisions, ${tokens} tokens)`);
  });
}
