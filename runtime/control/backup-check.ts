// Whether a file is a backup that this store can become.
import { DatabaseSync } from "node:sqlite";
import { SluiceError } from "../errors.ts";
import type { Database, Row } from "./database.ts";
import { roles } from "./roles.ts";

/** "SLUI", which file(1) and we know it by. */
export const APPLICATION_ID = 0x53_4c_55_49;

const HISTORY = "transitions";

/** Rows that no store of ours has. */
const unsound: readonly (readonly [sql: string, what: string])[] = [
  [
    "SELECT 1 FROM revisions WHERE NOT (json_valid(declared) AND json_valid(pinned) AND json_valid(packages))",
    "a revision of it cannot be read",
  ],
  ["SELECT 1 FROM packages WHERE NOT json_valid(manifest)", "a package of it cannot be read"],
  [
    `SELECT 1 FROM chains WHERE confirmed IS NOT NULL
       AND NOT EXISTS (SELECT 1 FROM revisions WHERE chain = name AND revision = confirmed)`,
    "a chain of it has lost its revision",
  ],
  [
    `SELECT 1 FROM tokens WHERE role NOT IN (${roles.map((role) => `'${role}'`).join(", ")})`,
    "a token of it has no role that there is",
  ],
];

/** Throws backup-invalid. */
export function requireBackup(file: string, store: Database): void {
  try {
    const backup = new DatabaseSync(file, { readOnly: true });
    try {
      check(backup, store);
    } finally {
      backup.close();
    }
  } catch (error) {
    throw error instanceof SluiceError ? error : invalid((error as Error).message);
  }
}

function check(backup: DatabaseSync, store: Database): void {
  backup.exec("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON");
  const { application_id: id } = backup.prepare("PRAGMA application_id").get() as Row;
  if (id !== APPLICATION_ID) throw invalid("it is another program's database");
  const schema = backup.prepare("SELECT type, name, sql FROM sqlite_schema").all();
  const ours = schema.filter(({ name }) => name !== HISTORY);
  if (describe(ours) !== describe(store.schema()) || ours.length === schema.length) {
    throw invalid("it is of another version of Sluice");
  }
  const [first] = backup.prepare("PRAGMA integrity_check(1)").all() as Row[];
  if (first?.integrity_check !== "ok") throw invalid(`it is damaged: ${first?.integrity_check}`);
  for (const [sql, what] of unsound) if (backup.prepare(sql).get() !== undefined) throw invalid(what);
}

/** Without comments and spaces: what the tables are, not how that was written down. */
function describe(schema: readonly Row[]): string {
  const lines = schema.map(({ type, name, sql }) => {
    return `${type} ${name} ${String(sql ?? "")
      .replace(/--.*$/gm, "")
      .replace(/\s+/g, "")}`;
  });
  return lines.toSorted().join("\n");
}

function invalid(what: string): SluiceError {
  return new SluiceError({ code: "backup-invalid", where: "backup", what });
}
