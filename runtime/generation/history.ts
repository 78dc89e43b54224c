// Every transition of every upgrade, in a SQLite file that outlives engines and restarts.
import { mkdirSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { SluiceError } from "../errors.ts";

export const upgradeStates = [
  "init",
  "loading",
  "loaded",
  "switching",
  "switched",
  "committing",
  "committed",
  "aborting",
  "aborted",
] as const;
export type UpgradeState = (typeof upgradeStates)[number];

/** What the steps of an upgrade plan have besides. */
export const stepStates = [
  "stored",
  "done",
  "failed",
  "undoing",
  "undone",
  "waiting",
  "falling-back",
  "restoring",
  "restored",
] as const;
export type StepState = (typeof stepStates)[number];

export interface Transition {
  readonly chain: string;
  /** Counted from 1 in the chain's history. */
  readonly upgrade: number;
  readonly state: UpgradeState | StepState;
  /** ISO 8601. */
  readonly at: string;
  /**
   * Who asked for it: a user's name, or `deadline`, `watchdog`, `quarantine`, `condition`, `restart`, `stop` for what
   * happened by itself.
   */
  readonly actor: string;
  /** `function=name@version …` before and after, and whether configuration or paths differ. */
  readonly before: string;
  readonly after: string;
  /** Of the step that led here, in milliseconds. */
  readonly durationMs: number;
  /** `ok`, or what went wrong. */
  readonly outcome: string;
  /** Of a plan's upgrade: its name; of its steps `group/step` and the attempt, counted from 1. */
  readonly plan: string | null;
  readonly step: string | null;
  readonly attempt: number | null;
}

type NewTransition = Omit<Transition, "plan" | "step" | "attempt"> &
  Partial<Pick<Transition, "plan" | "step" | "attempt">>;

/** SLUICE_DATA_DIR, or a folder for what is to last. */
export function dataRoot(): string {
  const own = process.getuid?.() === 0 ? "/var/lib/sluice" : join(homedir(), ".local/state/sluice");
  return process.env.SLUICE_DATA_DIR ?? own;
}

const addedColumns = { plan: "TEXT", step: "TEXT", attempt: "INTEGER" } as const;
const COLUMNS = "chain, upgrade, state, at, actor, before, after, durationMs, outcome, plan, step, attempt";

export class History {
  readonly #database: DatabaseSync;
  /** What could not be written. */
  readonly #kept: NewTransition[] = [];

  /** Throws file-unwritable. */
  constructor(root = dataRoot()) {
    const file = join(root, "history.db");
    try {
      mkdirSync(root, { recursive: true, mode: 0o700 });
      this.#database = new DatabaseSync(file, { timeout: 5000 });
      this.#database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL");
      if (!this.#isComplete()) this.#create();
    } catch (error) {
      const help = "let SLUICE_DATA_DIR name a folder that can be written";
      throw new SluiceError({ code: "file-unwritable", where: file, what: (error as Error).message, help });
    }
  }

  #listColumns(): string[] {
    return this.#database
      .prepare("PRAGMA table_info(transitions)")
      .all()
      .map(({ name }) => String(name));
  }

  #isComplete(): boolean {
    const known = this.#listColumns();
    return Object.keys(addedColumns).every((name) => known.includes(name));
  }

  /** Engines of several chains may begin at the same moment. */
  #create(): void {
    this.#database.exec(`
      BEGIN IMMEDIATE;
      CREATE TABLE IF NOT EXISTS transitions (
        id INTEGER PRIMARY KEY, chain TEXT NOT NULL, upgrade INTEGER NOT NULL, state TEXT NOT NULL, at TEXT NOT NULL,
        actor TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, durationMs REAL NOT NULL, outcome TEXT NOT NULL
      ) STRICT;
      CREATE INDEX IF NOT EXISTS transitions_by_chain ON transitions (chain, id);
    `);
    // Files of earlier versions lack these.
    const known = this.#listColumns();
    for (const [name, type] of Object.entries(addedColumns)) {
      if (!known.includes(name)) this.#database.exec(`ALTER TABLE transitions ADD COLUMN ${name} ${type}`);
    }
    this.#database.exec("COMMIT");
  }

  /** Durable when it returns. Throws file-unwritable. */
  add(transition: NewTransition): void {
    try {
      for (let kept = this.#kept[0]; kept !== undefined; kept = this.#kept[0]) {
        this.#insert(kept);
        this.#kept.shift();
      }
      this.#insert(transition);
    } catch (error) {
      const where = `history of ${transition.chain}`;
      throw new SluiceError({ code: "file-unwritable", where, what: (error as Error).message });
    }
  }

  /** Of what has happened, whether it can be written down or not: if not, it is before the next that is. */
  note(transition: NewTransition): void {
    try {
      this.add(transition);
    } catch {
      this.#kept.push(transition);
    }
  }

  #insert(transition: NewTransition): void {
    const { chain, upgrade, state, at, actor, before, after, durationMs, outcome } = transition;
    const { plan = null, step = null, attempt = null } = transition;
    this.#database
      .prepare(`INSERT INTO transitions (${COLUMNS}) VALUES (${COLUMNS.replace(/\w+/g, "?")})`)
      .run(chain, upgrade, state, at, actor, before, after, durationMs, outcome, plan, step, attempt);
  }

  /** The newest `limit` transitions of a chain, oldest first. */
  list(chain: string, limit = 1000): Transition[] {
    const rows = this.#database
      .prepare(
        `SELECT ${COLUMNS} FROM (SELECT * FROM transitions WHERE chain = ? ORDER BY id DESC LIMIT ?) ORDER BY id`,
      )
      .all(chain, limit);
    return rows.map((row) => ({ ...row }) as unknown as Transition);
  }

  last(chain: string): Transition | undefined {
    return this.list(chain, 1)[0];
  }

  /** As a table of another database. */
  copyInto(file: string): void {
    this.#attached(file, `CREATE TABLE other.transitions AS SELECT ${COLUMNS} FROM main.transitions ORDER BY id`);
  }

  /** With those of such a copy, each once, in the order of their times. */
  mergeFrom(file: string): void {
    this.#attached(
      file,
      `BEGIN IMMEDIATE;
       CREATE TEMP TABLE merged AS
         SELECT ${COLUMNS} FROM main.transitions UNION SELECT ${COLUMNS} FROM other.transitions;
       DELETE FROM main.transitions;
       INSERT INTO main.transitions (${COLUMNS}) SELECT ${COLUMNS} FROM merged ORDER BY at;
       DROP TABLE temp.merged;
       COMMIT`,
    );
  }

  #attached(file: string, sql: string): void {
    this.#database.prepare("ATTACH ? AS other").run(file);
    try {
      this.#database.exec(sql);
    } finally {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      this.#database.exec("DETACH other");
    }
  }

  close(): void {
    this.#database.close();
  }
}
