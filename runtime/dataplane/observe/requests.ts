// What can be asked about the packets of a running chain. The schemas are those of the API, too.
import { type Static, Type } from "typebox";

/** Of the list's entries one has to hold, of the filter's keys all. */
const filter = {
  match: Type.Optional(Type.String({ description: "conditions as a path's `match` has them, as YAML or JSON" })),
  flow: Type.Optional(
    Type.String({ description: "a flow's number, or `udp 10.0.0.1:5000 > 10.0.0.2:53` for both directions" }),
  ),
  ports: Type.Optional(Type.Array(Type.String(), { description: "ports of the chain; absent: all" })),
  drops: Type.Optional(
    Type.Array(Type.String(), {
      description:
        "only what is dropped: `any`, `FUNCTION`, `FUNCTION:REASON`, `FUNCTION:REASON:DETAIL`, an engine reason",
    }),
  ),
};

export const filterSchema = Type.Object(filter, { additionalProperties: false });
export type FilterRequest = Static<typeof filterSchema>;

export const COUNT_MAX = 1000;
export const TRACE_SECONDS = 10;
export const TRACE_SECONDS_MAX = 600;
export const CAPTURE_SECONDS = 600;
export const CAPTURE_SECONDS_MAX = 24 * 3600;
export const SNAP_LENGTH = 65_535;

export const givenFrameSchema = Type.Object(
  {
    port: Type.String({ description: "where it comes in" }),
    hex: Type.String({ pattern: "^([0-9a-fA-F]{2})+$" }),
    wireLength: Type.Optional(Type.Integer({ minimum: 1 })),
    link: Type.Optional(Type.Integer({ minimum: 0, maximum: 3, description: "LINK_* of the ABI; absent: Ethernet" })),
  },
  { additionalProperties: false },
);

export const traceRequestSchema = Type.Object(
  {
    ...filter,
    count: Type.Optional(Type.Integer({ minimum: 1, maximum: COUNT_MAX, default: 1 })),
    seconds: Type.Optional(Type.Number({ exclusiveMinimum: 0, maximum: TRACE_SECONDS_MAX, default: TRACE_SECONDS })),
    frames: Type.Optional(
      Type.Array(givenFrameSchema, {
        minItems: 1,
        maxItems: COUNT_MAX,
        description: "instead of frames that come: these, on a copy of the state, one after the other",
      }),
    ),
  },
  { additionalProperties: false },
);
export type TraceRequest = Static<typeof traceRequestSchema>;

export const captureRequestSchema = Type.Object(
  {
    ...filter,
    direction: Type.Optional(
      Type.Enum(["in", "out", "both"], { description: "as they come in or go out at the ports" }),
    ),
    before: Type.Optional(Type.Array(Type.String(), { description: "functions: frames as they come to them" })),
    after: Type.Optional(Type.Array(Type.String(), { description: "functions: frames as they leave them" })),
    count: Type.Optional(Type.Integer({ minimum: 1 })),
    seconds: Type.Optional(
      Type.Number({ exclusiveMinimum: 0, maximum: CAPTURE_SECONDS_MAX, default: CAPTURE_SECONDS }),
    ),
    snapLength: Type.Optional(Type.Integer({ minimum: 1, maximum: SNAP_LENGTH, default: SNAP_LENGTH })),
  },
  { additionalProperties: false },
);
export type CaptureRequest = Static<typeof captureRequestSchema>;
