// Packets without the host: what a verdict writes, and what pushing and pulling headers does to a frame.
import { beforeAll, describe, expect, it } from "vitest";
import * as abi from "../../nfs/sdk/abi.ts";
import {
  type AssemblyModule,
  BATCH,
  COUNTERS,
  FRAMES,
  RECORDS,
  RESULTS,
  runAssembly,
  SLOT_BYTES,
} from "../support/assembly-module.ts";

const source = `
  import { batch, Counter, CounterArray, Gauge, Reason, lane, laneCount, portCount, seed } from "sluice/sdk";
  export { nf_abi } from "sluice/sdk/exports";
  const denied = new Reason("denied");
  const odd = new Reason("odd");
  const frames = new Counter("frames");
  const level = new Gauge("level", "of=water");
  const hits = new CounterArray("hits", ["rule=1", "rule=2"]);
  export function count(): i32 { return batch.count; }
  export function time(): u64 { return batch.time; }
  export function place(): u64 { return seed + lane + laneCount + portCount; }
  export function next(i: i32): void { batch.packet(i).next(); }
  export function drop(i: i32): void { batch.packet(i).drop(); }
  export function dropOdd(i: i32, detail: u32): void { batch.packet(i).drop(odd, detail); }
  export function host(i: i32): void { batch.packet(i).host(denied); }
  export function transmit(i: i32, port: u32): void { batch.packet(i).transmit(port); }
  export function branch(i: i32, branch: u32): void { batch.packet(i).branch(branch); }
  export function mark(i: i32, mark: u32): void { batch.packet(i).mark = mark; }
  export function getMark(i: i32): u32 { return batch.packet(i).mark; }
  export function rewritten(i: i32): void { batch.packet(i).rewritten(); }
  export function both(): void {
    const first = batch.packet(0);
    const second = batch.packet(1);
    first.drop(denied, 1);
    second.drop(odd, 2);
  }
  export function push(i: i32, bytes: u32): usize { return batch.packet(i).push(bytes); }
  export function pull(i: i32, bytes: u32): bool { return batch.packet(i).pull(bytes); }
  export function extend(i: i32, bytes: u32): usize { return batch.packet(i).extend(bytes); }
  export function trim(i: i32, bytes: u32): bool { return batch.packet(i).trim(bytes); }
  export function insert(i: i32, offset: u32, bytes: u32): usize { return batch.packet(i).insert(offset, bytes); }
  export function remove(i: i32, offset: u32, bytes: u32): bool { return batch.packet(i).remove(offset, bytes); }
  export function start(i: i32): usize { return batch.packet(i).start; }
  export function size(i: i32): u32 { return batch.packet(i).size; }
  export function headroom(i: i32): u32 { return batch.packet(i).headroom; }
  export function tailroom(i: i32): u32 { return batch.packet(i).tailroom; }
  export function touch(): void { frames.add(); frames.add(4); level.value = 9; level.subtract(2); hits.add(1, 3); hits.at(0).add(); }
  export function views(i: i32): u32 {
    const p = batch.packet(i);
    return (p.ethernet ? 1 : 0) | (p.vlanTag(0) ? 2 : 0) | (p.arp ? 4 : 0) | (p.ipv4 ? 8 : 0) | (p.ipv6 ? 16 : 0)
      | (p.tcp ? 32 : 0) | (p.udp ? 64 : 0) | (p.icmp ? 128 : 0) | (p.icmpv6 ? 256 : 0) | (p.sctp ? 512 : 0);
  }`;

const HEADROOM = 256;
const LENGTH = 60;
/** Records of the batch: packet 0 is record 5, packet 1 is record 300. */
const INPUT = [5, 300];

