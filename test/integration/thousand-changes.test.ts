// Many changes of generation under traffic, of every kind: nothing is lost, comes twice or late, and no connection breaks.
// SLUICE_CHANGES says how many; by default as many as 10 s hold.
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { networkObstacle } from "../../runtime/testing/network.ts";
import { BackgroundTraffic, backgroundObstacle } from "../support/background-traffic.ts";
import { type ChainChange, type ChangeCost, makeChange, writeChanges } from "../support/chain-changes.ts";
import { makeCountingFunctions, totalSegment } from "../support/counting-function.ts";
import { NumberedTraffic } from "../support/numbered-traffic.ts";
import { RunningEngine, readFlows, readTop } from "../support/running-engine.ts";
import { makeFolder } from "../support/temporary-folder.ts";
import { createTwoSides, type TwoSides } from "../support/two-sides.ts";

const obstacle = networkObstacle() ?? backgroundObstacle();
const wanted = Number(process.env.SLUICE_CHANGES ?? 0);
const RATE = 10_000;
const FLOWS = 16;
const SECONDS = 10;
/** Room for what comes while other processes have the lane's core: this test is about changes. */
const RING = 4096;

describe.skipIf(obstacle !== null)(`a thousand changes${obstacle === null ? "" : ` (skipped: ${obstacle})`}`, () => {
  let sides: TwoSides;
  let engine: RunningEngine | undefined;

  beforeEach(async () => {
    sides = await createTwoSides(8);
  });

  afterEach(async () => {
    engine?.dispose();
    engine = undefined;
    await sides.network.close();
  });

  /** So many changes, or those that fit into so many seconds. */
  const makeChanges = async (running: RunningEngine, cycle: readonly ChainChange[]) => {
    const costs: ChangeCost[] = [];
    const until = performance.now() + SECONDS * 1000;
    const isEnough = () => (wanted > 0 ? costs.length >= wanted : performance.now() > until);
    while (!isEnough()) costs.push(await makeChange(running, cycle[costs.length % cycle.length] as ChainChange));
    return costs;
  };

  it("loses, doubles and reorders no packet, and breaks no connection", async () => {
    const functions = await makeCountingFunctions({ version: "1.0.0", step: 1 }, { version: "2.0.0", step: 1 });
    const { first, cycle } = writeChanges(makeFolder(), { ringSize: RING });
    const running = await RunningEngine.start(sides.box, first, { functions });
    engine = running;
    const background = await BackgroundTraffic.start(sides, "50M");
    const numbered = await NumberedTraffic.start(sides, { rate: RATE, flows: FLOWS });
    const costs = await makeChanges(running, cycle);
    const packets = await numbered.stop();
    const { transfer, downloads, pings } = await background.stop();
    const { drops, counters, ports } = await readTop(running);
    const ringFull = ports.reduce((sum, { dropped }) => sum + dropped, 0);

    const pauses = costs.map(({ pauseUs }) => pauseUs).toSorted((a, b) => a - b);
    const at = (share: number) => pauses[Math.floor((pauses.length - 1) * share)]?.toFixed(0);
    console.log(
      `${costs.length} changes in ${packets.seconds.toFixed(1)} s; pause median ${at(0.5)} µs, 99 % ${at(0.99)} µs, longest ${at(1)} µs; ` +
        `${packets.sent} packets: ${packets.lost} lost, ${packets.duplicates} twice, ${packets.reordered} late ` +
        `(${packets.overflowed} not taken from the socket in time; ${ringFull} frames found the rings full); ${(transfer.bytes / 1e6).toFixed(0)} MB by TCP, ` +
        `${transfer.retransmits} sent again; ${downloads.done} downloads; ${pings.answered} pings`,
    );
    expect(packets).toMatchObject({ lost: 0, duplicates: 0, reordered: 0 });
    expect(packets.sent).toBeGreaterThan(0.9 * RATE * packets.seconds);
    expect(pings).toMatchObject({ missing: 0, duplicates: 0 });
    expect(pings.answered).toBeGreaterThan(100);
    expect(downloads.failed).toEqual([]);
    expect(downloads.done).toBeGreaterThan(2);
    expect(transfer.error).toBeNull();
    expect(transfer.bytes).toBeGreaterThan(20e6);
    expect(costs.length).toBeGreaterThan(cycle.length);

    expect(drops).toEqual([]);
    // What every generation counted, in its segment, its counter and its column.
    const total = Number(readFileSync(`${running.chainFolder}/${totalSegment("count")}`).readBigUInt64LE());
    expect(counters.find(({ name }) => name === "counted")?.value).toBe(total);
    expect(await countOfFlows(running)).toBe(packets.sent);
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
  }, 900_000);
});

/** The sum of the column over the numbered packets' flows. */
async function countOfFlows(engine: RunningEngine): Promise<number> {
  const column = readFileSync(`${engine.chainFolder}/column-counting.count-u64`);
  const flows = (await readFlows(engine, "udp")).filter(({ dest_port }) => dest_port === 9000);
  return flows.reduce((sum, { flow }) => sum + Number(column.readBigUInt64LE(Number(flow) * 8)), 0);
}
