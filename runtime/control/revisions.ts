// Every revision of every chain that was ever applied, or was about to be.
import type { ChainDocument } from "../chain/schema.ts";
import type { Database, Row } from "./database.ts";
import type { Way } from "./planning.ts";

/**
 * applying → confirmed, failed; with a time to confirm it, or step by step: applying → loaded, pending → confirmed,
 * rolled-back.
 */
export type RevisionState = "applying" | "loaded" | "pending" | "confirmed" | "rolled-back" | "failed";

export interface Revision {
  readonly chain: string;
  /** Counted from 1 in its chain. */
  readonly revision: number;
  readonly change: number;
  /** How it is brought to the engine. */
  readonly way: Way;
  readonly state: RevisionState;
  /** `ok`, or what went wrong. */
  readonly outcome: string;
  /** As it was put: with ranges of versions. */
  readonly declared: ChainDocument;
  /** What runs: with exact versions. */
  readonly pinned: ChainDocument;
  /** Digests by the function's name in the chain. */
  readonly packages: Readonly<Record<string, string>>;
  readonly actor: string;
  /** ISO 8601. */
  readonly at: string;
  readonly confirmUntil: string | null;
}

export type Origin = "api" | "file";

export interface DeclaredChain {
  readonly name: string;
  readonly origin: Origin;
  readonly confirmed: number | null;
}

export type NewRevision = Pick<Revision, "chain" | "declared" | "pinned" | "packages" | "way">;

const underWay = "state IN ('applying', 'loaded', 'pending')";

export class Revisions {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /** Those that are to run, or ran. */
  chains(): DeclaredChain[] {
    return this.#database.all("SELECT * FROM chains ORDER BY name") as unknown as DeclaredChain[];
  }

  chain(name: string): DeclaredChain | undefined {
    return this.chains().find((chain) => chain.name === name);
  }

  /** Newest first. */
  list(chain: string, limit = 1000): Revision[] {
    return this.#database
      .all("SELECT * FROM revisions WHERE chain = ? ORDER BY revision DESC LIMIT ?", chain, limit)
      .map(readRevision);
  }

  find(chain: string, revision: number): Revision | undefined {
    const row = this.#database.first("SELECT * FROM revisions WHERE chain = ? AND revision = ?", chain, revision);
    return row === undefined ? undefined : readRevision(row);
  }

  /** What is to run; undefined if nothing is. */
  confirmed(chain: string): Revision | undefined {
    const revision = this.chain(chain)?.confirmed ?? null;
    return revision === null ? undefined : this.find(chain, revision);
  }

  /** The one that is neither confirmed nor given up. */
  underWay(chain: string): Revision | undefined {
    const row = this.#database.first(`SELECT * FROM revisions WHERE chain = ? AND ${underWay}`, chain);
    return row === undefined ? undefined : readRevision(row);
  }

  allUnderWay(): Revision[] {
    return this.#database.all(`SELECT * FROM revisions WHERE ${underWay} ORDER BY chain`).map(readRevision);
  }

  ofChange(change: number): Revision[] {
    return this.#database.all("SELECT * FROM revisions WHERE change = ? ORDER BY chain", change).map(readRevision);
  }

  /** The confirmed one before, for going back. */
  before(chain: string, revision: number): Revision | undefined {
    const sql =
      "SELECT * FROM revisions WHERE chain = ? AND revision < ? AND state = 'confirmed' ORDER BY revision DESC";
    const row = this.#database.first(sql, chain, revision);
    return row === undefined ? undefined : readRevision(row);
  }

  /** By digest: what runs in each chain, or is about to. */
  packagesInUse(): { readonly chain: string; readonly digest: string }[] {
    const current = this.chains().flatMap(({ name }) => [this.confirmed(name), this.underWay(name)]);
    return current.flatMap((revision) =>
      revision === undefined
        ? []
        : Object.values(revision.packages).map((digest) => ({ chain: revision.chain, digest })),
    );
  }

  /** Whether any revision, of whatever time, has the package. */
  hasPackage(digest: string): boolean {
    const sql = "SELECT 1 AS found FROM revisions, json_each(revisions.packages) AS each WHERE each.value = ? LIMIT 1";
    return this.#database.first(sql, digest) !== undefined;
  }

  /** Notes a change before anything is done about it. */
  begin(revisions: readonly NewRevision[], actor: string, origin: Origin): Revision[] {
    return this.#database.transaction(() => {
      const change = this.#next("SELECT max(change) AS last FROM revisions");
      return revisions.map(({ chain, way, declared, pinned, packages }) => {
        const revision = this.#next("SELECT max(revision) AS last FROM revisions WHERE chain = ?", chain);
        this.#database.run("INSERT OR IGNORE INTO chains VALUES (?, ?, NULL)", chain, origin);
        this.noteOrigin(chain, origin);
        this.#database.run(
          `INSERT INTO revisions (chain, revision, change, way, state, outcome, declared, pinned, packages, actor, at)
           VALUES (?, ?, ?, ?, 'applying', '', ?, ?, ?, ?, ?)`,
          ...[chain, revision, change, way, JSON.stringify(declared), JSON.stringify(pinned)],
          ...[JSON.stringify(packages), actor, new Date().toISOString()],
        );
        return this.find(chain, revision) as Revision;
      });
    });
  }

  /** What was declared over the API once goes on without a file. */
  noteOrigin(chain: string, origin: Origin): void {
    if (origin === "api") this.#database.run("UPDATE chains SET origin = 'api' WHERE name = ?", chain);
  }

  move({ chain, revision }: Pick<Revision, "chain" | "revision">, state: RevisionState, outcome = "ok"): void {
    this.#database.transaction(() => {
      this.#database.run(
        "UPDATE revisions SET state = ?, outcome = ? WHERE chain = ? AND revision = ?",
        ...[state, outcome, chain, revision],
      );
      if (state === "confirmed") this.#database.run("UPDATE chains SET confirmed = ? WHERE name = ?", revision, chain);
    });
  }

  /** All of a change at once. */
  moveAll(revisions: readonly Revision[], state: RevisionState, outcome = "ok"): void {
    this.#database.transaction(() => {
      for (const revision of revisions) this.move(revision, state, outcome);
    });
  }

  awaitConfirmation({ chain, revision }: Revision, confirmUntil: string | null): void {
    this.#database.run(
      "UPDATE revisions SET state = 'pending', outcome = 'ok', confirmUntil = ? WHERE chain = ? AND revision = ?",
      ...[confirmUntil, chain, revision],
    );
  }

  /** The chain is not to run any more; its revisions stay. */
  remove(chain: string): void {
    this.#database.run("UPDATE chains SET confirmed = NULL, origin = 'file' WHERE name = ?", chain);
  }

  #next(sql: string, ...values: readonly string[]): number {
    return Number(this.#database.first(sql, ...values)?.last ?? 0) + 1;
  }
}

function readRevision({ declared, pinned, packages, ...row }: Row): Revision {
  return {
    ...(row as unknown as Revision),
    declared: JSON.parse(declared as string),
    pinned: JSON.parse(pinned as string),
    packages: JSON.parse(packages as string),
  };
}
