// What a function was not given it cannot reach: columns, segments, events and streams of other functions.
import { describe, expect, it } from "vitest";
import { EVENTS_BYTES, FLOW_BYTES } from "../../nfs/sdk/abi.ts";
import { placeWindows } from "../../runtime/chain/windows.ts";
import {
  CHUNKS_ADDRESS,
  EVENTS_ADDRESS,
  FRAMES_ADDRESS,
  OUTBOX_ADDRESS,
  WINDOWS_ADDRESS,
} from "../../runtime/dataplane/memory-map.ts";
import type { SluiceError } from "../../runtime/errors.ts";
import type { Manifest } from "../../runtime/function/manifest.ts";
import { type ChainFunction, type ChainUnderTest, openChain } from "../support/chain-under-test.ts";

const web = "tcp 10.0.0.1:5000 > 10.0.0.2:80 syn";
const answer = "tcp 10.0.0.2:80 > 10.0.0.1:5000 syn ack";
const dns = "udp 10.0.0.1:6000 > 10.0.0.2:53";
const outOfBounds = "memory access out of bounds";

async function withChain(chain: Promise<ChainUnderTest>, use: (chain: ChainUnderTest) => void): Promise<void> {
  const open = await chain;
  try {
    use(open);
  } finally {
    open.close();
  }
}

/** Writes the source port of a flow's first packet. */
const nat: ChainFunction = {
  before: 'import { Column, EVENT_START } from "sluice/sdk"; const port = new Column<u16>("nat.port");',
  each: `
    const flow = packet.flow;
    if (flow !== null && packet.has(EVENT_START)) port.set(flow, <u16>packet.sourcePort);`,
  manifest: { columns: { writes: { "nat.port": "u16" } } },
};

/** Drops every packet with its flow's value as detail. */
const ids: ChainFunction = {
  before: `
    import { Column, Reason } from "sluice/sdk";
    const port = new Column<u16>("nat.port");
    const seen = new Reason("seen");`,
  each: "const flow = packet.flow; if (flow !== null) packet.drop(seen, port.get(flow));",
  manifest: { columns: { reads: [{ name: "nat.port", type: "u16" }] } },
};

/** Reaches for an address that it was not told, as wide as a byte. */
const reach = (address: number): ChainFunction => ({
  each: `if (load<u8>(${address}) == 77) unreachable();`,
});
const overwrite = (address: number, manifest: ChainFunction["manifest"] = {}): ChainFunction => ({
  each: `store<u8>(${address}, 1);`,
  manifest,
});

describe("a column", () => {
  it("takes a value from one function to another, per flow and in both directions", async () => {
    await withChain(openChain({ nat, ids }), (chain) => {
      expect(chain.process(web, dns, answer)).toEqual(["drop seen:5000", "drop seen:6000", "drop seen:5000"]);
      expect(chain.process(answer, dns)).toEqual(["drop seen:5000", "drop seen:6000"]);
      expect(chain.faults).toEqual([]);
    });
  });

  it("is zero again when its flow's number belongs to a new flow", async () => {
    const first: ChainFunction = {
      ...nat,
      each: "const flow = packet.flow; if (flow !== null && packet.sourcePort == 6000) port.set(flow, 6000);",
    };
    const rest = "paths: [{ from: in, through: [nat, ids], to: out }]\nflows: { capacity: 1 }";
    await withChain(openChain({ nat: first, ids }, { rest }), (chain) => {
      expect(chain.process(dns)).toEqual(["drop seen:6000"]);
      expect(chain.process(dns.replace("6000", "7000"))).toEqual(["drop seen"]);
      expect(chain.process(dns)).toEqual(["drop seen:6000"]);
    });
  });

  it("traps whom it was not given to, wherever that function got the address from", async () => {
    await withChain(openChain({ nat, ids, spy: reach(WINDOWS_ADDRESS + 2) }), (chain) => {
      expect(placeWindows(chain.plan).columns[0]?.address).toBe(WINDOWS_ADDRESS);
      expect(chain.process(web)).toEqual(["drop seen:5000"]);
    });
    await withChain(openChain({ nat, spy: reach(WINDOWS_ADDRESS + 2) }), (chain) => {
      expect(chain.process(web)).toEqual(["fault fault"]);
      expect(chain.faults).toEqual([`spy: ${outOfBounds}`]);
    });
  });

  it("traps a reader that writes it, and the value stays what it was", async () => {
    const forger: ChainFunction = {
      ...ids,
      each: `
        const flow = packet.flow;
        if (flow !== null && packet.destinationPort == 666) port.set(flow, 1);
        else if (flow !== null) packet.drop(seen, port.get(flow));`,
    };
    await withChain(openChain({ nat, ids: forger }), (chain) => {
      expect(chain.process(web)).toEqual(["drop seen:5000"]);
      expect(chain.process("udp 10.0.0.1:1 > 10.0.0.2:666")).toEqual(["fault fault"]);
      expect(chain.faults).toEqual([`ids: ${outOfBounds}`]);
      expect(chain.process(web)).toEqual(["drop seen:5000"]);
    });
  });

  it("ends where its pages end", async () => {
    const rest = "paths: [{ from: in, through: [nat], to: out }]\nflows: { capacity: 2047 }";
    const inside = { ...nat, each: `store<u16>(${WINDOWS_ADDRESS + 2047 * 2}, 1);` };
    await withChain(openChain({ nat: inside }, { rest }), (chain) =>
      expect(chain.process(dns)).toEqual(["forward out"]),
    );
    const outside = { ...nat, each: `store<u16>(${WINDOWS_ADDRESS + 2048 * 2}, 1);` };
    await withChain(openChain({ nat: outside }, { rest }), (chain) =>
      expect(chain.process(dns)).toEqual(["fault fault"]),
    );
  });

  it("that a manifest does not name is refused while the function is configured", async () => {
    const faults = await openChain({ nat, ids: { ...ids, manifest: {} } }).then(
      () => [],
      (error) => (error as SluiceError).faults,
    );
    expect(faults).toHaveLength(1);
    expect(faults[0]?.code).toBe("function-fault");
    expect(faults[0]?.what).toContain("the manifest declares no column nat.port with values of 2 bytes");
  });
});

