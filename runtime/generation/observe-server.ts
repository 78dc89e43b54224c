// Answers `sluice trace` and `sluice capture`: one question per connection over a Unix socket in the state folder that
// only the engine's user can open. The client's half of the connection stays open as long as it wants more.
//
//   client: {"ask":"capture","request":{…}}⏎                       … end: enough
//   server:                                  {"ok":true}⏎  pcapng …  or {"faults":[…]}⏎
import { once } from "node:events";
import { chmodSync, rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Engine } from "../dataplane/engine/engine.ts";
import type { LookoutGroup } from "../dataplane/observe/lookout-group.ts";
import {
  CAPTURE_SECONDS,
  type CaptureRequest,
  TRACE_SECONDS,
  type TraceRequest,
} from "../dataplane/observe/requests.ts";
import type { TraceEvent } from "../dataplane/observe/trace-events.ts";
import { type Fault, SluiceError } from "../errors.ts";
import { planCapture, planTrace } from "./observations.ts";
import { OBSERVE_SOCKET, type Question } from "./observe-question.ts";
import { RulePlaces } from "./rule-places.ts";

/** Of a question: a thousand frames fit. */
const QUESTION_BYTES_MAX = 16 << 20;
const CLOSE_WITHIN_MS = 1000;

export class ObserveServer {
  readonly #server: Server;
  readonly #engine: Engine;
  readonly #documentFile: () => string;
  readonly #open = new Set<Socket>();

  /** `documentFile`: the chain document that what runs was read from. */
  static async listen(engine: Engine, documentFile: () => string): Promise<ObserveServer> {
    const server = new ObserveServer(engine, documentFile);
    const file = join(engine.folder, OBSERVE_SOCKET);
    rmSync(file, { force: true });
    server.#server.listen(file);
    await once(server.#server, "listening");
    chmodSync(file, 0o600);
    return server;
  }

  private constructor(engine: Engine, documentFile: () => string) {
    this.#engine = engine;
    this.#documentFile = documentFile;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => {
      this.#open.add(socket);
      socket.on("error", () => socket.destroy());
      socket.once("close", () => this.#open.delete(socket));
      readQuestion(socket, (line) => void this.#answer(socket, line));
    });
  }

  /** Lets them have what is on its way. */
  async close(): Promise<void> {
    this.#server.close();
    const late = sleep(CLOSE_WITHIN_MS, undefined, { ref: false });
    await Promise.race([late, Promise.all([...this.#open].map((socket) => once(socket, "close")))]);
    for (const socket of this.#open) socket.destroy();
  }

  async #answer(socket: Socket, line: string): Promise<void> {
    try {
      const question = parseQuestion(line);
      if (question.ask === "trace") await this.#trace(socket, question.request);
      else if (question.ask === "capture") await this.#capture(socket, question.request);
      else throw new SluiceError({ code: "usage", where: "ask", what: "is neither trace nor capture" });
    } catch (error) {
      socket.end(`${JSON.stringify({ faults: faultsOf(error) })}\n`);
    }
  }

  async #trace(socket: Socket, request: TraceRequest): Promise<void> {
    const observation = planTrace(request, this.#engine.watched);
    const { plan, generation } = this.#engine.running;
    const places = new RulePlaces(plan, this.#documentFile());
    let packets = 0;
    const say = (event: TraceEvent) => {
      if (socket.writable) socket.write(`${JSON.stringify(event)}\n`);
    };
    const onPacket = (packet: Extract<TraceEvent, { kind: "packet" }>) => {
      packets += 1;
      say(places.addTo(packet));
    };
    const lookout = this.#engine.observe(observation, { onPacket });
    const { copiedBytes, pauseUs } = await lookout.started;
    socket.write('{"ok":true}\n');
    say({ kind: "following", chain: plan.chain, generation, copiedBytes, pauseUs });
    const { why, missed } = await runFor(lookout, socket, request.seconds ?? TRACE_SECONDS);
    say({ kind: "end", why, packets, missed });
    socket.end();
  }

  async #capture(socket: Socket, request: CaptureRequest): Promise<void> {
    let hasBegun = false;
    const onBytes = (bytes: Uint8Array, taken: () => void) => {
      if (!hasBegun) socket.write('{"ok":true}\n');
      hasBegun = true;
      if (socket.writable) socket.write(bytes, taken);
      else taken();
    };
    const lookout = this.#engine.observe(planCapture(request, this.#engine.watched), { onBytes });
    await lookout.started;
    await runFor(lookout, socket, request.seconds ?? CAPTURE_SECONDS);
    socket.end();
  }
}

/** Until it has what it wanted, the client has enough, or the time is over. */
async function runFor(lookout: LookoutGroup, socket: Socket, seconds: number): ReturnType<typeof waitFor> {
  const late = setTimeout(() => lookout.stop(`${seconds} s are over`), seconds * 1000);
  const enough = () => lookout.stop("asked to stop");
  if (socket.readableEnded || socket.destroyed) enough();
  socket.once("end", enough);
  socket.once("close", enough);
  try {
    return await waitFor(lookout);
  } finally {
    clearTimeout(late);
  }
}

function waitFor(lookout: LookoutGroup): LookoutGroup["ended"] {
  return lookout.ended;
}

/** What follows the first line is of no interest, but its end is. */
function readQuestion(socket: Socket, take: (line: string) => void): void {
  let parts: Buffer[] | null = [];
  let bytes = 0;
  socket.on("data", (chunk: Buffer) => {
    if (parts === null) return;
    parts.push(chunk);
    bytes += chunk.length;
    if (bytes > QUESTION_BYTES_MAX) socket.destroy();
    else if (chunk.includes(10)) {
      const text = Buffer.concat(parts).toString();
      parts = null;
      take(text.slice(0, text.indexOf("\n")));
    }
  });
}

function parseQuestion(line: string): Question {
  try {
    return (JSON.parse(line) ?? {}) as Question;
  } catch (error) {
    throw new SluiceError({ code: "usage", where: "question", what: (error as Error).message });
  }
}

function faultsOf(error: unknown): readonly Fault[] {
  if (error instanceof SluiceError) return error.faults;
  return [{ code: "internal", where: "observe", what: (error as Error).message }];
}
