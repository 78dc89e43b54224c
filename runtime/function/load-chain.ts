// From a chain document's file to a plan with the packages of its functions.

import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { detachDocument, type ParsedDocument, parseDocument, pinFunctions } from "../chain/document.ts";
import { parseOverride } from "../chain/override.ts";
import type { Plan } from "../chain/plan.ts";
import { type PlanWarning, planChain } from "../chain/planner.ts";
import type { ChainDocument } from "../chain/schema.ts";
import { parseFunctionReference } from "../chain/validator.ts";
import { type Fault, SluiceError } from "../errors.ts";
import { Catalog, type FunctionPackage, openCatalog } from "./catalog.ts";

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
  const { document, catalog } = parseChain(file, options);
  const { plan, warnings } = planChain(document, catalog);
  return { document, plan, warnings, packages: requirePackages(catalog, plan), catalog };
}

function parseChain(file: string, options: ChainOptions): Pick<LoadedChain, "document" | "catalog"> {
  const text = readNamedFile(file, file);
  const overrides = (options.set ?? []).map((override) => parseOverride(override, (path) => readText(resolve(path))));
  const catalog = openCatalog({ folders: options.functions ?? [] });
  const document = parseDocument(text, file, { readText: (path) => readText(resolve(dirname(file), path)), overrides });
  return { document, catalog };
}

function requirePackages(catalog: Catalog, plan: Plan): FunctionPackage[] {
  return plan.functions.map(({ package: { name, version } }) => requirePackage(catalog, name, version));
}

/**
 * A change of the running chain: the document `file` with overrides and with other packages (`use`: FUNCTION=NAME@RANGE),
 * read now, and planned as what may follow another plan when it is asked for that.
 */
export function readChange(
  file: string,
  options: ChainOptions & { readonly use: readonly string[] },
): (before: Plan) => Pick<LoadedChain, "plan" | "packages"> & { readonly document: ChainDocument } {
  const { document, catalog } = parseChain(file, options);
  const uses = Object.fromEntries(options.use.map((text) => readUse(text, document)));
  return (before) => {
    const { plan } = planChain(pinFunctions(document, uses), catalog, before);
    if (plan.chain !== before.chain) {
      const what = `the document is of the chain "${plan.chain}"; the one that runs is "${before.chain}"`;
      throw new SluiceError({ code: "change-refused", where: file, what });
    }
    return { plan, packages: requirePackages(catalog, plan), document: pinDocument(document, plan) };
  };
}

/** All of it in one document, with exact versions. */
export function pinDocument(document: ParsedDocument, plan: Plan): ChainDocument {
  const uses = plan.functions.map(({ name, package: used }) => [name, `${used.name}@${used.version}`]);
  return detachDocument(pinFunctions(document, Object.fromEntries(uses)));
}

function readUse(text: string, document: ParsedDocument): [name: string, use: string] {
  const [, name, use] = /^([^=]+)=(.+)$/.exec(text) ?? [];
  const where = `--use ${text}`;
  if (name === undefined || use === undefined || parseFunctionReference(use) === undefined) {
    throw new SluiceError({ code: "usage", where, what: "is not FUNCTION=NAME@RANGE" });
  }
  if (document.value.functions?.[name] !== undefined) return [name, use];
  throw new SluiceError({ code: "unknown-function", where, what: `the chain has no function "${name}"` });
}

/** The plan of the same document with these packages in the place of its functions' (by their index). */
export function replanWith({ document, plan }: LoadedChain, packages: readonly FunctionPackage[]): Plan {
  const uses = plan.functions.map(({ name }, index) => {
    const { manifest } = packages[index] as FunctionPackage;
    return [name, `${manifest.name}@${manifest.version}`] as const;
  });
  return planChain(pinFunctions(document, Object.fromEntries(uses)), new Catalog(packages), plan).plan;
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
