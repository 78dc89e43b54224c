// What is different between two chain documents, as an operator asks: what comes, goes, or is another one.
import type { ChainDocument } from "./schema.ts";

export interface SectionChanges {
  readonly added: readonly string[];
  readonly removed: readonly string[];
  readonly changed: readonly string[];
}

export interface FunctionChange {
  readonly function: string;
  readonly kind: "added" | "removed" | "version" | "configuration" | "policy";
  /** `name@version`; null where there is none. */
  readonly from: string | null;
  readonly to: string | null;
}

export interface DocumentChanges {
  readonly ports: SectionChanges;
  readonly functions: readonly FunctionChange[];
  readonly paths: boolean;
  /** Other keys of the document that differ. */
  readonly settings: readonly string[];
}

type FunctionDeclaration = NonNullable<ChainDocument["functions"]>[string];

const ownSections = ["chain", "ports", "functions", "paths", "branches"];

/** Of documents with exact versions; null: there was none. */
export function listDocumentChanges(before: ChainDocument | null, after: ChainDocument): DocumentChanges {
  const keys = [...new Set([...Object.keys(before ?? {}), ...Object.keys(after)])];
  const differs = (key: string) => !isSame(get(before, key), get(after, key));
  return {
    ports: compareSections(before?.ports ?? {}, after.ports),
    functions: listFunctionChanges(before?.functions ?? {}, after.functions ?? {}),
    paths: differs("paths") || differs("branches"),
    settings: keys.filter((key) => !ownSections.includes(key) && differs(key)),
  };
}

/** What only says how the chain is watched or called, and needs no other generation. */
const besides = ["description", "telemetry"];

/** Documents of which the lanes see no difference. */
export function isSameForLanes(before: ChainDocument, after: ChainDocument): boolean {
  const strip = (document: ChainDocument) =>
    Object.fromEntries(Object.entries(document).filter(([key]) => !besides.includes(key)));
  return isSame(strip(before), strip(after));
}

export function isSame(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && isSame(get(a, key), get(b, key)));
}

function get(map: object | null, key: string): unknown {
  return (map as Record<string, unknown> | null)?.[key];
}

function compareSections(before: Readonly<Record<string, unknown>>, after: Readonly<Record<string, unknown>>) {
  const names = Object.keys(after);
  return {
    added: names.filter((name) => !Object.hasOwn(before, name)),
    removed: Object.keys(before).filter((name) => !Object.hasOwn(after, name)),
    changed: names.filter((name) => Object.hasOwn(before, name) && !isSame(before[name], after[name])),
  };
}

function listFunctionChanges(
  before: Readonly<Record<string, FunctionDeclaration>>,
  after: Readonly<Record<string, FunctionDeclaration>>,
): FunctionChange[] {
  const names = [...new Set([...Object.keys(before), ...Object.keys(after)])];
  return names.flatMap((name): FunctionChange[] => {
    const [old, next] = [before[name], after[name]];
    const change = { function: name, from: old?.use ?? null, to: next?.use ?? null };
    if (old === undefined) return [{ ...change, kind: "added" }];
    if (next === undefined) return [{ ...change, kind: "removed" }];
    if (old.use !== next.use) return [{ ...change, kind: "version" }];
    if (!isSame(old.config, next.config)) return [{ ...change, kind: "configuration" }];
    return isSame(old, next) ? [] : [{ ...change, kind: "policy" }];
  });
}
