// Events, stream chunks and the outbox without the host: both sides of what is exchanged beside batch and results.
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import * as abi from "../../nfs/sdk/abi.ts";
import {
  type AssemblyModule,
  BATCH,
  CHUNKS,
  EVENTS,
  OUTBOX,
  RECORDS,
  runAssembly,
} from "../support/assembly-module.ts";

const source = `
  import { batch, chunks, CustomEvent, EVENT_DATA, EVENT_START, events, Flow, outbox } from "sluice/sdk";
  export { nf_abi } from "sluice/sdk/exports";
  const scan = new CustomEvent("ids.scan");
  const flood = new CustomEvent("ids.flood");
  function flow(number: u32): Flow { return changetype<Flow>(<usize>number); }
  export function starts(i: i32): bool { return batch.packet(i).has(EVENT_START); }
  export function startsOrCarries(i: i32): bool { return batch.packet(i).has(EVENT_START | EVENT_DATA); }
  export function scans(i: i32): bool { return batch.packet(i).has(scan.mask); }
  export function floods(i: i32): bool { return (batch.packet(i).events & flood.mask) != 0; }
  export function raise(number: u32, value: u32): bool { return flood.raise(flow(number), value); }
  export function eventCount(): i32 { return events.count; }
  export function eventsMissed(): u32 { return events.missed; }
  export function event(i: i32, which: i32): u64 {
    const e = events.at(i);
    if (which == 0) return e.time;
    if (which == 1) return e.flow.number;
    if (which == 2) return e.kind;
    return which == 3 ? e.value : e.direction;
  }
  export function isFlood(i: i32): bool { return events.at(i).kind == flood.mask; }
  export function chunkCount(): i32 { return chunks.count; }
  export function chunk(i: i32, which: i32): u64 {
    const c = chunks.at(i);
    if (which == 0) return c.offset;
    if (which == 1) return c.data;
    if (which == 2) return c.length;
    if (which == 3) return c.flow.number;
    if (which == 4) return c.gap;
    return which == 5 ? c.input : c.direction;
  }
  export function chunkFlags(i: i32): u32 {
    const c = chunks.at(i);
    return (c.isStart ? 1 : 0) | (c.isEnd ? 2 : 0) | (c.hasGap ? 4 : 0) | (c.isDatagram ? 8 : 0) | (c.isAmbiguous ? 16 : 0);
  }
  export function bind4(number: u32): bool { return outbox.bind4(flow(number), 0xc0000201, 443, 0x0a000001, 50000); }
  export function bind6(number: u32): bool {
    return outbox.bind6(flow(number), 0x20010db800000000, 1, 53, 0xfe80000000000000, 0xffff, 1024);
  }
  export function reserve(bytes: u32): usize { return outbox.reserve(bytes); }
  export function emit(port: u32, bytes: u32): bool { return outbox.emit(port, bytes); }
  export function emitFor(number: u32, port: u32, bytes: u32): bool { return outbox.emit(port, bytes, flow(number)); }
  export function timeout(number: u32, ms: u32): bool { return outbox.timeout(flow(number), ms); }
  export function close(number: u32): bool { return outbox.close(flow(number)); }
  export function log(level: i32, text: string): bool { return outbox.log(level, text); }
  export function logOf(number: u32, level: i32, text: string): bool { return outbox.log(level, text, flow(number)); }`;

let module: AssemblyModule;
const call = (name: string, ...args: (number | bigint)[]) => module.exports[name]?.(...args);

beforeAll(async () => {
  module = await runAssembly(source);
});

describe("events", () => {
  it.each([
    { events: 0, seen: [0, 0, 0, 0] },
    { events: abi.EVENT_START, seen: [1, 1, 0, 0] },
    { events: abi.EVENT_DATA, seen: [0, 1, 0, 0] },
    { events: abi.EVENT_CUSTOM, seen: [0, 0, 1, 0] },
    { events: 0x80000000, seen: [0, 0, 0, 1] },
  ])("are seen on the packet itself: $events", ({ events, seen }) => {
    module.memory.setUint16(BATCH + abi.BATCH_INPUT, 2, true);
    module.memory.setUint32(RECORDS + 2 * abi.RECORD_BYTES + abi.RECORD_EVENTS, events, true);
    expect(["starts", "startsOrCarries", "scans", "floods"].map((name) => call(name, 0))).toEqual(seen);
  });

  it("come in a batch of their own, with the number of those that were missed", () => {
    module.memory.setUint32(EVENTS + abi.EVENTS_COUNT, 256, true);
    module.memory.setUint32(EVENTS + abi.EVENTS_MISSED, 3, true);
    const last = EVENTS + abi.EVENTS_ENTRIES + 255 * abi.EVENT_ENTRY_BYTES;
    module.memory.setBigUint64(last + abi.EVENT_ENTRY_TIME, 123_456_789_012n, true);
    module.memory.setUint32(last + abi.EVENT_ENTRY_FLOW, 7, true);
    module.memory.setUint32(last + abi.EVENT_ENTRY_EVENT, 0x80000000, true);
    module.memory.setUint32(last + abi.EVENT_ENTRY_VALUE, 42, true);
    module.bytes[last + abi.EVENT_ENTRY_DIRECTION] = 1;
    expect([call("eventCount"), call("eventsMissed")]).toEqual([256, 3]);
    expect([0, 1, 2, 3, 4].map((which) => call("event", 255, which))).toEqual([
      123_456_789_012n,
      7n,
      0x80000000n,
      42n,
      1n,
    ]);
    expect(call("isFlood", 255)).toBe(1);
    expect(last + abi.EVENT_ENTRY_BYTES - EVENTS).toBe(abi.EVENTS_BYTES);
  });
});

