// A process for the engine as its parent sees it, from its start to its end.
import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import type { LinkKeeper } from "../dataplane/native.ts";
import { type Capability, withPrivileges } from "../dataplane/privileges.ts";
import type { Fault } from "../errors.ts";
import type { EngineMessage, EngineOrder, EngineStart } from "./engine-protocol.ts";

const stdio = ["inherit", "inherit", "inherit"] as const;

export interface EngineEnd {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What it said before it exited: that it ended in order (none), or why it refused. Absent: it died. */
  readonly said?: readonly Fault[] | undefined;
}

export class EngineProcess {
  readonly ended: Promise<EngineEnd>;
  /** The chain's state folder, once it runs. */
  folder: string | undefined;
  startedAt = 0;
  onRunning: ((folder: string) => void) | undefined;
  onCommitted: (() => void) | undefined;
  readonly #child: ChildProcess;

  constructor({ put, take }: LinkKeeper, privileges: readonly Capability[]) {
    const program = fileURLToPath(new URL("engine-process.ts", import.meta.url));
    this.#child = fork(program, { ...withPrivileges(privileges), stdio: [...stdio, "ipc", put, take] });
    const { promise, resolve } = Promise.withResolvers<EngineEnd>();
    let said: readonly Fault[] | undefined;
    this.#child.on("message", (message: EngineMessage) => {
      if (message.kind === "running") this.#noteRunning(message.folder);
      else if (message.kind === "committed") this.onCommitted?.();
      else said = message.faults;
    });
    this.#child.on("error", (error) => process.stderr.write(`error engine: ${error.message}\n`));
    // Not at its exit: what it said last may come after that.
    this.#child.once("close", (status, signal) => resolve({ status, signal, said }));
    this.ended = promise;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** It will probably be told to run the chain that is committed in this state folder. */
  prepare(folder: string): void {
    if (this.#child.connected) this.#child.send({ kind: "prepare", folder } satisfies EngineOrder);
  }

  start(start: Omit<EngineStart, "kind">): void {
    this.startedAt = performance.now();
    // One that could not be started says so by its end.
    if (this.#child.connected) this.#child.send({ kind: "start", ...start } satisfies EngineOrder);
  }

  kill(signal: NodeJS.Signals): void {
    this.#child.kill(signal);
  }

  #noteRunning(folder: string): void {
    this.folder = folder;
    this.onRunning?.(folder);
  }
}
