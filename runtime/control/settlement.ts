// What the store says of a chain made to agree with what its engine does: changes go back by themselves, engines die, and
// operators change a chain at its engine, past this process.
import type { ChainDocument } from "../chain/schema.ts";
import type { FoundEngine } from "../dataplane/state-folder.ts";
import { SluiceError } from "../errors.ts";
import { CommittedStore } from "../generation/committed.ts";
import { History } from "../generation/history.ts";
import type { HostedStatus } from "../generation/host-socket.ts";
import type { UpgradeStatus } from "../generation/upgrade-status.ts";
import * as engines from "./engines.ts";
import { readRevisionNumber } from "./materials.ts";
import type { Packages } from "./packages.ts";
import type { Revision, Revisions } from "./revisions.ts";

export class Settlement {
  readonly #revisions: Revisions;
  readonly #packages: Packages;
  /** Chains whose engines may still run what was declared before the store was restored. */
  readonly #restored = new Set<string>();

  constructor(revisions: Revisions, packages: Packages) {
    this.#revisions = revisions;
    this.#packages = packages;
  }

  /** The store is another one: what engines run beside it is not to be adopted, but to be changed. */
  forget(): void {
    for (const { name } of this.#revisions.chains()) this.#restored.add(name);
  }

  /** Leaves alone what this process is about to do. */
  async settle(chain: string): Promise<void> {
    const found = engines.findRunning(chain);
    const revision = this.#revisions.underWay(chain);
    if (revision?.state === "applying") return;
    const all = await listHosted();
    // Without a host nobody knows what is to become of a chain that it started.
    if (all === null) return;
    const hosted = all.find((each) => each.chain === chain);
    if (found === undefined) {
      // It may be about to be started again.
      const isGone = hosted === undefined || hosted.state === "failed";
      if (revision !== undefined && isGone) this.#giveUp(revision, "its engine does not run");
      return;
    }
    const status = await engines.statusOf(chain).catch(ignoreDeath);
    if (status === undefined) return;
    if (revision === undefined) this.#adopt(chain, found, status);
    else this.#settleUnderWay(revision, status, hosted);
  }

  #settleUnderWay(revision: Revision, status: UpgradeStatus, hosted: HostedStatus | undefined): void {
    const { chain, revision: number } = revision;
    if (readRevisionNumber(chain, status.source) === number) {
      if (hosted?.confirmUntil == null) this.#revisions.move(revision, "confirmed");
      return;
    }
    const isNext = status.nextSource !== null && readRevisionNumber(chain, status.nextSource) === number;
    if (isNext && (status.state === "loaded" || status.state === "switched")) {
      if (status.state === "switched" && revision.state === "loaded") {
        this.#revisions.awaitConfirmation(revision, status.commitUntil);
      }
      return;
    }
    this.#giveUp(revision, whyAborted(chain));
  }

  #giveUp(revision: Revision, why: string): void {
    this.#revisions.move(revision, "rolled-back", why);
  }

  /** A change that was committed at the engine is a revision like any other. */
  #adopt(chain: string, { path }: FoundEngine, { source }: UpgradeStatus): void {
    const current = this.#revisions.confirmed(chain);
    if (readRevisionNumber(chain, source) !== undefined) this.#restored.delete(chain);
    if (current === undefined || readRevisionNumber(chain, source) !== undefined || this.#restored.has(chain)) return;
    const committed = new CommittedStore(path).peek();
    const document = committed?.source.document;
    if (committed == null || document === undefined || isKnown(current, document)) return;
    const actor = lastCommit(chain)?.actor ?? "unknown";
    const digests = committed.plan.functions.map(({ name }, index) => {
      const used = committed.packages[index] as (typeof committed.packages)[number];
      return [name, this.#packages.keep(used, actor)];
    });
    const added = {
      chain,
      way: "generation" as const,
      declared: document,
      pinned: document,
      packages: Object.fromEntries(digests),
    };
    const origin = this.#revisions.chain(chain)?.origin ?? "api";
    const [revision] = this.#revisions.begin([added], actor, origin) as [Revision];
    this.#revisions.move(revision, "confirmed", "committed at the engine");
  }
}

function isKnown({ pinned }: Revision, document: ChainDocument): boolean {
  return JSON.stringify(pinned) === JSON.stringify(document);
}

/** What the history says of the last change. */
function whyAborted(chain: string): string {
  const last = lastTransitions(chain).findLast(({ state }) => state === "aborted");
  return last === undefined ? "aborted" : `aborted by ${last.actor}: ${last.outcome}`;
}

function lastCommit(chain: string) {
  return lastTransitions(chain).findLast(({ state }) => state === "committed");
}

function lastTransitions(chain: string) {
  const history = new History();
  try {
    return history.list(chain, 20);
  } finally {
    history.close();
  }
}

/** Null: there is no host. */
async function listHosted(): Promise<HostedStatus[] | null> {
  return (await engines.listHosted().catch(ignoreDeath)) ?? null;
}

function ignoreDeath(error: unknown): undefined {
  if (error instanceof SluiceError && error.code === "not-running") return undefined;
  throw error;
}
