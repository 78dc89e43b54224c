// Function packages by content: those that were uploaded, and those of the box that a revision was pinned to.
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { stateRoot } from "../dataplane/state-folder.ts";
import { Catalog, type FunctionPackage, isBuiltIn } from "../function/catalog.ts";
import type { Manifest } from "../function/manifest.ts";
import type { PackedFunction } from "../function/package-archive.ts";
import { digestOf } from "../function/signature.ts";
import type { Database, Row } from "./database.ts";

/**
 * registry: uploaded; built-in: of this installation; local: named on the command line of the box; withdrawn: deleted, and
 * kept for revisions that had it.
 */
export type PackageOrigin = "registry" | "built-in" | "local" | "withdrawn";

export interface StoredPackage {
  readonly digest: string;
  readonly name: string;
  readonly version: string;
  readonly origin: PackageOrigin;
  readonly manifest: Manifest;
  /** The trusted key's name; null if it is not signed. */
  readonly signedBy: string | null;
  readonly measured: unknown;
  readonly actor: string;
  readonly at: string;
}

/** As it was packed. */
interface NewPackage extends PackedFunction {
  readonly manifest: Manifest;
}

/** What was found out about an upload. */
export interface Admission {
  readonly signedBy: string | null;
  readonly measured: unknown;
}

/** In the root of the state folders. */
export const PACKAGES_FOLDER = ".packages";

const COLUMNS = "digest, name, version, origin, manifest, signedBy, measured, actor, at";

export class Packages {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Uploaded ones and those of the box. Of equal versions the uploaded one comes first, then what came last. */
  registered(): StoredPackage[] {
    const rows = this.#database.all(
      `SELECT ${COLUMNS} FROM packages WHERE origin IN ('registry', 'local')
       ORDER BY name, version, origin = 'registry' DESC, at DESC`,
    );
    return rows.map(readPackage);
  }

  find(digest: string): StoredPackage | undefined {
    const row = this.#database.first(`SELECT ${COLUMNS} FROM packages WHERE digest = ?`, digest);
    return row === undefined ? undefined : readPackage(row);
  }

  findRegistered(name: string, version: string): StoredPackage | undefined {
    return this.registered().find((each) => each.name === name && each.version === version);
  }

  /** Whether a deleted package of that name and version is kept that is not this one. */
  isTaken(name: string, version: string, digest: string): boolean {
    const sql =
      "SELECT 1 AS found FROM packages WHERE name = ? AND version = ? AND origin = 'withdrawn' AND digest <> ?";
    return this.#database.first(sql, name, version, digest) !== undefined;
  }

  /** From now on, chains find it by its name and version. */
  register({ manifest, manifestText, wasm, signature }: NewPackage, admission: Admission, actor: string): void {
    this.#database.run(
      `INSERT INTO packages VALUES (?, ?, ?, 'registry', ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (digest) DO UPDATE SET
       origin = 'registry', signature = excluded.signature, signedBy = excluded.signedBy, measured = excluded.measured,
       actor = excluded.actor, at = excluded.at`,
      ...[digestOf(manifestText, wasm), manifest.name, manifest.version, manifestText, wasm, signature ?? null],
      ...[admission.signedBy, JSON.stringify(admission.measured), actor, new Date().toISOString()],
    );
  }

  /** Keeps a package that a chain uses, wherever it came from, so that its revisions can be run whatever becomes of that. */
  keep({ manifest, manifestText = JSON.stringify(manifest), wasm, origin }: FunctionPackage, actor: string): string {
    const known = /^registry: ([0-9a-f]{64})$/.exec(origin)?.[1] ?? this.#findMaterialized(origin);
    if (known !== undefined) return known;
    const digest = digestOf(manifestText, wasm);
    this.#database.run(
      "INSERT OR IGNORE INTO packages VALUES (?, ?, ?, ?, ?, ?, NULL, NULL, NULL, ?, ?)",
      ...[digest, manifest.name, manifest.version, isBuiltIn({ origin }) ? "built-in" : "local", manifestText, wasm],
      ...[actor, new Date().toISOString()],
    );
    return digest;
  }

  /** An engine that read a package of ours calls it by the folder that it read. */
  #findMaterialized(origin: string): string | undefined {
    const isOurs = dirname(origin) === join(stateRoot(), PACKAGES_FOLDER);
    return isOurs ? this.find(basename(origin))?.digest : undefined;
  }

  /** Chains do not find it any more. It is kept as long as it may be gone back to. */
  withdraw(digest: string, isKept: boolean): void {
    if (isKept) this.#database.run("UPDATE packages SET origin = 'withdrawn' WHERE digest = ?", digest);
    else this.#database.run("DELETE FROM packages WHERE digest = ?", digest);
  }

  wasm(digest: string): Uint8Array {
    return this.#database.first("SELECT wasm FROM packages WHERE digest = ?", digest)?.wasm as Uint8Array;
  }

  /** As it was uploaded. */
  pack(digest: string): PackedFunction {
    const row = this.#database.first("SELECT manifest, wasm, signature FROM packages WHERE digest = ?", digest) as Row;
    return {
      manifestText: row.manifest as string,
      wasm: row.wasm as Uint8Array,
      signature: (row.signature as Uint8Array | null) ?? undefined,
    };
  }

  /** The very packages that a revision had. */
  catalogOf(digests: Iterable<string>): Catalog {
    const stored = [...new Set(digests)].flatMap((digest) => this.find(digest) ?? []);
    return new Catalog(stored.map((each) => this.open(each)));
  }

  /** For a catalog: the module is read when it is asked for. */
  open(stored: StoredPackage): FunctionPackage {
    const read = () => this.wasm(stored.digest);
    return {
      manifest: stored.manifest,
      origin: `registry: ${stored.digest}`,
      get wasm() {
        return read();
      },
    };
  }

  /** A folder in memory from which engines read the package. */
  materialize(digest: string): string {
    const folder = join(stateRoot(), PACKAGES_FOLDER, digest);
    if (existsSync(folder)) return folder;
    const manifest = this.#database.first("SELECT manifest FROM packages WHERE digest = ?", digest)?.manifest as string;
    const draft = `${folder}.${process.pid}`;
    rmSync(draft, { recursive: true, force: true });
    mkdirSync(draft, { recursive: true, mode: 0o700 });
    writeFileSync(join(draft, "manifest.json"), manifest);
    writeFileSync(join(draft, "function.wasm"), this.wasm(digest));
    renameSync(draft, folder);
    return folder;
  }
}

function readPackage({ manifest, measured, ...row }: Row): StoredPackage {
  return {
    ...(row as unknown as StoredPackage),
    manifest: JSON.parse(manifest as string),
    measured: measured === null ? null : JSON.parse(measured as string),
  };
}
