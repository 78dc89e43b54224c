// Some flows go through the next generation's functions, the others through those that run; on memory ports.
import { describe, expect, it } from "vitest";
import { parseMatch } from "../../runtime/chain/match-source.ts";
import { type ChainFunction, type ChainUnderTest, openChain } from "../support/chain-under-test.ts";

/** Counts the packets of each flow in a column, all in a segment, and the flows that it was told had closed. */
const counting = (step: number, more = ""): ChainFunction => ({
  before: `
    import { Column, Counter, events, Segment } from "sluice/sdk";
    const count = new Column<u64>("count.packets");
    const total = new Segment("total");
    const packets = new Counter("packets");
    const ended = new Counter("ended");
    const foreign = new Counter("foreign");
    export function nf_events(): void {
      for (let i = 0; i < events.count; i++) {
        const value = count.get(events.at(i).flow);
        ended.add();
        if (value % ${step} != 0 || ${step === 1 ? "value > 100" : "value < 100"}) foreign.add();
      }
    }`,
  each: `
    const flow = packet.flow;
    if (flow !== null) count.set(flow, count.get(flow) + ${step});
    store<u64>(total.address, load<u64>(total.address) + 1);
    packets.add();
    packet.mark = <u32>load<u64>(total.address);
    ${more}`,
  manifest: {
    columns: { writes: { "count.packets": "u64" } },
    segments: { total: { bytes: 8, layout: 1 } },
    events: { subscribes: ["timeout"] },
  },
});

const hashed = (share: number) => ({ share, match: null });
const FLOWS = 400;
const line = (flow: number) => `udp 10.0.${flow >> 8}.${flow & 255}:5000 > 10.1.0.1:53`;
const reply = (flow: number) => `udp 10.1.0.1:53 > 10.0.${flow >> 8}.${flow & 255}:5000`;

/** Which of the flows the next version drops: those are on the canary's side. */
function listCanaries(chain: ChainUnderTest, packetOf = line): number[] {
  const flows = Array.from({ length: FLOWS }, (_, flow) => flow);
  const half = FLOWS / 2;
  const said = [0, half].flatMap((from) => chain.process(...flows.slice(from, from + half).map(packetOf)));
  return flows.filter((flow) => said[flow]?.startsWith("drop"));
}

describe("a canary", () => {
  const dropping = counting(1000, "packet.drop();");

  it("takes its share of the flows, both directions, and keeps them; a larger share has them all, too", async () => {
    const chain = await openChain({ count: counting(1) });
    expect(listCanaries(chain)).toEqual([]);
    await chain.canary({ count: dropping }, hashed(0.25));
    const quarter = listCanaries(chain);
    expect(quarter.length).toBeGreaterThan(FLOWS * 0.15);
    expect(quarter.length).toBeLessThan(FLOWS * 0.35);
    expect(listCanaries(chain)).toEqual(quarter);
    expect(listCanaries(chain, reply)).toEqual(quarter);
    await chain.canary({ count: dropping }, hashed(0.5));
    const half = listCanaries(chain);
    expect(half.length).toBeGreaterThan(FLOWS * 0.4);
    expect(quarter.filter((flow) => !half.includes(flow))).toEqual([]);
    await chain.change({ count: dropping });
    expect(listCanaries(chain)).toHaveLength(FLOWS);
    chain.close();
  });

  it("works on the same counters, columns and segments as what runs", async () => {
    const chain = await openChain({ count: counting(1) });
    listCanaries(chain);
    await chain.canary({ count: counting(1000) }, hashed(0.5));
    listCanaries(chain);
    expect(chain.counters("count")).toMatchObject({ packets: 2 * FLOWS });
    await chain.change({ count: counting(1000) });
    listCanaries(chain);
    expect(chain.counters("count")).toMatchObject({ packets: 3 * FLOWS });
    chain.close();
  });

  it("is told of the events of its own flows, and the other version of the others, each once", async () => {
    const chain = await openChain({ count: counting(1) });
    await chain.canary({ count: counting(1000) }, hashed(0.5));
    listCanaries(chain);
    chain.processAt(600_000_000_000n, "udp 10.9.9.9:1 > 10.9.9.8:1");
    for (let turn = 0; turn < 10; turn++) chain.idle();
    expect(chain.counters("count")).toMatchObject({ ended: FLOWS, foreign: 0 });
    chain.close();
  });

  it("takes the flows that a match takes, and their replies", async () => {
    const chain = await openChain({ count: counting(1) });
    await chain.canary({ count: dropping }, { share: 0, match: parseMatch("{ sources: [10.0.1.0/24] }", "test", []) });
    const expected = Array.from({ length: FLOWS - 256 }, (_, index) => index + 256);
    expect(listCanaries(chain)).toEqual(expected);
    expect(listCanaries(chain, reply)).toEqual(expected);
    chain.close();
  });

  it("leaves a function that stays the same alone: one instance for all flows", async () => {
    const numbering: ChainFunction = {
      before: "let seen: u32 = 0; import { Reason } from 'sluice/sdk'; const seenReason = new Reason('seen');",
      each: "packet.drop(seenReason, ++seen);",
    };
    const chain = await openChain({ count: counting(1), number: numbering });
    await chain.canary({ count: counting(1000) }, hashed(0.5));
    const said = Array.from({ length: 8 }, (_, flow) => chain.process(line(flow))).flat();
    expect(said).toEqual(said.map((_, index) => `drop seen:${index + 1}`));
    expect(chain.lane.plan.functions.map(({ name }) => name)).toEqual(["count", "number", "count:next"]);
    chain.close();
  });

  it("refuses what both versions cannot have at once", async () => {
    const chain = await openChain({ count: counting(1) });
    const other = counting(2);
    const migrating = {
      ...other,
      before: `${other.before}\nexport function nf_migrate(): u32 { return 0; }`,
      manifest: { ...other.manifest, segments: { total: { bytes: 16, layout: 2, migratesFrom: [1] } } },
    };
    await expect(chain.canary({ count: migrating }, hashed(0.5))).rejects.toThrow(
      'a canary shares the state with what runs, and the segment "total" would be migrated',
    );
    await expect(chain.canary({ count: other }, hashed(0.5), `${paths}\nflows: { midstream: false }`)).rejects.toThrow(
      "a canary cannot have others",
    );
    chain.close();
  });
});

const paths = "paths: [{ from: in, through: [count], to: out }]";
