// The shape of problem details, for the description of the API. Clients read them without it.
import { Type } from "typebox";
import { type ErrorCode, errorKinds } from "../errors.ts";

const faultSchema = Type.Object({
  code: Type.Enum(Object.keys(errorKinds) as ErrorCode[]),
  detail: Type.String(),
  where: Type.String({ description: "A place in the document, a device, a function … whatever it is about." }),
  help: Type.Optional(Type.String()),
  pointer: Type.Optional(Type.String({ description: "JSON pointer (RFC 6901) into the request's document." })),
});

export const problemSchema = Type.Object(
  {
    type: Type.String({ description: "urn:sluice:error:CODE" }),
    title: Type.String(),
    status: Type.Integer(),
    code: Type.Enum(Object.keys(errorKinds) as ErrorCode[]),
    detail: Type.String(),
    errors: Type.Array(faultSchema, { description: "All that is wrong, the first of which is the problem's own." }),
  },
  { $id: "Problem", title: "Problem details (RFC 9457)" },
);
