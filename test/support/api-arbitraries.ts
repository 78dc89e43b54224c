// Requests that the API's description allows, almost allows, or forbids.
import fc from "fast-check";
import type { ApiDescription, Operation, Parameter } from "./api-description.ts";
import { soundRequests, tapDocument } from "./api-requests.ts";

export interface ApiCall {
  readonly address: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | Uint8Array | undefined;
  /** Whether the address is one that the operation has to be found at. */
  readonly isFound: boolean;
}

interface Schema {
  readonly $ref?: string;
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly items?: Schema;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: boolean | Schema;
  readonly anyOf?: readonly Schema[];
  readonly oneOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
}

const DEEPEST = 5;

const hostileTexts = fc.oneof(
  fc.constantFrom("", " ", "..", "../..", "%2e%2e", "null", "undefined", "NaN", "__proto__", "constructor", "toString"),
  fc.constantFrom("-1", "0", "1e309", "9007199254740993", "0x10", "1.5", "true", "'; DROP TABLE chains; --", "\u0000"),
  fc.constantFrom("a".repeat(90), "é".repeat(40), "\u202e", "\ud800", "{{7*7}}", "$(reboot)", "%s%n", "*", "!!js"),
  fc.string({ unit: "binary", maxLength: 40 }),
);

const hostileValues: fc.Arbitrary<unknown> = fc.oneof(
  hostileTexts,
  fc.constantFrom(null, true, false, 0, -1, 2 ** 53, 1e308, -0, [], {}, [[]], { __proto__: null }),
  fc.jsonValue({ maxDepth: 3 }),
);

/** Values of the schema, mostly. */
function valuesOf(api: ApiDescription, schema: Schema, depth = 0): fc.Arbitrary<unknown> {
  if (depth > DEEPEST) return fc.constant(null);
  const of = (inner: Schema) => valuesOf(api, inner, depth + 1);
  if (schema.$ref !== undefined) return of(resolve(api, schema.$ref));
  if (schema.enum !== undefined) return fc.constantFrom(...schema.enum);
  const forms = schema.anyOf ?? schema.oneOf;
  if (forms !== undefined) return fc.oneof(...forms.map(of));
  if (schema.allOf?.[0] !== undefined) return of(schema.allOf[0]);
  switch (schema.type) {
    case "object":
      return objectsOf(schema, of);
    case "array":
      return fc.array(of(schema.items ?? {}), { maxLength: 3 });
    case "string":
      return textsOf(schema);
    case "integer":
      return fc.integer({ min: schema.minimum ?? -5, max: schema.maximum ?? 100_000 });
    case "number":
      return fc.double({ min: schema.minimum ?? 0, max: Math.min(schema.maximum ?? 1, 1), noNaN: true });
    case "boolean":
      return fc.boolean();
    default:
      return hostileValues;
  }
}

function objectsOf(schema: Schema, of: (inner: Schema) => fc.Arbitrary<unknown>): fc.Arbitrary<unknown> {
  const { properties = {}, required = [], additionalProperties } = schema;
  const known = Object.fromEntries(Object.entries(properties).map(([name, inner]) => [name, of(inner)]));
  const fixed = fc.record(known, { requiredKeys: required.filter((name) => known[name] !== undefined) });
  if (typeof additionalProperties !== "object") return fixed;
  const names = fc.constantFrom("a", "b", "fw", "lan", "wan", "tap");
  return fc
    .tuple(fixed, fc.dictionary(names, of(additionalProperties), { maxKeys: 2 }))
    .map(([first, more]) => ({ ...more, ...(first as object) }));
}

function textsOf({ pattern }: Schema): fc.Arbitrary<string> {
  const plain = fc.constantFrom("edge", "nowhere", "lo", "hello@*", "10.0.0.0/8", "tcp", "80", "viewer", '"edge-1"');
  return pattern === undefined ? plain : fc.oneof(fc.stringMatching(new RegExp(pattern)), fc.constant("edge"));
}

function resolve(api: ApiDescription, reference: string): Schema {
  const name = reference.split("/").at(-1) as string;
  return api.document.components.schemas[name];
}

