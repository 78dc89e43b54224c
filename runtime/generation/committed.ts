// What a chain is since the last commit, whole: plan, packages, and where later changes begin. Kept in the state folder, so
// that an engine which takes the place of a dead one runs this, whatever has become of the files that it was read from.
//
// A commit is done when the history says so. The chain to be is written down before, and put in the place of the one that
// was after; a reader that finds both asks the history.
import { existsSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { deserialize, serialize } from "node:v8";
import type { Plan } from "../chain/plan.ts";
import type { ChainDocument } from "../chain/schema.ts";
import type { Numbering } from "../dataplane/generation.ts";
import { COMMITTED, COMMITTING } from "../dataplane/state-folder.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import type { History } from "./history.ts";

/** What a plan was read from: the document, and what was said besides. */
export interface ChainSource {
  /** Absolute. */
  readonly file: string;
  readonly set: readonly string[];
  readonly functions: readonly string[];
  /** `function=name@range`. */
  readonly use: readonly string[];
  /** What it came to: all of it in one document, with exact versions. Known once it was read. */
  readonly document?: ChainDocument | undefined;
}

/** Of a change that was asked for: it begins at what is committed, or anew at a document that it names. */
export function followSource(before: ChainSource, { file, set, use, ...request }: SourceRequest): ChainSource {
  const functions = [...new Set([...before.functions, ...request.functions])];
  if (file !== null) return { file, set, functions, use };
  return { file: before.file, set: follow(before.set, set), functions, use: follow(before.use, use) };
}

type SourceRequest = Omit<ChainSource, "file" | "document"> & { readonly file: string | null };

/** `key=value`: the later ones win. */
function follow(before: readonly string[], after: readonly string[]): string[] {
  const keyOf = (text: string) => text.slice(0, text.indexOf("="));
  const keys = after.map(keyOf);
  return [...before.filter((text) => !keys.includes(keyOf(text))), ...after];
}

export interface CommittedChain {
  readonly source: ChainSource;
  readonly plan: Plan;
  readonly packages: readonly FunctionPackage[];
  readonly numbering: Numbering;
}

interface Entry {
  /** The upgrade that made it; absent for what the engine started with. */
  readonly upgrade?: number;
  readonly chain: CommittedChain;
}

function isCommittedIn(history: History, { upgrade, chain }: Entry): boolean {
  const last = history.last(chain.plan.chain);
  return last?.upgrade === upgrade && last?.state === "committed";
}

export class CommittedStore {
  readonly #folder: string;
  readonly #onCommitted: (() => void) | undefined;

  /** `folder`: the chain's state folder. */
  constructor(folder: string, onCommitted?: () => void) {
    this.#folder = folder;
    this.#onCommitted = onCommitted;
  }

  /** What the engine runs from its start. */
  save(chain: CommittedChain): void {
    this.#write(COMMITTED, { chain });
    rmSync(join(this.#folder, COMMITTING), { force: true });
  }

  /** To be called before the history is told that the upgrade is committed. */
  prepare(upgrade: number, chain: CommittedChain): void {
    this.#write(COMMITTING, { upgrade, chain });
  }

  /** And afterwards. */
  complete(): void {
    renameSync(join(this.#folder, COMMITTING), join(this.#folder, COMMITTED));
    this.#onCommitted?.();
  }

  /** For whoever only prepares for it: null if there is nothing, or not any more. */
  peek(): CommittedChain | null {
    try {
      return this.#read(COMMITTED)?.chain ?? null;
    } catch {
      return null;
    }
  }

  /** What was committed last; null if the engine died before it ran. */
  read(history: History): CommittedChain | null {
    const next = this.#read(COMMITTING);
    const isCommitted = next !== null && isCommittedIn(history, next);
    if (isCommitted) this.complete();
    else rmSync(join(this.#folder, COMMITTING), { force: true });
    return (isCommitted ? next : this.#read(COMMITTED))?.chain ?? null;
  }

  #write(name: string, entry: Entry): void {
    const file = join(this.#folder, name);
    writeFileSync(`${file}.new`, serialize(entry), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  }

  #read(name: string): Entry | null {
    const file = join(this.#folder, name);
    return existsSync(file) ? (deserialize(readFileSync(file)) as Entry) : null;
  }
}
