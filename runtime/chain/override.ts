// `--set FUNCTION.KEY=VALUE`: configuration that replaces what the document says.

import { parse } from "yaml";
import { type Fault, SluiceError } from "../errors.ts";
import { includeFiles, type ReadText } from "./include.ts";
import { suggest } from "./nearest.ts";
import { extendPointer } from "./pointer.ts";
import { parseSource } from "./source-text.ts";

export interface Override {
  /** As it was written, for faults: `--set fw.rules`. */
  readonly where: string;
  readonly functionName: string;
  readonly keys: readonly string[];
  readonly value: unknown;
}

/**
 * VALUE is a number, `true`, `false`, `null`, a JSON or YAML list, map or quoted string, `@file` for that file's text, or
 * else a string as it stands. Throws usage or file-unreadable.
 */
export function parseOverride(text: string, readText: ReadText): Override {
  const [, functionName, path, valueText] = /^([^.=]+)\.([^=]+)=(.*)$/s.exec(text) ?? [];
  const keys = path?.split(".") ?? [];
  if (functionName === undefined || valueText === undefined || keys.some((key) => key === "" || key === "__proto__"))
    throw new SluiceError({
      code: "usage",
      where: `--set ${text.slice(0, 80)}`,
      what: "is not FUNCTION.KEY=VALUE",
      help: "for example --set fw.default=permit or --set ids.rules=@local.rules",
    });
  const where = `--set ${functionName}.${path}`;
  const faults: Fault[] = [];
  const value = includeFiles(parseValue(valueText, where), "", readText, ({ what }) =>
    faults.push({ code: "file-unreadable", where, what }),
  );
  const [first, ...rest] = faults;
  if (first !== undefined) throw new SluiceError(first, ...rest);
  return { where, functionName, keys, value };
}

function parseValue(text: string, where: string): unknown {
  if (/^\s*[[{"']/.test(text)) return parseStructured(text, where);
  // Only a single word can be a number, true, false or null; "alert tcp any any" and "key: value" are text.
  return /^[-+.\w~]+$/.test(text) ? parseWord(text) : text;
}

function parseStructured(text: string, where: string): unknown {
  const source = parseSource(text, where);
  const [first, ...rest] = source.faults;
  if (first !== undefined) throw new SluiceError(first, ...rest);
  return source.value;
}

function parseWord(text: string): unknown {
  const value: unknown = parse(text);
  const isExact = typeof value === "number" && (!Number.isInteger(value) || Number.isSafeInteger(value));
  return (isExact && Number.isFinite(value)) || typeof value === "boolean" || value === null ? value : text;
}

/** Puts the overrides into a document's value. Returns the pointers that they now stand at. */
export function applyOverrides(
  document: unknown,
  overrides: readonly Override[],
  report: (fault: Fault) => void,
): ReadonlyMap<string, Override> {
  const placed = new Map<string, Override>();
  const functions = (document as { functions?: unknown } | null)?.functions;
  for (const override of overrides) {
    const declaration = isMap(functions) ? getOwn(functions, override.functionName) : undefined;
    if (declaration === undefined) report(describeUnknownFunction(override, functions));
    else if (isMap(declaration) && placeValue(declaration, override, report))
      placed.set(extendPointer("/functions", override.functionName, "config", ...override.keys), override);
  }
  return placed;
}

function describeUnknownFunction({ where, functionName }: Override, functions: unknown): Fault {
  const known = isMap(functions) ? Object.keys(functions) : [];
  const what = `the chain has no function "${functionName}"`;
  return { code: "unknown-function", where, what, help: suggest(functionName, known, "functions") };
}

function placeValue(declaration: Container, { where, keys, value }: Override, report: (fault: Fault) => void): boolean {
  let container: Container = declaration;
  let key = "config";
  for (const next of keys) {
    if (getOwn(container, key) === undefined || getOwn(container, key) === null) container[key] = {};
    const child = getOwn(container, key);
    const hasPlace = Array.isArray(child) ? /^\d+$/.test(next) && Number(next) < child.length : isMap(child);
    if (!hasPlace) {
      report({ code: "usage", where, what: `"${key}" has no place for "${next}"` });
      return false;
    }
    [container, key] = [child as Container, next];
  }
  container[key] = value;
  return true;
}

type Container = Record<string, unknown>;

function isMap(value: unknown): value is Container {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function getOwn(container: Container, key: string): unknown {
  return Object.hasOwn(container, key) ? container[key] : undefined;
}
