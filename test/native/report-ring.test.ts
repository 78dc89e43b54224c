import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { REPORT_RING_BYTES } from "../../runtime/dataplane/layout.ts";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import { REPORTS, REPORTS_BYTES, setDropSampling } from "../../runtime/dataplane/reports.ts";
import { type EndedFlow, type Report, ReportReader, type SampledDrop } from "../../runtime/telemetry/report-reader.ts";
import { formatPacket } from "../../runtime/testing/packet-text.ts";
import { ObservedLane } from "../support/observed-lane.ts";

const native = loadAddon();
const packet = (source: number, port: number, rest = "") =>
  `udp 10.0.${source >> 8}.${source & 255}:1000 > 192.0.2.1:${port} ${rest}`;

describe("the reports of a lane", () => {
  let lane: ObservedLane;
  let reader: ReportReader;

  const sample = (every: number, perSecond: number) =>
    setDropSampling(native.openSegment(REPORTS_BYTES, `${lane.found.path}/${REPORTS}`), { sample: every, perSecond });
  const drops = (reports: readonly Report[]) => reports.filter((each): each is SampledDrop => each.kind === "drop");
  const flows = (reports: readonly Report[]) => reports.filter((each): each is EndedFlow => each.kind === "flow");

  beforeEach(async () => {
    lane = await ObservedLane.open();
    reader = new ReportReader(native, lane.found.path);
    sample(1, 1_000_000);
  });
  afterEach(() => lane.close());

  it("say of a flow that ended what the engine knows of it, with exported columns", () => {
    lane.send([packet(1, 80), packet(1, 80, "pad 100"), packet(1, 53)]);
    lane.send(["udp 192.0.2.1:80 > 10.0.0.1:1000"], 5, "out");
    expect(reader.read().filter(({ kind }) => kind !== "drop")).toEqual([]);
    lane.endFlows();
    const ended = flows(reader.read());
    expect(ended.map(({ flow }) => [flow.serial, flow.packets, flow.octets, flow.end, flow.destination.port])).toEqual([
      [1, [2, 1], [142, 42], "shutdown", 80],
      [2, [1, 0], [42, 0], "shutdown", 53],
    ]);
    expect(ended.map(({ columns, flow }) => [columns, flow.columns[0]?.getUint32(0, true)])).toEqual([
      [[{ name: "fn.size", type: "u32" }], 100],
      [[{ name: "fn.size", type: "u32" }], 42],
    ]);
    expect(ended[1]?.flow.reply?.map(({ address, port }) => `${address.join(".")}:${port}`)).toEqual([
      "192.0.2.53:53",
      "203.0.113.1:61000",
    ]);
    expect(reader.lost).toBe(0);
  });

  it("say who dropped a frame and why, with its first bytes", () => {
    lane.send([packet(1, 80), packet(2, 666, "pad 500")]);
    lane.send([packet(3, 80)], 1, "out");
    const [byFunction, byEngine] = drops(reader.read()) as [SampledDrop, SampledDrop];
    expect(byFunction).toMatchObject({
      ...{ function: "fn", reason: "unwanted:7", port: "in", outcome: "drop", oneOf: 1, number: 2, length: 500 },
      ...{ flow: 2, timeNs: lane.now - 1_000_000n },
    });
    expect(byFunction.bytes).toHaveLength(128);
    expect(byEngine).toMatchObject({ function: undefined, reason: "no-path", port: "out", flow: 3 });
    expect(formatPacket(byEngine.bytes)).toContain("udp 10.0.0.3:1000 > 192.0.2.1:80");
  });

  it("tell of events that functions raised, with the flow", () => {
    lane.send([packet(1, 667)]);
    expect(reader.read()).toMatchObject([
      { kind: "event", function: "fn", event: "fn.seen", value: 41, flow: { serial: 1, packets: [1, 0] } },
    ]);
  });

  it("have one in so many drops, and so many in a second", () => {
    sample(10, 5);
    for (let batch = 0; batch < 10; batch++) lane.send(Array.from({ length: 20 }, (_, i) => packet(i, 666)));
    expect(drops(reader.read()).map(({ oneOf }) => oneOf)).toEqual([10, 10, 10, 10, 10]);
    lane.send(
      Array.from({ length: 20 }, (_, i) => packet(i, 666)),
      1000,
    );
    expect(drops(reader.read())).toHaveLength(2);
    sample(0, 5);
    lane.send(
      Array.from({ length: 200 }, (_, i) => packet(i, 666)),
      1000,
    );
    expect(drops(reader.read())).toEqual([]);
  });

  it("are lost to who reads too slowly, who is told how many, and goes on", () => {
    const batches = Math.ceil((1.5 * REPORT_RING_BYTES) / (20 * 192));
    const full = Array.from({ length: 20 }, (_, i) => packet(i, 666, "pad 200"));
    for (let batch = 0; batch < batches; batch++) lane.send(full);
    const late: Report[] = [];
    for (let some = reader.read(); some.length > 0; some = reader.read()) late.push(...some);
    expect(reader.lost).toBeGreaterThan(batches * 5);
    expect(late.length + reader.lost).toBe(batches * 20);
    expect(drops(late).at(-1)?.number).toBe(batches * 20);
    expect(drops(late).every(({ reason, bytes }) => reason === "unwanted:7" && bytes.length === 128)).toBe(true);
    lane.send([packet(1, 667)]);
    expect(reader.read().map(({ kind }) => kind)).toEqual(["event"]);
  });

  it("go on where an earlier lane ended, under the next one's names; serials do, too", async () => {
    lane.send([packet(1, 667), packet(2, 667)]);
    lane.close();
    const next = await ObservedLane.open(undefined, { folder: lane.found.path });
    next.send([packet(1, 667), packet(3, 667)]);
    const again = new ReportReader(native, lane.found.path, "oldest").read();
    const serials = reader.read().map((each) => each.kind === "event" && each.flow.serial);
    next.close();
    // The flows of before are still there, and are counted anew.
    expect(serials).toEqual([1, 2, 3, 5]);
    expect(again).toHaveLength(4);
    lane = await ObservedLane.open();
  });
});
