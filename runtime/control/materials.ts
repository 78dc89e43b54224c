// The files that engines read: a revision's document and its packages, in memory. All of it can be made again.
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { stateRoot } from "../dataplane/state-folder.ts";
import { SluiceError } from "../errors.ts";
import type { ChainSource } from "../generation/committed.ts";
import { PACKAGES_FOLDER, type Packages } from "./packages.ts";
import type { Revision } from "./revisions.ts";

const FOLDER = ".declared";

/** What an engine needs to know to run the revision; `folders`: others that hold functions. Throws file-unwritable. */
export function materialize(
  revision: Pick<Revision, "chain" | "revision" | "pinned" | "packages">,
  packages: Packages,
  folders: readonly string[] = [],
): Pick<ChainSource, "file" | "functions"> {
  const file = documentFile(revision);
  try {
    const text = JSON.stringify(revision.pinned);
    // After a restore another document may have the number.
    if (!existsSync(file) || readFileSync(file, "utf8") !== text) writeWhole(file, text);
    // Of a chain without functions, too: engines look for functions there.
    mkdirSync(join(stateRoot(), PACKAGES_FOLDER), { recursive: true, mode: 0o700 });
    const digests = [...new Set(Object.values(revision.packages))];
    const own = digests.map((digest) => packages.materialize(digest));
    // What `sluice upgrade` may name at the engine: of equal versions, the first counts.
    for (const { digest } of packages.registered()) packages.materialize(digest);
    return { file, functions: [...own, join(stateRoot(), PACKAGES_FOLDER), ...folders] };
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    throw new SluiceError({ code: "file-unwritable", where: file, what: (error as Error).message });
  }
}

/** The revision that a source is, if it is one of ours. */
export function readRevisionNumber(chain: string, { file, set, use }: ChainSource): number | undefined {
  const [, folder, number] = /^(.*)\/(\d+)\.json$/.exec(file) ?? [];
  const isOurs = folder === join(stateRoot(), FOLDER, chain) && set.length === 0 && use.length === 0;
  return isOurs ? Number(number) : undefined;
}

/** Documents that no engine will be told to read again. */
export function dropMaterials(chain: string, kept: readonly number[]): void {
  const folder = join(stateRoot(), FOLDER, chain);
  if (!existsSync(folder)) return;
  for (const name of readdirSync(folder)) {
    if (!kept.some((revision) => name === `${revision}.json`)) rmSync(join(folder, name), { force: true });
  }
}

/** When no engine is left. */
export function dropAllMaterials(): void {
  for (const folder of [FOLDER, PACKAGES_FOLDER]) rmSync(join(stateRoot(), folder), { recursive: true, force: true });
}

function documentFile({ chain, revision }: Pick<Revision, "chain" | "revision">): string {
  return join(stateRoot(), FOLDER, chain, `${revision}.json`);
}

function writeWhole(file: string, text: string): void {
  mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, text, { mode: 0o600 });
  renameSync(draft, file);
}
