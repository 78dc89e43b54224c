// What becomes of packets in a running chain, and captures of them.
import type { FastifyReply, FastifyRequest } from "fastify";
import { type Static, Type } from "typebox";
import {
  type CaptureRequest,
  captureRequestSchema,
  type TraceRequest,
  traceRequestSchema,
} from "../../dataplane/observe/requests.ts";
import { type TraceEvent, traceEventSchema } from "../../dataplane/observe/trace-events.ts";
import type { ErrorCode } from "../../errors.ts";
import { SluiceError } from "../../errors.ts";
import { openCapture, openTrace } from "../../generation/observe-client.ts";
import { answers, bytesOf, orEvents } from "../answers.ts";
import * as engines from "../engines.ts";
import { sendEvents, wantsEvents } from "../events.ts";
import { chainParams } from "../schemas.ts";
import type { Api } from "../server.ts";

const { frames: _, ...tracedLive } = traceRequestSchema.properties;

const traceQuery = Type.Object(
  {
    ...tracedLive,
    hex: Type.Optional(
      Type.Array(Type.String({ pattern: "^([0-9a-fA-F]{2})+$", title: "pairs of hexadecimal digits" }), {
        maxItems: 16,
        description: "Instead of packets that come: these, in at the one port that is named, on a copy of the state.",
      }),
    ),
  },
  { additionalProperties: false },
);

const packets = { config: { resource: "packets" } } as const;
const PCAPNG = "application/vnd.tcpdump.pcap";
const watchCodes: readonly ErrorCode[] = [
  ...(["request-invalid", "usage", "document-syntax", "document-schema", "unknown-key", "unknown-port"] as const),
  ...(["unknown-function", "unknown-label", "not-running", "watch-limit", "watch-failed"] as const),
];
const traced = orEvents(Type.Array(traceEventSchema), "All events; as server-sent events: each when it happens.");

export function addPacketRoutes(app: Api): void {
  app.get(
    "/api/v1/chains/:name/trace",
    {
      ...packets,
      schema: {
        operationId: "getTrace",
        description: "What becomes of the next packets that come, or of given ones, hop by hop.",
        params: chainParams,
        querystring: traceQuery,
        response: answers({ 200: traced }, ...watchCodes),
      },
    },
    async (request, reply) => trace(request, reply, readQuery(request.query)),
  );
  app.post(
    "/api/v1/chains/:name/trace",
    {
      ...packets,
      schema: {
        operationId: "traceFrames",
        description: "The same, of more packets than an address holds.",
        params: chainParams,
        body: traceRequestSchema,
        response: answers({ 200: traced }, ...watchCodes, "media-type", "body-too-large"),
      },
    },
    async (request, reply) => trace(request, reply, request.body),
  );
  app.get(
    "/api/v1/chains/:name/capture",
    {
      ...packets,
      schema: {
        operationId: "getCapture",
        params: chainParams,
        querystring: captureRequestSchema,
        response: answers({ 200: bytesOf(PCAPNG, "pcapng, as it comes.") }, ...watchCodes),
      },
    },
    async (request, reply) => {
      const enough = untilClosed(request);
      const capture = await openCapture(folderOf(nameOf(request)), request.query as CaptureRequest, enough);
      return reply.type(PCAPNG).send(capture);
    },
  );
}

function readQuery({ hex, ...query }: Static<typeof traceQuery>): TraceRequest {
  if (hex === undefined) return query;
  const [port, ...others] = query.ports ?? [];
  if (port !== undefined && others.length === 0) return { frames: hex.map((each) => ({ port, hex: each })) };
  const what = "a given packet comes in at one port: name it";
  throw new SluiceError({ code: "request-invalid", where: "querystring/ports", what, pointer: "/ports" });
}

async function trace(request: FastifyRequest, reply: FastifyReply, asked: TraceRequest): Promise<FastifyReply> {
  const events = openTrace(folderOf(nameOf(request)), asked, untilClosed(request));
  if (!wantsEvents(request)) return reply.send(await Array.fromAsync(events));
  // What is refused is refused before the stream begins.
  const first = await events.next();
  return sendEvents(request, reply, (send, signal) => {
    if (first.done !== true) send({ event: first.value.kind, data: first.value });
    void tellAll(events, (event) => send({ event: event.kind, data: event }), signal);
  });
}

async function tellAll(
  events: AsyncGenerator<TraceEvent>,
  tell: (event: TraceEvent) => void,
  signal: AbortSignal,
): Promise<void> {
  try {
    for await (const event of events) {
      tell(event);
      if (signal.aborted) return;
    }
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
  }
}

function nameOf({ params }: FastifyRequest): string {
  return (params as Static<typeof chainParams>).name;
}

function folderOf(chain: string): string {
  const found = engines.findRunning(chain);
  if (found !== undefined) return found.path;
  throw new SluiceError({ code: "not-running", where: chain, what: "no engine runs this chain" });
}

/** The client has gone. */
function untilClosed({ raw }: FastifyRequest): AbortSignal {
  const closed = new AbortController();
  raw.socket.once("close", () => closed.abort());
  return closed.signal;
}
