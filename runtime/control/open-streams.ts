// What clients may hold open at the same time: live streams, and answers that they do not take.
import type { FastifyRequest } from "fastify";
import { SluiceError } from "../errors.ts";
import { wantsEvents } from "./events.ts";
import type { Api } from "./server.ts";

/** An answer of which nothing was taken for so long is given up, with its connection. */
export const STALLED_MS = 60_000;

/** `most` streams for each token, and a second one's no more for it. */
export function limitStreams(app: Api, most: number): void {
  const open = new Map<string, number>();
  const add = (name: string, change: 1 | -1) => {
    const count = (open.get(name) ?? 0) + change;
    if (count === 0) open.delete(name);
    else open.set(name, count);
  };
  app.addHook("preValidation", async (request, reply) => {
    if (!wantsEvents(request)) return;
    const { name } = request.identity;
    if ((open.get(name) ?? 0) >= most) throw tooMany(request, most);
    add(name, 1);
    reply.raw.once("close", () => add(name, -1));
  });
}

function tooMany({ identity }: FastifyRequest, most: number): SluiceError {
  const what = `${most} live streams are open with that token, and more are not possible`;
  return new SluiceError({ code: "rate-limited", where: identity.name, what, help: "close one; see --streams" });
}

/** From the first byte of an answer on. A stream in which nothing happens is not taken for one that nobody takes. */
export function giveUpStalled(app: Api, stalledMs = STALLED_MS): void {
  app.addHook("onSend", async (_, reply) => {
    const { socket } = reply.raw;
    reply.raw.setTimeout(stalledMs, () => {
      if (socket !== null && socket.writableLength > 0) socket.destroy();
    });
  });
}
