// The state of a running chain as it was at one moment, beside its state folder: flows, columns, segments and counters,
// and which plan and packages they belong to. A process that starts anew takes it up as what one left that was killed at
// that moment.
import {
  closeSync,
  existsSync,
  fstatSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
} from "node:fs";
import { mkdir, open, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { deserialize, serialize } from "node:v8";
import type { Plan } from "../chain/plan.ts";
import type { Engine } from "../dataplane/engine.ts";
import { loadAddon } from "../dataplane/load-addon.ts";
import { findEngines, stateRoot } from "../dataplane/state-folder.ts";
import { SluiceError } from "../errors.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import type { ChangeRequest } from "./upgrade-socket.ts";

/** What runs then. */
export interface StoredChain {
  readonly plan: Plan;
  readonly packages: readonly FunctionPackage[];
  /** The document that the chain was started with, absolute, and what was changed since. */
  readonly file: string;
  readonly request: ChangeRequest;
  /** Of the history: the upgrade that is taken back, and its plan's name. */
  readonly upgrade: number;
  readonly upgradePlan: string;
}

/** No chain's name has a full stop. */
const STORED = ".stored";
const RESTORE = ".restore";
const CHAIN = "chain.bin";
/** Another name than in a state folder, where it says that the process lives. */
const ENGINE = "stored-engine.json";
const STATE_FILE = /^(flows$|counters$|column-|segment-|function-)/;

export class StoredState {
  readonly #folder: string;
  /** For how long nobody had the lane. */
  readonly pauseNs: number;
  readonly bytes: number;

  /** Stores what runs now. Throws file-unwritable or upgrade-failed; nothing is left behind then. */
  static async store(engine: Engine, chain: Omit<StoredChain, "plan" | "packages">): Promise<StoredState> {
    const folder = `${engine.folder}${STORED}`;
    const { plan, packages } = engine.running;
    rmSync(folder, { recursive: true, force: true });
    try {
      await mkdir(folder, { mode: 0o700 });
      let files: StateFile[] = [];
      const { pauseNs } = await engine.pause(() => {
        files = readState(engine.folder);
      });
      for (const file of files) await writeSparse(join(folder, file.name), file);
      await writeFile(join(folder, CHAIN), serialize({ ...chain, plan, packages } satisfies StoredChain));
      await writeFile(join(folder, ENGINE), JSON.stringify(engine.description));
      const parts = files.flatMap(({ parts }) => parts.map(({ bytes }) => bytes.byteLength));
      return new StoredState(
        folder,
        pauseNs,
        parts.reduce((sum, length) => sum + length, 0),
      );
    } catch (error) {
      rmSync(folder, { recursive: true, force: true });
      if (error instanceof SluiceError) throw error;
      throw new SluiceError({ code: "file-unwritable", where: folder, what: (error as Error).message });
    }
  }

  private constructor(folder: string, pauseNs: number, bytes: number) {
    this.#folder = folder;
    this.pauseNs = pauseNs;
    this.bytes = bytes;
  }

  /** What a plan left behind whose process died with it. */
  static forget(folder: string): void {
    rmSync(`${folder}${STORED}`, { recursive: true, force: true });
  }

  /** The next process that runs this chain begins with it. */
  request(): void {
    const wanted = `${this.#folder.slice(0, -STORED.length)}${RESTORE}`;
    rmSync(wanted, { recursive: true, force: true });
    renameSync(this.#folder, wanted);
  }

  remove(): void {
    rmSync(this.#folder, { recursive: true, force: true });
  }
}

/**
 * What is to be restored for a chain that is started with this document: its state lies in the state folder then, as if
 * its process had just been killed. Undefined if nothing is. Throws file-unreadable, and asks no second time.
 */
export function takeStored(file: string, root = stateRoot()): StoredChain | undefined {
  const names = existsSync(root) ? readdirSync(root).filter((name) => name.endsWith(RESTORE)) : [];
  for (const name of names) {
    const folder = join(root, name);
    const chain = readChain(folder);
    if (chain.file !== file) continue;
    const target = join(root, basename(name, RESTORE));
    // The process that asked for it has not ended yet: whoever starts is told so.
    if (findEngines(root).some(({ path }) => path === target)) return undefined;
    renameSync(join(folder, ENGINE), join(folder, "engine.json"));
    rmSync(target, { recursive: true, force: true });
    renameSync(folder, target);
    return chain;
  }
  return undefined;
}

function readChain(folder: string): StoredChain {
  try {
    return deserialize(readFileSync(join(folder, CHAIN))) as StoredChain;
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    const help = "start the chain again: it begins with its document";
    throw new SluiceError({ code: "file-unreadable", where: folder, what: (error as Error).message, help });
  }
}

interface StateFile {
  readonly name: string;
  readonly bytes: number;
  readonly parts: readonly { readonly at: number; readonly bytes: Buffer }[];
}

/** What is not a hole of each file. Nobody may have the lane meanwhile. */
function readState(folder: string): StateFile[] {
  return readdirSync(folder)
    .filter((name) => STATE_FILE.test(name))
    .map((name) => readFile(join(folder, name)));
}

function readFile(path: string): StateFile {
  const ranges = loadAddon().findData(path);
  const descriptor = openSync(path, "r");
  try {
    const parts = Array.from({ length: ranges.length / 2 }, (_, index) => {
      const [at, end] = ranges.slice(2 * index, 2 * index + 2) as [number, number];
      const bytes = Buffer.allocUnsafeSlow(end - at);
      for (let done = 0; done < bytes.length; ) {
        const count = readSync(descriptor, bytes, done, bytes.length - done, at + done);
        if (count === 0) throw new Error(`${path} ends at ${at + done}`);
        done += count;
      }
      return { at, bytes };
    });
    return { name: basename(path), bytes: fstatSync(descriptor).size, parts };
  } finally {
    closeSync(descriptor);
  }
}

async function writeSparse(path: string, { bytes, parts }: StateFile): Promise<void> {
  const file = await open(path, "w", 0o600);
  try {
    await file.truncate(bytes);
    for (const part of parts) {
      for (let done = 0; done < part.bytes.length; ) {
        done += (await file.write(part.bytes, done, part.bytes.length - done, part.at + done)).bytesWritten;
      }
    }
  } finally {
    await file.close();
  }
}
