// What functions and the host say to each other beside batch and results: events, streams, labels, the outbox.
import { afterEach, describe, expect, it } from "vitest";
import { OUTBOX_ADDRESS } from "../../runtime/dataplane/memory-map.ts";
import { openFunction } from "../../runtime/testing/index.ts";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { type ChainFunction, type ChainOptions, type ChainUnderTest, openChain } from "../support/chain-under-test.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const chains: ChainUnderTest[] = [];

async function open(functions: Readonly<Record<string, ChainFunction>>, options?: ChainOptions) {
  const chain = await openChain(functions, options);
  chains.push(chain);
  return chain;
}

afterEach(() => {
  for (const chain of chains.splice(0)) chain.close();
});

const dns = (port: number, to = 53) => `udp 10.0.0.1:${port} > 10.0.0.2:${to}`;
const SECOND = 1_000_000_000n;

/** Raises ids.scan, with the packet's source port, for packets to port 666. */
const ids: ChainFunction = {
  before: 'import { CustomEvent } from "sluice/sdk"; const scan = new CustomEvent("ids.scan");',
  each: `
    const flow = packet.flow;
    if (flow !== null && packet.destinationPort == 666) scan.raise(flow, packet.sourcePort);`,
  manifest: { events: { defines: ["ids.scan"] } },
};

describe("events", () => {
  const counting = (subscribes: readonly string[], body: string): ChainFunction => ({
    before: `
      import { Counter, CustomEvent, EVENT_START, events } from "sluice/sdk";
      const told = new Counter("told");
      const missed = new Counter("missed");
      const sum = new Counter("sum");
      export function nf_events(): void {
        missed.add(events.missed);
        for (let i = 0; i < events.count; i++) { const event = events.at(i); told.add(); ${body} }
      }`,
    manifest: { events: { subscribes } },
  });

  it("of the host are told once, to those that subscribed", async () => {
    const chain = await open({
      starts: counting(["start"], "if (event.kind == EVENT_START) sum.add(event.flow.number);"),
    });
    chain.process(dns(1), dns(1), dns(2));
    chain.process(dns(1), dns(3));
    chain.idle();
    expect(chain.counters("starts")).toEqual({ told: 3, missed: 0, sum: 6 });
  });

  it("of functions are told with their value, and seen at once by the functions that follow", async () => {
    const log = counting(["ids.scan"], "sum.add(event.value);");
    const inline: ChainFunction = {
      before: `
        import { CustomEvent, Reason } from "sluice/sdk";
        const scan = new CustomEvent("ids.scan");
        const seen = new Reason("seen");`,
      each: "if (packet.has(scan.mask)) packet.drop(seen);",
      manifest: { events: { subscribes: ["ids.scan"] } },
    };
    const chain = await open({ log, ids, inline });
    expect(chain.process(dns(7), dns(5, 666), dns(9, 666))).toEqual(["forward out", "drop seen", "drop seen"]);
    expect(chain.process(dns(7))).toEqual(["forward out"]);
    expect(chain.counters("log")).toEqual({ told: 2, missed: 0, sum: 14 });
  });

  it("that found no room are counted, and none is told twice", async () => {
    const many: ChainFunction = {
      ...ids,
      each: `${ids.each}`.replace("scan.raise(", "for (let n = 0; n < 4000; n++) scan.raise("),
    };
    const chain = await open({ many, log: counting(["ids.scan"], "") });
    for (let i = 0; i < 3; i++) chain.process(dns(i, 666));
    for (let i = 0; i < 40; i++) chain.idle();
    const { told = 0, missed = 0 } = chain.counters("log");
    expect(told + missed).toBe(12_000);
    expect(missed).toBeGreaterThan(0);
    expect(told).toBeGreaterThan(4000);
  });

  it("are raised by their definer only", async () => {
    const forger: ChainFunction = { ...ids, manifest: { events: { subscribes: ["ids.scan"] } } };
    const chain = await open({ ids: { ...ids, each: "" }, forger, log: counting(["ids.scan"], "") });
    chain.process(dns(5, 666));
    expect(chain.counters("log")).toEqual({ told: 0, missed: 0, sum: 0 });
    expect(chain.outboxCounters("forger")).toEqual({ refused_messages: 1 });
  });
});