describe("chunks", () => {
  it("are where the host writes them, up to the last", () => {
    const last = CHUNKS + abi.CHUNKS_ENTRIES + (abi.CHUNKS_CAPACITY - 1) * abi.CHUNK_BYTES;
    module.memory.setUint32(CHUNKS + abi.CHUNKS_COUNT, abi.CHUNKS_CAPACITY, true);
    module.memory.setBigUint64(last + abi.CHUNK_OFFSET, 0x1122334455667788n, true);
    module.memory.setUint32(last + abi.CHUNK_DATA, 0x10000123, true);
    module.memory.setUint32(last + abi.CHUNK_LENGTH, 1460, true);
    module.memory.setUint32(last + abi.CHUNK_FLOW, 7, true);
    module.memory.setUint32(last + abi.CHUNK_GAP, 99, true);
    module.memory.setUint16(last + abi.CHUNK_INPUT, 200, true);
    module.bytes[last + abi.CHUNK_DIRECTION] = 1;
    expect(call("chunkCount")).toBe(abi.CHUNKS_CAPACITY);
    const fields = [0, 1, 2, 3, 4, 5, 6].map((which) => call("chunk", abi.CHUNKS_CAPACITY - 1, which));
    expect(fields).toEqual([0x1122334455667788n, 0x10000123n, 1460n, 7n, 99n, 200n, 1n]);
    expect(last + abi.CHUNK_BYTES - CHUNKS).toBe(abi.CHUNKS_BYTES);
  });

  it.each([
    ["START", abi.CHUNK_FLAG_START, 1],
    ["END", abi.CHUNK_FLAG_END, 2],
    ["GAP", abi.CHUNK_FLAG_GAP, 4],
    ["DATAGRAM", abi.CHUNK_FLAG_DATAGRAM, 8],
    ["AMBIGUOUS", abi.CHUNK_FLAG_AMBIGUOUS, 16],
  ])("say what they are: %s", (_, flag, expected) => {
    module.bytes[CHUNKS + abi.CHUNKS_ENTRIES + abi.CHUNK_FLAGS] = flag;
    expect(call("chunkFlags", 0)).toBe(expected);
  });
});

interface Message {
  readonly kind: number;
  readonly flags: number;
  readonly flow: number;
  readonly value: number;
  readonly body: Buffer;
}

/** As the host reads it. */
function readOutbox(): Message[] {
  const messages: Message[] = [];
  const used = module.memory.getUint32(OUTBOX + abi.OUTBOX_USED, true);
  for (let at = 0; at < used; ) {
    const head = OUTBOX + abi.OUTBOX_MESSAGES + at;
    const length = module.memory.getUint32(head + abi.MESSAGE_LENGTH, true);
    expect(length % 8).toBe(0);
    messages.push({
      kind: module.memory.getUint16(head + abi.MESSAGE_KIND, true),
      flags: module.memory.getUint16(head + abi.MESSAGE_FLAGS, true),
      flow: module.memory.getUint32(head + abi.MESSAGE_FLOW, true),
      value: module.memory.getUint32(head + abi.MESSAGE_VALUE, true),
      body: Buffer.from(module.bytes.slice(head + abi.MESSAGE_HEAD_BYTES, head + length)),
    });
    at += length;
  }
  return messages;
}

