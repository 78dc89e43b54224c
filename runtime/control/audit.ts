// Who changed what, when, and how it ended.
import type { Database } from "./database.ts";
import type { Identity } from "./tokens.ts";

export interface AuditEntry {
  readonly id: number;
  /** ISO 8601. */
  readonly at: string;
  readonly actor: string;
  readonly role: string;
  /** Method and route: `PUT /api/v1/chains/{name}`. */
  readonly action: string;
  /** The address without its query. */
  readonly subject: string;
  /** `ok`, or the error's code. */
  readonly outcome: string;
  /** Of documents, unified; "" where there is none. */
  readonly diff: string;
}

/** Of a difference, in characters. */
const LONGEST_DIFF = 65_536;
/** Entries that go together, as a share of those that are kept. */
const CUT_SHARE = 0.1;

export class Audit {
  readonly #database: Database;
  readonly #kept: number;

  /** `kept`: entries at the most; then the oldest go, which is an entry, too. */
  constructor(database: Database, kept: number) {
    this.#database = database;
    this.#kept = kept;
  }

  add({ name, role }: Identity, entry: Pick<AuditEntry, "action" | "subject" | "outcome" | "diff">): void {
    const { action, subject, outcome, diff } = entry;
    this.#database.transaction(() => {
      this.#insert(name, role, { action, subject, outcome, diff: shorten(diff) });
      this.#cut();
    });
  }

  #insert(actor: string, role: string, { action, subject, outcome, diff }: Parameters<Audit["add"]>[1]): void {
    this.#database.run(
      "INSERT INTO audit (at, actor, role, action, subject, outcome, diff) VALUES (?, ?, ?, ?, ?, ?, ?)",
      ...[new Date().toISOString(), actor, role, action, subject, outcome, diff],
    );
  }

  /** Ids have no gaps: only the oldest ever go. */
  #cut(): void {
    const { first, last } = this.#database.first(
      "SELECT MIN(id) AS first, MAX(id) AS last FROM audit",
    ) as unknown as Ends;
    const count = last - first + 1;
    if (count <= this.#kept) return;
    const dropped = count - this.#kept + Math.ceil(this.#kept * CUT_SHARE);
    const newest = this.#database.first("SELECT at FROM audit WHERE id = ?", first + dropped - 1)?.at;
    this.#database.run("DELETE FROM audit WHERE id < ?", first + dropped);
    const diff = `-${dropped} entries, up to ${newest}`;
    this.#insert("control", "admin", { action: "audit cut", subject: "/api/v1/audit", outcome: "ok", diff });
  }

  /** Newest first. */
  list(limit: number): AuditEntry[] {
    return this.#database.all("SELECT * FROM audit ORDER BY id DESC LIMIT ?", limit) as unknown as AuditEntry[];
  }
}

interface Ends {
  readonly first: number;
  readonly last: number;
}

function shorten(diff: string): string {
  if (diff.length <= LONGEST_DIFF) return diff;
  return `${diff.slice(0, LONGEST_DIFF)}\n… ${diff.length - LONGEST_DIFF} characters more`;
}
