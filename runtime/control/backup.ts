// The whole store as one file, and back: chains with their revisions, packages, keys, tokens, the audit, and the history of
// upgrades.
import { chmodSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { SluiceError } from "../errors.ts";
import { History } from "../generation/history.ts";
import { APPLICATION_ID, requireBackup } from "./backup-check.ts";
import type { Database } from "./database.ts";
import type { Tokens } from "./tokens.ts";

export const BACKUP_TYPE = "application/vnd.sqlite3";

export interface Restored {
  /** Those that are to run now. */
  readonly chains: readonly string[];
  readonly revisions: number;
  readonly tokens: number;
}

/** The audit is never taken back: what was noted before is noted still. */
const MERGE_AUDIT = `
  CREATE TEMP TABLE merged AS
    SELECT at, actor, role, action, subject, outcome, diff FROM main.audit
    UNION SELECT at, actor, role, action, subject, outcome, diff FROM other.audit;
  DELETE FROM main.audit;
  INSERT INTO main.audit (at, actor, role, action, subject, outcome, diff) SELECT * FROM merged ORDER BY at;
  DROP TABLE temp.merged;
`;

/** Nobody goes on with what was under way when the backup was made. */
const END_CHANGES = `
  UPDATE main.revisions SET state = 'rolled-back', outcome = 'it was under way when the backup was made'
  WHERE state IN ('applying', 'loaded', 'pending')
`;

export class Backup {
  readonly #database: Database;
  readonly #tokens: Tokens;
  readonly #root: string;

  constructor(database: Database, tokens: Tokens, root: string) {
    this.#database = database;
    this.#tokens = tokens;
    this.#root = root;
  }

  /** Throws store-failed, file-unwritable. */
  create(): Buffer {
    const file = this.#draft();
    try {
      this.#database.copyTo(file);
      chmodSync(file, 0o600);
      const copy = new DatabaseSync(file);
      copy.exec(`PRAGMA application_id = ${APPLICATION_ID}`);
      copy.close();
      this.#withHistory((history) => history.copyInto(file));
      return readFileSync(file);
    } finally {
      rmSync(file, { force: true });
    }
  }

  /** All of it or nothing. The token of whoever asks, and this box's own, stay as they are. */
  restore(bytes: Uint8Array, asker: string): Restored {
    const file = this.#draft();
    try {
      writeFileSync(file, bytes, { mode: 0o600 });
      requireBackup(file, this.#database);
      // It only adds: if what follows fails, nothing is lost.
      this.#withHistory((history) => history.mergeFrom(file));
      this.#database.attached(file, () => this.#database.transaction(() => this.#replace(asker)));
    } finally {
      rmSync(file, { force: true });
    }
    this.#tokens.ensureFirst(this.#root);
    return this.#describe();
  }

  #replace(asker: string): void {
    const staying = this.#tokens.rows([asker, ...this.#tokens.ofBox(this.#root)]);
    const tables = this.#database.tables().filter((table) => table !== "audit");
    for (const table of tables) {
      this.#database.run(`DELETE FROM main."${table}"`);
      this.#database.run(`INSERT INTO main."${table}" SELECT * FROM other."${table}"`);
    }
    this.#tokens.keep(staying);
    this.#database.script(`${MERGE_AUDIT}; ${END_CHANGES}`);
  }

  #describe(): Restored {
    const count = (table: string) => Number(this.#database.first(`SELECT count(*) AS count FROM ${table}`)?.count);
    const chains = this.#database.all("SELECT name FROM chains WHERE confirmed IS NOT NULL ORDER BY name");
    return { chains: chains.map(({ name }) => String(name)), revisions: count("revisions"), tokens: count("tokens") };
  }

  #withHistory(work: (history: History) => void): void {
    const history = new History(this.#root);
    try {
      work(history);
    } catch (error) {
      throw new SluiceError({ code: "store-failed", where: "history.db", what: (error as Error).message });
    } finally {
      history.close();
    }
  }

  #draft(): string {
    return join(this.#root, `backup-${process.pid}-${crypto.randomUUID()}.db`);
  }
}
