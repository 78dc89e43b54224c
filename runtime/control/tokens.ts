// Bearer tokens: opaque, stored as hashes, each with a role.
import { createHash, randomBytes } from "node:crypto";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SluiceError } from "../errors.ts";
import type { Database, Row } from "./database.ts";
import type { Role } from "./roles.ts";

export interface Identity {
  readonly name: string;
  readonly role: Role;
}

export interface Token extends Identity {
  /** ISO 8601. */
  readonly at: string;
}

const TOKEN_FILE = "token";
const TOKEN_BYTES = 32;
const FIRST = "admin";

export class Tokens {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  list(): Token[] {
    return this.#database.all("SELECT name, role, at FROM tokens ORDER BY name") as unknown as Token[];
  }

  /** Returns the token itself, which nobody can be told again. Throws token-exists. */
  create(name: string, role: Role): string {
    if (this.list().some((token) => token.name === name)) {
      throw new SluiceError({ code: "token-exists", where: name, what: "there is a token of that name" });
    }
    const secret = randomBytes(TOKEN_BYTES).toString("base64url");
    const at = new Date().toISOString();
    this.#database.run("INSERT INTO tokens VALUES (?, ?, ?, ?)", name, role, hashOf(secret), at);
    return secret;
  }

  /** False if there is none of that name. */
  revoke(name: string): boolean {
    const isKnown = this.list().some((token) => token.name === name);
    if (isKnown) this.#database.run("DELETE FROM tokens WHERE name = ?", name);
    return isKnown;
  }

  /** For keep(): all that is known of these. */
  rows(names: readonly string[]): Row[] {
    return this.#database.all("SELECT * FROM tokens").filter(({ name }) => names.includes(String(name)));
  }

  /** These are valid from now on, whatever others there were of their names. */
  keep(rows: readonly Row[]): void {
    for (const { name, role, hash, at } of rows as readonly Record<string, string>[]) {
      this.#database.run("DELETE FROM tokens WHERE name = ? OR hash = ?", name as string, hash as string);
      this.#database.run("INSERT INTO tokens VALUES (?, ?, ?, ?)", ...([name, role, hash, at] as string[]));
    }
  }

  /** The name of the one that lies in the box's file; none if that is not valid. */
  ofBox(root: string): string[] {
    const file = join(root, TOKEN_FILE);
    const found = existsSync(file) ? this.identify(readFileSync(file, "utf8").trim()) : undefined;
    return found === undefined ? [] : [found.name];
  }

  /** By its hash, so that how long it takes says nothing of the token. */
  identify(secret: string): Identity | undefined {
    return this.#database.first("SELECT name, role FROM tokens WHERE hash = ?", hashOf(secret)) as Identity | undefined;
  }

  /** Whoever reads the file is an administrator: it is made on the first start, and whenever it is gone. */
  ensureFirst(root: string): string {
    const file = join(root, TOKEN_FILE);
    if (this.ofBox(root).length > 0) return file;
    const secret = this.#database.transaction(() => {
      this.revoke(FIRST);
      return this.create(FIRST, "admin");
    });
    writeFileSync(`${file}.new`, `${secret}\n`, { mode: 0o600, flush: true });
    renameSync(`${file}.new`, file);
    return file;
  }
}

function hashOf(secret: string): string {
  return createHash("sha256").update(secret).digest("hex");
}
