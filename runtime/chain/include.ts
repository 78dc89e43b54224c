// `"@path"` in a configuration stands for that file's text.

import { extendPointer } from "./pointer.ts";

/** Reads the text of a file, named as the document names it. Throws if it cannot be read. */
export type ReadText = (path: string) => string;

export interface IncludeFault {
  readonly pointer: string;
  readonly what: string;
}

/** A copy of `value` in which every string "@path" is that file's text and "@@…" is "@…". `skip` is left as it is. */
export function includeFiles(
  value: unknown,
  pointer: string,
  readText: ReadText,
  report: (fault: IncludeFault) => void,
  skip: (pointer: string) => boolean = () => false,
): unknown {
  if (skip(pointer)) return value;
  if (typeof value === "string") return includeFile(value, pointer, readText, report);
  if (typeof value !== "object" || value === null) return value;
  const visit = (child: unknown, key: string | number) =>
    includeFiles(child, extendPointer(pointer, key), readText, report, skip);
  if (Array.isArray(value)) return value.map(visit);
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, visit(child, key)]));
}

function includeFile(text: string, pointer: string, readText: ReadText, report: (fault: IncludeFault) => void): string {
  if (!text.startsWith("@")) return text;
  if (text.startsWith("@@")) return text.slice(1);
  try {
    return readText(text.slice(1));
  } catch (error) {
    report({ pointer, what: `"${text}" cannot be read: ${error instanceof Error ? error.message : String(error)}` });
    return text;
  }
}

/** The other way round: a configuration in which "@" stands for nothing but itself, as a document has to write it. */
export function protectText(value: unknown): unknown {
  if (typeof value === "string") return value.startsWith("@") ? `@${value}` : value;
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map(protectText);
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, protectText(child)]));
}
