// What a route may answer, for the description of the API.
import { type TSchema, Type } from "typebox";
import { type ErrorCode, errorKinds } from "../errors.ts";
import { PROBLEM_TYPE } from "./problem.ts";
import type { Method } from "./roles.ts";

/** Every request can meet these, whatever it asks for; refused ones where not everybody may ask. */
const anywhere: readonly ErrorCode[] = ["unauthenticated", "rate-limited", "store-failed", "internal"];
/** Those that may have a body. */
const withBody: readonly ErrorCode[] = ["request-invalid", "body-too-large", "media-type"];

type Answers = Readonly<Record<string, TSchema>>;

/** `success` by status; `codes`: errors of the route itself. */
export function answers(success: Readonly<Record<number, TSchema>>, ...codes: readonly ErrorCode[]): object {
  return addProblems(success, codes);
}

/** What a route need not say of itself. */
export function completeAnswers(known: object, method: Method, isForAll: boolean): object {
  const refused: readonly ErrorCode[] = isForAll ? [] : ["forbidden"];
  return addProblems(known as Answers, [...anywhere, ...refused, ...(method === "GET" ? [] : withBody)]);
}

function addProblems(known: Answers, codes: readonly ErrorCode[]): Answers {
  const all = new Set([...Object.values(known).flatMap(codesOf), ...codes]);
  const byStatus = Object.groupBy(all, (code) => errorKinds[code].http);
  const problems = Object.entries(byStatus).map(([status, found = []]) => {
    const success = known[status] !== undefined && codesOf(known[status]).length === 0 ? known[status] : undefined;
    return [status, describeProblems(found, success)];
  });
  return { ...known, ...Object.fromEntries(problems) };
}

interface ProblemAnswer {
  readonly content?: Readonly<Record<string, { readonly schema: { readonly allOf: readonly [object, CodeSchema] } }>>;
}

interface CodeSchema {
  readonly properties: { readonly code: { readonly enum: readonly ErrorCode[] } };
}

function codesOf(answer: TSchema): readonly ErrorCode[] {
  return (answer as ProblemAnswer).content?.[PROBLEM_TYPE]?.schema.allOf[1].properties.code.enum ?? [];
}

/** `other`: what is answered with the same status and is no error. */
function describeProblems(codes: readonly ErrorCode[], other: TSchema | undefined) {
  const description = codes.map((code) => `${code}: ${errorKinds[code].summary}`).join(" ");
  const schema = { allOf: [{ $ref: "Problem#" }, { type: "object", properties: { code: { enum: codes } } }] };
  const beside = other === undefined ? {} : { "application/json": { schema: other } };
  return { description, content: { ...beside, [PROBLEM_TYPE]: { schema } } };
}

/** A stream of server-sent events in place of the JSON, if that is what the client accepts. */
export function orEvents(schema: TSchema, description: string): TSchema {
  return Type.Unsafe({
    description,
    content: { "application/json": { schema }, "text/event-stream": { schema: { type: "string" } } },
  });
}

/** Bytes of some type. */
export function bytesOf(type: string, description: string): TSchema {
  return Type.Unsafe({ description, content: { [type]: { schema: { type: "string", format: "binary" } } } });
}

/** What a document can be refused for, or the functions that it names. */
export const documentCodes: readonly ErrorCode[] = [
  ...(["request-invalid", "document-syntax", "file-unreadable", "document-schema", "unknown-key"] as const),
  ...(["unknown-port", "unknown-function", "branch-cycle", "unreachable-path", "function-not-found"] as const),
  ...(["column-conflict", "column-unwritten", "column-type", "event-conflict", "unknown-event"] as const),
  ...(["unknown-label", "chain-limit", "config-invalid", "usage", "manifest-invalid", "module-invalid"] as const),
  ...(["module-not-function", "module-forbidden", "abi-version", "memory-limit"] as const),
];

/** When the store is made to agree with the engine, which happens before anything is said of a chain. */
export const settleCodes: readonly ErrorCode[] = ["file-unwritable", "system-call"];

/** What a step of a change that is under way can fail at. */
export const stepCodes: readonly ErrorCode[] = [
  ...(["not-found", "upgrade-state", "not-running", "upgrade-failed", "not-permitted", "engine-died"] as const),
  ...settleCodes,
];

/** What the engine can refuse a change for, or fail at. */
export const changeCodes: readonly ErrorCode[] = [
  ...(["change-refused", "state-lost", "device-missing", "device-busy", "device-vanished", "chain-running"] as const),
  ...(["upgrade-state", "not-running", "upgrade-failed", "not-permitted", "not-supported", "function-fault"] as const),
  ...(["engine-died", ...settleCodes] as const),
];
