// What a chain's telemetry is unless its document says otherwise: all that is cheap, and nothing leaves the machine.

export const telemetryDefaults = {
  metrics: { histograms: true, counters: true, flows: true, rings: true },
  drops: { sample: 100, perSecond: 50 },
  eve: { types: ["alert", "flow", "drop"] },
  ipfix: { biflow: true, activeTimeoutS: 60, templateEveryS: 60, observationDomain: 1 },
} as const;
