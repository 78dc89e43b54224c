import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { FlowRecovery } from "../../runtime/dataplane/native.ts";
import type { EngineDescription } from "../../runtime/dataplane/state-folder.ts";
import type { Transition } from "../../runtime/generation/history.ts";
import type { UpgradeStatus } from "../../runtime/generation/upgrade-status.ts";
import type { Rates } from "../../runtime/telemetry/rates.ts";
import type { Namespace } from "../../runtime/testing/network.ts";
import { sluicePath } from "./run-sluice.ts";

export interface EngineEnd {
  readonly status: number | null;
  readonly stderr: string;
  /** What `sluice up --json` printed at last. */
  readonly last: { readonly state: string; readonly frames?: { readonly intact: boolean } };
}

export interface EngineOptions {
  /** In tmpfs; a new one unless said. */
  readonly stateFolder?: string;
  /** For the history; a new one unless said. */
  readonly dataFolder?: string;
  /** As `--functions`. */
  readonly functions?: string;
  /** In a process of its own that is started again when it dies; further options of `sluice up`. */
  readonly supervised?: boolean;
  readonly options?: readonly string[];
}

/** What a supervised engine prints when it took the place of one that died. */
export interface Restart {
  readonly state: "restarted";
  readonly pid: number;
  readonly downMs: number;
  readonly death: { readonly pid: number; readonly how: string };
  readonly recovery: FlowRecovery;
}

const RESTART_WITHIN_MS = 20_000;

/** `sluice up --json` in a namespace, with a state folder of its own. */
export class RunningEngine {
  readonly description: EngineDescription & { readonly recovery: FlowRecovery };
  readonly stateFolder: string;
  readonly dataFolder: string;
  readonly #child: ChildProcess;
  readonly #said: () => { lines: string[]; stderr: string };

  private constructor(
    child: ChildProcess,
    description: RunningEngine["description"],
    folders: Pick<RunningEngine, "stateFolder" | "dataFolder">,
    said: () => { lines: string[]; stderr: string },
  ) {
    this.#child = child;
    this.description = description;
    this.stateFolder = folders.stateFolder;
    this.dataFolder = folders.dataFolder;
    this.#said = said;
  }

  /** Resolves when the chain runs. Rejects with what it said if it ends before. */
  static async start(namespace: Namespace, chainFile: string, options: EngineOptions = {}): Promise<RunningEngine> {
    const stateFolder = options.stateFolder ?? mkdtempSync("/dev/shm/sluice-test-");
    const dataFolder = options.dataFolder ?? mkdtempSync(join(tmpdir(), "sluice-test-data-"));
    const functions = options.functions === undefined ? [] : ["--functions", options.functions];
    const life = options.supervised === true ? ["--no-api"] : ["--no-restart"];
    const args = ["up", chainFile, "--json", ...functions, ...life, ...(options.options ?? [])];
    const child = namespace.spawn(sluicePath, args, {
      env: { ...process.env, SLUICE_STATE_DIR: stateFolder, SLUICE_DATA_DIR: dataFolder },
      stdio: ["ignore", "pipe", "pipe"],
    });
    const lines: string[] = [];
    let stderr = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    const reader = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    const first = await new Promise<string>((resolve, reject) => {
      reader.on("line", (line) => {
        lines.push(line);
        resolve(line);
      });
      child.once("close", (status) => {
        if (lines.length > 0) return;
        if (options.stateFolder === undefined) rmSync(stateFolder, { recursive: true, force: true });
        if (options.dataFolder === undefined) rmSync(dataFolder, { recursive: true, force: true });
        reject(new Error(`sluice up ended with ${status}: ${stderr}`));
      });
    });
    return new RunningEngine(child, JSON.parse(first), { stateFolder, dataFolder }, () => ({ lines, stderr }));
  }

  /** The chain's folder in the state folder. */
  get chainFolder(): string {
    return join(this.stateFolder, this.description.chain);
  }

  /** What it has written to stderr. */
  get stderr(): string {
    return this.#said().stderr;
  }

  /** The process that was started: the engine's own, or the one that starts it again. */
  get pid(): number {
    return this.#child.pid as number;
  }

