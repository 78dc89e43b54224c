// What a shadow finds, and that the traffic does not notice it.
import { readFileSync } from "node:fs";
import { afterEach, describe, expect, it } from "vitest";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import { encodePacket, formatPacket } from "../../runtime/testing/packet-text.ts";
import type { ChainFunction } from "../support/chain-under-test.ts";
import { ShadowedLane } from "../support/shadowed-lane.ts";
import { until } from "../support/until.ts";

let lane: ShadowedLane | undefined;

afterEach(async () => {
  await lane?.close();
  lane = undefined;
});

const FLOWS = 10_000;
const packetOf = (flow: number, rest = "") =>
  `udp 10.${flow >> 8}.${flow & 255}.1:${1024 + (flow % 5000)} > 192.0.2.1:53${rest}`;
const framesOf = (flows: number) => Array.from({ length: flows }, (_, flow) => encodePacket(packetOf(flow)));

/** Counts packets by flow and in all, and drops every seventh and eleventh of a flow and every thousandth of all. */
const counting = (extra = ""): ChainFunction => ({
  before: `
    import { Column, Reason, Segment } from "sluice/sdk";
    const seen = new Column<u32>("count.seen");
    const total = new Segment("total");
    const seventh = new Reason("seventh");
    const eleventh = new Reason("eleventh");
    const thousandth = new Reason("thousandth");`,
  each: `
    store<u64>(total.address, load<u64>(total.address) + 1);
    const flow = packet.flow;
    if (flow !== null) {
      seen.set(flow, seen.get(flow) + 1);
      if (seen.get(flow) % 7 == 0) packet.drop(seventh);
      if (flow.packets(0) % 11 == 0) packet.drop(eleventh);
    }
    if (load<u64>(total.address) % 1000 == 0) packet.drop(thousandth);
    ${extra}`,
  manifest: {
    frames: "write",
    columns: { writes: { "count.seen": "u32" }, reads: ["flow"] },
    segments: { total: { bytes: 8, layout: 1 } },
  },
});