describe("labels", () => {
  const marker: ChainFunction = {
    before: 'import { Label } from "sluice/sdk"; const suspect = new Label("suspect");',
    each: `
      const flow = packet.flow;
      if (flow !== null && packet.length > 100) suspect.set(flow);
      else if (flow !== null && packet.length > 70) suspect.clear(flow);`,
    manifest: { labels: ["suspect"] },
  };

  it("send a flow another way from its next packet on, and only that flow", async () => {
    const rest = `paths:
  - { from: in, match: { labels: [suspect] }, through: [marker], to: in }
  - { from: in, through: [marker], to: out }`;
    const chain = await open({ marker }, { rest });
    expect(chain.process(dns(1), `${dns(1)} zeros 100`, dns(2))).toEqual(["forward out", "forward out", "forward out"]);
    expect(chain.process(dns(1), dns(2))).toEqual(["forward in", "forward out"]);
    expect(chain.process(`${dns(1)} zeros 40`)).toEqual(["forward in"]);
    expect(chain.process(dns(1))).toEqual(["forward out"]);
  });

  it("are seen by the functions that follow in the same batch", async () => {
    const next: ChainFunction = {
      before: `
        import { Label, Reason } from "sluice/sdk";
        const suspect = new Label("suspect");
        const seen = new Reason("seen");`,
      each: "if (suspect.isOn(packet)) packet.drop(seen);",
      manifest: { labels: ["suspect"] },
    };
    const chain = await open({ marker, next });
    expect(chain.process(`${dns(1)} zeros 100`, dns(2))).toEqual(["drop seen", "forward out"]);
  });
});

