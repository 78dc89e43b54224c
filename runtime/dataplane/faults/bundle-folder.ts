// Where the bundles of a chain's faults are kept: the newest ones, each a file.
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SluiceError } from "../../errors.ts";
import { packCompressed } from "../../function/archive.ts";
import { describeBundle } from "./bundle.ts";

/** The oldest goes when there are more. */
export const BUNDLES_MAX = 16;
const SUFFIX = ".tar.gz";
/** Of what is being made; what is left of it belongs to a process that died. */
const DRAFT = ".draft-";

export class BundleFolder {
  readonly path: string;
  /** One at a time. */
  #last: Promise<unknown> = Promise.resolve();

  /** Bundles of one chain: `path` is its own. */
  constructor(path: string) {
    this.path = path;
  }

  /** Newest last. */
  list(): string[] {
    return this.#names()
      .filter((name) => name.endsWith(SUFFIX))
      .map((name) => join(this.path, name));
  }

  /** Writes a bundle and returns its path. Rejects with file-unwritable. */
  keep(...bundle: Parameters<typeof describeBundle>): Promise<string> {
    const kept = this.#last.then(() => this.#write(...bundle));
    this.#last = kept.catch(() => {});
    return kept;
  }

  async #write(...[evidence, chain]: Parameters<typeof describeBundle>): Promise<string> {
    const { name } = chain.plan.functions[evidence.function] as (typeof chain.plan.functions)[number];
    const file = join(this.path, `${evidence.at.replace(/[-:]/g, "")}-${name}${SUFFIX}`);
    try {
      mkdirSync(this.path, { recursive: true, mode: 0o700 });
      this.#dropDrafts();
      const draft = mkdtempSync(join(this.path, DRAFT));
      const members = describeBundle(evidence, chain);
      for (const [member, bytes] of members) writeFileSync(join(draft, member), bytes, { mode: 0o600 });
      await packCompressed(join(draft, "bundle"), draft, [...members.keys()]);
      chmodSync(join(draft, "bundle"), 0o600);
      renameSync(join(draft, "bundle"), file);
      rmSync(draft, { recursive: true });
      for (const old of this.list().slice(0, -BUNDLES_MAX)) rmSync(old, { force: true });
      return file;
    } catch (error) {
      this.#dropDrafts();
      throw new SluiceError({ code: "file-unwritable", where: file, what: (error as Error).message });
    }
  }

  #dropDrafts(): void {
    for (const name of this.#names()) {
      if (name.startsWith(DRAFT)) rmSync(join(this.path, name), { recursive: true, force: true });
    }
  }

  #names(): string[] {
    try {
      return readdirSync(this.path).toSorted();
    } catch {
      return [];
    }
  }
}
