// Resolves the functions of a chain and checks their configuration.

import { type Fault, SluiceError } from "../errors.ts";
import { type ColumnDeclarations, listReads, listWrites } from "./columns.ts";
import { type DocumentEntry, type ParsedDocument, readEntries, readNames } from "./document.ts";
import { type EventDeclarations, maskOf } from "./events.ts";
import type { Report } from "./faults.ts";
import { suggest } from "./nearest.ts";
import type { FrameAccess, Plan, PlannedFunction } from "./plan.ts";
import { extendPointer } from "./pointer.ts";
import type { FunctionDeclaration } from "./schema.ts";
import { findSchemaFaults } from "./schema-faults.ts";
import { type JsonSchema, parseFunctionReference } from "./validator.ts";

/** What a plan takes from a function's manifest. */
export interface PlannableManifest {
  readonly name: string;
  readonly version: string;
  readonly frames: FrameAccess;
  readonly memoryPages: number;
  /** Absent: the function takes no configuration. */
  readonly config?: JsonSchema;
  readonly columns?: ColumnDeclarations;
  readonly segments?: Readonly<
    Record<string, { readonly bytes: number; readonly layout: number; readonly migratesFrom?: readonly number[] }>
  >;
  readonly events?: EventDeclarations;
  readonly stream?: boolean;
  readonly labels?: readonly string[];
  /** Without all that a host has on one lane, it does on several not what it does on one. */
  readonly spread?: "hosts";
}

/** Where functions come from; runtime/function/catalog.ts is one. */
export interface FunctionSource {
  /** The highest version in the range. Throws SluiceError if a package of that name is damaged. */
  find(name: string, range: string): { readonly manifest: PlannableManifest } | undefined;
  readonly known: readonly { readonly name: string; readonly version: string }[];
}

const noConfiguration: JsonSchema = { type: "object", properties: {}, additionalProperties: false };

/** A function of the chain and the manifest of the package that it uses. */
export interface ResolvedFunction {
  readonly name: string;
  /** Where it is declared. */
  readonly pointer: string;
  readonly declaration: FunctionDeclaration;
  readonly manifest: PlannableManifest;
  /** By their indices. */
  readonly branches: readonly string[];
}

/** Those of the document that can be resolved; the others are reported, as is configuration that does not fit. */
export function resolveFunctions(
  document: ParsedDocument,
  source: FunctionSource,
  report: Report,
  addFaults: (faults: readonly Fault[]) => void,
): ResolvedFunction[] {
  const resolved: ResolvedFunction[] = [];
  for (const entry of readUsable(document)) {
    const { name, pointer, declaration } = entry;
    const manifest = resolveManifest(entry, source, report, addFaults);
    if (manifest === undefined) continue;
    const configPointer = extendPointer(pointer, "config");
    if (document.isSound(configPointer)) {
      const schema = manifest.config ?? noConfiguration;
      addFaults(findSchemaFaults(declaration.config ?? {}, schema, "config-invalid", document.locate, configPointer));
    }
    const branches = Object.keys(readBranches(document, name));
    resolved.push({ name, pointer, declaration, manifest, branches });
  }
  return resolved;
}

/** What it may touch, with the chain's numbers for events and labels. */
export function planFunction(
  { name, declaration, manifest, branches }: Omit<ResolvedFunction, "pointer">,
  { events, labels }: Pick<Plan, "events" | "labels">,
): PlannedFunction {
  const { config = {}, onFault = "drop", keepBatches = 0 } = declaration;
  const { frames, memoryPages, columns, segments = {}, stream = false } = manifest;
  const { defines = [], subscribes = [] } = manifest.events ?? {};
  return {
    name,
    package: { name: manifest.name, version: manifest.version },
    ...{ frames, memoryPages, config, onFault, keepBatches, branches, stream },
    columns: { writes: listWrites(columns), reads: listReads(columns).map((read) => read.name) },
    segments: Object.entries(segments).map(([segment, { bytes, layout, migratesFrom = [] }]) => {
      return { name: segment, bytes, layout, migratesFrom };
    }),
    events: { defines: maskOf(defines, events), subscribes: maskOf(subscribes, events) },
    labels: maskOf(manifest.labels ?? [], labels),
  };
}

/** A function whose `use` is sound can be resolved, whatever else is wrong with it. */
function readUsable(document: ParsedDocument): DocumentEntry<FunctionDeclaration>[] {
  return readNames(document, "functions")
    .map((name) => ({
      name,
      pointer: extendPointer("/functions", name),
      declaration: document.value.functions?.[name],
    }))
    .filter((entry): entry is DocumentEntry<FunctionDeclaration> => typeof entry.declaration?.use === "string")
    .filter(({ pointer }) => document.isSound(`${pointer}/use`));
}

function readBranches(document: ParsedDocument, functionName: string): object {
  const entry = readEntries<object>(document, "branches").find(({ name }) => name === functionName);
  return entry?.declaration ?? {};
}

function resolveManifest(
  { pointer, declaration }: DocumentEntry<FunctionDeclaration>,
  source: FunctionSource,
  report: Report,
  addFaults: (faults: readonly Fault[]) => void,
): PlannableManifest | undefined {
  const reference = parseFunctionReference(declaration.use);
  if (reference === undefined) return undefined;
  try {
    const found = source.find(reference.name, reference.range);
    if (found !== undefined) return found.manifest;
    const what = `no function "${declaration.use}" is known`;
    report("function-not-found", `${pointer}/use`, what, listKnown(reference.name, source));
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    addFaults(error.faults);
  }
  return undefined;
}

function listKnown(name: string, { known }: FunctionSource): string {
  const versions = known.filter((candidate) => candidate.name === name).map((candidate) => candidate.version);
  if (versions.length > 0) return `versions of "${name}": ${versions.join(", ")}`;
  return suggest(name, [...new Set(known.map((candidate) => candidate.name))].toSorted(), "functions");
}
