// The schema of `telemetry` in a chain document: what is measured, logged and exported. None of it is part of a plan.

import { type Static, Type } from "typebox";
import { telemetryDefaults as defaults } from "./telemetry-defaults.ts";

const closed = { additionalProperties: false };
const HOUR_S = 3600;
// 1 … 65535
const PORT = "[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]";

function number(value: number, minimum: number, maximum: number, description: string) {
  return Type.Optional(Type.Integer({ minimum, maximum, default: value, description }));
}

function flag(value: boolean, description: string) {
  return Type.Optional(Type.Boolean({ default: value, description }));
}

const metrics = Type.Object(
  {
    histograms: flag(defaults.metrics.histograms, "Time per packet and packets per batch, by function."),
    counters: flag(defaults.metrics.counters, "Counters that functions declared."),
    flows: flag(defaults.metrics.flows, "Flows by state: the flow table is looked through for each scrape."),
    rings: flag(defaults.metrics.rings, "How full the rings with the devices are."),
  },
  { ...closed, description: "Groups of /metrics that may be left out. The others are always there." },
);

const drops = Type.Object(
  {
    sample: number(defaults.drops.sample, 0, 0xffff_ffff, "One of so many drops is reported; 0: none."),
    perSecond: number(defaults.drops.perSecond, 1, 100_000, "Drops that are reported in a second at the most."),
  },
  { ...closed, description: "Which drops are reported, to the EVE log and whoever else listens. All are counted." },
);

const eve = Type.Object(
  {
    file: Type.String({
      pattern: "^/.*\\.(json|jsonl|log)$",
      title: "an absolute path that ends with .json, .jsonl or .log",
      description: "Lines are appended.",
    }),
    types: Type.Optional(
      Type.Array(Type.Enum(["alert", "flow", "drop"]), {
        default: [...defaults.eve.types],
        uniqueItems: true,
        description: "alert: events that functions raised; flow: flows that ended; drop: sampled drops.",
      }),
    ),
  },
  { ...closed, description: "A log in the shape of Suricata's EVE." },
);

const ipfix = Type.Object(
  {
    collector: Type.String({
      pattern: `^(\\[[0-9A-Fa-f:.]+\\]|[^\\s:\\[\\]]+):(${PORT})$`,
      title: "HOST:PORT, an IPv6 address in brackets",
      description: "Where messages go, over UDP.",
    }),
    biflow: flag(defaults.ipfix.biflow, "One record for both directions (RFC 5103); false: one for each."),
    activeTimeoutS: number(defaults.ipfix.activeTimeoutS, 1, HOUR_S, "How often flows are reported that go on."),
    templateEveryS: number(defaults.ipfix.templateEveryS, 1, HOUR_S, "How often the templates are sent again."),
    observationDomain: number(defaults.ipfix.observationDomain, 0, 0xffff_ffff, "The observation domain's id."),
  },
  { ...closed, description: "Flows as IPFIX (RFC 7011)." },
);

export const telemetrySchema = Type.Optional(
  Type.Object(
    {
      metrics: Type.Optional(metrics),
      drops: Type.Optional(drops),
      eve: Type.Optional(eve),
      ipfix: Type.Optional(ipfix),
    },
    { ...closed, description: "What is measured, logged and exported. May be changed without a new generation." },
  ),
);

export type TelemetryDeclaration = Static<typeof telemetrySchema>;
