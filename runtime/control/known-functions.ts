// The functions that chains find by name and version: those that are built in, those of the box, and uploaded ones.
import semver from "semver";
import { SluiceError } from "../errors.ts";
import { type Catalog, type FunctionPackage, openCatalog } from "../function/catalog.ts";
import type { Manifest } from "../function/manifest.ts";
import type { PackedFunction } from "../function/package-archive.ts";
import { digestOf } from "../function/signature.ts";
import type { PackageOrigin, Packages, StoredPackage } from "./packages.ts";
import type { Revisions } from "./revisions.ts";

export interface KnownFunction {
  readonly name: string;
  readonly version: string;
  readonly origin: Exclude<PackageOrigin, "withdrawn">;
  readonly description: string;
  /** Null if it is built in and not built. */
  readonly digest: string | null;
  readonly signedBy: string | null;
  /** What was found out when it was admitted; null if it never was. */
  readonly measured: unknown;
  /** Chains that run it, or are about to. */
  readonly usedBy: readonly string[];
  readonly at: string | null;
}

export class KnownFunctions {
  readonly #packages: Packages;
  readonly #revisions: Revisions;
  readonly #openBuiltIn: () => Catalog;

  constructor(packages: Packages, revisions: Revisions, openBuiltIn: () => Catalog = openCatalog) {
    this.#packages = packages;
    this.#revisions = revisions;
    this.#openBuiltIn = openBuiltIn;
  }

  list(): KnownFunction[] {
    const usage = this.#listUsage();
    const all = [
      ...this.#packages.registered().map((stored) => describeStored(stored, usage)),
      ...this.#openBuiltIn().packages.map((builtIn) => describeBuiltIn(builtIn, usage)),
    ];
    // Of equal names and versions, chains find the first.
    const first = new Map(all.toReversed().map((each) => [`${each.name}@${each.version}`, each]));
    return all.filter((each) => first.get(`${each.name}@${each.version}`) === each).toSorted(byNameAndVersion);
  }

  read(name: string, version: string): KnownFunction & { readonly manifest: Manifest } {
    const stored = this.#packages.findRegistered(name, version);
    if (stored !== undefined) return { ...describeStored(stored, this.#listUsage()), manifest: stored.manifest };
    const builtIn = this.#requireBuiltIn(name, version);
    return { ...describeBuiltIn(builtIn, this.#listUsage()), manifest: builtIn.manifest };
  }

  /** The package itself. */
  pack(name: string, version: string): PackedFunction {
    const stored = this.#packages.findRegistered(name, version);
    if (stored !== undefined) return this.#packages.pack(stored.digest);
    const { manifest, manifestText = JSON.stringify(manifest), wasm } = this.#requireBuiltIn(name, version);
    return { manifestText, wasm };
  }

  findBuiltIn(name: string, version: string): FunctionPackage | undefined {
    return this.#openBuiltIn().packages.find(({ manifest }) => manifest.name === name && manifest.version === version);
  }

  #requireBuiltIn(name: string, version: string): FunctionPackage {
    const found = this.findBuiltIn(name, version);
    if (found !== undefined) return found;
    const where = `${name}@${version}`;
    throw new SluiceError({ code: "not-found", where, what: "no function of that name and version is known" });
  }

  #listUsage(): Usage[] {
    return this.#revisions.packagesInUse().flatMap(({ chain, digest }) => {
      const stored = this.#packages.find(digest);
      return stored === undefined ? [] : [{ chain, stored }];
    });
  }
}

interface Usage {
  readonly chain: string;
  readonly stored: StoredPackage;
}

function describeStored(stored: StoredPackage, usage: readonly Usage[]): KnownFunction {
  const { name, version, manifest, digest, signedBy, measured, at } = stored;
  const origin = stored.origin as KnownFunction["origin"];
  const usedBy = listChains(usage.filter((used) => used.stored.digest === digest));
  return { name, version, origin, description: manifest.description, digest, signedBy, measured, usedBy, at };
}

function describeBuiltIn(builtIn: FunctionPackage, usage: readonly Usage[]): KnownFunction {
  const { name, version, description } = builtIn.manifest;
  const isThis = ({ stored }: Usage) => stored.name === name && stored.version === version;
  const usedBy = listChains(usage.filter((used) => used.stored.origin === "built-in" && isThis(used)));
  const digest = digestOfBuiltIn(builtIn);
  return { name, version, origin: "built-in", description, digest, signedBy: null, measured: null, usedBy, at: null };
}

export function digestOfBuiltIn(builtIn: FunctionPackage): string | null {
  const { manifest, manifestText = JSON.stringify(manifest) } = builtIn;
  try {
    return digestOf(manifestText, builtIn.wasm);
  } catch (error) {
    if (error instanceof SluiceError && error.code === "file-unreadable") return null;
    throw error;
  }
}

function listChains(usage: readonly Usage[]): string[] {
  return [...new Set(usage.map(({ chain }) => chain))].toSorted();
}

function byNameAndVersion(a: KnownFunction, b: KnownFunction): number {
  return a.name.localeCompare(b.name) || semver.rcompare(a.version, b.version);
}
