// What a shadow finds, and that the traffic does not notice it.
import { readFileSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import type { ChainFunction } from "../support/chain-under-test.ts";
import { ShadowedLane } from "../support/shadowed-lane.ts";

let lane: ShadowedLane | undefined;

afterEach(async () => {
  await lane?.close();
  lane = undefined;
});

const FLOWS = 10_000;
const packetOf = (flow: number, rest = "") =>
  `udp 10.${flow >> 8}.${flow & 255}.1:${1024 + (flow % 5000)} > 192.0.2.1:53${rest}`;
const framesOf = (flows: number) => Array.from({ length: flows }, (_, flow) => encodePacket(packetOf(flow)));

/** Counts packets by flow and in all, and drops every seventh of a flow and every thousandth of all. */
const counting = (extra = "", manifest = {}): ChainFunction => ({
  before: `
    import { Column, Reason, Segment } from "sluice/sdk";
    const seen = new Column<u32>("count.seen");
    const total = new Segment("total");
    const seventh = new Reason("seventh");
    const thousandth = new Reason("thousandth");`,
  each: `
    store<u64>(total.address, load<u64>(total.address) + 1);
    const flow = packet.flow;
    if (flow !== null) {
      seen.set(flow, seen.get(flow) + 1);
      if (seen.get(flow) % 7 == 0) packet.drop(seventh);
    }
    if (load<u64>(total.address) % 1000 == 0) packet.drop(thousandth);
    ${extra}`,
  manifest: {
    frames: "write",
    columns: { writes: { "count.seen": "u32" }, reads: ["flow"] },
    segments: { total: { bytes: 8, layout: 1 } },
    ...manifest,
  },
});

describe("a shadow", () => {
  it("finds no difference in the same version with state of flows that began before it", async () => {
    lane = await ShadowedLane.open({ count: counting() });
    const frames = framesOf(FLOWS);
    for (let round = 0; round < 3; round++) lane.sendFrames(frames);
    await lane.shadow({ count: counting() });
    for (let round = 0; round < 5; round++) lane.sendFrames(frames);
    const report = await lane.report();
    expect(report.differences).toEqual([]);
    expect(report).toMatchObject({ compared: 5 * FLOWS, differing: 0, missed: 0, faults: 0, state: "following" });
    console.log(`copied ${report.copiedBytes} bytes in ${report.pauseUs.toFixed(0)} µs; ${report.nsPerPacket} ns`);
  });
});
