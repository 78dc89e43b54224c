// YAML or JSON text whose every value knows its line and column.

import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  parseDocument,
  type YAMLError,
} from "yaml";
import { type Fault, SluiceError } from "../errors.ts";
import { extendPointer, splitPointer } from "./pointer.ts";

/** How deeply lists and maps may be nested. */
const depthLimit = 64;
/** How many values the aliases of a document may expand to. */
const aliasLimit = 1000;

export interface SourceText {
  readonly file: string;
  readonly value: unknown;
  /** Faults that leave the value usable: a key that stands twice, an unknown tag. */
  readonly faults: readonly Fault[];
  /** `file:line:column` (both from 1) of the value, or its key; of the nearest one around it if there is none. */
  locate(pointer: string, part?: "key" | "value"): string;
}

/** Throws document-syntax with every fault of the syntax if the text cannot be read at all. */
export function parseSource(text: string, file: string): SourceText {
  const value = readPlainJson(text);
  if (value === undefined) return parseYaml(text, file);
  // Places are asked for only where something is wrong.
  let source: SourceText | undefined;
  const locate: SourceText["locate"] = (pointer, part) => {
    source ??= parseYaml(text, file);
    return source.locate(pointer, part);
  };
  return { file, value, faults: [], locate };
}

/** JSON as it is written when it is not written for people: a tenth of the time. Undefined for every other text. */
function readPlainJson(text: string): unknown {
  if (!text.startsWith("{")) return undefined;
  try {
    const value: unknown = JSON.parse(text);
    let isFit = true;
    const copy = copyTree(value, "", [], () => {
      isFit = false;
    });
    // A key that stands twice, say, would be missing.
    return isFit && JSON.stringify(value) === text ? copy : undefined;
  } catch {
    return undefined;
  }
}

function parseYaml(text: string, file: string): SourceText {
  const lines = new LineCounter();
  const document = parseDocument(text, {
    lineCounter: lines,
    prettyErrors: false,
    stringKeys: true,
    resolveKnownTags: false,
  });
  const place = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return `${file}:${Math.max(line, 1)}:${Math.max(col, 1)}`;
  };
  const describe = (error: YAMLError): Fault => ({
    code: "document-syntax",
    where: place(error.pos[0]),
    what: describeSyntax(error, text),
  });
  const fatal = document.errors.filter((error) => error.code !== "DUPLICATE_KEY");
  const [first, ...rest] = onePerPlace(fatal).map(describe);
  if (first !== undefined) throw new SluiceError(first, ...rest);

  const locate = (pointer: string, part: "key" | "value" = "value") =>
    place(findOffset(document, splitPointer(pointer), part));
  const faults = [...document.errors, ...document.warnings].map(describe);
  const report = (pointer: string, what: string) =>
    faults.push({ code: "document-syntax", where: locate(pointer), what, pointer });
  const value = readValue(document, locate, report);
  return { file, value, faults, locate };
}

function readValue(
  document: Document.Parsed,
  locate: SourceText["locate"],
  report: (pointer: string, what: string) => void,
): unknown {
  try {
    return copyTree(document.toJS({ maxAliasCount: aliasLimit }), "", [], report);
  } catch (error) {
    if (error instanceof NestingError)
      throw new SluiceError({ code: "document-syntax", where: locate(error.pointer), what: error.message });
    // yaml reports unresolved and excessive aliases, and nothing else, as a ReferenceError.
    if (!(error instanceof ReferenceError)) throw error;
    const what = error.message.startsWith("Excessive") ? "aliases expand to too many values" : error.message;
    throw new SluiceError({ code: "document-syntax", where: locate(""), what });
  }
}

function describeSyntax(error: YAMLError, text: string): string {
  switch (error.code) {
    case "DUPLICATE_KEY":
      return `the key "${text.slice(error.pos[0]).match(/^["']?([^\s:"']+)/)?.[1] ?? ""}" stands twice in one map`;
    case "MULTIPLE_DOCS":
      return "a second document begins here; a file holds one";
    case "RESOURCE_EXHAUSTION":
      return "lists and maps are nested too deeply";
    default:
      return error.message.replace(/^./, (letter) => letter.toLowerCase());
  }
}

/** An unreadable place makes the parser complain on every way out of it; the first complaint says enough. */
function onePerPlace(errors: readonly YAMLError[]): YAMLError[] {
  const seen = new Set<string>();
  return errors.filter((error) => {
    const key = error.code === "RESOURCE_EXHAUSTION" ? error.code : String(error.pos[0]);
    return !seen.has(key) && seen.add(key);
  });
}

/** A tree of its own for every alias, so that a change in one place stays there. Reports what JSON could not hold. */
function copyTree(
  value: unknown,
  pointer: string,
  around: readonly unknown[],
  report: (pointer: string, what: string) => void,
): unknown {
  if (around.length > depthLimit || around.includes(value)) throw new NestingError(pointer);
  if (typeof value !== "object" || value === null) {
    const what = describeUnfit(value);
    if (what !== undefined) report(pointer, what);
    return value;
  }
  const inside = [...around, value];
  const copy = (child: unknown, key: string | number) => copyTree(child, extendPointer(pointer, key), inside, report);
  if (Array.isArray(value)) return value.map(copy);
  return Object.fromEntries(Object.entries(value).map(([key, child]) => [key, copy(child, key)]));
}

class NestingError extends Error {
  readonly pointer: string;

  constructor(pointer: string) {
    super(`lists and maps are nested more than ${depthLimit} deep, or without end`);
    this.pointer = pointer;
  }
}

function describeUnfit(value: unknown): string | undefined {
  if (typeof value !== "number") return undefined;
  if (!Number.isFinite(value)) return "a number must be finite";
  if (Number.isInteger(value) && !Number.isSafeInteger(value)) return "the number is too large to be kept exactly";
  return undefined;
}

function findOffset(document: Document.Parsed, tokens: readonly string[], part: "key" | "value"): number {
  let node = resolve(document.contents, document);
  let offset = node?.range?.[0] ?? 0;
  for (const [index, token] of tokens.entries()) {
    const wantsKey = part === "key" && index === tokens.length - 1;
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => (isScalar(key) ? String(key.value) : String(key)) === token);
      if (pair === undefined) break;
      const key = pair.key as Node;
      node = resolve(pair.value as Node | null, document);
      offset = (wantsKey ? undefined : node?.range?.[0]) ?? key.range?.[0] ?? offset;
    } else if (isSeq(node)) {
      const item = node.items[Number(token)] as Node | undefined;
      if (item === undefined) break;
      node = resolve(item, document);
      offset = node?.range?.[0] ?? offset;
    } else break;
  }
  return offset;
}

function resolve(node: Node | null | undefined, document: Document.Parsed): Node | undefined {
  return (isAlias(node) ? node.resolve(document) : node) ?? undefined;
}