describe("the outbox", () => {
  const asking = (each: string, before = ""): ChainFunction => ({
    before: `
      import { batch as b, EVENT_START, Flow, LOG_WARN, outbox, Reason } from "sluice/sdk";
      const reply = new Reason("reply");
      const first = new Reason("first");
      ${before}`,
    each: `const flow = packet.flow; if (flow !== null) { ${each} }`,
  });
  const state = "if (packet.has(EVENT_START)) packet.drop(first, flow.number);";

  it("emits frames, past all functions, beside those that go on", async () => {
    const frame = encodePacket('udp 192.0.2.1:1 > 192.0.2.2:2 payload "built"');
    const bytes = [...frame].map((byte, i) => `store<u8>(at, ${byte}, ${i});`).join(" ");
    const emitter = asking(`
      const at = outbox.reserve(${frame.length});
      if (at != 0) { ${bytes} outbox.emit(0, ${frame.length}, flow); }`);
    const chain = await open({ emitter, wall: asking("packet.drop(first);") });
    expect(chain.process(dns(1))).toEqual(["drop first"]);
    expect(chain.drain("in")).toEqual(['udp 192.0.2.1:1 > 192.0.2.2:2 payload "built"']);
    expect(chain.outboxCounters("emitter")).toEqual({});
    expect(chain.lane.audit().intact).toBe(true);
  });

  it("binds a second tuple, and translated replies find their flow", async () => {
    const nat = asking(`
      if (packet.destinationPort == 53 && packet.has(EVENT_START))
        outbox.bind4(flow, 0xc0000235, 53, 0xcb007101, 61000);
      else packet.drop(reply, flow.number * 10 + packet.direction);`);
    const chain = await open({ nat });
    expect(chain.process(dns(5000))).toEqual(["forward out"]);
    expect(chain.process("udp 192.0.2.53:53 > 203.0.113.1:61000")).toEqual(["drop reply:11"]);
    expect(chain.process("udp 10.0.0.2:53 > 10.0.0.1:5000", dns(5000))).toEqual(["drop reply:11", "drop reply:10"]);
    expect(chain.process("udp 192.0.2.53:53 > 203.0.113.1:61001")).toEqual(["drop reply:20"]);
  });

  it("sets a flow's timeout, and ends flows", async () => {
    const chain = await open({
      fn: asking(`
        ${state}
        if (packet.sourcePort == 5) outbox.timeout(flow, 2000);
        if (packet.sourcePort == 6 && packet.length > 70) outbox.close(flow);`),
    });
    const begins = expect.stringMatching(/^drop first/);
    chain.processAt(10n * SECOND, dns(5), dns(6));
    expect(chain.processAt(11n * SECOND, dns(5), dns(6))).toEqual(["forward out", "forward out"]);
    expect(chain.processAt(14n * SECOND, dns(5), dns(6))).toEqual([begins, "forward out"]);
    expect(chain.processAt(15n * SECOND, `${dns(6)} zeros 40`)).toEqual(["forward out"]);
    expect(chain.processAt(16n * SECOND, dns(6))).toEqual([begins]);
  });

  it("takes lines for the operator", async () => {
    const lines: string[] = [];
    const onLog = (name: string, message: string) => lines.push(`${name}: ${message}`);
    const chain = await open({ fn: asking('outbox.log(LOG_WARN, "a flow, größer", flow);') }, { onLog });
    chain.process(dns(1), dns(2));
    expect(lines).toEqual(["fn: a flow, größer", "fn: a flow, größer"]);
  });

  const none = "changetype<Flow>(<usize>4711)";
  it.each([
    ["a flow that does not live", `outbox.close(${none});`, { refused_messages: 1 }],
    ["a port that does not exist", "outbox.reserve(60); outbox.emit(9, 60);", { refused_messages: 1 }],
    ["a frame of no bytes", "outbox.emit(1, 0);", { refused_messages: 1 }],
    ["a frame longer than a slot", "outbox.emit(1, 60000);", { refused_messages: 1 }],
    ["more than it holds", "for (let n = 0; n < 4100; n++) outbox.timeout(flow, 0);", { outbox_overflows: 8 }],
    [
      "a message of an unknown kind",
      `outbox.close(flow); store<u16>(${OUTBOX_ADDRESS + 64}, 99);`,
      { refused_messages: 1 },
    ],
    ["a length of nothing", `outbox.close(flow); store<u32>(${OUTBOX_ADDRESS + 68}, 0);`, { bad_outboxes: 1 }],
    ["a length beyond its end", `outbox.close(flow); store<u32>(${OUTBOX_ADDRESS + 68}, 24);`, { bad_outboxes: 1 }],
    ["more bytes than it has", `store<u32>(${OUTBOX_ADDRESS}, 65536);`, { bad_outboxes: 1 }],
  ])("is counted, and harms nobody, if it asks for %s", async (_, statement, counted) => {
    const chain = await open({ fn: asking(statement) });
    expect(chain.process(dns(1))).toEqual(["forward out"]);
    expect(chain.outboxCounters("fn")).toEqual(counted);
    expect(chain.process(dns(1))).toEqual(["forward out"]);
    expect(chain.lane.audit().intact).toBe(true);
    expect(chain.faults).toEqual([]);
  });
});

