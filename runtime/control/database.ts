// The store: one SQLite file in the data folder. What was answered with success is on the disk.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { SluiceError } from "../errors.ts";

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS chains (
    name TEXT PRIMARY KEY,
    -- 'api': runs whenever control does; 'file': only while it is named on the command line
    origin TEXT NOT NULL,
    -- the revision that is to run; NULL if there is none any more
    confirmed INTEGER
  ) STRICT;
  CREATE TABLE IF NOT EXISTS revisions (
    chain TEXT NOT NULL, revision INTEGER NOT NULL,
    -- those of one change are applied together or not at all
    change INTEGER NOT NULL,
    -- how it is brought to the engine: 'generation', 'start', 'restart', 'settings'
    way TEXT NOT NULL,
    state TEXT NOT NULL, outcome TEXT NOT NULL,
    -- JSON: as it was declared, and with exact versions
    declared TEXT NOT NULL, pinned TEXT NOT NULL,
    -- JSON: digests of packages by the function's name in the chain
    packages TEXT NOT NULL,
    actor TEXT NOT NULL, at TEXT NOT NULL, confirmUntil TEXT,
    PRIMARY KEY (chain, revision)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS packages (
    digest TEXT PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL,
    -- 'registry', 'built-in' or 'local'
    origin TEXT NOT NULL,
    manifest TEXT NOT NULL, wasm BLOB NOT NULL, signature BLOB, signedBy TEXT,
    -- JSON: what was measured when it was admitted
    measured TEXT, actor TEXT NOT NULL, at TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX IF NOT EXISTS packages_registered ON packages (name, version) WHERE origin = 'registry';
  CREATE TABLE IF NOT EXISTS tokens (
    name TEXT PRIMARY KEY, role TEXT NOT NULL, hash TEXT NOT NULL UNIQUE, at TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS keys (name TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE, at TEXT NOT NULL) STRICT;
  CREATE TABLE IF NOT EXISTS audit (
    id INTEGER PRIMARY KEY, at TEXT NOT NULL, actor TEXT NOT NULL, role TEXT NOT NULL, action TEXT NOT NULL,
    subject TEXT NOT NULL, outcome TEXT NOT NULL, diff TEXT NOT NULL
  ) STRICT;
`;

export type Row = Readonly<Record<string, unknown>>;
type Value = string | number | bigint | Uint8Array | null;

export class Database {
  readonly #database: DatabaseSync;
  readonly #lock: DatabaseSync;
  readonly #file: string;

  /** Throws control-running if another process has the store, store-failed if it cannot be used. */
  constructor(root: string) {
    this.#file = join(root, "control.db");
    this.#lock = this.#guard(() => {
      mkdirSync(root, { recursive: true, mode: 0o700 });
      return takeLock(join(root, "control.lock"));
    });
    this.#database = this.#guard(() => {
      const database = new DatabaseSync(this.#file, { timeout: 5000 });
      database.exec(`PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; ${SCHEMA}`);
      return database;
    });
  }

  all(sql: string, ...values: readonly Value[]): Row[] {
    return this.#guard(() => this.#database.prepare(sql).all(...values));
  }

  first(sql: string, ...values: readonly Value[]): Row | undefined {
    return this.all(sql, ...values)[0];
  }

  run(sql: string, ...values: readonly Value[]): void {
    this.#guard(() => this.#database.prepare(sql).run(...values));
  }

  /** All of it or nothing; on the disk when it returns. */
  transaction<Result>(work: () => Result): Result {
    if (this.#database.isTransaction) return work();
    this.run("BEGIN IMMEDIATE");
    try {
      const result = work();
      this.run("COMMIT");
      return result;
    } catch (error) {
      // A full disk has rolled it back already.
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  /** Several statements that have no values. */
  script(sql: string): void {
    this.#guard(() => this.#database.exec(sql));
  }

  /** What the store consists of. */
  schema(): Row[] {
    return this.all("SELECT type, name, sql FROM main.sqlite_schema");
  }

  tables(): string[] {
    const names = this.schema().filter(({ type }) => type === "table");
    return names.map(({ name }) => String(name)).filter((name) => !name.startsWith("sqlite_"));
  }

  /** Everything that is in it at this moment. */
  copyTo(file: string): void {
    this.run("VACUUM INTO ?", file);
  }

  /** While it works, the file's tables are there as `other.NAME`. */
  attached<Result>(file: string, work: () => Result): Result {
    this.run("ATTACH ? AS other", file);
    try {
      return work();
    } finally {
      this.run("DETACH other");
    }
  }

  close(): void {
    this.#database.close();
    this.#lock.close();
  }

  #guard<Result>(work: () => Result): Result {
    try {
      return work();
    } catch (error) {
      throw describeFailure(error, this.#file);
    }
  }
}

/** SQLite's own lock on a file of its own: it goes with the process, however that ends. */
function takeLock(file: string): DatabaseSync {
  const lock = new DatabaseSync(file, { timeout: 0 });
  lock.exec("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE");
  return lock;
}

const SQLITE_BUSY = 5;

function describeFailure(error: unknown, where: string): unknown {
  if (error instanceof SluiceError) return error;
  const { errcode, message } = error as Error & { errcode?: number };
  if (errcode === SQLITE_BUSY) {
    const what = "another control process has the store";
    return new SluiceError({ code: "control-running", where, what, help: "stop it, or let SLUICE_DATA_DIR differ" });
  }
  const help = "see that its folder can be written and its disk is not full";
  return new SluiceError({ code: "store-failed", where, what: message, help });
}
