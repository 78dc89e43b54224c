// What a trace tells: one event per packet, between a beginning and an end.
import { type Static, Type } from "typebox";
import { outcomeKinds } from "../layout.ts";

const nullable = <Schema extends Type.TSchema>(schema: Schema) => Type.Union([schema, Type.Null()]);

/** A rule of the operator's document. */
export const ruleSchema = Type.Object({
  pointer: Type.String({ description: "JSON pointer into the chain document" }),
  value: Type.Unknown(),
  where: nullable(Type.String({ description: "file:line:column; null if the document does not have it there" })),
});
export type TracedRule = Static<typeof ruleSchema>;

export const endingSchema = Type.Object({
  kind: Type.Enum([...outcomeKinds, "waits"], { description: "waits: for other fragments of its packet" }),
  to: nullable(Type.String()),
  function: nullable(Type.String({ description: "that decided; null: the engine" })),
  reason: Type.String({ description: "`name` or `name:detail`; empty for forward, and for consume by a path" }),
  bytes: nullable(Type.String({ description: "hex, as it left; null if it did not" })),
});
export type TracedEnding = Static<typeof endingSchema>;

/** Numbers above 2^53 would not survive JSON: values of 64 bits are text. */
const columnValue = Type.Union([Type.Number(), Type.String()]);

export const flowViewSchema = Type.Object({
  state: Type.String(),
  packets: Type.Array(Type.Number(), { description: "by direction" }),
  bytes: Type.Array(Type.Number()),
  labels: Type.Array(Type.String()),
});
export type FlowView = Static<typeof flowViewSchema>;

export const messageSchema = Type.Object({
  kind: Type.Enum(["bind", "emit", "event", "timeout", "close", "log", "label", "shift", "expect", "unknown"]),
  what: Type.String(),
  bytes: nullable(Type.String({ description: "hex, of an emitted frame" })),
});
export type TracedMessage = Static<typeof messageSchema>;

export const hopSchema = Type.Object({
  hop: Type.Integer(),
  function: Type.String(),
  package: Type.String(),
  verdict: Type.Enum(["next", "drop", "transmit", "branch", "host", "fault"]),
  to: nullable(Type.String({ description: "where the verdict leads: a function or a port" })),
  reason: Type.String(),
  rule: nullable(ruleSchema),
  source: nullable(Type.String({ description: "of a trap: file:line:column of the function's source" })),
  mark: nullable(Type.Integer()),
  rewrite: nullable(
    Type.Object({ before: Type.String(), after: Type.String() }, { description: "hex; null: no byte was changed" }),
  ),
  columns: Type.Array(
    Type.Object({ name: Type.String(), type: Type.String(), before: columnValue, after: columnValue }),
  ),
  messages: Type.Array(messageSchema, { description: "what the function put into its outbox for this flow" }),
});
export type TracedHop = Static<typeof hopSchema>;

export const packetSchema = Type.Object({
  kind: Type.Literal("packet"),
  n: Type.Integer({ description: "counted from 1" }),
  number: nullable(Type.Integer({ description: "among all that the lane received; null: it was given" })),
  timeNs: Type.String(),
  port: Type.String(),
  wireLength: Type.Integer(),
  received: Type.String({ description: "hex" }),
  flow: nullable(
    Type.Object({
      number: Type.Integer(),
      events: Type.Array(Type.String()),
      before: nullable(flowViewSchema),
      after: nullable(flowViewSchema),
    }),
  ),
  hops: Type.Array(hopSchema),
  end: endingSchema,
  live: nullable(endingSchema),
});
export type TracedPacket = Static<typeof packetSchema>;

export const traceEventSchema = Type.Union([
  Type.Object({
    kind: Type.Literal("following"),
    chain: Type.String(),
    generation: Type.Integer(),
    copiedBytes: Type.Integer(),
    pauseUs: Type.Number({ description: "how long the traffic stood still for the copy" }),
  }),
  packetSchema,
  Type.Object({
    kind: Type.Literal("end"),
    why: Type.String(),
    packets: Type.Integer(),
    missed: Type.Integer({ description: "frames that could not be looked at: the watcher was too slow" }),
  }),
]);
export type TraceEvent = Static<typeof traceEventSchema>;
