// What commands print: results to stdout as a table or JSON, faults and warnings to stderr.

import { styleText } from "node:util";
import { type Fault, formatFault, SluiceError } from "../errors.ts";

export function printLine(text = ""): void {
  process.stdout.write(`${text}\n`);
}

/** From now on the process goes on when nobody reads any more what it says. */
export function outliveReaders(): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.removeAllListeners("error");
    stream.on("error", () => {});
  }
}

/** One JSON document, indented, on stdout. */
export function printJson(value: unknown): void {
  printLine(JSON.stringify(value, null, 2));
}

type Cell = string | number;

/** Columns that hold only numbers are right-aligned. */
export function formatTable(header: readonly string[], rows: readonly (readonly Cell[])[]): string[] {
  const widths = header.map((title, column) =>
    Math.max(title.length, ...rows.map((row) => String(row[column] ?? "").length)),
  );
  const isNumeric = header.map((_, column) => rows.length > 0 && rows.every((row) => typeof row[column] === "number"));
  const align = (cell: Cell, column: number) => {
    const width = widths[column] ?? 0;
    return isNumeric[column] ? String(cell).padStart(width) : String(cell).padEnd(width);
  };
  const format = (row: readonly Cell[]) => row.map(align).join("  ").trimEnd();
  return [paint("bold", format(header)), ...rows.map(format)];
}

export function printTable(header: readonly string[], rows: readonly (readonly Cell[])[]): void {
  for (const line of formatTable(header, rows)) printLine(line);
}

export type Style = "bold" | "dim" | "red" | "green" | "yellow";

/** Coloured only where `stream` is a terminal that wants colours (NO_COLOR, FORCE_COLOR, TERM). */
export function paint(style: Style, text: string, stream: NodeJS.WriteStream = process.stdout): string {
  return styleText(style, text, { stream, validateStream: true });
}

/** `error[CODE] WHERE: WHAT` and `help: …`, one fault after the other, on stderr. */
export function printFaults(faults: readonly Fault[]): void {
  for (const fault of faults) printLabelled("red", formatFault(fault));
}

export interface Warning {
  readonly code: string;
  readonly where: string;
  readonly what: string;
}

/** `warning[CODE] WHERE: WHAT`, on stderr. */
export function printWarnings(warnings: readonly Warning[]): void {
  for (const { code, where, what } of warnings) printLabelled("yellow", `warning[${code}] ${where}: ${what}`);
}

function printLabelled(style: Style, text: string): void {
  const painted = text.replace(/^\S+/, (label) => paint(style, label, process.stderr));
  process.stderr.write(`${painted}\n`);
}

/** Prints any error and returns the exit status that it asks for. */
export function printError(error: unknown): 1 | 2 {
  if (error instanceof SluiceError) {
    printFaults(error.faults);
    return error.exitStatus;
  }
  const isError = error instanceof Error;
  const what = isError ? error.message : String(error);
  printFaults([{ code: "internal", where: "sluice", what, help: "this should not happen; please report it" }]);
  if (isError && error.stack !== undefined) process.stderr.write(`${error.stack}\n`);
  return 1;
}
