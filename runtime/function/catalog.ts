// All functions that a chain may use: the built-in ones and those in folders that the operator names.

import { existsSync, readdirSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import semver from "semver";
import type { FunctionSource } from "../chain/plan-functions.ts";
import { type Fault, SluiceError } from "../errors.ts";
import type { Manifest } from "./manifest.ts";
import { isPackageFolder, openFolder, openTar } from "./package-files.ts";

export interface FunctionPackage {
  readonly manifest: Manifest;
  /** Read when it is first asked for; throws file-unreadable if the function is not built. */
  readonly wasm: Uint8Array;
  /** The folder or tar file that it came from. */
  readonly origin: string;
  /** As it was packed, if that is known. */
  readonly manifestText?: string | undefined;
}

export interface CatalogOptions {
  /** Each a package itself, or holding one per subfolder or tar file. They precede the built-in functions. */
  readonly folders?: readonly string[];
  /** The repository whose nfs/ are built in; null for none. */
  readonly root?: string | null;
}

interface DamagedPackage {
  readonly name: string;
  readonly faults: readonly Fault[];
  readonly builtIn: boolean;
}

const projectRoot = resolve(import.meta.dirname, "../..");

export function isBuiltIn({ origin }: Pick<FunctionPackage, "origin">): boolean {
  return origin.startsWith(`${join(projectRoot, "nfs")}/`);
}

export class Catalog implements FunctionSource {
  /** Highest version first. */
  readonly packages: readonly FunctionPackage[];
  readonly #damaged: readonly DamagedPackage[];

  constructor(packages: readonly FunctionPackage[], damaged: readonly DamagedPackage[] = []) {
    // A stable sort: of equal versions, the one that was found first wins.
    this.packages = packages.toSorted((a, b) => semver.compare(b.manifest.version, a.manifest.version));
    this.#damaged = damaged;
  }

  get known(): readonly { readonly name: string; readonly version: string }[] {
    return this.packages.map(({ manifest }) => ({ name: manifest.name, version: manifest.version }));
  }

  /** The highest version in the range. Throws the faults of a damaged package that may have been meant. */
  find(name: string, range: string): FunctionPackage | undefined {
    const found = this.packages.find(
      ({ manifest }) => manifest.name === name && semver.satisfies(manifest.version, range),
    );
    if (found !== undefined) return found;
    const [first, ...rest] = this.#damaged
      .filter((damaged) => damaged.name === name || !damaged.builtIn)
      .flatMap((damaged) => damaged.faults);
    if (first !== undefined) throw new SluiceError(first, ...rest);
    return undefined;
  }
}

/** Reads manifests, not modules. Throws file-unreadable if a named folder is none. */
export function openCatalog(options: CatalogOptions = {}): Catalog {
  const { folders = [], root = projectRoot } = options;
  const sources = [...folders.flatMap(listNamed), ...(root === null ? [] : listBuiltIn(root))];
  const packages: FunctionPackage[] = [];
  const damaged: DamagedPackage[] = [];
  for (const source of sources) {
    try {
      packages.push(source.open());
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      damaged.push({ name: source.name, faults: error.faults, builtIn: source.builtIn });
    }
  }
  return new Catalog(packages, damaged);
}

interface PackageSource {
  readonly name: string;
  readonly builtIn: boolean;
  /** Throws what is wrong with the package. */
  open(): FunctionPackage;
}

function listBuiltIn(root: string): PackageSource[] {
  return listEntries(join(root, "nfs"))
    .filter(isPackageFolder)
    .map((folder) => {
      const name = basename(folder);
      return { name, builtIn: true, open: () => openFolder(folder, [join(root, "build/functions", name)]) };
    });
}

function listNamed(folder: string): PackageSource[] {
  if (!existsSync(folder))
    throw new SluiceError({ code: "file-unreadable", where: `--functions ${folder}`, what: "there is no such folder" });
  const entries = listEntries(folder);
  const folders = [resolve(folder), ...entries].filter(isPackageFolder);
  const tars = entries.filter((entry) => entry.endsWith(".tar"));
  return [
    ...folders.map((entry) => ({
      name: basename(entry),
      builtIn: false,
      open: () => openFolder(entry, listBuilt(entry)),
    })),
    ...tars.map((entry) => ({ name: basename(entry), builtIn: false, open: () => openTar(entry) })),
  ];
}

/** Where the module of a source folder may lie, best first. */
function listBuilt(folder: string): string[] {
  const isOurs = folder === join(projectRoot, "nfs", basename(folder));
  return [folder, isOurs ? join(projectRoot, "build/functions", basename(folder)) : join(folder, "build")];
}

function listEntries(folder: string): string[] {
  try {
    return readdirSync(folder)
      .toSorted()
      .map((name) => resolve(folder, name));
  } catch (error) {
    throw new SluiceError({ code: "file-unreadable", where: folder, what: (error as Error).message });
  }
}
