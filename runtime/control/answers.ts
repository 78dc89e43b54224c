// What a route may answer, for the description of the API.
import { type TSchema, Type } from "typebox";
import { type ErrorCode, errorKinds } from "../errors.ts";
import { PROBLEM_TYPE } from "./problem.ts";

/** Every request can meet these. */
const anywhere: readonly ErrorCode[] = ["unauthenticated", "forbidden", "rate-limited", "internal"];

/** `success` by status; `codes`: errors of the route itself. */
export function answers(success: Readonly<Record<number, TSchema>>, ...codes: readonly ErrorCode[]): object {
  const byStatus = Object.groupBy([...codes, ...anywhere], (code) => errorKinds[code].http);
  const problems = Object.entries(byStatus).map(([status, found]) => [status, describeProblems(found ?? [])]);
  return { ...success, ...Object.fromEntries(problems) };
}

function describeProblems(codes: readonly ErrorCode[]) {
  const description = codes.map((code) => `${code}: ${errorKinds[code].summary}`).join(" ");
  return { description, content: { [PROBLEM_TYPE]: { schema: { $ref: "Problem#" } } } };
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

/** What a document can be refused for. */
export const documentCodes: readonly ErrorCode[] = [
  ...(["request-invalid", "document-syntax", "file-unreadable", "document-schema", "unknown-key"] as const),
  ...(["unknown-port", "unknown-function", "branch-cycle", "unreachable-path", "function-not-found"] as const),
  ...(["column-conflict", "column-unwritten", "column-type", "event-conflict", "unknown-event"] as const),
  ...(["unknown-label", "chain-limit", "config-invalid", "body-too-large", "media-type", "usage"] as const),
];

/** What the engine can refuse a change for, or fail at. */
export const changeCodes: readonly ErrorCode[] = [
  ...(["revision-conflict", "upgrade-state", "change-refused", "state-lost", "device-missing", "device-busy"] as const),
  ...(["chain-running", "not-running", "upgrade-failed", "store-failed", "not-permitted", "system-call"] as const),
];
