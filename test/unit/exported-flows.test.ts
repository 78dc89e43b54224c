import { describe, expect, it } from "vitest";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import { ExportedFlows } from "../../runtime/telemetry/exported-flows.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const native = loadAddon();
const told = { startNs: 1_700_000_000_000_000_001n, lastNs: 9n, packets: [1, 2], octets: [3, 2 ** 40] } as const;
const startMs = Number(told.startNs) / 1e6;

describe("what was exported of flows", () => {
  it("is there for the next process, until the collector is another one", () => {
    const folder = makeFolder();
    const first = ExportedFlows.open(native, 1000, folder);
    first.claim("10.0.0.5:4739 1");
    first.note(1000, told, 12345.5);
    const second = ExportedFlows.open(native, 1000, folder);
    second.claim("10.0.0.5:4739 1");
    expect(second.find(1000, told.startNs)).toEqual(told);
    expect(second.reportedMs(1000, startMs)).toBe(12345.5);
    second.claim("10.0.0.6:4739 1");
    expect(second.find(1000, told.startNs)).toBeUndefined();
    expect(second.reportedMs(1000, startMs)).toBeUndefined();
    second.claim("10.0.0.5:4739 1");
    expect(second.find(1000, told.startNs)).toBeUndefined();
  });

  it("is not of a flow that has the number later, nor of one that has none", () => {
    const exported = ExportedFlows.open(native, 10);
    exported.claim("a");
    exported.note(3, told, 1);
    expect(exported.find(3, told.startNs + 1n)).toBeUndefined();
    expect(exported.reportedMs(3, startMs + 2)).toBeUndefined();
    expect(exported.find(4, told.startNs)).toBeUndefined();
    exported.note(100_000, told, 1);
    expect(exported.find(100_000, told.startNs)).toBeUndefined();
  });
});
