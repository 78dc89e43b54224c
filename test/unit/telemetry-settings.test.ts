import { describe, expect, it } from "vitest";
import { parseDocument } from "../../runtime/chain/document.ts";
import { planTelemetry, type TelemetrySettings } from "../../runtime/chain/telemetry.ts";

const document = (telemetry: string) =>
  parseDocument(
    `chain: edge\nports: { lan: { device: lan0 } }\npaths: [{ from: lan, to: none }]\n${telemetry}`,
    "c.yaml",
  );
const read = (telemetry: string): TelemetrySettings => planTelemetry(document(telemetry).value);
const faults = (telemetry: string) => document(telemetry).faults.map(({ where, what }) => `${where}: ${what}`);

describe("telemetry of a chain document", () => {
  it("has what is cheap on, and exporters off, unless it says otherwise", () => {
    const all = { histograms: true, counters: true, flows: true, rings: true };
    expect(read("")).toEqual({ metrics: all, drops: { sample: 100, perSecond: 50 }, eve: null, ipfix: null });
    expect(read("telemetry: { metrics: { flows: false }, drops: { sample: 1 } }")).toMatchObject({
      metrics: { ...all, flows: false },
      drops: { sample: 1, perSecond: 50 },
    });
  });

  it("names a log and a collector", () => {
    const { eve, ipfix } = read(`telemetry:
  eve: { file: /var/log/sluice/edge.json, types: [alert] }
  ipfix: { collector: "[2001:db8::5]:4739", activeTimeoutS: 5 }`);
    expect(eve).toEqual({ file: "/var/log/sluice/edge.json", types: ["alert"] });
    expect(ipfix).toMatchObject({ host: "2001:db8::5", port: 4739, activeTimeoutS: 5, templateEveryS: 60 });
    expect(read("telemetry: { ipfix: { collector: 'flows.example:2055' } }").ipfix).toMatchObject({
      ...{ host: "flows.example", port: 2055 },
    });
  });

  it("says what is wrong with it, and where", () => {
    expect(faults("telemetry: { eve: { file: eve.json } }")).toEqual([expect.stringContaining("absolute path")]);
    expect(faults("telemetry: { ipfix: { collector: here } }")).toEqual([expect.stringContaining("HOST:PORT")]);
    expect(faults("telemetry: { drop: { sample: 1 } }")).toEqual([expect.stringContaining('"drop"')]);
    expect(faults("telemetry: { drops: { sample: -1 } }")).toHaveLength(1);
  });
});
