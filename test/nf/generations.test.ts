// What goes on and what begins anew when one generation follows another between two batches.
import { afterEach, describe, expect, it } from "vitest";
import { turn } from "../../runtime/dataplane/breathe.ts";
import type { MemoryPort } from "../../runtime/dataplane/native.ts";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { type ChainFunction, type ChainUnderTest, openChain } from "../support/chain-under-test.ts";

let chain: ChainUnderTest | undefined;

afterEach(() => {
  chain?.close();
  chain = undefined;
});

const packet = "udp 10.0.0.1:5000 > 10.0.0.2:53";

/** Counts packets in a segment of `width` bytes and says the sum in a gauge. */
const counting = (step: number, width: 4 | 8, migration = "", manifest = {}): ChainFunction => ({
  before: `
    import { Column, Gauge, PreviousSegment, Segment } from "sluice/sdk";
    const table = new Segment("table");
    const seen = new Column<u32>("count.seen");
    const sum = new Gauge("sum");
    const ofFlow = new Gauge("of_flow");
    ${migration}`,
  each: `
    const total = <u64>load<u${width * 8}>(table.address) + ${step};
    store<u${width * 8}>(table.address, <u${width * 8}>total);
    sum.value = total;
    const flow = packet.flow;
    if (flow !== null) { seen.set(flow, seen.get(flow) + ${step}); ofFlow.value = seen.get(flow); }`,
  manifest: {
    columns: { writes: { "count.seen": "u32" }, reads: ["flow"] },
    segments: { table: { bytes: width, layout: width === 4 ? 1 : 2, ...manifest } },
  },
});

const migration = (from: number, to: number) => `
  export function nf_migrate(): u32 {
    const old = new PreviousSegment("table");
    if (old.layout != ${from === 32 ? 1 : 2}) return 1;
    store<u${to}>(table.address, <u${to}>load<u${from}>(old.address));
    return 0;
  }`;