/** One place of a value exchanged for something else. */
function spoil(value: unknown, path: readonly number[], instead: unknown): unknown {
  const [at = 0, ...rest] = path;
  if (typeof value !== "object" || value === null || path.length === 0) return instead;
  const keys = Object.keys(value);
  const key = keys[at % Math.max(keys.length, 1)];
  if (key === undefined) return { ...value, [JSON.stringify(instead)]: instead };
  const inner = spoil((value as Record<string, unknown>)[key], rest, instead);
  if (Array.isArray(value)) return value.map((each, index) => (String(index) === key ? inner : each));
  return { ...value, [key]: inner };
}

function bodiesOf(api: ApiDescription, operation: Operation): fc.Arbitrary<Pick<ApiCall, "body" | "headers">> {
  const [type = "application/json"] = Object.keys(operation.requestBody?.content ?? {});
  const schema = (operation.requestBody?.content[type]?.schema ?? {}) as Schema;
  const sound = soundRequests({ chain: "edge", document: tapDocument("edge") })[operation.operationId]?.body ?? {};
  const path = fc.array(fc.nat(6), { maxLength: 5 });
  const asJson = (value: unknown) => ({
    headers: { "content-type": "application/json" },
    body: JSON.stringify(value) ?? "",
  });
  const random = fc.oneof(fc.string({ unit: "binary", maxLength: 60 }), fc.uint8Array({ maxLength: 60 }));
  const types = fc.constantFrom("application/json", "application/yaml", "text/plain", "a/b", "", ";", type);
  return fc.oneof(
    fc.constant(asJson(sound)),
    valuesOf(api, schema).map(asJson),
    fc.tuple(path, hostileValues).map(([at, instead]) => asJson(spoil(sound, at, instead))),
    fc
      .tuple(valuesOf(api, schema), path, hostileValues)
      .map(([value, at, instead]) => asJson(spoil(value, at, instead))),
    hostileValues.map(asJson),
    fc.tuple(types, random).map(([contentType, body]) => ({ headers: { "content-type": contentType }, body })),
    fc.constant({ headers: {}, body: undefined }),
  );
}

function parametersOf(api: ApiDescription, parameters: readonly Parameter[], place: Parameter["in"]) {
  const values = parameters
    .filter((parameter) => parameter.in === place)
    .map(({ name, schema }) => {
      const value = fc.oneof(
        { weight: 3, arbitrary: valuesOf(api, schema as Schema) },
        { weight: 1, arbitrary: hostileTexts },
      );
      return [name, value.map(String)] as const;
    });
  return fc.record(Object.fromEntries(values), { requiredKeys: [] });
}

const hostileHeaders = fc.dictionary(
  fc.constantFrom(
    "accept",
    "if-match",
    "if-none-match",
    "range",
    "origin",
    "expect",
    "accept-encoding",
    "x-forwarded-for",
  ),
  fc.constantFrom("*", "", '"edge-1"', "text/html", "bytes=0-", "null", "nonsense", "application/json;q=0"),
  { maxKeys: 2 },
);

/** Events never end: nobody asks for them here. */
export function callsOf(api: ApiDescription, operation: Operation): fc.Arbitrary<ApiCall> {
  const { parameters, method, path } = operation;
  const bodies = method === "GET" ? fc.constant({ headers: {}, body: undefined }) : bodiesOf(api, operation);
  const queries = fc.oneof(
    { weight: 4, arbitrary: parametersOf(api, parameters, "query") },
    fc.dictionary(hostileTexts, hostileTexts, { maxKeys: 2 }),
  );
  const known = parametersOf(api, parameters, "path");
  return fc
    .tuple(known, queries, parametersOf(api, parameters, "header"), hostileHeaders, bodies)
    .map(([variables, query, headers, more, { body, headers: bodyHeaders }]) => {
      let isFound = true;
      const address = path.replace(/\{(\w+)\}/g, (_, name: string) => {
        const value = encode(variables[name] ?? (name === "name" ? "edge" : "1"));
        // Dots are steps, empty names are other addresses, and long ones are none.
        if (value === "" || value.length > 90 || /^(\.|%2e)+$/i.test(value)) isFound = false;
        return value;
      });
      const search = Object.entries(query)
        .map(([name, value]) => `${encode(name)}=${encode(value ?? "")}`)
        .join("&");
      const asked = { ...more, ...printable(headers), ...bodyHeaders };
      return { address: search === "" ? address : `${address}?${search}`, headers: asked, body, isFound };
    });
}

function encode(text: string): string {
  return encodeURIComponent(text.toWellFormed());
}

/** What a header can carry. */
function printable(headers: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, (value ?? "").replace(/[^\x20-\x7e]/g, "?")]),
  );
}
