// The command line's frame: wrong usage is an error from the table, help is complete.

import { readFileSync } from "node:fs";
import { Command, type ErrorOptions } from "commander";
import { SluiceError } from "../errors.ts";

/** Wrong usage throws SluiceError (usage), help and version throw CommanderError. */
class SluiceCommand extends Command {
  override createCommand(name?: string): SluiceCommand {
    return new SluiceCommand(name);
  }

  override error(message: string, _options?: ErrorOptions): never {
    const path = describePath(this);
    const [first = "", suggestion] = message.replace(/^error: /, "").split("\n");
    const see = `see ${path} --help`;
    // commander writes "(Did you mean plan?)".
    const meant = suggestion?.replace(/^\(D(.*)\)$/, "d$1 ") ?? "";
    throw new SluiceError({ code: "usage", where: path, what: first.replace(/\.$/, ""), help: meant + see });
  }
}

function describePath(command: Command): string {
  return command.parent === null ? command.name() : `${describePath(command.parent)} ${command.name()}`;
}

/** Without commands; each command file registers its own. */
export function createProgram(): Command {
  return new SluiceCommand("sluice")
    .description("Runs network functions in declared service chains.")
    .version(readVersion(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .helpCommand("help [command]", "print help for a command")
    .configureHelp({ showGlobalOptions: false, sortSubcommands: false })
    .exitOverride();
}

export function readVersion(): string {
  const manifest = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
  return (manifest as { version: string }).version;
}

/** For options that may stand several times. */
export function collect(value: string, earlier: readonly string[] = []): string[] {
  return [...earlier, value];
}
