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

export class Audit {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  add({ name, role }: Identity, entry: Pick<AuditEntry, "action" | "subject" | "outcome" | "diff">): void {
    const { action, subject, outcome, diff } = entry;
    this.#database.run(
      "INSERT INTO audit (at, actor, role, action, subject, outcome, diff) VALUES (?, ?, ?, ?, ?, ?, ?)",
      ...[new Date().toISOString(), name, role, action, subject, outcome, diff],
    );
  }

  /** Newest first. */
  list(limit: number): AuditEntry[] {
    return this.#database.all("SELECT * FROM audit ORDER BY id DESC LIMIT ?", limit) as unknown as AuditEntry[];
  }
}