function isGone(attach: () => void): boolean {
  try {
    attach();
    return false;
  } catch {
    return true;
  }
}

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
    // The seventh of each flow, and some of all.
    expect(report.dropped).toBeGreaterThan(FLOWS);
    console.log(`${report.copiedBytes} bytes of state copied in ${report.pauseUs.toFixed(0)} µs`);
  });

  it("answers for others as its lane does, and sees frames as they leave the chain", async () => {
    lane = await ShadowedLane.open({ count: counting() }, "", ", answersFor: [10.0.0.0/24, 203.0.113.1]");
    await lane.shadow({ count: counting() });
    const router = "02:00:00:00:00:fe";
    const own = "02:53:4c:00:00:00";
    lane.send(
      `ether ${router} > ff:ff:ff:ff:ff:ff arp who-has 203.0.113.1 tell 203.0.113.254`,
      `ether ${router} > ${own} arp reply 203.0.113.254 to 0.0.0.0`,
      `ether ${router} > ${own} udp 198.51.100.1:53 > 10.0.0.5:5000`,
      `ether ${router} > ${own} udp 198.51.100.1:53 > 10.0.0.6:5000`,
    );
    const report = await lane.report();
    expect(report.differences).toEqual([]);
    expect(report).toMatchObject({ compared: 4, differing: 0, dropped: 0 });
  });

  it("finds none either if traffic goes on while the state is copied", async () => {
    lane = await ShadowedLane.open({ count: counting() });
    const frames = framesOf(FLOWS);
    lane.sendFrames(frames.slice(150));
    // Flows that begin and go on meanwhile.
    await lane.shadow({ count: counting() }, { meanwhile: frames.slice(0, 300), ringBytes: 1 << 26 });
    for (let round = 0; round < 7; round++) lane.sendFrames(frames);
    const report = await lane.report();
    expect(report).toMatchObject({ differences: [], missed: 0, faults: 0, state: "following" });
    expect(report.compared).toBe(report.frames);
    expect(report.dropped).toBeGreaterThan(FLOWS / 2);
  });

  const planted = "packet.sourcePort == 4242 && load<u8>(packet.start + 27) == 3 && load<u8>(packet.start + 28) == 42";

  it.each([
    ["drops", "packet.drop(seventh)", "forward out", "drop count seventh", null],
    ["changes a byte of", "store<u8>(packet.start + 45, 0x21)", "forward out", "forward out", "payload"],
    ["changes the TTL of", "store<u8>(packet.start + 22, 63)", "forward out", "forward out", "network"],
    ["cuts", "packet.trim(4)", "forward out", "forward out", "length"],
    ["sends back", "packet.transmit(0)", "forward out", "forward in", null],
  ])("names the one flow in 10 000 which the next version %s", async (_, change, live, next, rewrite) => {
    lane = await ShadowedLane.open({ count: counting() });
    const victim = 3 * 256 + 42;
    const lines = Array.from({ length: FLOWS }, (_, flow) =>
      flow === victim ? packetOf(flow).replace(/:\d+ >/, ":4242 >") : packetOf(flow),
    ).map((line) => `${line} payload "hello"`);
    const frames = lines.map((line) => encodePacket(line));
    lane.sendFrames(frames);
    await lane.shadow({ count: counting(`if (${planted}) ${change};`) });
    for (let round = 0; round < 3; round++) lane.sendFrames(frames);
    const report = await lane.report();
    expect(report).toMatchObject({ compared: 3 * FLOWS, differing: 3, missed: 0, faults: 0 });
    expect(report.differences).toMatchObject([{ live, next, rewrite, frames: 3, flows: 1 }]);
    const [example] = report.differences[0]?.examples ?? [];
    expect(formatPacket(example?.received as Uint8Array)).toBe(lines[victim]);
    expect(example?.number).toBe(FLOWS + victim + 1);
  });

  it("never changes what the traffic's functions have", async () => {
    lane = await ShadowedLane.open({ count: counting() });
    const frames = framesOf(500);
    lane.sendFrames(frames);
    const file = (name: string) => readFileSync(`${lane?.folder}/${name}`);
    await lane.shadow({
      count: counting("store<u64>(total.address, 0xdeadbeef); if (flow !== null) seen.set(flow, 77777);"),
    });
    lane.sendFrames(frames);
    await lane.report();
    expect(file("segment-count-count-total-1-8").readBigUInt64LE()).toBe(1000n);
    const column = file("column-count.seen-u32");
    const values = Array.from({ length: 501 }, (_, flow) => column.readUInt32LE(flow * 4));
    expect(new Set(values)).toEqual(new Set([0, 2]));
  });

  it("gives its ring back when it ends, and does not wait for the garbage collector", async () => {
    const native = loadAddon();
    lane = await ShadowedLane.open({ count: counting() });
    await lane.shadow({ count: counting() });
    lane.sendFrames(framesOf(10));
    const id = lane.shadowed.mirror;
    expect(isGone(() => native.attachMirror(id).close())).toBe(false);
    await lane.endShadow();
    await until(() => {
      lane?.sendFrames(framesOf(1));
      return isGone(() => native.attachMirror(id).close());
    });
    expect(lane.shadowed.report.missed).toBe(0);
  });

  it("that traps is a fault of its own, and is quarantined as the function would be", async () => {
    lane = await ShadowedLane.open({ count: counting() });
    await lane.shadow({ count: counting("if (packet.sourcePort == 1030) unreachable();") });
    for (let round = 0; round < 20; round++) lane.sendFrames(framesOf(10));
    const report = await lane.report();
    expect(report).toMatchObject({ state: "following", faults: 16, compared: 200 });
    expect(new Set(report.differences.map(({ next }) => next))).toEqual(
      new Set(["fault count fault", "drop quarantined"]),
    );
    expect(lane.lane.faults).toEqual([]);
  });

  it("that does not return is ended, and the traffic goes on", async () => {
    lane = await ShadowedLane.open({ count: counting() });
    await lane.shadow({ count: counting("if (packet.sourcePort == 1030) while (true) {}") });
    lane.sendFrames(framesOf(5));
    lane.sendFrames(framesOf(10));
    const report = await lane.report();
    expect(report).toMatchObject({ state: "ended", why: "count (count@1.0.0) did not return", faults: 1 });
    const sent = lane.lane.native.received;
    lane.sendFrames(framesOf(10));
    expect(lane.lane.native.received).toBe(sent + 10);
    expect(lane.lane.audit()).toMatchObject({ intact: true });
  });

  it("that is too slow gets whole flows or nothing of them", async () => {
    const perFlow: ChainFunction = {
      before: `
        import { Column, Reason } from "sluice/sdk";
        const seen = new Column<u32>("count.seen");
        const seventh = new Reason("seventh");`,
      each: `
        const flow = packet.flow!;
        seen.set(flow, seen.get(flow) + 1);
        if (seen.get(flow) % 7 == 0) packet.drop(seventh);`,
      manifest: { columns: { writes: { "count.seen": "u32" }, reads: ["flow"] } },
    };
    lane = await ShadowedLane.open({ count: perFlow });
    await lane.shadow({ count: perFlow }, { ringBytes: 1 << 17 });
    for (let round = 0; round < 21; round++) lane.sendFrames(framesOf(3000));
    const report = await lane.report();
    expect(report.missed).toBeGreaterThan(0);
    expect(report.frames + report.missed).toBe(63_000);
    expect(report.compared).toBe(report.frames);
    expect(report.differences).toEqual([]);
  });

  it("makes its own layout of a segment, as the next version will", async () => {
    const drops = (width: 4 | 8, layout: number, migration = ""): ChainFunction => ({
      before: `
        import { PreviousSegment, Reason, Segment } from "sluice/sdk";
        const total = new Segment("total");
        const tenth = new Reason("tenth");
        ${migration}`,
      each: `
        store<u${width * 8}>(total.address, load<u${width * 8}>(total.address) + 1);
        if (load<u${width * 8}>(total.address) % 10 == 0) packet.drop(tenth);`,
      manifest: { segments: { total: { bytes: width, layout, ...(layout === 1 ? {} : { migratesFrom: [1] }) } } },
    });
    const migration = `
      export function nf_migrate(): u32 {
        store<u64>(total.address, <u64>load<u32>(new PreviousSegment("total").address));
        return 0;
      }`;
    lane = await ShadowedLane.open({ count: drops(4, 1) });
    lane.sendFrames(framesOf(7));
    await lane.shadow({ count: drops(8, 2, migration) });
    lane.sendFrames(framesOf(100));
    expect(await lane.report()).toMatchObject({ compared: 100, dropped: 10, differing: 0, faults: 0 });
  });

  it("compares streams of flows that began after it, and says how many frames it left out", async () => {
    const inspecting: ChainFunction = {
      before: `
        import { chunks, Reason } from "sluice/sdk";
        const late = new Reason("late");
        let isLate = false;
        export function nf_stream(): void {
          isLate = false;
          for (let i = 0; i < chunks.count; i++) if (chunks.at(i).offset > 2) isLate = true;
        }`,
      each: "if (isLate) packet.drop(late);",
      manifest: { frames: "read", stream: true },
    };
    const datagram = (port: number) => `udp 10.0.0.1:${port} > 10.0.0.2:53 payload "four"`;
    lane = await ShadowedLane.open({ inspect: inspecting });
    for (let i = 0; i < 3; i++) lane.send(datagram(1));
    await lane.shadow({ inspect: inspecting });
    for (let i = 0; i < 5; i++) for (const port of [1, 2]) lane.send(datagram(port));
    const report = await lane.report();
    expect(report).toMatchObject({ frames: 10, compared: 5, skipped: 5, differing: 0 });
    expect(report.dropped).toBeGreaterThan(0);
  });

  it("lets fragments wait as the lane does", async () => {
    const fragments = (id: number) => [
      `ip 10.0.0.1 > 10.0.0.2 proto udp frag id ${id} offset 32 payload "later"`,
      `udp 10.0.0.1:5000 > 10.0.0.2:53 udp-length 45 frag id ${id} more zeros 24`,
    ];
    lane = await ShadowedLane.open({ count: counting() });
    await lane.shadow({ count: counting() });
    lane.send(...fragments(1), packetOf(1));
    lane.send(...fragments(2));
    lane.send(packetOf(2));
    const report = await lane.report();
    expect(report).toMatchObject({ differing: 0, missed: 0, frames: 6, compared: 4, skipped: 2 });
  });

  it("compares frames without a flow, too", async () => {
    const noop: ChainFunction = {};
    lane = await ShadowedLane.open({ noop });
    await lane.shadow({ noop });
    lane.send(packetOf(1), "arp who-has 10.0.0.2 tell 10.0.0.1");
    expect(await lane.report()).toMatchObject({ compared: 2, differing: 0 });
  });
});
