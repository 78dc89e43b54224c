// Reads a chain document: text in, a checked value with positions out.

import type { Fault } from "../errors.ts";
import { sortFaults } from "./faults.ts";
import { includeFiles, protectText, type ReadText } from "./include.ts";
import { applyOverrides, type Override } from "./override.ts";
import { extendPointer, isWithin } from "./pointer.ts";
import { type ChainDocument, chainSchema } from "./schema.ts";
import { findSchemaFaults, type Locate } from "./schema-faults.ts";
import { parseSource } from "./source-text.ts";

export interface ParsedDocument {
  readonly file: string;
  /** "@path" replaced, overrides applied, no defaults added. To be trusted where `isSound` says so. */
  readonly value: ChainDocument;
  /** All that is wrong with the document's shape; planChain reports it together with what the planner finds. */
  readonly faults: readonly Fault[];
  /** `file:line:column`, or the override that put the value there. */
  readonly locate: Locate;
  /** The value at `pointer`, with all that is in it, has the shape that the schema declares. */
  isSound(pointer: string): boolean;
}

export interface DocumentOptions {
  /** Reads what "@path" names, relative to the document. Without it, no file can be named. */
  readonly readText?: ReadText;
  readonly overrides?: readonly Override[];
}

/** YAML or JSON. Throws document-syntax if the text cannot be read at all. */
export function parseDocument(text: string, file: string, options: DocumentOptions = {}): ParsedDocument {
  const source = parseSource(text, file);
  const faults: Fault[] = [...source.faults];
  const placed = applyOverrides(source.value, options.overrides ?? [], (fault) => faults.push(fault));
  const locate: Locate = (pointer, part) => {
    const override = [...placed.keys()].findLast((place) => isWithin(pointer, place));
    return override === undefined ? source.locate(pointer, part) : (placed.get(override) as Override).where;
  };
  includeConfigFiles(
    source.value,
    options.readText ?? refuseFiles,
    (pointer) => placed.has(pointer),
    ({ pointer, what }) => faults.push({ code: "file-unreadable", where: locate(pointer), what, pointer }),
  );
  faults.push(...findSchemaFaults(source.value, chainSchema, "document-schema", locate));
  const isSound = (pointer: string) => !faults.some((fault) => isUnsound(fault, pointer));
  return { file, value: source.value as ChainDocument, faults: sortFaults(faults), locate, isSound };
}

/** A key too many does not make the rest of a map unusable. */
function isUnsound(fault: Fault, pointer: string): boolean {
  return fault.code !== "unknown-key" && fault.pointer !== undefined && isWithin(fault.pointer, pointer);
}

/** One entry of a map in the document whose shape is sound. */
export interface DocumentEntry<Declaration> {
  readonly name: string;
  readonly pointer: string;
  readonly declaration: Declaration;
}

export function readEntries<Declaration>(document: ParsedDocument, section: string): DocumentEntry<Declaration>[] {
  const declarations = Object.entries(readMap(document.value, section)) as [string, Declaration][];
  return declarations
    .map(([name, declaration]) => ({ name, pointer: extendPointer("", section, name), declaration }))
    .filter(({ pointer }) => document.isSound(pointer));
}

/** The same document with exact packages (`name@version`, by the function's name in the chain). */
export function pinFunctions(document: ParsedDocument, uses: Readonly<Record<string, string>>): ParsedDocument {
  const declared = Object.entries(document.value.functions ?? {});
  const functions = declared.map(([name, declaration]) => [
    name,
    { ...declaration, use: uses[name] ?? declaration.use },
  ]);
  return { ...document, value: { ...document.value, functions: Object.fromEntries(functions) } };
}

/** A document that has no file beside it and says the same when it is parsed. */
export function detachDocument({ value }: ParsedDocument): ChainDocument {
  if (value.functions === undefined) return value;
  const functions = Object.entries(value.functions).map(([name, { config, ...declaration }]) => {
    return [name, config === undefined ? declaration : { ...declaration, config: protectText(config) }];
  });
  return { ...value, functions: Object.fromEntries(functions) };
}

/** The names that a section declares, sound or not: what names them is not at fault. */
export function readNames(document: ParsedDocument, section: string): string[] {
  return Object.keys(readMap(document.value, section));
}

/** What stands under `key`, if `parent` is a map and that is one too; otherwise an empty map. */
export function readMap(parent: unknown, key: string): object {
  const map = (parent as Record<string, unknown> | null)?.[key];
  return typeof map === "object" && map !== null && !Array.isArray(map) ? map : {};
}

function refuseFiles(): never {
  throw new Error("files cannot be named here");
}

function includeConfigFiles(
  document: unknown,
  readText: ReadText,
  isOverridden: (pointer: string) => boolean,
  report: Parameters<typeof includeFiles>[3],
): void {
  for (const [name, declaration] of Object.entries(readMap(document, "functions"))) {
    if (typeof declaration !== "object" || declaration?.config === undefined) continue;
    const pointer = extendPointer("/functions", name, "config");
    declaration.config = includeFiles(declaration.config, pointer, readText, report, isOverridden);
  }
}
