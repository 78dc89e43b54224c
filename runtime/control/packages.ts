// Function packages by content: those that were uploaded, and those of the box that a revision was pinned to.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { stateRoot } from "../dataplane/state-folder.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import type { Manifest } from "../function/manifest.ts";
import type { Database, Row } from "./database.ts";

/** registry: uploaded; built-in: of this installation; local: named on the command line of the box. */
export type PackageOrigin = "registry" | "built-in" | "local";

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

export interface NewPackage {
  readonly manifest: Manifest;
  /** As it was packed: what is signed. */
  readonly manifestText: string;
  readonly wasm: Uint8Array;
  readonly origin: PackageOrigin;
  readonly signature?: Uint8Array | undefined;
  readonly signedBy?: string | undefined;
  readonly measured?: unknown;
}

/** In the root of the state folders. */
export const PACKAGES_FOLDER = ".packages";

const projectRoot = resolve(import.meta.dirname, "../..");

const COLUMNS = "digest, name, version, origin, manifest, signedBy, measured, actor, at";

/** SHA-256 over manifest and module, each with its length before it. */
export function digestOf(manifestText: string, wasm: Uint8Array): string {
  const hash = createHash("sha256");
  for (const part of [Buffer.from(manifestText), wasm]) hash.update(`${part.length}\n`).update(part);
  return hash.digest("hex");
}

export class Packages {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Uploaded ones, highest version of each name first is the catalog's business. */
  registered(): StoredPackage[] {
    const rows = this.#database.all(
      `SELECT ${COLUMNS} FROM packages WHERE origin <> 'built-in' ORDER BY name, version`,
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

  /** Returns its digest; what is known already stays as it is. */
  add({ manifest, manifestText, wasm, origin, ...rest }: NewPackage, actor: string): string {
    const digest = digestOf(manifestText, wasm);
    this.#database.run(
      "INSERT OR IGNORE INTO packages VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      ...[digest, manifest.name, manifest.version, origin, manifestText, wasm],
      ...[rest.signature ?? null, rest.signedBy ?? null, rest.measured == null ? null : JSON.stringify(rest.measured)],
      ...[actor, new Date().toISOString()],
    );
    return digest;
  }

  /** Keeps a package that a chain uses, wherever it came from, so that its revisions can be run whatever becomes of that. */
  keep({ manifest, wasm, origin }: FunctionPackage, actor: string): string {
    const known = /^registry: ([0-9a-f]{64})$/.exec(origin)?.[1];
    if (known !== undefined) return known;
    const isBuiltIn = origin.startsWith(join(projectRoot, "nfs"));
    const manifestText = JSON.stringify(manifest);
    return this.add({ manifest, manifestText, wasm, origin: isBuiltIn ? "built-in" : "local" }, actor);
  }

  remove(digest: string): void {
    this.#database.run("DELETE FROM packages WHERE digest = ?", digest);
  }

  wasm(digest: string): Uint8Array {
    return this.#database.first("SELECT wasm FROM packages WHERE digest = ?", digest)?.wasm as Uint8Array;
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
