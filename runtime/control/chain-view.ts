// Chains as the API shows them: the document that runs, and what has become of it.
import type { ChainDocument } from "../chain/schema.ts";
import { type Fault, SluiceError } from "../errors.ts";
import * as engines from "./engines.ts";
import type { Revision, Revisions } from "./revisions.ts";
import type { Settlement } from "./settlement.ts";

export interface ChainStatus {
  readonly revision: number;
  readonly state: "running" | "stopped" | "failed";
  readonly change: Revision["state"] | null;
  readonly confirmUntil: string | null;
  readonly origin: "api" | "file";
  readonly generation: number | null;
  readonly pid: number | null;
  readonly started: string | null;
  readonly faults: readonly Fault[];
}

export type ChainResource = ChainDocument & { readonly status: ChainStatus };

export class ChainView {
  readonly #revisions: Revisions;
  readonly #settlement: Settlement;
  readonly #problemsOf: (chain: string) => readonly Fault[];

  constructor(revisions: Revisions, settlement: Settlement, problemsOf: (chain: string) => readonly Fault[]) {
    this.#revisions = revisions;
    this.#settlement = settlement;
    this.#problemsOf = problemsOf;
  }

  async list(): Promise<ChainResource[]> {
    const names = this.#revisions.chains().map(({ name }) => name);
    const found = await Promise.all(names.map((name) => this.#find(name)));
    return found.filter((each) => each !== undefined);
  }

  /** Throws not-found. */
  async read(name: string): Promise<ChainResource> {
    const found = await this.#find(name);
    if (found !== undefined) return found;
    throw new SluiceError({ code: "not-found", where: name, what: `there is no chain "${name}"` });
  }

  async #find(name: string): Promise<ChainResource | undefined> {
    await this.#settlement.settle(name);
    const underWay = this.#revisions.underWay(name);
    const current = this.#revisions.confirmed(name) ?? underWay;
    if (current === undefined) return undefined;
    const found = engines.findRunning(name)?.engine;
    const faults = this.#problemsOf(name);
    const status = {
      revision: current.revision,
      state: found !== undefined ? "running" : faults.length > 0 ? "failed" : "stopped",
      change: underWay?.state ?? null,
      confirmUntil: underWay?.confirmUntil ?? null,
      origin: this.#revisions.chain(name)?.origin ?? "api",
      generation: found?.generation ?? null,
      pid: found?.pid ?? null,
      started: found?.started ?? null,
      faults,
    } as const;
    return { ...current.pinned, status };
  }
}
