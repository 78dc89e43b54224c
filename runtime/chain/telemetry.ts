// `telemetry` of a chain document, with a default for all that is not said.

import type { ChainDocument } from "./schema.ts";
import { telemetryDefaults as defaults } from "./telemetry-defaults.ts";

export type EveType = "alert" | "flow" | "drop";

export interface TelemetrySettings {
  readonly metrics: {
    readonly histograms: boolean;
    readonly counters: boolean;
    readonly flows: boolean;
    readonly rings: boolean;
  };
  readonly drops: { readonly sample: number; readonly perSecond: number };
  /** Null: no log is written. */
  readonly eve: { readonly file: string; readonly types: readonly EveType[] } | null;
  /** Null: nothing is exported. */
  readonly ipfix: IpfixSettings | null;
}

export interface IpfixSettings {
  readonly host: string;
  readonly port: number;
  readonly biflow: boolean;
  readonly activeTimeoutS: number;
  readonly templateEveryS: number;
  readonly observationDomain: number;
}

/** Of a document whose shape is sound. */
export function planTelemetry({ telemetry = {} }: Pick<ChainDocument, "telemetry">): TelemetrySettings {
  const { metrics, drops, eve, ipfix } = telemetry;
  return {
    metrics: { ...defaults.metrics, ...metrics },
    drops: { ...defaults.drops, ...drops },
    eve: eve === undefined ? null : { ...defaults.eve, ...eve },
    ipfix: ipfix === undefined ? null : planIpfix(ipfix),
  };
}

function planIpfix({
  collector,
  ...rest
}: NonNullable<NonNullable<ChainDocument["telemetry"]>["ipfix"]>): IpfixSettings {
  const [, host = "", port = ""] = /^\[?(.*?)\]?:(\d+)$/.exec(collector) ?? [];
  return { ...defaults.ipfix, ...rest, host, port: Number(port) };
}