describe("packets", () => {
  let module: AssemblyModule;
  const call = (name: string, ...args: number[]) => module.exports[name]?.(...args) as number;
  const frameOf = (packet: number) => FRAMES + packet * SLOT_BYTES + HEADROOM;
  const result = (packet: number) =>
    Buffer.from(module.bytes.slice(RESULTS + packet * 16, RESULTS + packet * 16 + 16)).toString("hex");

  function present(fields: Readonly<Record<number, number>> = {}): void {
    const { memory, bytes } = module;
    memory.setUint32(BATCH + abi.BATCH_COUNT, INPUT.length, true);
    memory.setBigUint64(BATCH + abi.BATCH_TIME, 123_456_789_012n, true);
    bytes.fill(0, RESULTS, RESULTS + 0x1000);
    INPUT.forEach((record, packet) => {
      const at = RECORDS + record * abi.RECORD_BYTES;
      memory.setUint16(BATCH + abi.BATCH_INPUT + packet * 2, record, true);
      memory.setUint32(at + abi.RECORD_FRAME, frameOf(packet), true);
      memory.setUint32(at + abi.RECORD_LENGTH, LENGTH, true);
      for (const [offset, value] of Object.entries(fields)) bytes[at + Number(offset)] = value;
      bytes.fill(0xa5, frameOf(packet) - HEADROOM, frameOf(packet) - HEADROOM + SLOT_BYTES);
      for (let i = 0; i < LENGTH; i++) bytes[frameOf(packet) + i] = i;
    });
  }

  beforeAll(async () => {
    module = await runAssembly(source);
  });

  it("know the batch and their place", () => {
    present();
    expect(call("count")).toBe(2);
    expect(module.exports.time?.()).toBe(123_456_789_012n);
    expect(module.exports.place?.()).toBe(0x0123456789abcdefn + 1n + 2n + 2n);
  });

  it.each([
    { call: "next", args: [], bytes: "00000000000000000000000000000000" },
    { call: "drop", args: [], bytes: "01000000000000000000000000000000" },
    { call: "dropOdd", args: [0x11223344], bytes: "01000200000000000000000044332211" },
    { call: "host", args: [], bytes: "04000100000000000000000000000000" },
    { call: "transmit", args: [3], bytes: "02000000030000000000000000000000" },
    { call: "branch", args: [2], bytes: "03000000020000000000000000000000" },
    { call: "mark", args: [0xfffffffe], bytes: "000400000000000000000000feffffff" },
    { call: "rewritten", args: [], bytes: "00020000000000000000000000000000" },
  ])("write $bytes for $call($args), and nothing into other results", ({ call: name, args, bytes }) => {
    present();
    call(name, 1, ...args);
    expect([result(0), result(1)]).toEqual(["00".repeat(16), bytes]);
  });

  it("may be held side by side", () => {
    present();
    call("both");
    expect([result(0), result(1)]).toEqual(["01000100000000000000000001000000", "01000200000000000000000002000000"]);
  });

  it("read the mark that an earlier function set", () => {
    present({ [abi.RECORD_MARK]: 7 });
    expect(call("getMark", 0)).toBe(7);
  });

  it("are pushed into the headroom, and no further", () => {
    present();
    expect(call("push", 1, 4)).toBe(frameOf(1) - 4);
    expect([call("start", 1), call("size", 1), call("headroom", 1)]).toEqual([frameOf(1) - 4, 64, 252]);
    expect(result(1)).toBe("000300000000fcff4000000000000000");
    expect(call("push", 1, 253)).toBe(0);
    expect(call("push", 1, 252)).toBe(frameOf(1) - 256);
    expect([call("size", 1), call("headroom", 1)]).toEqual([316, 0]);
  });

  it("are pulled until one byte is left", () => {
    present();
    expect(call("pull", 0, 14)).toBe(1);
    expect([call("start", 0), call("size", 0)]).toEqual([frameOf(0) + 14, 46]);
    expect(call("pull", 0, 46)).toBe(0);
    expect(call("pull", 0, 45)).toBe(1);
    expect(result(0)).toBe("0003000000003b000100000000000000");
  });

  it("are extended into the tailroom and trimmed", () => {
    present();
    expect(call("tailroom", 0)).toBe(SLOT_BYTES - HEADROOM - LENGTH);
    expect(call("extend", 0, 4)).toBe(frameOf(0) + LENGTH);
    expect(call("extend", 0, SLOT_BYTES)).toBe(0);
    expect(call("trim", 0, 10)).toBe(1);
    expect([call("size", 0), call("start", 0)]).toEqual([54, frameOf(0)]);
    expect(call("trim", 0, 54)).toBe(0);
  });

  it.each([1, 4, 8, 20])("open a gap of %i bytes for a header without touching a byte outside", (gap) => {
    present();
    expect(call("insert", 0, 12, gap)).toBe(frameOf(0) - gap + 12);
    const first = frameOf(0) - gap;
    const head = module.bytes.slice(first, first + 12);
    expect([...head]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    const rest = module.bytes.slice(first + 12 + gap, frameOf(0) + LENGTH);
    expect([...rest]).toEqual(Array.from({ length: 48 }, (_, i) => i + 12));
    expect(module.bytes[first - 1]).toBe(0xa5);
    expect(module.bytes[frameOf(0) + LENGTH]).toBe(0xa5);
  });

  it.each([1, 4, 8, 20])("close a gap of %i bytes again", (gap) => {
    present();
    expect(call("remove", 0, 12, gap)).toBe(1);
    const bytes = module.bytes.slice(call("start", 0), call("start", 0) + call("size", 0));
    const expected = [
      ...Array.from({ length: 12 }, (_, i) => i),
      ...Array.from({ length: 48 - gap }, (_, i) => i + 12 + gap),
    ];
    expect([...bytes]).toEqual(expected);
    expect(call("remove", 0, 0xfffffff0, 0x20)).toBe(0);
  });

  it.each([
    { what: "a bare frame", fields: {}, views: 1 },
    { what: "a tagged frame", fields: { [abi.RECORD_VLAN_COUNT]: 1 }, views: 3 },
    {
      what: "ARP",
      fields: { [abi.RECORD_ETHER_TYPE]: 0x06, [abi.RECORD_ETHER_TYPE + 1]: 0x08, [abi.RECORD_L3_OFFSET]: 14 },
      views: 5,
    },
    { what: "TCP over IPv4", fields: ip(4, 6, 34), views: 1 | 8 | 32 },
    { what: "UDP over IPv6", fields: ip(6, 17, 54), views: 1 | 16 | 64 },
    { what: "ICMP", fields: ip(4, 1, 34), views: 1 | 8 | 128 },
    { what: "ICMPv6", fields: ip(6, 58, 54), views: 1 | 16 | 256 },
    { what: "SCTP", fields: ip(4, 132, 34), views: 1 | 8 | 512 },
    {
      what: "raw IPv4 without a link header",
      fields: { ...ip(4, 17, 20), [abi.RECORD_LINK]: abi.LINK_RAW },
      views: 8 | 64,
    },
  ])("have the views of $what and no others", ({ fields, views }) => {
    present({ ...none(), ...fields });
    expect(call("views", 0)).toBe(views);
  });

  it("have no transport view in a later fragment", () => {
    present({ ...none(), ...ip(4, 17, 34), [abi.RECORD_L4_OFFSET]: 0xff, [abi.RECORD_L4_OFFSET + 1]: 0xff });
    expect(call("views", 0)).toBe(1 | 8);
  });

  it("are counted in the host's pages", () => {
    call("touch");
    const values = module.counters.map((name, index) => [
      name,
      Number(module.memory.getBigUint64(COUNTERS + index * 8, true)),
    ]);
    expect(Object.fromEntries(values)).toEqual({
      "frames{}": 5,
      "level{of=water}": 7,
      "hits{rule=1}": 1,
      "hits{rule=2}": 3,
    });
    expect(module.reasons).toEqual(["unspecified", "denied", "odd"]);
  });
});

/** A record of a frame that nothing is known of. */
function none(): Record<number, number> {
  const offsets = [abi.RECORD_L3_OFFSET, abi.RECORD_L4_OFFSET, abi.RECORD_PAYLOAD_OFFSET];
  const zero = [
    abi.RECORD_IP_VERSION,
    abi.RECORD_IP_PROTO,
    abi.RECORD_LINK,
    abi.RECORD_VLAN_COUNT,
    abi.RECORD_ETHER_TYPE,
    abi.RECORD_ETHER_TYPE + 1,
  ];
  return Object.fromEntries([
    ...offsets.flatMap((offset) => [
      [offset, 0xff],
      [offset + 1, 0xff],
    ]),
    ...zero.map((offset) => [offset, 0]),
  ]);
}

function ip(version: number, proto: number, l4Offset: number): Record<number, number> {
  return {
    [abi.RECORD_IP_VERSION]: version,
    [abi.RECORD_IP_PROTO]: proto,
    [abi.RECORD_L3_OFFSET]: 14,
    [abi.RECORD_L3_OFFSET + 1]: 0,
    [abi.RECORD_L4_OFFSET]: l4Offset,
    [abi.RECORD_L4_OFFSET + 1]: 0,
  };
}