describe("a generation after another", () => {
  it("has the columns and segments of the one before, and its counters", async () => {
    chain = await openChain({ count: counting(1, 4) });
    for (let i = 0; i < 3; i++) chain.process(packet);
    await chain.change({ count: counting(10, 4) });
    chain.process(packet);
    expect(chain.counters("count")).toEqual({ sum: 13, of_flow: 13 });
  });

  it("does not take the last batch of the one before for its own", async () => {
    chain = await openChain({ count: counting(1, 4) });
    // Two within a millisecond: after the second, functions do not tick.
    for (const time of [1_000_000n, 1_000_001n]) {
      (chain.lane.ports[0] as MemoryPort).inject(encodePacket(packet), time);
      turn(chain.lane);
    }
    await chain.change({ count: counting(1, 4) });
    chain.process(packet);
    expect(chain.counters("count")).toEqual({ sum: 3, of_flow: 3 });
  });

  it("makes its own layout of the one before, and the one before makes it back", async () => {
    chain = await openChain({ count: counting(1, 4) });
    for (let i = 0; i < 3; i++) chain.process(packet);
    await chain.change({ count: counting(1, 8, migration(32, 64), { migratesFrom: [1] }) });
    chain.process(packet);
    expect(chain.counters("count")).toEqual({ sum: 4, of_flow: 4 });
    await chain.change({ count: counting(1, 4, migration(64, 32), { migratesFrom: [2] }) });
    chain.process(packet);
    expect(chain.counters("count")).toEqual({ sum: 5, of_flow: 5 });
  });

  it("migrates a large segment between batches, and knows all entries meanwhile", async () => {
    const ENTRIES = 64;
    const perPort = (bits: 32 | 64, more: string, manifest = {}): ChainFunction => ({
      before: `
        import { Gauge, PreviousSegment, Segment } from "sluice/sdk";
        const table = new Segment("table");
        const old = new PreviousSegment("table");
        const value = new Gauge("value");
        const calls = new Gauge("calls");
        function at(i: u32): usize { return table.address + i * ${bits / 8}; }
        ${more}`,
      each: `
        const index = <u32>packet.sourcePort % ${ENTRIES};
        ${more === "" ? "" : "if (index >= load<u32>(done)) { value.value = <u64>load<u32>(old.address + index * 4); continue; }"}
        store<u${bits}>(at(index), load<u${bits}>(at(index)) + 1);
        value.value = <u64>load<u${bits}>(at(index));`,
      manifest: { segments: { table: { bytes: (ENTRIES * bits) / 8 + 8, layout: bits, ...manifest } } },
    });
    const lazily = `
      const done = table.address + ${ENTRIES * 8};
      export function nf_migrate(): u32 { return 0; }
      export function nf_migrate_more(): u32 {
        calls.value = calls.value + 1;
        const until = min<u32>(load<u32>(done) + 10, ${ENTRIES});
        for (let i = load<u32>(done); i < until; i++) store<u64>(at(i), <u64>load<u32>(old.address + i * 4));
        store<u32>(done, until);
        return ${ENTRIES} - until;
      }`;
    chain = await openChain({ count: perPort(32, "") });
    const count = (port: number) => {
      chain?.process(`udp 10.0.0.1:${port} > 10.0.0.2:53`);
      return chain?.counters("count").value;
    };
    for (let port = 0; port < ENTRIES; port++) for (let round = 0; round <= port % 3; round++) count(port);
    await chain.change({ count: perPort(64, lazily, { migratesFrom: [32] }) });
    expect(count(62)).toBe(3); // not migrated yet: it is the old one
    for (let round = 0; round < 10; round++) count(0);
    expect(chain.counters("count").calls).toBe(7);
    expect([count(0), count(1), count(62)]).toEqual([12, 3, 4]);
    await chain.change({ count: perPort(64, lazily, { migratesFrom: [32] }) });
    expect(count(62)).toBe(5);
  });

  it("begins with zeros in place of a segment whose migration traps, and runs", async () => {
    chain = await openChain({ count: counting(1, 4) });
    chain.process(packet);
    const trap = "export function nf_migrate(): u32 { store<u64>(table.address, 7); unreachable(); return 0; }";
    await chain.change({ count: counting(1, 8, trap, { migratesFrom: [1] }) });
    expect(chain.process(packet)).toEqual(["forward out"]);
    expect(chain.counters("count")).toEqual({ sum: 1, of_flow: 2 });
  });

  it("may have functions that the one before had not, in another order, and without what it had", async () => {
    const label = {
      each: "suspect.set(packet.flow!);",
      before: 'import { Label } from "sluice/sdk"; const suspect = new Label("suspect");',
      manifest: { labels: ["suspect"], columns: { reads: ["flow"] } },
    };
    chain = await openChain({ count: counting(1, 4) });
    chain.process(packet);
    await chain.change({ mark: label }, "paths: [{ from: in, through: [mark, count], to: out }]");
    chain.process(packet);
    await chain.change(
      {},
      "paths: [{ from: in, match: { labels: [suspect] }, through: [count], to: in }, { from: in, through: [mark], to: out }]",
    );
    expect(chain.process(packet)).toEqual(["forward in"]);
    expect(chain.counters("count")).toEqual({ sum: 3, of_flow: 3 });
  });

  it("is told of events that came up before it", async () => {
    const listener = (name: string): ChainFunction => ({
      before: `
        import { Counter, events } from "sluice/sdk";
        const told = new Counter("${name}");
        export function nf_events(): void { told.add(events.count); }`,
      manifest: { events: { subscribes: ["start"] } },
    });
    chain = await openChain({ count: listener("first") });
    chain.process(packet);
    await chain.change({ count: listener("second") });
    chain.process("udp 10.0.0.1:5001 > 10.0.0.2:53");
    chain.idle();
    const { first = 0, second = 0 } = chain.counters("count");
    expect(first + second).toBe(2);
  });

  it("leaves everything as it was if a function refuses its configuration", async () => {
    chain = await openChain({ count: counting(1, 4) });
    chain.process(packet);
    const refusing = { before: 'throw new Error("no");' };
    await expect(chain.change({ count: refusing })).rejects.toThrow("trapped while it was configured");
    expect(chain.process(packet)).toEqual(["forward out"]);
    expect(chain.lane.audit().intact).toBe(true);
  });
});
