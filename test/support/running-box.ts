// A whole box: the engines' host in a namespace, and control beside it, each of which can be killed and started again.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { ApiClient } from "../../runtime/cli/api-client.ts";
import type { ChainResource } from "../../runtime/control/chain-view.ts";
import type { Applied } from "../../runtime/control/declarations.ts";
import { findEngines } from "../../runtime/dataplane/state-folder.ts";
import type { Namespace } from "../../runtime/testing/network.ts";
import { type Outcome, sluicePath } from "./run-sluice.ts";

const WITHIN_MS = 30_000;

interface Program {
  readonly child: ChildProcess;
  said: string;
}

export interface BoxOptions {
  /** Further options of `sluice control`. */
  readonly control?: readonly string[];
  readonly dataFolder?: string;
}

export class RunningBox {
  readonly stateFolder = mkdtempSync("/dev/shm/sluice-test-");
  readonly dataFolder: string;
  readonly #namespace: Namespace;
  readonly #options: BoxOptions;
  readonly #before = { state: process.env.SLUICE_STATE_DIR, data: process.env.SLUICE_DATA_DIR };
  #dataplane: Program | undefined;
  #control: Program | undefined;

  private constructor(namespace: Namespace, options: BoxOptions) {
    this.#namespace = namespace;
    this.#options = options;
    this.dataFolder = options.dataFolder ?? mkdtempSync(join(tmpdir(), "sluice-test-data-"));
    // Also for what the test itself asks.
    process.env.SLUICE_STATE_DIR = this.stateFolder;
    process.env.SLUICE_DATA_DIR = this.dataFolder;
  }

  static async start(namespace: Namespace, options: BoxOptions = {}): Promise<RunningBox> {
    const box = new RunningBox(namespace, options);
    await box.startDataplane();
    await box.startControl();
    return box;
  }

  async startDataplane(): Promise<void> {
    const child = this.#namespace.spawn(sluicePath, ["dataplane", "--json"], this.#how());
    this.#dataplane = await untilSaid(child, '"hosting"');
  }

  async startControl(): Promise<void> {
    const args = ["control", "--json", "--listen", "127.0.0.1:0", ...(this.#options.control ?? [])];
    this.#control = await untilSaid(spawn(sluicePath, args, this.#how()), '"listening"');
  }

  /** Of the API, outside of any namespace. */
  get address(): string {
    const line = this.#control?.said.split("\n").find((each) => each.includes('"listening"')) ?? "{}";
    return (JSON.parse(line) as { address: string }).address;
  }

  get controlPid(): number {
    return this.#control?.child.pid as number;
  }

  get enginePid(): number {
    return findEngines(this.stateFolder)[0]?.engine.pid as number;
  }

  /** What control and the host have said. */
  get said(): string {
    return `${this.#control?.said}\n${this.#dataplane?.said}`;
  }

  /** At once, as the kernel does. */
  async killControl(): Promise<void> {
    await end(this.#control, "SIGKILL");
  }

  async killDataplane(): Promise<void> {
    await end(this.#dataplane, "SIGKILL");
  }

  get client(): ApiClient {
    return new ApiClient({ tokenFile: join(this.dataFolder, "token") });
  }

  /** Throws what the API says. */
  async put(chain: string, document: object, query: Readonly<Record<string, string | boolean>> = {}): Promise<Applied> {
    return this.client.call(`/api/v1/chains/${chain}`, { method: "PUT", body: document, query });
  }

  get(chain: string): Promise<ChainResource> {
    return this.client.call(`/api/v1/chains/${chain}`);
  }

  /** Any command. */
  async run(...args: readonly string[]): Promise<Outcome> {
    const child = spawn(sluicePath, args, this.#how());
    let [stdout, stderr] = ["", ""];
    child.stdout?.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr?.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const [status] = await once(child, "close");
    return { status, stdout, stderr };
  }

  /** To be called whatever happened. */
  async dispose(): Promise<void> {
    await end(this.#control, "SIGTERM");
    await end(this.#dataplane, "SIGTERM");
    setOrDelete("SLUICE_STATE_DIR", this.#before.state);
    setOrDelete("SLUICE_DATA_DIR", this.#before.data);
    rmSync(this.stateFolder, { recursive: true, force: true });
    if (this.#options.dataFolder === undefined) rmSync(this.dataFolder, { recursive: true, force: true });
  }

  #how() {
    const env = { ...process.env, SLUICE_STATE_DIR: this.stateFolder, SLUICE_DATA_DIR: this.dataFolder };
    return { env, stdio: ["ignore" as const, "pipe" as const, "pipe" as const] };
  }
}

/** Waits until `holds` does not throw and is not false. */
export async function eventually<Result>(what: string, holds: () => Promise<Result | false>): Promise<Result> {
  let why: unknown = "it did not hold";
  for (const until = performance.now() + WITHIN_MS; performance.now() < until; await sleep(50)) {
    try {
      const result = await holds();
      if (result !== false) return result;
    } catch (error) {
      why = error;
    }
  }
  throw new Error(`${what}: ${why}`);
}

async function untilSaid(child: ChildProcess, word: string): Promise<Program> {
  const program: Program = { child, said: "" };
  await new Promise<void>((resolve, reject) => {
    for (const stream of [child.stdout, child.stderr] as Readable[]) {
      stream.on("data", (chunk: Buffer) => {
        program.said += chunk.toString();
        if (program.said.includes(word)) resolve();
      });
    }
    child.once("close", (status) => reject(new Error(`it ended with ${status}: ${program.said}`)));
  });
  return program;
}

async function end(program: Program | undefined, signal: NodeJS.Signals): Promise<void> {
  const child = program?.child;
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, "close");
  // Of what `ip netns exec` became.
  if (existsSync(`/proc/${child.pid}`)) process.kill(child.pid as number, signal);
  await closed;
}

function setOrDelete(name: string, value: string | undefined): void {
  if (value === undefined) delete process.env[name];
  else process.env[name] = value;
}
