// Asks a running engine about its packets: for the command line and the API.
import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import type { Readable } from "node:stream";
import type { CaptureRequest, TraceRequest } from "../dataplane/observe/requests.ts";
import type { TraceEvent } from "../dataplane/observe/trace-events.ts";
import { type Fault, SluiceError } from "../errors.ts";
import { OBSERVE_SOCKET, type Question } from "./observe-question.ts";

/**
 * What becomes of packets, one event each, between a beginning and an end. `folder`: the chain's state folder; `signal`:
 * enough, the end is still told. Leaving the loop ends it at once. Throws what the engine says, or not-running.
 */
export async function* openTrace(
  folder: string,
  request: TraceRequest,
  signal?: AbortSignal,
): AsyncGenerator<TraceEvent, void, undefined> {
  const socket = await ask(folder, { ask: "trace", request }, signal);
  try {
    let hasEnded = false;
    for await (const line of linesOf(socket)) {
      const event = JSON.parse(line) as TraceEvent;
      hasEnded = event.kind === "end";
      yield event;
    }
    if (!hasEnded) throw new SluiceError(ended(folder));
  } finally {
    socket.destroy();
  }
}

/**
 * A pcapng capture. With `signal` what was captured still comes, and the statistics; `destroy` ends it at once. Throws
 * what the engine says, or not-running.
 */
export function openCapture(folder: string, request: CaptureRequest, signal?: AbortSignal): Promise<Readable> {
  return ask(folder, { ask: "capture", request }, signal);
}

async function ask(folder: string, question: Question, signal?: AbortSignal): Promise<Socket> {
  const socket = connect({ path: join(folder, OBSERVE_SOCKET), allowHalfOpen: true });
  try {
    await once(socket, "connect");
  } catch (error) {
    throw new SluiceError({ code: "not-running", where: folder, what: (error as Error).message });
  }
  const enough = () => socket.end();
  signal?.addEventListener("abort", enough, { once: true });
  socket.once("close", () => signal?.removeEventListener("abort", enough));
  // Otherwise this side would stay open, and with it its process.
  socket.once("end", enough);
  socket.write(`${JSON.stringify(question)}\n`);
  if (signal?.aborted) enough();
  const answer = JSON.parse(await readLine(socket, folder)) as { readonly faults?: readonly Fault[] };
  if (answer.faults === undefined) return socket;
  socket.destroy();
  throw new SluiceError(...(answer.faults as [Fault, ...Fault[]]));
}

async function* linesOf(socket: Socket): AsyncGenerator<string, void, undefined> {
  let rest = "";
  for await (const piece of socket.setEncoding("utf8") as AsyncIterable<string>) {
    const lines = (rest + piece).split("\n");
    rest = lines.pop() ?? "";
    yield* lines;
  }
}

/** The rest is left in the stream. */
function readLine(socket: Socket, folder: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let head: Buffer = Buffer.alloc(0);
    const fail = () => reject(new SluiceError(ended(folder)));
    const take = (chunk: Buffer) => {
      head = Buffer.concat([head, chunk]);
      const end = head.indexOf(10);
      if (end < 0) return;
      socket.off("data", take);
      socket.off("close", fail);
      socket.pause();
      if (end + 1 < head.length) socket.unshift(head.subarray(end + 1));
      resolve(head.subarray(0, end).toString());
    };
    socket.on("data", take);
    socket.once("close", fail);
  });
}

function ended(folder: string): Fault {
  return { code: "not-running", where: folder, what: "the engine ended before it answered" };
}
