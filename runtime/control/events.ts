// Server-sent events: what happens, for as long as the client listens.

import { Readable } from "node:stream";
import type { FastifyReply, FastifyRequest } from "fastify";

export interface ServerEvent {
  readonly event: string;
  readonly data: unknown;
}

/** What the client asks for. */
export function wantsEvents(request: FastifyRequest): boolean {
  return (request.headers.accept ?? "").includes("text/event-stream");
}

/** A comment now and then, so that whoever is between does not think that the connection is dead. */
const ALIVE_EVERY_MS = 15_000;

/** `begin` is told when nobody listens any more, and gets what takes the events; a slow client loses some, and is told. */
export function sendEvents(
  request: FastifyRequest,
  reply: FastifyReply,
  begin: (send: (event: ServerEvent) => void, signal: AbortSignal) => void,
): FastifyReply {
  const stream = new Readable({ read: () => {} });
  const ended = new AbortController();
  let lost = 0;
  const send = ({ event, data }: ServerEvent) => {
    if (stream.readableLength > BACKLOG_BYTES) {
      lost += 1;
      return;
    }
    if (lost > 0) stream.push(format({ event: "lost", data: { events: lost } }));
    lost = 0;
    stream.push(format({ event, data }));
  };
  // The head of the answer goes with the first byte.
  stream.push(": begins\n\n");
  const alive = setInterval(() => stream.push(": alive\n\n"), ALIVE_EVERY_MS);
  const end = () => {
    clearInterval(alive);
    ended.abort();
    stream.destroy();
  };
  request.raw.socket.once("close", end);
  reply.raw.once("close", end);
  begin(send, ended.signal);
  return reply.header("cache-control", "no-store").type("text/event-stream").send(stream);
}

const BACKLOG_BYTES = 1 << 20;

function format({ event, data }: ServerEvent): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;
}
