// The folder that replay fills: its files appear together, complete, or not at all.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, renameSync, rmdirSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { SluiceError } from "../../errors.ts";

export class OutputFolder {
  readonly path: string;
  readonly #staging: string;
  /** The outermost folder that had to be made. */
  readonly #made: string | undefined;

  private constructor(path: string, staging: string, made: string | undefined) {
    this.path = path;
    this.#staging = staging;
    this.#made = made;
  }

  /** Creates the folder if it is missing. Throws file-unwritable. */
  static create(path: string): OutputFolder {
    return attempt(path, () => {
      const made = makeFolders(resolve(path));
      return new OutputFolder(path, mkdtempSync(join(path, ".replay-")), made);
    });
  }

  /** Where to write the file `name` until publish(). */
  stage(name: string): string {
    return join(this.#staging, name);
  }

  /** Gives the files their places, over those of an earlier run. */
  publish(): void {
    attempt(this.path, () => {
      for (const name of readdirSync(this.#staging)) renameSync(this.stage(name), join(this.path, name));
    });
    rmSync(this.#staging, { recursive: true, force: true });
  }

  /** Leaves everything as it was before. */
  discard(): void {
    rmSync(this.#staging, { recursive: true, force: true });
    if (this.#made !== undefined) removeEmpty(resolve(this.path), this.#made);
  }
}

/** One of `inputs` would be overwritten by the file `name` of the folder. */
export function findOverwritten(
  folder: string,
  names: readonly string[],
  inputs: readonly string[],
): string | undefined {
  const outputs = new Set(names.map((name) => resolveReal(join(folder, name))).filter((path) => path !== undefined));
  return inputs.find((input) => outputs.has(resolveReal(input) ?? ""));
}

/**
 * Returns the outermost folder that was missing. Not mkdir's own recursion: Node's never ends where the kernel answers
 * ENOENT although the parent exists, as it does in /proc.
 */
function makeFolders(path: string): string | undefined {
  if (existsSync(path)) return undefined;
  const made = makeFolders(dirname(path));
  mkdirSync(path);
  return made ?? path;
}

/** Removes `folder` and those around it up to `outermost`, as far as nobody else has put anything there. */
function removeEmpty(folder: string, outermost: string): void {
  try {
    rmdirSync(folder);
  } catch {
    return;
  }
  if (folder !== outermost) removeEmpty(dirname(folder), outermost);
}

function resolveReal(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

function attempt<R>(path: string, change: () => R): R {
  try {
    return change();
  } catch (error) {
    throw new SluiceError({ code: "file-unwritable", where: path, what: (error as Error).message });
  }
}