describe("streams", () => {
  const client = (words: string) => `tcp 10.0.0.1:5000 > 10.0.0.2:80 ${words}`;
  const server = (words: string) => `tcp 10.0.0.2:80 > 10.0.0.1:5000 ${words}`;
  const handshake = [
    client("syn seq 99"),
    server("syn ack seq 499 ack-number 100"),
    client("ack seq 100 ack-number 500"),
  ];
  const data = (seq: number, text: string) => client(`ack psh seq ${seq} ack-number 500 payload "${text}"`);

  /** Drops, while streams are read, every packet that completes an X; counts the order and the bytes. */
  const matcher: ChainFunction = {
    before: `
      import { chunks, Counter, Reason } from "sluice/sdk";
      const found = new Reason("found");
      const bytes = new Counter("bytes");
      const sum = new Counter("sum");
      const starts = new Counter("starts");
      const late = new Counter("late");
      let streamed = false;
      export function nf_stream(): void {
        streamed = true;
        for (let i = 0; i < chunks.count; i++) {
          const chunk = chunks.at(i);
          if (chunk.isStart) starts.add();
          bytes.add(chunk.length);
          for (let n: u32 = 0; n < chunk.length; n++) {
            sum.add((chunk.offset + n + 1) * load<u8>(chunk.data + n));
            if (load<u8>(chunk.data + n) == 88) batch.packet(chunk.input).drop(found, <u32>chunk.offset + n);
          }
        }
      }`,
    each: "if (!streamed) late.add(); if (i == batch.count - 1) streamed = false;",
    manifest: { stream: true, frames: "read" },
  };
  const sumOf = (text: string) => [...Buffer.from(text)].reduce((sum, byte, i) => sum + (i + 1) * byte, 0);

  it("come in order before the batch that completes them, and a verdict may be given then", async () => {
    const chain = await open({ matcher });
    chain.process(...handshake);
    expect(chain.process(data(100, "hello "), data(106, "world"))).toEqual(["forward out", "forward out"]);
    expect(chain.process(data(113, "C"), data(111, "XB"))).toEqual(["forward out", "drop found:11"]);
    const { bytes, sum, late, starts } = chain.counters("matcher");
    expect([bytes, sum, late]).toEqual([14, sumOf("hello worldXBC"), 0]);
    expect(starts).toBeGreaterThan(0);
  });

  it("are datagrams where the protocol has them", async () => {
    const chain = await open({ matcher });
    expect(chain.process(`${dns(1)} payload "abX"`, `${dns(1)} payload "c"`)).toEqual(["drop found:2", "forward out"]);
    expect(chain.counters("matcher")).toMatchObject({ bytes: 4, starts: 0 });
  });
});

describe("a function that is tested alone", () => {
  const write = (parts: object, each: string, before: string) =>
    makeFolder({
      "alone/index.ts": `
        import { batch, Column, CustomEvent, outbox, Reason } from "sluice/sdk";
        export { nf_abi } from "sluice/sdk/exports";
        const seen = new Reason("seen");
        ${before}
        export function nf_configure(json: string): bool { return json.length > 0; }
        export function nf_process(): void {
          for (let i = 0; i < batch.count; i++) { const packet = batch.packet(i); const flow = packet.flow; ${each} }
        }`,
      "alone/manifest.json": JSON.stringify({
        ...{ name: "alone", version: "1.0.0", abi: 1, description: "x", frames: "none", memoryPages: 16, ...parts },
      }),
    });

  it("reads columns of others as zero, once the test says their types, and may subscribe to their events", async () => {
    const folder = write(
      { columns: { reads: ["nat.port"] }, events: { subscribes: ["ids.scan"] } },
      "if (flow !== null && !packet.has(scan.mask)) packet.drop(seen, port.get(flow) + 1);",
      'const port = new Column<u16>("nat.port"); const scan = new CustomEvent("ids.scan");',
    );
    await expect(openFunction(`${folder}/alone`)).rejects.toThrow('say the type of nat.port: { columns: { "nat.port"');
    const fn = await openFunction(`${folder}/alone`, { columns: { "nat.port": "u16" } });
    expect(fn.process(dns(1))).toEqual(["drop seen:1"]);
    fn.close();
  });

  it("shows the frames that it builds", async () => {
    const bytes = [...encodePacket(dns(9))].map((byte, i) => `store<u8>(at, ${byte}, ${i});`).join(" ");
    const length = encodePacket(dns(9)).length;
    const each = `const at = outbox.reserve(${length}); if (at != 0) { ${bytes} outbox.emit(1, ${length}, flow); }`;
    const fn = await openFunction(`${write({}, each, "seen.number;")}/alone`);
    expect(fn.process(dns(1))).toEqual([`emit out ${dns(9)}`, `next ${dns(1)}`]);
    fn.close();
  });
});