  /** The engine's own process; of a supervised one, that of now or of last. */
  get enginePid(): number {
    return this.restarts.at(-1)?.pid ?? this.description.pid;
  }

  /** What was said of each restart so far. */
  get restarts(): Restart[] {
    return this.#said()
      .lines.map((line) => JSON.parse(line) as Restart)
      .filter(({ state }) => state === "restarted");
  }

  /** Kills the engine's process and waits until another one has taken its place. */
  async killEngine(signal: NodeJS.Signals = "SIGKILL"): Promise<Restart> {
    const before = this.restarts.length;
    process.kill(this.enginePid, signal);
    for (const until = performance.now() + RESTART_WITHIN_MS; performance.now() < until; await sleep(5)) {
      const restart = this.restarts[before];
      if (restart !== undefined) return restart;
    }
    throw new Error(`the engine was not started again: ${this.stderr}`);
  }

  /** Sends a signal and waits for the end. */
  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<EngineEnd> {
    const closed = this.ended();
    process.kill(this.pid, signal);
    return closed;
  }

  async ended(): Promise<EngineEnd> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await once(this.#child, "close");
    const { lines, stderr } = this.#said();
    return { status: this.#child.exitCode, stderr, last: JSON.parse(lines.at(-1) ?? "{}") };
  }

  /** Removes its state folder; to be called whatever happened. */
  dispose(): void {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill("SIGKILL");
    for (const folder of [this.stateFolder, this.dataFolder]) rmSync(folder, { recursive: true, force: true });
  }
}

/** `sluice top --json` of a running engine: its counters. */
export async function readTop(engine: RunningEngine): Promise<Rates> {
  return JSON.parse(await observe(engine, "top", "--json", "--interval", "0.1"));
}

/** `sluice flows --json` of a running engine, of one IP protocol: the kernel's own chatter is left out. */
export async function readFlows(engine: RunningEngine, proto: string): Promise<Record<string, unknown>[]> {
  return JSON.parse(await observe(engine, "flows", "--json", "--sort", "start", "--limit", "100000", "--proto", proto))
    .flows;
}

/** `sluice upgrade … --json` of a running engine. Rejects with what it said. */
export async function upgrade(engine: RunningEngine, ...args: readonly string[]): Promise<UpgradeStatus> {
  return JSON.parse(await observe(engine, "upgrade", ...args, "--json"));
}

/** `chain`: of an engine that does not run any more. */
export async function readHistory(engine: RunningEngine, chain?: string): Promise<Transition[]> {
  const named = chain === undefined ? [] : ["--chain", chain];
  return JSON.parse(await observe(engine, "upgrade", "history", "--json", ...named));
}

/**
 * `sluice upgrade execute` of a plan: what it printed at last (null if that was an error), and the error.
 */
export async function executePlan(
  engine: RunningEngine,
  file: string,
): Promise<{ readonly end: string | null; readonly transitions: Transition[]; readonly complaint: string }> {
  const { status, output, complaint } = await runOn(engine, "upgrade", "execute", file, "--json");
  const lines = output
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line));
  const end = lines.at(-1)?.end ?? null;
  if (status !== 0 && complaint === "") throw new Error(`status ${status} without a word`);
  return { end, transitions: lines.filter((line) => line.at !== undefined), complaint };
}

/** What another command of `sluice` says of a running engine. Rejects with its complaint. */
export async function observe(engine: RunningEngine, ...args: readonly string[]): Promise<string> {
  const { status, output, complaint } = await runOn(engine, ...args);
  if (status !== 0) throw new Error(complaint);
  return output;
}

/** Any command on a running engine, whatever becomes of it. */
export async function runOn(
  engine: RunningEngine,
  ...args: readonly string[]
): Promise<{ readonly status: number | null; readonly output: string; readonly complaint: string }> {
  const child = spawn(sluicePath, args, {
    env: { ...process.env, SLUICE_STATE_DIR: engine.stateFolder, SLUICE_DATA_DIR: engine.dataFolder },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [output, complaint, [status]] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    once(child, "close"),
  ]);
  return { status, output, complaint };
}
