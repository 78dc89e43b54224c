// What `sluice up` and the process in which the engine runs say to each other, over the channel that Node opens for children.
import type { Fault } from "../errors.ts";
import type { ChainOptions } from "../function/load-chain.ts";

/** Of `sluice up`, as far as the engine is concerned. */
export interface EngineOptions extends ChainOptions {
  readonly json?: boolean;
}

/** The end of an engine that nobody asked for. */
export interface Death {
  readonly pid: number;
  /** A signal's name, or what became of it otherwise. */
  readonly how: string;
  /** Milliseconds since 1970. */
  readonly at: number;
  /** The chain's state folder; absent if none of its engines ever ran. */
  readonly folder?: string | undefined;
}

/** To the engine: what it will be told to run, most likely; and then to run. */
export type EngineOrder = { readonly kind: "prepare"; readonly folder: string } | EngineStart;

export interface EngineStart {
  readonly kind: "start";
  readonly file: string;
  readonly options: EngineOptions;
  readonly death?: Death | undefined;
}

/** From the engine. After `ended`, in order or with what it ended for, it exits, and is not to be started again. */
export type EngineMessage =
  | { readonly kind: "running"; readonly folder: string }
  | { readonly kind: "committed" }
  | { readonly kind: "ended"; readonly faults: readonly Fault[] };

/** The engine's descriptors of what keeps XDP programs attached (LinkKeeper). */
export const KEEPER = { put: 4, take: 5 } as const;
