// A function's manifest: what it is, and all that it can touch.
import { ABI_VERSION, MEMORY_BASE } from "../../nfs/sdk/abi.ts";
import { throwFaults } from "../chain/faults.ts";
import type { FrameAccess } from "../chain/plan.ts";
import { findSchemaFaults } from "../chain/schema-faults.ts";
import { parseSource, type SourceText } from "../chain/source-text.ts";
import { compileSchema, type JsonSchema } from "../chain/validator.ts";
import type { Fault } from "../errors.ts";

const columnTypes = ["u8", "u16", "u32", "u64", "i8", "i16", "i32", "i64", "f32", "f64"] as const;
export type ColumnType = (typeof columnTypes)[number];

export interface Manifest {
  readonly name: string;
  readonly version: string;
  /** The ABI that the function was built for. */
  readonly abi: number;
  readonly description: string;
  readonly frames: FrameAccess;
  /** Pages of 64 KiB for the module's own data and heap. */
  readonly memoryPages: number;
  /** JSON Schema of the configuration; absent: the function takes none. */
  readonly config?: JsonSchema;
  /** Per-flow fields: those that it owns, and those of others that it reads. */
  readonly columns?: { readonly writes?: Readonly<Record<string, ColumnType>>; readonly reads?: readonly string[] };
  readonly segments?: Readonly<Record<string, { readonly bytes: number; readonly layout: number }>>;
  readonly events?: { readonly defines?: readonly string[]; readonly subscribes?: readonly string[] };
  /** It takes TCP payload in order. */
  readonly stream?: boolean;
}

/** 1 GiB: with the windows below it, well under what a 32-bit memory can be. */
export const MEMORY_PAGES_MAX = 16384;

const fieldNames = { type: "array", items: { $ref: "#/$defs/fieldName" }, uniqueItems: true } as const;

export const manifestSchema = {
  $schema: "https://json-schema.org/draft/2020-12/schema",
  $id: "urn:sluice:manifest",
  title: "Sluice function manifest",
  type: "object",
  additionalProperties: false,
  required: ["name", "version", "abi", "description", "frames", "memoryPages"],
  properties: {
    $schema: { type: "string" },
    name: {
      type: "string",
      pattern: "^[a-z][a-z0-9-]{0,62}$",
      title: "a name (a lower-case letter, then up to 62 lower-case letters, digits or '-')",
    },
    version: { type: "string", format: "semver", title: "a version such as 1.4.2 (semver)" },
    abi: { type: "integer", minimum: 1, description: "The ABI version that it was built for." },
    description: { type: "string", minLength: 1 },
    frames: { enum: ["none", "read", "write"], description: "What it may do with the packets' bytes." },
    columns: {
      type: "object",
      description: "Per-flow fields: those that it owns, and those of others that it reads.",
      additionalProperties: false,
      properties: {
        writes: {
          type: "object",
          propertyNames: { $ref: "#/$defs/fieldName" },
          additionalProperties: { enum: columnTypes },
        },
        reads: fieldNames,
      },
    },
    segments: {
      type: "object",
      description: "Memory that outlives an instance.",
      propertyNames: { $ref: "#/$defs/fieldName" },
      additionalProperties: {
        type: "object",
        additionalProperties: false,
        required: ["bytes", "layout"],
        properties: {
          bytes: { type: "integer", minimum: 1, maximum: MEMORY_BASE },
          layout: { type: "integer", minimum: 0, description: "Version of what lies in it." },
        },
      },
    },
    events: {
      type: "object",
      additionalProperties: false,
      properties: { defines: fieldNames, subscribes: fieldNames },
    },
    stream: { type: "boolean", description: "It takes TCP payload in order." },
    memoryPages: {
      type: "integer",
      minimum: 1,
      maximum: MEMORY_PAGES_MAX,
      description: "Pages of 64 KiB for its own data and heap.",
    },
    config: {
      type: ["object", "boolean"],
      description: "JSON Schema (draft 2020-12) of its configuration; absent, it takes none.",
    },
  },
  $defs: {
    fieldName: {
      type: "string",
      pattern: "^[A-Za-z][A-Za-z0-9_.-]{0,62}$",
      title: "a name (a letter, then up to 62 letters, digits, '_', '.' or '-')",
    },
  },
} as const;

/** `file` is where the text comes from. Throws manifest-invalid with every fault, or abi-version. */
export function validateManifest(text: string, file: string): Manifest {
  const source = parseSource(text, file);
  const shape = findSchemaFaults(source.value, manifestSchema, "manifest-invalid", source.locate);
  throwFaults([...source.faults, ...shape].map((fault) => ({ ...fault, code: "manifest-invalid" })));
  const manifest = source.value as Manifest;
  throwFaults([...findAbiFault(manifest, source), ...findConfigFault(manifest, source)]);
  return manifest;
}

function findAbiFault({ name, abi }: Manifest, source: SourceText): Fault[] {
  if (abi === ABI_VERSION) return [];
  const what = `${name} is for ABI version ${abi}; this host speaks version ${ABI_VERSION}`;
  return [{ code: "abi-version", where: source.locate("/abi"), what, pointer: "/abi" }];
}

function findConfigFault({ config }: Manifest, source: SourceText): Fault[] {
  if (config === undefined) return [];
  try {
    compileSchema(config);
    return [];
  } catch (error) {
    const what = `config is not a JSON Schema: ${(error as Error).message}`;
    return [{ code: "manifest-invalid", where: source.locate("/config"), what, pointer: "/config" }];
  }
}
