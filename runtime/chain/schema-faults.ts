// What a JSON Schema found wrong, in words for the author of the document.

import type { ErrorObject } from "ajv/dist/2020.js";
import type { ErrorCode, Fault } from "../errors.ts";
import { findNearest, suggest } from "./nearest.ts";
import { extendPointer } from "./pointer.ts";
import { compileSchema, type JsonSchema } from "./validator.ts";

export interface Finding {
  readonly pointer: string;
  readonly part: "key" | "value";
  readonly unknownKey: boolean;
  readonly what: string;
  readonly help?: string | undefined;
}

export type Locate = (pointer: string, part?: "key" | "value") => string;

/**
 * Validates a value that stands at `pointer` of the text that `locate` knows. Unknown keys are unknown-key, everything
 * else is `code`.
 */
export function findSchemaFaults(
  value: unknown,
  schema: JsonSchema,
  code: ErrorCode,
  locate: Locate,
  pointer = "",
): Fault[] {
  const validate = compileSchema(schema);
  if (validate(value)) return [];
  return describeErrors(validate.errors ?? []).map((finding) => ({
    code: finding.unknownKey ? "unknown-key" : code,
    where: locate(pointer + finding.pointer, finding.part),
    what: finding.what,
    help: finding.help,
    pointer: pointer + finding.pointer,
  }));
}

export function describeErrors(errors: readonly ErrorObject[]): Finding[] {
  const findings: Finding[] = [];
  for (const [index, error] of errors.entries()) {
    // A condition and the names of keys are reported by what failed inside them.
    if (error.keyword === "if" || error.keyword === "propertyNames") continue;
    if (isInsideChoice(error, errors.slice(index + 1))) continue;
    if (error.keyword === "anyOf" || error.keyword === "oneOf")
      findings.push(describeChoice(error, errors.slice(0, index)));
    else findings.push(describeError(error));
  }
  return findings;
}

/** ajv reports what failed in each form of a choice first, then the choice itself. */
function isInsideChoice(error: ErrorObject, later: readonly ErrorObject[]): boolean {
  return later.some((choice) => isChoice(choice) && belongsTo(error, choice));
}

function isChoice(error: ErrorObject): boolean {
  return error.keyword === "anyOf" || error.keyword === "oneOf";
}

function belongsTo(error: ErrorObject, choice: ErrorObject): boolean {
  if (!`${error.instancePath}/`.startsWith(`${choice.instancePath}/`)) return false;
  const isReferred = error.schemaPath.startsWith("#/$defs/") && !choice.schemaPath.startsWith("#/$defs/");
  return isReferred || error.schemaPath.startsWith(`${choice.schemaPath}/`);
}

function describeChoice(choice: ErrorObject, earlier: readonly ErrorObject[]): Finding {
  const forms = earlier.filter((error) => !isChoice(error) && belongsTo(error, choice)).map(describeError);
  const reasons = [...new Set(forms.map(({ what, help }) => (help === undefined ? what : `${what} (${help})`)))];
  return {
    pointer: choice.instancePath,
    part: "value",
    unknownKey: false,
    what:
      choice.keyword === "oneOf" && reasons.length === 0 ? "fits more than one form" : "fits none of the allowed forms",
    help: reasons.length === 0 ? undefined : reasons.join("; or "),
  };
}

function describeError(error: ErrorObject): Finding {
  const named = error.propertyName === undefined ? undefined : extendPointer(error.instancePath, error.propertyName);
  const at = {
    pointer: named ?? error.instancePath,
    part: named === undefined ? "value" : "key",
    unknownKey: false,
  } as const;
  const { data, params } = error;
  const parent = (error.parentSchema ?? {}) as Record<string, unknown>;
  switch (error.keyword) {
    case "additionalProperties":
    case "unevaluatedProperties":
      return describeUnknownKey(error, parent);
    case "required":
      return { ...at, what: `the key "${params.missingProperty}" is missing` };
    case "type":
      return { ...at, what: `must be ${describeTypes(params.type)}, is ${describeKind(data)}` };
    case "enum":
      return { ...at, ...describeEnum(data, params.allowedValues) };
    case "const":
      return { ...at, what: `must be ${quote(params.allowedValue)}` };
    case "not":
      return { ...at, what: `${quote(data)} is reserved` };
    case "pattern":
    case "format":
      return { ...at, what: `${quote(data)} is not ${parent.title ?? `a value of the form ${error.schema}`}` };
    case "minimum":
    case "maximum":
      return { ...at, what: `${quote(data)} is not ${describeRange(parent)}` };
    default:
      return { ...at, what: error.message?.replace("must NOT", "must not") ?? `fails "${error.keyword}"` };
  }
}

function describeUnknownKey(error: ErrorObject, parent: Record<string, unknown>): Finding {
  const key = String(error.params.additionalProperty ?? error.params.unevaluatedProperty);
  const known = Object.keys((parent.properties ?? {}) as object);
  return {
    pointer: extendPointer(error.instancePath, key),
    part: "key",
    unknownKey: true,
    what: `unknown key "${key}"`,
    help: suggest(key, known, "keys"),
  };
}

function describeEnum(data: unknown, allowed: readonly unknown[]): Pick<Finding, "what" | "help"> {
  const what = `${quote(data)} is not one of ${allowed.join(", ")}`;
  const words = allowed.filter((value): value is string => typeof value === "string");
  if (typeof data !== "string" || words.length === 0) return { what };
  return { what, help: `did you mean "${findNearest(data, words)}"?` };
}

function describeRange({ minimum, maximum }: Record<string, unknown>): string {
  if (minimum === undefined) return `at most ${maximum}`;
  return maximum === undefined ? `at least ${minimum}` : `between ${minimum} and ${maximum}`;
}

const kinds: Readonly<Record<string, string>> = {
  string: "a string",
  number: "a number",
  integer: "an integer",
  boolean: "true or false",
  array: "a list",
  object: "a map",
  null: "empty",
};

function describeTypes(types: string | readonly string[]): string {
  return [types]
    .flat()
    .map((type) => kinds[type] ?? type)
    .join(" or ");
}

function describeKind(value: unknown): string {
  if (value === null || value === undefined) return "empty";
  if (Array.isArray(value)) return "a list";
  return typeof value === "object" ? "a map" : quote(value);
}

/** The value as it would stand in the document, cut if it is long. */
function quote(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > 80 ? `${text.slice(0, 76)} …"` : text;
}
