// -o table|json|yaml: what a command prints, in the form that is asked for.
import type { Command } from "commander";
import { stringify } from "yaml";
import { SluiceError } from "../errors.ts";
import { printJson, printLine } from "./output.ts";

export interface FormatOptions {
  readonly output?: string;
  readonly json?: boolean;
}

export function addFormat(command: Command): Command {
  return command.option("-o, --output <form>", "table, json or yaml", "table").option("--json", "the same as -o json");
}

/** `table` prints it for people. */
export function printAs(options: FormatOptions, value: unknown, table: () => void): void {
  const form = options.json === true ? "json" : (options.output ?? "table");
  if (form === "json") printJson(value);
  else if (form === "yaml") printLine(stringify(value).trimEnd());
  else if (form === "table") table();
  else throw new SluiceError({ code: "usage", where: "-o", what: `"${form}" is none of table, json, yaml` });
}
