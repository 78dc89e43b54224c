// The private folder in tmpfs where a running chain keeps its segments and says who it is. Observers read it; after a
// crash the next engine of the same chain takes over what it has a use for, and clears the rest.
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statfsSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { SluiceError } from "../errors.ts";
import type { CounterLayout } from "./counter-layout.ts";
import type { DeclaredCounter } from "./function-state.ts";

/** What a running engine says of itself, in `engine.json`. */
export interface EngineDescription {
  readonly chain: string;
  readonly pid: number;
  /** Clock ticks since boot (proc(5), stat field 22): tells a process from a later one with the same pid. */
  readonly processStart: number;
  /** The process that starts the engine again should it die; null if nobody does. */
  readonly supervisor: Pick<EngineDescription, "pid" | "processStart"> | null;
  /** ISO 8601. */
  readonly started: string;
  /** Lanes: as many as each port has queues. */
  readonly lanes: number;
  /** The number of the generation that runs, counted from 1. */
  readonly generation: number;
  readonly ports: readonly PortDescription[];
  readonly functions: readonly FunctionDescription[];
  readonly hops: readonly { readonly function: number; readonly path: number }[];
  readonly layout: CounterLayout;
  /** What the layout of flows, columns and segments depends on; equal keys can share them. */
  readonly stateKey: string;
  /** Flows that the table of one lane holds at the most. */
  readonly flowCapacity: number;
  /** Ticks per second of the hops' "ticks" counters. */
  readonly tickHz: number;
}

export interface PortDescription {
  readonly name: string;
  readonly device: string;
  readonly ifindex: number;
  readonly mode: string;
  readonly refused: readonly { readonly mode: string; readonly why: string }[];
}

export interface FunctionDescription {
  readonly name: string;
  /** Of the function whose counters it has: its own, unless it is the next version of that in a canary. */
  readonly stateName: string;
  readonly package: string;
  readonly reasons: readonly string[];
  readonly counters: readonly DeclaredCounter[];
}

export const DESCRIPTION = "engine.json";

/** What the chain is since the last commit, and what it will be when the commit that is under way is written down. */
export const COMMITTED = "committed";
export const COMMITTING = "committing";

/** Names of files that stay when a folder is claimed. */
export type ChooseStaying = (dead: EngineDescription | null) => readonly string[];

/** SLUICE_STATE_DIR, or a folder in /dev/shm. */
export function stateRoot(): string {
  return process.env.SLUICE_STATE_DIR ?? `/dev/shm/sluice-${process.getuid?.() ?? 0}`;
}

/** /dev/shm is everybody's: a folder there that is not ours alone is not ours. Throws not-permitted. */
export function ensureStateRoot(root = stateRoot()): void {
  mkdirSync(root, { recursive: true, mode: 0o700 });
  const { uid, mode } = lstatSync(root);
  const isOurs = uid === (process.getuid?.() ?? uid) && (mode & 0o170000) === 0o040000 && (mode & 0o022) === 0;
  if (isOurs) return;
  const what = "the folder belongs to somebody else, or others may write into it";
  const help = "remove it, or let SLUICE_STATE_DIR name a folder of yours with mode 0700";
  throw new SluiceError({ code: "not-permitted", where: root, what, help });
}

export class StateFolder {
  readonly path: string;
  /** The engine that died here; null if there was none, or nothing of it stays. */
  readonly dead: EngineDescription | null;

  private constructor(path: string, dead: EngineDescription | null) {
    this.path = path;
    this.dead = dead;
  }

  /**
   * Claims the folder of `chain` for this process. Of what an engine that died left, the files stay that `choose` names.
   * Throws chain-running if another process that lives has the folder, or starts the engine that had it again.
   */
  static claim(chain: string, choose: ChooseStaying, root = stateRoot()): StateFolder {
    ensureStateRoot(root);
    const path = join(root, chain);
    const owner = readDescription(path);
    const holder = owner === null ? null : findHolder(owner);
    if (owner !== null && holder !== null) {
      throw new SluiceError({
        code: "chain-running",
        where: chain,
        what: `process ${holder} runs this chain since ${owner.started}`,
        help: "stop it first (SIGTERM or Ctrl-C), or use another chain name",
      });
    }
    const staying = choose(owner);
    clear(path, staying);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    requireTmpfs(path);
    return new StateFolder(path, staying.length === 0 ? null : owner);
  }

  pathOf(segment: string): string {
    return join(this.path, segment);
  }

  describe(description: EngineDescription): void {
    const file = join(this.path, DESCRIPTION);
    writeFileSync(`${file}.new`, JSON.stringify(description), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

/** Engines that live, by chain name. */
export function findEngines(root = stateRoot()): FoundEngine[] {
  return readEngines(root).filter(({ engine }) => isAlive(engine));
}

/** Engines that died and are about to be started again. */
export function findFallenEngines(root = stateRoot()): FoundEngine[] {
  return readEngines(root).filter(({ engine }) => !isAlive(engine) && findHolder(engine) !== null);
}

export interface FoundEngine {
  /** Of its state folder. */
  readonly path: string;
  readonly engine: EngineDescription;
}

function readEngines(root: string): FoundEngine[] {
  if (!existsSync(root)) return [];
  return readdirSync(root)
    .sort()
    .map((name) => join(root, name))
    .flatMap((path) => {
      const engine = readDescription(path);
      return engine === null ? [] : [{ path, engine }];
    });
}

function clear(path: string, staying: readonly string[]): void {
  if (staying.length === 0 || !existsSync(path)) {
    rmSync(path, { recursive: true, force: true });
    return;
  }
  for (const name of readdirSync(path)) {
    if (!staying.includes(name)) rmSync(join(path, name), { recursive: true, force: true });
  }
}

/** The engine, or the process that is about to start it again, unless that started this one for it; null if both are dead. */
function findHolder(owner: EngineDescription): number | null {
  if (isAlive(owner)) return owner.pid;
  const { supervisor } = owner;
  return supervisor !== null && isAlive(supervisor) && supervisor.pid !== process.ppid ? supervisor.pid : null;
}

// statfs(2)
const TMPFS_MAGIC = 0x01021994;
const RAMFS_MAGIC = 0x858458f6;

/** AF_XDP pins the frames' pages for as long as it runs, which files on disks do not allow. */
function requireTmpfs(path: string): void {
  const { type } = statfsSync(path);
  if (type === TMPFS_MAGIC || type === RAMFS_MAGIC) return;
  rmSync(path, { recursive: true, force: true });
  throw new SluiceError({
    code: "not-supported",
    where: path,
    what: "the state folder is not in memory (tmpfs)",
    help: "let SLUICE_STATE_DIR name a folder below /dev/shm or another tmpfs",
  });
}

function readDescription(path: string): EngineDescription | null {
  try {
    return JSON.parse(readFileSync(join(path, DESCRIPTION), "utf8")) as EngineDescription;
  } catch {
    return null;
  }
}

function isAlive({ pid, processStart }: Pick<EngineDescription, "pid" | "processStart">): boolean {
  return processStartOf(pid) === processStart;
}

/** Null if there is no such process. */
export function processStartOf(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    // The second field is the command in parentheses and may hold anything; field 22 is the 20th after it.
    return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]);
  } catch {
    return null;
  }
}
