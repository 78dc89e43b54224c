// From a chain document's file to a plan with the packages of its functions.

import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { type ParsedDocument, parseDocument } from "../chain/document.ts";
import { parseOverride } from "../chain/override.ts";
import type { Plan } from "../chain/plan.ts";
import { type PlanWarning, planChain } from "../chain/planner.ts";
import { type Fault, SluiceError } from "../errors.ts";
import { type Catalog, type FunctionPackage, openCatalog } from "../function/catalog.ts";

/** The options `--set` and `--functions`, as commander collects them. */
export interface ChainOptions {
  readonly set?: readonly string[];
  readonly functions?: readonly string[];
}

export interface LoadedChain {
  readonly document: ParsedDocument;
  readonly plan: Plan;
  readonly warnings: readonly PlanWarning[];
  /** By function index of the plan. */
  readonly packages: readonly FunctionPackage[];
  readonly catalog: Catalog;
}

/** Throws all faults of the document and of the overrides. */
export function loadChain(file: string, options: ChainOptions = {}): LoadedChain {
  const text = readNamedFile(file, file);
  const overrides = (options.set ?? []).map((override) => parseOverride(override, (path) => readText(resolve(path))));
  const catalog = openCatalog({ folders: options.functions ?? [] });
  const document = parseDocument(text, file, { readText: (path) => readText(resolve(dirname(file), path)), overrides });
  const { plan, warnings } = planChain(document, catalog);
  const packages = plan.functions.map(({ package: { name, version } }) => requirePackage(catalog, name, version));
  return { document, plan, warnings, packages, catalog };
}

function requirePackage(catalog: Catalog, name: string, version: string): FunctionPackage {
  const found = catalog.find(name, version);
  if (found !== undefined) return found;
  throw new SluiceError({ code: "function-not-found", where: `${name}@${version}`, what: "the package is gone" });
}

/** Strict UTF-8: configuration with broken characters is not what its author wrote. */
function readText(path: string): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path));
}

function readNamedFile(path: string, where: string): string {
  try {
    return readText(path);
  } catch (error) {
    const fault: Fault = { code: "file-unreadable", where, what: describeReadError(error as NodeJS.ErrnoException) };
    throw new SluiceError(fault);
  }
}

function describeReadError(error: NodeJS.ErrnoException): string {
  if (error.code === "ENOENT") return "there is no such file";
  if (error.code === "EISDIR") return "is a folder";
  return error.code === "ERR_ENCODING_INVALID_ENCODED_DATA" ? "is not UTF-8 text" : error.message;
}
