// One change on one or more chains, on the engines: all of it, or nothing.
//
//   load ──▶ switchover ──▶ commit        each for every chain before the next begins
//     └─────────┴──▶ undo
//
// A chain that does not run yet, or has to be stopped for its change, is started at the switchover.
import { SluiceError } from "../errors.ts";
import type { HostedChain } from "../generation/host-socket.ts";
import type { CanaryRequest } from "../generation/upgrade-socket.ts";
import type { UpgradeStatus } from "../generation/upgrade-status.ts";
import * as engines from "./engines.ts";
import type { Way } from "./planning.ts";

export interface Part {
  readonly chain: string;
  readonly way: Exclude<Way, "none" | "settings">;
  readonly next: HostedChain;
  /** What is to run if it is taken back; undefined if nothing is. */
  readonly before: HostedChain | undefined;
}

export interface DeploymentOptions {
  readonly actor: string;
  /** State that cannot be taken over begins anew. */
  readonly cold: boolean;
  /** Goes back by itself. */
  readonly confirmWithinMs?: number | undefined;
  readonly shadow?: { readonly abortOn: readonly string[] } | undefined;
}

export interface SwitchOptions {
  readonly canary?: CanaryRequest | undefined;
  readonly abortOn?: readonly string[] | undefined;
}

export class Deployment {
  readonly #parts: readonly Part[];
  readonly #options: DeploymentOptions;
  /** Chains whose engine was stopped or started for it. */
  readonly #touched: Set<string>;

  /** `isFound`: another process began it, and nobody knows how far it came. */
  constructor(parts: readonly Part[], options: DeploymentOptions, isFound = false) {
    this.#parts = parts;
    this.#options = options;
    this.#touched = new Set(isFound ? parts.map(({ chain }) => chain) : []);
  }

  /** Throws what is wrong with the first that is refused; the others are taken back then. */
  async load(): Promise<readonly UpgradeStatus[]> {
    const { actor, cold, shadow, confirmWithinMs: commitWithinMs } = this.#options;
    const loaded = this.#withTraffic().map(({ chain, next }) =>
      engines.load(chain, { ...next, cold, shadow, commitWithinMs }, actor),
    );
    return this.#allOrNothing(loaded);
  }

  /** When it resolves, everything carries traffic. Returns when the first of it goes back unless it is confirmed. */
  async switchover(options: SwitchOptions = {}): Promise<{ confirmUntil: string | null; pauseUs: number | null }> {
    const { actor } = this.#options;
    const switched = this.#withTraffic().map(({ chain }) =>
      engines.ask(chain, { step: "switchover", ...options }, actor),
    );
    const statuses = await this.#allOrNothing(switched);
    const hosted = await this.#allOrNothing(this.#parts.filter((part) => part.way !== "generation").map(this.#start));
    const times = [
      ...statuses.map(({ commitUntil }) => commitUntil),
      ...hosted.map(({ confirmUntil }) => confirmUntil),
    ];
    const pauses = statuses.map(({ pauseUs }) => pauseUs).filter((pauseUs) => pauseUs !== null);
    return {
      confirmUntil: times.filter((time) => time !== null).toSorted()[0] ?? null,
      pauseUs: pauses.length === 0 ? null : Math.max(...pauses),
    };
  }

  /** If it fails, what has been committed of it is taken back; what has not stays as it is, if nothing has. */
  async commit(): Promise<void> {
    const commits = this.#withTraffic().map(({ chain }) => engines.commit(chain, this.#options.actor));
    const results = await Promise.allSettled(commits);
    const failed = results.find((result) => result.status === "rejected");
    if (failed !== undefined) {
      if (results.some((result) => result.status === "fulfilled")) await this.undo().catch(() => {});
      throw failed.reason;
    }
    for (const { chain, way } of this.#parts) if (way !== "generation") await engines.confirm(chain);
  }

  async commitOrUndo(): Promise<void> {
    try {
      await this.commit();
    } catch (error) {
      await this.undo().catch(() => {});
      throw error;
    }
  }

  /** Everything as it was. Throws what could not be taken back. */
  async undo(): Promise<void> {
    const results = await Promise.allSettled(this.#parts.map((part) => this.#undoPart(part)));
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  #withTraffic(): readonly Part[] {
    return this.#parts.filter(({ way }) => way === "generation");
  }

  readonly #start = async ({ chain, way, next, before }: Part) => {
    this.#touched.add(chain);
    if (way === "restart") await engines.stop(chain);
    return engines.start({ ...next, confirmWithinMs: this.#options.confirmWithinMs, fallback: before });
  };

  async #undoPart({ chain, way, next, before }: Part): Promise<void> {
    if (way !== "generation") {
      if (!this.#touched.has(chain)) return;
      await engines.stop(chain);
      if (before !== undefined) await engines.start(before);
      return;
    }
    // Whoever sees to it that everything runs starts what does not.
    if (engines.findRunning(chain) === undefined) return;
    const status = await engines.statusOf(chain);
    // Another change, which this one met, is none of its business.
    if (status.nextSource?.file === next.file) await engines.ask(chain, { step: "abort" }, this.#options.actor);
    else if (status.source.file === next.file && before !== undefined) await goBackTo(before, this.#options.actor);
  }

  /** Waits for all of them, whatever becomes of any. */
  async #allOrNothing<Result>(steps: readonly Promise<Result>[]): Promise<Result[]> {
    const results = await Promise.allSettled(steps);
    const failed = results.find((result) => result.status === "rejected");
    if (failed === undefined) return results.map((result) => (result as PromiseFulfilledResult<Result>).value);
    await this.undo().catch(() => {});
    throw failed.reason;
  }
}

/** From a change that is committed already, by another change; where that cannot be, by another start. */
export async function goBackTo(before: HostedChain, actor: string): Promise<void> {
  const { chain, file, functions } = before;
  try {
    await engines.load(chain, { file, functions, cold: true }, actor);
  } catch (error) {
    if (!(error instanceof SluiceError) || error.code !== "change-refused") throw error;
    await engines.stop(chain);
    await engines.start(before);
    return;
  }
  await engines.ask(chain, { step: "switchover" }, actor);
  await engines.commit(chain, actor);
}
