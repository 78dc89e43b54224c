// The process in which the engine of `sluice up` runs. It waits to be told what to run, maybe for long: a process that has
// loaded everything is at hand when the engine dies. It ends when whoever started it does.
import { flushCompileCache } from "node:module";
import { setFlagsFromString } from "node:v8";
import { compileAhead } from "../dataplane/instance.ts";
import { type Fault, SluiceError } from "../errors.ts";
import { CommittedStore } from "../generation/committed.ts";
import { type EngineMessage, type EngineOrder, type EngineStart, KEEPER } from "./engine-protocol.ts";
import { printError } from "./output.ts";
import { RestoreAsked, runEngine } from "./run-engine.ts";

/** Whoever started it is gone, or it is to stop before it runs; a second signal then ends it at once. */
const stopping = new AbortController();

function tell(message: EngineMessage): Promise<void> {
  return new Promise((resolve) => {
    // To a process that is gone there is nothing to tell.
    if (process.connected) process.send?.(message, undefined, {}, () => resolve());
    else resolve();
  });
}

const PREPARED_FOR_MS = 10_000;
let prepared: WebAssembly.Module[] = [];

/** What the functions of the chain are compiled to is there when they are. */
function prepare(folder: string): void {
  setFlagsFromString("--no-wasm-lazy-compilation");
  prepared = compileAhead(new CommittedStore(folder).peek()?.packages ?? []);
}

async function run({ file, options, death }: EngineStart): Promise<number> {
  setTimeout(() => prepared.splice(0), PREPARED_FOR_MS);
  try {
    await runEngine(file, options, {
      supervisor: { pid: process.ppid, keeper: KEEPER },
      death,
      signal: stopping.signal,
      onCommitted: () => void tell({ kind: "committed" }),
      onRunning: (folder) => {
        void tell({ kind: "running", folder });
        // Should it be killed, the next process finds what this one has compiled.
        setImmediate(() => flushCompileCache());
      },
    });
    await tell({ kind: "ended", faults: [] });
    return 0;
  } catch (error) {
    const status = printError(error);
    // The next process is to begin with what was stored: it is started as after a death.
    if (error instanceof RestoreAsked) return status;
    await tell({ kind: "ended", faults: faultsOf(error) });
    return status;
  }
}

function faultsOf(error: unknown): readonly Fault[] {
  if (error instanceof SluiceError) return error.faults;
  return [{ code: "internal", where: "engine", what: (error as Error).message }];
}

// Packets go on if nobody reads any more what is said of them.
process.stdout.on("error", () => {});
process.stderr.on("error", () => {});
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => stopping.abort());
process.on("uncaughtException", (error) => process.exit(printError(error)));
process.once("disconnect", () => stopping.abort());
process.on("message", (order: EngineOrder) => {
  if (order.kind === "prepare") prepare(order.folder);
  else void run(order).then((status) => process.exit(status));
});
