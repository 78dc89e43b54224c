// Questions and answers between processes of one machine: a JSON document per line, over a Unix socket that only its
// owner can open.
import { once } from "node:events";
import { chmodSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { type Fault, SluiceError } from "../errors.ts";

type Answer<Result> = { readonly result: Result } | { readonly faults: readonly Fault[] };

/** Answers every line that comes; what `answer` throws goes to whoever asked. */
export class LineServer<Question> {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  static async listen<Question>(
    file: string,
    answer: (question: Question) => Promise<unknown>,
  ): Promise<LineServer<Question>> {
    const server = new LineServer(answer);
    rmSync(file, { force: true });
    server.#server.listen(file);
    await once(server.#server, "listening");
    chmodSync(file, 0o600);
    return server;
  }

  private constructor(answer: (question: Question) => Promise<unknown>) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on("close", () => this.#sockets.delete(socket));
      socket.on("error", () => socket.destroy());
      const lines = createInterface({ input: socket });
      lines.on("line", (line) => void reply(socket, line, answer));
      // Whoever asked was killed: that is told twice, here and by the socket.
      lines.on("error", () => socket.destroy());
    });
  }

  close(): void {
    this.#server.close();
    for (const socket of this.#sockets) socket.destroy();
  }
}

async function reply<Question>(socket: Socket, line: string, answer: (question: Question) => Promise<unknown>) {
  const text = await decide(line, answer);
  if (socket.writable) socket.write(`${JSON.stringify(text)}\n`);
}

async function decide<Question>(
  line: string,
  answer: (question: Question) => Promise<unknown>,
): Promise<Answer<unknown>> {
  try {
    return { result: (await answer(JSON.parse(line) as Question)) ?? null };
  } catch (error) {
    if (error instanceof SluiceError) return { faults: error.faults };
    return { faults: [{ code: "internal", where: "sluice", what: (error as Error).message }] };
  }
}

/** Longer than anything takes that is asked. */
const ANSWERED_WITHIN_MS = 120_000;

/** Throws what the other side says, or not-running: also if there is no answer in time. */
export async function ask<Question, Result>(
  file: string,
  question: Question,
  withinMs = ANSWERED_WITHIN_MS,
): Promise<Result> {
  const line = await exchange(file, `${JSON.stringify(question)}\n`, withinMs).catch((error: Error) => {
    throw new SluiceError({ code: "not-running", where: file, what: error.message });
  });
  const answer = JSON.parse(line) as Answer<Result>;
  if ("result" in answer) return answer.result;
  throw new SluiceError(...(answer.faults as [Fault, ...Fault[]]));
}

async function exchange(file: string, question: string, withinMs: number): Promise<string> {
  const socket = connect(file);
  await once(socket, "connect");
  let why = "it ended before it answered";
  socket.on("error", () => socket.destroy());
  const timer = setTimeout(() => {
    why = `it did not answer within ${withinMs / 1000} s`;
    socket.destroy();
  }, withinMs);
  try {
    socket.write(question);
    for await (const line of createInterface({ input: socket })) return line;
  } finally {
    clearTimeout(timer);
    socket.destroy();
  }
  throw new Error(why);
}