describe("the outbox", () => {
  const room = abi.OUTBOX_BYTES - abi.OUTBOX_MESSAGES;

  beforeEach(() => {
    module.bytes.fill(0xa5, OUTBOX, OUTBOX + abi.OUTBOX_BYTES + 64);
    module.bytes.fill(0, OUTBOX, OUTBOX + 8);
  });

  it("takes what is asked for, in order", () => {
    const asked = [call("timeout", 7, 30_000), call("close", 8), call("raise", 9, 5), call("timeout", 7, 0)];
    expect(asked).toEqual([1, 1, 1, 1]);
    const none = { flags: 0, body: Buffer.alloc(0) };
    expect(readOutbox()).toEqual([
      { ...none, kind: abi.MESSAGE_TIMEOUT, flow: 7, value: 30_000 },
      { ...none, kind: abi.MESSAGE_CLOSE, flow: 8, value: 0 },
      { ...none, kind: abi.MESSAGE_EVENT, flags: 31, flow: 9, value: 5 },
      { ...none, kind: abi.MESSAGE_TIMEOUT, flow: 7, value: 0 },
    ]);
  });

  it("takes a second tuple, addresses in network order and ports in host order", () => {
    expect([call("bind4", 7), call("bind6", 8)]).toEqual([1, 1]);
    const [four, six] = readOutbox().map(({ body }) => body.toString("hex"));
    const none = "00".repeat(12);
    expect(four).toBe(`c0000201${none}0a000001${none}bb0150c300000000`);
    expect(six).toBe(
      "20010db80000000000000000000000 01fe80000000000000000000000000ffff3500000400000000".replace(" ", ""),
    );
    expect(readOutbox().map(({ kind, flow }) => [kind, flow])).toEqual([
      [abi.MESSAGE_BIND, 7],
      [abi.MESSAGE_BIND, 8],
    ]);
  });

  it.each([60, 61, 67, 1514])("takes a frame of %i bytes that was built in place", (bytes) => {
    const at = call("reserve", bytes) as number;
    for (let i = 0; i < bytes; i++) module.bytes[at + i] = i;
    expect(call("emitFor", 7, 1, bytes)).toBe(1);
    const [{ kind, flags, flow, value, body } = readOutbox()[0] as Message] = readOutbox();
    expect([kind, flow, value, body.length - flags]).toEqual([abi.MESSAGE_EMIT, 7, 1, bytes]);
    expect([...body.subarray(0, bytes)]).toEqual(Array.from({ length: bytes }, (_, i) => i & 255));
    expect([...body.subarray(bytes)]).toEqual(Array(flags).fill(0));
  });

  it.each([
    ["ASCII", "port 443 is gone"],
    ["two bytes", "Übergröße"],
    ["three bytes", "→ wan, 5 €"],
    ["four bytes", "🦭 and 𝄞"],
    ["lone surrogates", "\ud83d!\udc00\ud800"],
    ["nothing", ""],
  ])("takes a line of text as UTF-8: %s", (_, text) => {
    expect(call("logOf", 3, abi.LOG_WARN, module.newString(text))).toBe(1);
    const [message] = readOutbox();
    expect(message).toMatchObject({ kind: abi.MESSAGE_LOG, flags: abi.LOG_WARN, flow: 3 });
    expect(message?.body.toString().replace(/\0+$/, "")).toBe(Buffer.from(text).toString());
    expect((message as Message).body.length - Buffer.byteLength(text)).toBeLessThan(8);
  });

  it("takes messages until it is full, says no from then on, and counts what it refused", () => {
    let taken = 0;
    while (call("close", 1) === 1) taken += 1;
    expect(taken).toBe(room / abi.MESSAGE_HEAD_BYTES);
    expect([call("bind4", 1), call("reserve", 1), call("emit", 0, 60), call("log", 1, module.newString("x"))]).toEqual([
      0, 0, 0, 0,
    ]);
    expect(module.memory.getUint32(OUTBOX + abi.OUTBOX_REFUSED, true)).toBe(5);
    expect(readOutbox()).toHaveLength(taken);
    expect([...module.bytes.slice(OUTBOX + abi.OUTBOX_BYTES, OUTBOX + abi.OUTBOX_BYTES + 64)]).toEqual(
      Array(64).fill(0xa5),
    );
  });

  it("takes a frame as large as itself and not a byte more", () => {
    const largest = room - abi.MESSAGE_HEAD_BYTES;
    for (const bytes of [largest + 1, 0x7fffffff, -1]) expect(call("reserve", bytes)).toBe(0);
    expect(call("emit", 1, largest + 1)).toBe(0);
    expect(call("reserve", largest)).toBe(OUTBOX + abi.OUTBOX_MESSAGES + abi.MESSAGE_HEAD_BYTES);
    expect(call("emit", 1, largest)).toBe(1);
    expect(module.memory.getUint32(OUTBOX + abi.OUTBOX_USED, true)).toBe(room);
  });
});
