// Chain documents as an operator has them: files, folders, standard input; each whole, with what its "@path" name.
import { readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { detachDocument, type ParsedDocument, parseDocument } from "../chain/document.ts";
import { parseOverride } from "../chain/override.ts";
import { type Fault, SluiceError } from "../errors.ts";

export interface DeclaredDocument {
  readonly parsed: ParsedDocument;
  /** What is sent: one JSON document without files beside it. */
  readonly value: object;
  readonly chain: string;
}

const ENDINGS = /\.(ya?ml|json)$/;

/** `-` is standard input; of a folder, every document in it. Throws all faults that can be found here. */
export function readDeclared(paths: readonly string[], set: readonly string[] = []): DeclaredDocument[] {
  const files = paths.flatMap(listFiles);
  const overrides = set.map((override) => parseOverride(override, (path) => readText(resolve(path))));
  return files.map((file) => {
    const folder = file === "-" ? process.cwd() : dirname(file);
    const parsed = parseDocument(readNamed(file), file === "-" ? "stdin" : file, {
      readText: (path) => readText(resolve(folder, path)),
      overrides,
    });
    const unreadable = parsed.faults.filter(({ code }) => code === "file-unreadable");
    if (unreadable.length > 0) throw new SluiceError(...(unreadable as [Fault, ...Fault[]]));
    const { chain } = parsed.value as { chain?: unknown };
    if (typeof chain !== "string" || !/^[a-z][a-z0-9-]{0,62}$/.test(chain)) {
      const faults = parsed.faults.filter(({ pointer }) => pointer === "/chain" || pointer === "");
      const [first = { code: "document-schema", where: file, what: "it names no chain" } as const, ...rest] = faults;
      throw new SluiceError(first, ...rest);
    }
    return { parsed, value: detachDocument(parsed), chain };
  });
}

/** What the API says of a document, with the place where that stands in the file. */
export function relocate(error: unknown, documents: readonly DeclaredDocument[]): unknown {
  if (!(error instanceof SluiceError)) return error;
  const faults = error.faults.map((fault): Fault => {
    const [, index, rest] = /^\/chains\/(\d+)(.*)$/s.exec(fault.pointer ?? "") ?? [];
    const document = documents[index === undefined ? 0 : Number(index)];
    if (fault.pointer === undefined || document === undefined) return fault;
    const isKey = fault.code === "unknown-key";
    return { ...fault, where: document.parsed.locate(rest ?? fault.pointer, isKey ? "key" : "value") };
  });
  return new SluiceError(...(faults as [Fault, ...Fault[]]));
}

function listFiles(path: string): string[] {
  if (path === "-" || !isFolder(path)) return [path];
  const files = readdirSync(path).filter((name) => ENDINGS.test(name));
  if (files.length > 0) return files.toSorted().map((name) => join(path, name));
  throw new SluiceError({ code: "file-unreadable", where: path, what: "there is no document (.yaml, .json) in it" });
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function readNamed(file: string): string {
  try {
    return readText(file === "-" ? 0 : file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const what = code === "ENOENT" ? "there is no such file" : message;
    throw new SluiceError({ code: "file-unreadable", where: file, what });
  }
}

function readText(path: string | number): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path));
}
