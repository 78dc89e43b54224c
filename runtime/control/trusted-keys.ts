// Keys of those whose packages are trusted.
import type { KeyObject } from "node:crypto";
import { SluiceError } from "../errors.ts";
import { isSignedBy, type PackageContents, readPublicKey } from "../function/signature.ts";
import type { Database } from "./database.ts";

export interface TrustedKey {
  readonly name: string;
  /** PEM. */
  readonly key: string;
  /** ISO 8601. */
  readonly at: string;
}

export class TrustedKeys {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  list(): TrustedKey[] {
    return this.#database.all("SELECT name, key, at FROM keys ORDER BY name") as unknown as TrustedKey[];
  }

  find(name: string): TrustedKey | undefined {
    return this.list().find((each) => each.name === name);
  }

  /** In the place of another of that name, if there is one; false then. Throws request-invalid. */
  put(name: string, pem: string): boolean {
    const key = writePem(name, pem);
    const known = this.list();
    const twin = known.find((each) => each.key === key && each.name !== name);
    if (twin !== undefined) throw refuse(name, `that key is trusted already, as "${twin.name}"`);
    const before = known.find((each) => each.name === name);
    if (before?.key !== key) {
      const at = new Date().toISOString();
      this.#database.run("INSERT OR REPLACE INTO keys VALUES (?, ?, ?)", name, key, at);
    }
    return before === undefined;
  }

  /** False if there is none of that name. What it signed stays. */
  remove(name: string): boolean {
    const isKnown = this.find(name) !== undefined;
    if (isKnown) this.#database.run("DELETE FROM keys WHERE name = ?", name);
    return isKnown;
  }

  /** The key's name; undefined if none of them signed it. */
  findSigner(contents: PackageContents, signature: Uint8Array): string | undefined {
    return this.list().find(({ key }) => isSignedBy(contents, signature, readPublicKey(key) as KeyObject))?.name;
  }
}

/** In one form, whatever stands around it. */
function writePem(name: string, pem: string): string {
  const key = readPublicKey(pem);
  if (key !== undefined) return key.export({ type: "spki", format: "pem" }).toString();
  throw refuse(name, "it is no Ed25519 public key (PEM)", "`sluice function keygen FILE` writes one into FILE.pub");
}

function refuse(where: string, what: string, help?: string): SluiceError {
  return new SluiceError({ code: "request-invalid", where, what, help });
}