describe("the host's record of a flow", () => {
  const reader: ChainFunction = {
    before: 'import { Reason } from "sluice/sdk"; const seen = new Reason("seen");',
    each: `
      const flow = packet.flow;
      if (flow !== null) packet.drop(seen, <u32>(flow.packets(0) * 100 + flow.packets(1) * 10) + flow.ipVersion);`,
    manifest: { columns: { reads: ["flow"] } },
  };

  it("is read by who declared it", async () => {
    await withChain(openChain({ reader }), (chain) => {
      expect(chain.process(dns, dns)).toEqual(["drop seen:204", "drop seen:204"]);
      expect(chain.process("udp 10.0.0.2:53 > 10.0.0.1:6000")).toEqual(["drop seen:214"]);
    });
  });

  it("is written by nobody, and not seen by others", async () => {
    const forger = overwrite(WINDOWS_ADDRESS + FLOW_BYTES, { columns: { reads: ["flow"] } });
    await withChain(openChain({ forger }), (chain) => expect(chain.process(dns)).toEqual(["fault fault"]));
    const spy = reach(WINDOWS_ADDRESS + FLOW_BYTES);
    await withChain(openChain({ spy, reader }), (chain) => expect(chain.process(dns)).toEqual(["fault fault"]));
  });
});

describe("a segment", () => {
  const manifest = { segments: { table: { bytes: 5000, layout: 1 } } };
  const counting = (reason: string): ChainFunction => ({
    before: `
      import { Reason, Segment } from "sluice/sdk";
      const table = new Segment("table");
      const ${reason} = new Reason("${reason}");`,
    each: `
      store<u32>(table.address, load<u32>(table.address) + 1);
      if (packet.destinationPort == 666) unreachable();
      if (packet.destinationPort == 53) packet.drop(${reason}, load<u32>(table.address));`,
    manifest,
  });

  it("is its function's own, and outlives an instance that traps", async () => {
    const rest = `paths:
  - { from: in, match: { destinationPorts: [80] }, through: [a], to: out }
  - { from: in, through: [b], to: out }`;
    await withChain(openChain({ a: counting("a"), b: counting("b") }, { rest }), (chain) => {
      expect(chain.process(web, web)).toEqual(["forward out", "forward out"]);
      expect(chain.process(dns)).toEqual(["drop b:1"]);
      expect(chain.process("udp 10.0.0.1:1 > 10.0.0.2:666")).toEqual(["fault fault"]);
      expect(chain.process(dns)).toEqual(["drop b:3"]);
    });
  });

  it("ends where its pages end, and is not there for others", async () => {
    const first = WINDOWS_ADDRESS;
    const write = (address: number) => openChain({ a: overwrite(address, manifest) });
    await withChain(write(first + 8191), (chain) => expect(chain.process(dns)).toEqual(["forward out"]));
    await withChain(write(first + 8192), (chain) => expect(chain.process(dns)).toEqual(["fault fault"]));
    await withChain(write(first - 1), (chain) => expect(chain.process(dns)).toEqual(["fault fault"]));
    await withChain(openChain({ a: counting("a"), spy: reach(first) }), (chain) =>
      expect(chain.process(web)).toEqual(["fault fault"]),
    );
  });
});

describe("the pages that a function and the host exchange", () => {
  const subscriber = { events: { subscribes: ["start"] } };
  const before = 'import { chunks, events } from "sluice/sdk";';

  it.each([
    ["events", "events.count", {}, "fault fault"],
    ["events", "events.count", subscriber, "forward out"],
    ["chunks", "chunks.count", {}, "fault fault"],
    ["chunks", "chunks.count", { stream: true, frames: "read" }, "forward out"],
  ])("are there for whom the manifest asks: %s with %s and %j", async (_, read, manifest, outcome) => {
    const stream = "stream" in manifest ? "export function nf_stream(): void {}" : "";
    const fn: ChainFunction = {
      before: before + stream,
      each: `if (${read} == -1) unreachable();`,
      manifest: manifest as Partial<Manifest>,
    };
    await withChain(openChain({ fn }), (chain) => expect(chain.process(dns)).toEqual([outcome]));
  });

  it.each([
    ["the events", EVENTS_ADDRESS, subscriber],
    ["the chunks", CHUNKS_ADDRESS, { stream: true, frames: "read" }],
    ["what follows the events", EVENTS_ADDRESS + Math.ceil(EVENTS_BYTES / 4096) * 4096, subscriber],
    ["what precedes the outbox", OUTBOX_ADDRESS - 1, {}],
    ["what precedes the frames", FRAMES_ADDRESS - 1, {}],
  ])("are not written by the function: %s", async (_, address, manifest) => {
    const stream = "stream" in manifest ? "export function nf_stream(): void {}" : "";
    const fn: ChainFunction = { ...overwrite(address, manifest as Partial<Manifest>), before: stream };
    await withChain(openChain({ fn }), (chain) => expect(chain.process(dns)).toEqual(["fault fault"]));
  });
});
