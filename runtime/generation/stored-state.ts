// The state of a running chain as it was at one moment, beside its state folder: flows, columns, segments and counters,
// and which plan and packages they belong to. A process that starts anew takes it up as what one left that was killed at
// that moment.
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync, renameSync, rmSync } from "node:fs";
import { mkdir, open, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { deserialize, serialize } from "node:v8";
import type { Engine } from "../dataplane/engine/engine.ts";
import { loadAddon } from "../dataplane/load-addon.ts";
import { findEngines, stateRoot } from "../dataplane/state-folder.ts";
import { SluiceError } from "../errors.ts";
import type { CommittedChain } from "./committed.ts";

/** What runs then. */
export interface StoredChain extends CommittedChain {
  /** The document that the chain was started with, absolute. */
  readonly file: string;
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
const STATE_FILE = /^(lane-\d+-)?(flows$|counters$|column-|segment-|function-)/;

export class StoredState {
  readonly #folder: string;
  /** For how long nobody had the lane. */
  readonly pauseNs: number;
  readonly bytes: number;

  /** Stores what runs now. Throws file-unwritable or upgrade-failed; nothing is left behind then. */
  static async store(engine: Engine, chain: StoredChain): Promise<StoredState> {
    const folder = `${engine.folder}${STORED}`;
    rmSync(folder, { recursive: true, force: true });
    try {
      await mkdir(folder, { mode: 0o700 });
      const files = await readAhead(engine.folder);
      const { pauseNs } = await engine.pause(() => {
        for (const file of files) readAgain(engine.folder, file);
      });
      for (const file of files) await writeSparse(join(folder, file.name), file);
      await writeFile(join(folder, CHAIN), serialize(chain));
      await writeFile(join(folder, ENGINE), JSON.stringify(engine.description));
      const lengths = files.flatMap(listParts).map(({ bytes }) => bytes.length);
      return new StoredState(
        folder,
        pauseNs,
        lengths.reduce((sum, length) => sum + length, 0),
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

/** One file in memory: what is a hole there takes no room here, either. */
interface StateFile {
  readonly name: string;
  readonly image: Buffer;
  /** Beginning and end of what is not a hole, in turn. */
  ranges: readonly number[];
}

/** Under traffic: the memory that it takes is there afterwards, and reading once more is quick. */
async function readAhead(folder: string): Promise<StateFile[]> {
  const names = readdirSync(folder).filter((name) => STATE_FILE.test(name));
  return Promise.all(names.map((name) => readFileAhead(join(folder, name))));
}

async function readFileAhead(path: string): Promise<StateFile> {
  const ranges = loadAddon().findData(path);
  const file = await open(path, "r");
  try {
    const image = Buffer.alloc((await file.stat()).size);
    for (const { at, bytes } of listParts({ image, ranges })) await file.read(bytes, 0, bytes.length, at);
    return { name: basename(path), image, ranges };
  } finally {
    await file.close();
  }
}

/** Nobody may have the lane meanwhile. */
function readAgain(folder: string, file: StateFile): void {
  const path = join(folder, file.name);
  file.ranges = loadAddon().findData(path);
  const descriptor = openSync(path, "r");
  try {
    for (const { at, bytes } of listParts(file)) {
      const count = readSync(descriptor, bytes, 0, bytes.length, at);
      if (count !== bytes.length) throw new Error(`${path} ends at ${at + count}`);
    }
  } finally {
    closeSync(descriptor);
  }
}

const PART_BYTES = 1 << 20;

function listParts({ image, ranges }: Pick<StateFile, "image" | "ranges">): { at: number; bytes: Buffer }[] {
  const parts = [];
  for (let index = 0; index < ranges.length; index += 2) {
    const [from, to] = ranges.slice(index, index + 2) as [number, number];
    for (let at = from; at < to; at += PART_BYTES) {
      parts.push({ at, bytes: image.subarray(at, Math.min(at + PART_BYTES, to)) });
    }
  }
  return parts;
}

async function writeSparse(path: string, file: StateFile): Promise<void> {
  const written = await open(path, "w", 0o600);
  try {
    await written.truncate(file.image.length);
    for (const { at, bytes } of listParts(file)) {
      for (let done = 0; done < bytes.length; ) {
        done += (await written.write(bytes, done, bytes.length - done, at + done)).bytesWritten;
      }
    }
  } finally {
    await written.close();
  }
}
