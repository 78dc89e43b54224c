// Requests against their schemas: every fault, in the words of the command line.
import { Ajv2020 } from "ajv/dist/2020.js";
import { IsOptional, type TSchema } from "typebox";
import { describeErrors } from "../chain/schema-faults.ts";
import { formats } from "../chain/validator.ts";
import { type Fault, SluiceError } from "../errors.ts";
import { namedSchemas } from "./schemas.ts";

const options = { allErrors: true, verbose: true, strict: false, formats } as const;
const bodies = new Ajv2020(options);
/** What stands in an address is text. */
const texts = new Ajv2020({ ...options, useDefaults: true, coerceTypes: "array" });
// Documents are judged where they are planned, with the codes and in the words of the command line.
for (const { $id } of namedSchemas) bodies.addSchema({ $id });

interface RouteSchema {
  readonly schema: unknown;
  readonly httpPart?: string;
}

/** For Fastify. */
export function compileRequestSchema({ schema, httpPart = "body" }: RouteSchema) {
  const validate = (httpPart === "body" ? bodies : texts).compile(schema as object);
  const mayBeAbsent = IsOptional(schema as TSchema);
  return (value: unknown) => {
    if ((mayBeAbsent && value == null) || validate(value)) return { value };
    const faults = describeErrors(validate.errors ?? []).map(({ pointer, what, help }): Fault => {
      return { code: "request-invalid", where: httpPart + pointer, what, help, pointer };
    });
    // Fastify writes to the error, which is ours.
    return { error: new Error("validation", { cause: new SluiceError(...(faults as [Fault, ...Fault[]])) }) };
  };
}
