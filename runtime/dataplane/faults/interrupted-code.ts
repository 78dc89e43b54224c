// Where a thread is that does not come back from WebAssembly: asked of V8's inspector, from another thread.
import { Session } from "node:inspector/promises";
import { setTimeout } from "node:timers/promises";
import type { Worker } from "node:worker_threads";

/** Nobody waits longer for a thread that does not even stop. */
const WITHIN_MS = 2000;

interface Paused {
  readonly callFrames: readonly { readonly location: { readonly scriptId: string; readonly columnNumber: number } }[];
}

interface ParsedScript {
  readonly scriptId: string;
  readonly scriptLanguage?: "JavaScript" | "WebAssembly";
}

/** Offsets in the module's binary of the calls under way, innermost first; none if the thread did not stop. */
export async function findWasmOffsets(worker: Worker): Promise<number[]> {
  const session = new Session();
  session.connect();
  try {
    const debugged = await attach(session, worker);
    const modules = new Set<string>();
    debugged.on("Debugger.scriptParsed", (params) => {
      const { scriptId, scriptLanguage } = params as ParsedScript;
      if (scriptLanguage === "WebAssembly") modules.add(scriptId);
    });
    const paused = new Promise<Paused>((resolve) => {
      debugged.on("Debugger.paused", (params) => resolve(params as Paused));
    });
    await debugged.send("Debugger.enable");
    await debugged.send("Debugger.pause");
    const found = await Promise.race([paused, setTimeout(WITHIN_MS, undefined, { ref: false })]);
    // A paused thread cannot be terminated.
    await debugged.send("Debugger.disable");
    // WebAssembly is one line to the inspector, and the column its byte.
    return (found?.callFrames ?? [])
      .filter(({ location }) => modules.has(location.scriptId))
      .map(({ location }) => location.columnNumber);
  } finally {
    session.disconnect();
  }
}

class DebuggedWorker {
  readonly #session: Session;
  readonly #id: string;
  readonly #listeners = new Map<string, (params: unknown) => void>();
  #last = 0;

  constructor(session: Session, id: string) {
    this.#session = session;
    this.#id = id;
    session.on("NodeWorker.receivedMessageFromWorker", ({ params: { sessionId, message } }) => {
      if (sessionId !== id) return;
      const { method, params } = JSON.parse(message) as { method?: string; params?: unknown };
      if (method !== undefined) this.#listeners.get(method)?.(params);
    });
  }

  on(event: string, listener: (params: unknown) => void): void {
    this.#listeners.set(event, listener);
  }

  async send(method: string): Promise<void> {
    const message = JSON.stringify({ id: ++this.#last, method });
    await this.#session.post("NodeWorker.sendMessageToWorker", { sessionId: this.#id, message });
  }
}

async function attach(session: Session, worker: Worker): Promise<DebuggedWorker> {
  const attached = new Promise<string>((resolve) => {
    session.on("NodeWorker.attachedToWorker", ({ params: { sessionId, workerInfo } }) => {
      if (workerInfo.workerId === String(worker.threadId)) resolve(sessionId);
    });
  });
  await session.post("NodeWorker.enable", { waitForDebuggerOnStart: false });
  return new DebuggedWorker(session, await attached);
}
