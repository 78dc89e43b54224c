// `sluice up`: a process that does nothing but run the engine in another one, and start it again when it dies. It holds what
// must not go with the engine: the links of the devices' XDP programs.
import { closeSync, rmSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { loadAddon } from "../dataplane/load-addon.ts";
import { type Capability, readingEnginePrivileges } from "../dataplane/privileges.ts";
import { type Fault, SluiceError } from "../errors.ts";
import { type EngineEnd, EngineProcess } from "./engine-child.ts";
import type { Death, EngineOptions } from "./engine-protocol.ts";

/** Deaths within DEATHS_WITHIN_MS. */
export const GIVE_UP_AFTER = "10";
const DEATHS_WITHIN_MS = 60_000;

/** From the second engine in a row on that did not run for this long, there is a pause, doubled each time. */
const SOUND_AFTER_MS = 1000;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5000;

/** The next process is made ready when the engine has settled. */
const SPARE_AFTER_MS = 1000;

/** An engine that is told to end. */
const ENDED_WITHIN_MS = 15_000;

const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** Runs the chain until it is stopped or refuses to run, and leaves with the engine's exit status. Throws engine-died. */
export async function supervise(file: string, options: EngineOptions, giveUpAfter: number): Promise<void> {
  const supervisor = new Supervisor(file, options, giveUpAfter, readingEnginePrivileges);
  const stop = (signal: NodeJS.Signals) => supervisor.stop(signal);
  for (const signal of signals) process.on(signal, stop);
  try {
    process.exitCode = await supervisor.run();
  } finally {
    for (const signal of signals) process.off(signal, stop);
    await supervisor.close();
  }
}

/** Of --give-up-after. */
export function readLimit(text: string): number {
  if (/^[1-9]\d{0,5}$/.test(text)) return Number(text);
  throw new SluiceError({ code: "usage", where: "--give-up-after", what: `"${text}" is not a number of deaths` });
}

export class Supervisor {
  /** Resolves with the chain's state folder when its first engine runs. */
  readonly started: Promise<string>;
  readonly #started = Promise.withResolvers<string>();
  readonly #file: string;
  readonly #options: EngineOptions;
  readonly #limit: number;
  readonly #privileges: readonly Capability[];
  readonly #keeper = loadAddon().openLinkKeeper();
  readonly #stopping = new AbortController();
  #deaths: number[] = [];
  #quickDeaths = 0;
  #engine: EngineProcess | undefined;
  #spare: EngineProcess | undefined;
  #spareTimer: NodeJS.Timeout | undefined;

  constructor(file: string, options: EngineOptions, limit: number, privileges: readonly Capability[]) {
    this.#privileges = privileges;
    this.#file = file;
    this.#options = options;
    this.#limit = limit;
    this.started = this.#started.promise;
    this.started.catch(() => {});
  }

  /** Of the engine that runs now, or is about to; 0 if none is. */
  get enginePid(): number {
    return this.#engine?.pid ?? 0;
  }

  /** The exit status. Throws engine-died. */
  async run(): Promise<number> {
    try {
      return await this.#runEngines();
    } catch (error) {
      this.#started.reject(error);
      throw error;
    }
  }

  async #runEngines(): Promise<number> {
    for (let death: Death | undefined; ; ) {
      const engine = this.#start(death);
      const end = await engine.ended;
      const folder = engine.folder ?? death?.folder;
      if (this.#isFinal(engine, end)) return this.#finish(end, folder);
      death = { pid: engine.pid, how: end.signal ?? `exit ${end.status}`, at: Date.now(), folder };
      await this.#mourn(engine, death);
      if (this.#stopping.signal.aborted) return this.#finish(end, folder);
    }
  }

  /** An engine that does not end by itself is killed. */
  stop(signal: NodeJS.Signals): void {
    this.#stopping.abort();
    const engine = this.#engine;
    engine?.kill(signal);
    const timer = setTimeout(() => engine?.kill("SIGKILL"), ENDED_WITHIN_MS);
    void engine?.ended.then(() => clearTimeout(timer));
  }

  /** When this has resolved, no process is left, and nothing is attached. */
  async close(): Promise<void> {
    clearTimeout(this.#spareTimer);
    this.#spare?.kill("SIGKILL");
    await this.#spare?.ended;
    for (const descriptor of [this.#keeper.put, this.#keeper.take]) closeSync(descriptor);
  }

  #start(death: Death | undefined): EngineProcess {
    clearTimeout(this.#spareTimer);
    const engine = this.#spare ?? new EngineProcess(this.#keeper, this.#privileges);
    this.#spare = undefined;
    this.#engine = engine;
    engine.onRunning = (folder) => this.#started.resolve(folder);
    engine.onCommitted = () => this.#prepareSpare();
    engine.start({ file: this.#file, options: this.#options, death });
    this.#spareTimer = setTimeout(() => this.#makeSpare(), SPARE_AFTER_MS);
    return engine;
  }

  #makeSpare(): void {
    const spare = this.#tryToFork();
    if (spare === undefined) return;
    this.#spare = spare;
    this.#prepareSpare();
    // Ctrl-C in a terminal reaches it, too.
    void spare.ended.then(() => {
      if (this.#spare === spare) this.#spare = undefined;
    });
  }

  /** Without a spare, the next engine takes longer to start. */
  #tryToFork(): EngineProcess | undefined {
    try {
      return new EngineProcess(this.#keeper, this.#privileges);
    } catch (error) {
      process.stderr.write(`error spare engine: ${(error as Error).message}\n`);
      return undefined;
    }
  }

  #prepareSpare(): void {
    const folder = this.#engine?.folder;
    if (folder !== undefined) this.#spare?.prepare(folder);
  }

  /** Stopped, or refused to run: to start it again would change nothing. */
  #isFinal({ folder }: EngineProcess, { signal, said }: EngineEnd): boolean {
    if (this.#stopping.signal.aborted) return true;
    if (signal !== null || said === undefined) return false;
    return said[0]?.code !== "internal" || folder === undefined;
  }

  /** An engine that was killed while it stopped could not clear its folder. */
  #finish({ status, said }: EngineEnd, folder: string | undefined): number {
    const isStopped = this.#stopping.signal.aborted;
    this.#started.reject(new SluiceError(...nameEnd(said, this.#file)));
    if (isStopped && said === undefined && folder !== undefined) rmSync(folder, { recursive: true, force: true });
    return status ?? (isStopped ? 0 : 1);
  }

  /** Says that the engine died, and waits if it dies again and again. Throws engine-died if that is too often. */
  async #mourn(engine: EngineProcess, death: Death): Promise<void> {
    const now = performance.now();
    this.#deaths = [...this.#deaths, now].filter((at) => now - at < DEATHS_WITHIN_MS);
    process.stderr.write(`engine died (process ${death.pid}, ${death.how})\n`);
    if (this.#deaths.length >= this.#limit) {
      const what = `its engine died ${this.#deaths.length} times within a minute, at last by ${death.how}`;
      throw new SluiceError({ code: "engine-died", where: this.#file, what });
    }
    this.#quickDeaths = now - engine.startedAt < SOUND_AFTER_MS ? this.#quickDeaths + 1 : 0;
    if (this.#quickDeaths < 2) return;
    const what = `its engine died at once, twice, at last by ${death.how}`;
    this.#started.reject(new SluiceError({ code: "engine-died", where: this.#file, what }));
    const pauseMs = FIRST_PAUSE_MS * 2 ** (this.#quickDeaths - 2);
    await sleep(Math.min(pauseMs, LONGEST_PAUSE_MS), undefined, { signal: this.#stopping.signal }).catch(() => {});
  }
}

function nameEnd(said: readonly Fault[] | undefined, where: string): [Fault, ...Fault[]] {
  const [first, ...rest] = said ?? [];
  return [first ?? { code: "not-running", where, what: "it was stopped before it ran" }, ...rest];
}
