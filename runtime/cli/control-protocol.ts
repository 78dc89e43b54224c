// What `sluice up` and the control process that it starts say to each other.
import type { ControlOptions, NamedChain } from "../control/control.ts";
import type { Fault } from "../errors.ts";

export interface ControlOrder {
  readonly options: ControlOptions;
  readonly named: readonly NamedChain[];
  /** Their documents are declared; otherwise they only go on running. */
  readonly isFirst: boolean;
}

export type ControlMessage =
  | { readonly kind: "listening"; readonly address: string | null; readonly tokenFile: string }
  | { readonly kind: "refused"; readonly faults: readonly Fault[] };
