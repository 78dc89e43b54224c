// JSON Schema (draft 2020-12) with the formats of this field.

import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";
import ipaddr from "ipaddr.js";
import semver from "semver";
import { parseDscp, parseEtherType, parseIpProto, parseKernelClass, parsePortRange, parsePrefix } from "./protocols.ts";

export type JsonSchema = boolean | object;

export const formats: Readonly<Record<string, (text: string) => boolean>> = {
  ipv4: (text) => ipaddr.IPv4.isValidFourPartDecimal(text),
  ipv6: (text) => ipaddr.IPv6.isValid(text) && !text.includes("%"),
  "ip-address": (text) => !text.includes("/") && parsePrefix(text) !== undefined,
  "ip-prefix": (text) => parsePrefix(text) !== undefined,
  "mac-address": (text) => /^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(text),
  "port-range": (text) => parsePortRange(text) !== undefined,
  "ip-proto": (text) => parseIpProto(text) !== undefined,
  "ether-type": (text) => parseEtherType(text) !== undefined,
  dscp: (text) => parseDscp(text) !== undefined,
  "kernel-class": (text) => parseKernelClass(text) !== undefined,
  semver: (text) => semver.valid(text) === text,
  "semver-range": (text) => semver.validRange(text) !== null,
  "function-reference": (text) => parseFunctionReference(text) !== undefined,
};

// verbose: errors carry the schema that they failed, for its title and its known keys.
const ajv = new Ajv2020({
  allErrors: true,
  verbose: true,
  allowUnionTypes: true,
  strictRequired: false,
  strictTypes: false,
  addUsedSchema: false,
  // Takes longer than all that is validated in the life of a command.
  code: { optimize: false },
  formats,
});

const compiled = new WeakMap<object, ValidateFunction>();

/** Throws ajv's own error if the schema is not one. */
export function compileSchema(schema: JsonSchema): ValidateFunction {
  if (typeof schema === "boolean") return ajv.compile(schema);
  const known = compiled.get(schema);
  if (known !== undefined) return known;
  const validate = ajv.compile(schema);
  compiled.set(schema, validate);
  return validate;
}

/** `name@range`; a name alone means any version. */
export function parseFunctionReference(text: string): { readonly name: string; readonly range: string } | undefined {
  const [, name, range = "*"] = /^([a-z][a-z0-9-]{0,62})(?:@(.+))?$/.exec(text) ?? [];
  return name !== undefined && semver.validRange(range) !== null ? { name, range } : undefined;
}
