// A function's manifest: what it is, and all that it can touch.
import { ABI_VERSION } from "../../nfs/sdk/abi.ts";
import { type ColumnDeclarations, columnTypes, FLOW_COLUMN } from "../chain/columns.ts";
import { builtInEvents, type EventDeclarations } from "../chain/events.ts";
import { throwFaults } from "../chain/faults.ts";
import type { FrameAccess } from "../chain/plan.ts";
import { findSchemaFaults } from "../chain/schema-faults.ts";
import { parseSource, type SourceText } from "../chain/source-text.ts";
import { compileSchema, type JsonSchema } from "../chain/validator.ts";
import { FRAMES_ADDRESS, WINDOWS_ADDRESS } from "../dataplane/memory-map.ts";
import type { Fault } from "../errors.ts";

export interface SegmentDeclaration {
  readonly bytes: number;
  readonly layout: number;
  readonly migratesFrom?: readonly number[];
}

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
  readonly columns?: ColumnDeclarations;
  /** Memory of its own that outlives an instance. */
  readonly segments?: Readonly<Record<string, SegmentDeclaration>>;
  readonly events?: EventDeclarations;
  /** It takes payload in order: TCP's, and UDP datagrams in the same form. */
  readonly stream?: boolean;
  /** Labels that it may set on flows. */
  readonly labels?: readonly string[];
  /** Without all that a host has on one lane, it does on several not what it does on one. */
  readonly spread?: "hosts";
}

/** 1 GiB: with the windows below it, well under what a 32-bit memory can be. */
export const MEMORY_PAGES_MAX = 16384;

const SEGMENT_BYTES_MAX = FRAMES_ADDRESS - WINDOWS_ADDRESS;

const sharedName = {
  type: "string",
  maxLength: 63,
  pattern: "^[a-z][a-z0-9_-]*\\.[a-z][a-z0-9_-]*$",
  title: "a name of the form word.word, such as nat.port (lower-case letters, digits, '_' and '-')",
} as const;

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
          propertyNames: { $ref: "#/$defs/sharedName" },
          additionalProperties: { $ref: "#/$defs/writtenColumn" },
        },
        reads: { type: "array", items: { $ref: "#/$defs/readColumn" }, uniqueItems: true },
      },
    },
    segments: {
      type: "object",
      description: "Memory that outlives an instance.",
      propertyNames: { $ref: "#/$defs/name" },
      additionalProperties: {
        type: "object",
        additionalProperties: false,
        required: ["bytes", "layout"],
        properties: {
          bytes: { type: "integer", minimum: 1, maximum: SEGMENT_BYTES_MAX },
          layout: { type: "integer", minimum: 0, description: "Version of what lies in it." },
          migratesFrom: {
            type: "array",
            description: "Other layouts of which nf_migrate makes this one.",
            items: { type: "integer", minimum: 0 },
            minItems: 1,
            uniqueItems: true,
          },
        },
      },
    },
    events: {
      type: "object",
      description: "Events of flows: those that it raises, and those that it is told of.",
      additionalProperties: false,
      properties: {
        defines: { type: "array", items: { $ref: "#/$defs/sharedName" }, uniqueItems: true },
        subscribes: { type: "array", items: { $ref: "#/$defs/event" }, uniqueItems: true },
      },
    },
    stream: { type: "boolean", description: "It takes payload in order." },
    labels: {
      type: "array",
      description: "Labels that it may set on flows.",
      items: { $ref: "#/$defs/name" },
      uniqueItems: true,
    },
    spread: {
      enum: ["hosts"],
      description: "What a lane has to have all of, or the function does on several lanes not what it does on one.",
    },
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
    sharedName,
    columnType: { enum: columnTypes },
    writtenColumn: {
      if: { type: "object" },
      // biome-ignore lint/suspicious/noThenProperty: the JSON Schema keyword
      then: {
        additionalProperties: false,
        required: ["type"],
        properties: {
          type: { $ref: "#/$defs/columnType" },
          export: { type: "boolean", description: "Its value is part of what is reported of a flow." },
        },
      },
      else: { $ref: "#/$defs/columnType" },
    },
    readColumn: {
      if: { type: "object" },
      // biome-ignore lint/suspicious/noThenProperty: the JSON Schema keyword
      then: {
        additionalProperties: false,
        required: ["name"],
        properties: {
          name: { $ref: "#/$defs/sharedName" },
          type: { $ref: "#/$defs/columnType" },
          optional: { type: "boolean", description: "It does without the column where nobody writes it." },
        },
      },
      else: {
        ...sharedName,
        pattern: `^${FLOW_COLUMN}$|${sharedName.pattern}`,
        title: `"${FLOW_COLUMN}", the host's own record, or ${sharedName.title}`,
      },
    },
    event: {
      ...sharedName,
      pattern: `^(${builtInEvents.join("|")})$|${sharedName.pattern}`,
      title: `one of ${builtInEvents.join(", ")}, or ${sharedName.title}`,
    },
    name: {
      type: "string",
      pattern: "^[A-Za-z][A-Za-z0-9_.-]{0,62}$",
      title: "a name (a letter, then up to 62 letters, digits, '_', '.' or '-')",
    },
  },
} as const;

/** By their text: catalogues are opened at every change, and a schema costs milliseconds to compile. */
const sound = new Map<string, Manifest>();
const REMEMBERED = 500;

/** `file` is where the text comes from. Throws manifest-invalid with every fault, or abi-version. */
export function validateManifest(text: string, file: string): Manifest {
  const known = sound.get(text);
  if (known !== undefined) return known;
  const manifest = freezeAll(readManifest(text, file));
  if (sound.size >= REMEMBERED) sound.clear();
  sound.set(text, manifest);
  return manifest;
}

/** Whoever has it has the same as everybody else. */
function freezeAll<Value>(value: Value): Value {
  if (typeof value !== "object" || value === null) return value;
  for (const each of Object.values(value)) freezeAll(each);
  return Object.freeze(value);
}

function readManifest(text: string, file: string): Manifest {
  const source = parseSource(text, file);
  const shape = findSchemaFaults(source.value, manifestSchema, "manifest-invalid", source.locate);
  throwFaults([...source.faults, ...shape].map((fault) => ({ ...fault, code: "manifest-invalid" })));
  const manifest = source.value as Manifest;
  throwFaults([
    ...findAbiFault(manifest, source),
    ...findStreamFault(manifest, source),
    ...findConfigFault(manifest, source),
  ]);
  return manifest;
}

function findAbiFault({ name, abi }: Manifest, source: SourceText): Fault[] {
  if (abi === ABI_VERSION) return [];
  const what = `${name} is for ABI version ${abi}; this host speaks version ${ABI_VERSION}`;
  return [{ code: "abi-version", where: source.locate("/abi"), what, pointer: "/abi" }];
}

/** In-order payload is handed over where it lies. */
function findStreamFault({ stream = false, frames }: Manifest, source: SourceText): Fault[] {
  if (!stream || frames !== "none") return [];
  const what = '"stream": true needs "frames": "read" or "write": payload is read where it lies, in frames';
  return [{ code: "manifest-invalid", where: source.locate("/stream"), what, pointer: "/stream" }];
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
