// Flows, columns, segments and labels without the host: what lies where, and what a module that asks for more is told.
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import * as abi from "../../nfs/sdk/abi.ts";
import {
  type AssemblyModule,
  BATCH,
  COLUMNS,
  FLOW_CAPACITY,
  LABELS,
  OUTBOX,
  RECORDS,
  runAssembly,
  SEGMENTS,
} from "../support/assembly-module.ts";

const source = `
  import { batch, Column, Flow, flowCapacity, Label, Segment } from "sluice/sdk";
  export { nf_abi } from "sluice/sdk/exports";
  const port = new Column<u16>("nat.port");
  const address = new Column<u32>("nat.address");
  const score = new Column<f64>("ids.score");
  const table = new Segment("table");
  const suspect = new Label("suspect");
  const bulk = new Label("bulk");
  function flow(number: u32): Flow { return changetype<Flow>(<usize>number); }
  export function capacity(): u32 { return flowCapacity; }
  export function numberOf(i: i32): i32 {
    const flow = batch.packet(i).flow;
    return flow === null ? -1 : flow.number;
  }
  export function getPort(number: u32): u32 { return port.get(flow(number)); }
  export function setPort(number: u32, value: u32): void { port.set(flow(number), <u16>value); }
  export function getAddress(number: u32): u32 { return address.get(flow(number)); }
  export function setAddress(number: u32, value: u32): void { address.set(flow(number), value); }
  export function getScore(number: u32): f64 { return score.get(flow(number)); }
  export function setScore(number: u32, value: f64): void { score.set(flow(number), value); }
  export function tableAddress(): usize { return table.address; }
  export function tableBytes(): u32 { return table.bytes; }
  export function isSuspect(i: i32): bool { return suspect.isOn(batch.packet(i)); }
  export function isBulk(i: i32): bool { return bulk.isOn(batch.packet(i)); }
  export function label(number: u32): bool { return bulk.set(flow(number)); }
  export function unlabel(number: u32): bool { return suspect.clear(flow(number)); }
  export function numbers(number: u32, direction: u32, which: i32): u64 {
    const f = flow(number);
    if (which == 0) return f.start;
    if (which == 1) return f.last;
    if (which == 2) return f.deadline;
    if (which == 3) return f.packets(direction);
    if (which == 4) return f.octets(direction);
    if (which == 5) return f.tcpFlags(direction);
    if (which == 6) return f.retransmissions(direction);
    if (which == 7) return f.outOfOrder(direction);
    if (which == 8) return f.zeroWindows(direction);
    if (which == 9) return f.state;
    if (which == 10) return f.ipProto;
    if (which == 11) return f.ipVersion;
    if (which == 12) return f.labels;
    if (which == 13) return f.end;
    if (which == 14) return f.firstSide;
    if (which == 15) return f.zone;
    if (which == 16) return f.vlan;
    if (which == 17) return f.rtt;
    if (which == 18) return f.timeout;
    return f.invalid;
  }
  export function flags(number: u32): u32 {
    const f = flow(number);
    return (f.isReplied ? 1 : 0) | (f.isAssured ? 2 : 0) | (f.isMidstream ? 4 : 0) | (f.isClosing ? 8 : 0);
  }`;

const FLOW = 7;

describe("a flow", () => {
  let module: AssemblyModule;
  const call = (name: string, ...args: (number | bigint)[]) => module.exports[name]?.(...args);
  const record = COLUMNS.flow.address + FLOW * abi.FLOW_BYTES;

  function present(fields: Readonly<Record<number, number>>): void {
    module.memory.setUint32(BATCH + abi.BATCH_COUNT, 1, true);
    module.memory.setUint16(BATCH + abi.BATCH_INPUT, 3, true);
    const at = RECORDS + 3 * abi.RECORD_BYTES;
    module.bytes.fill(0, at, at + abi.RECORD_BYTES);
    for (const [offset, value] of Object.entries(fields)) module.memory.setUint32(at + Number(offset), value, true);
  }

  beforeAll(async () => {
    module = await runAssembly(source);
  });

  beforeEach(() => {
    for (const { address, bytes } of Object.values(COLUMNS))
      module.bytes.fill(0xa5, address, address + (FLOW_CAPACITY + 1) * bytes);
    module.bytes.fill(0, OUTBOX, OUTBOX + abi.OUTBOX_BYTES);
  });

  it("is the number in the packet's record, and none if that is 0", () => {
    present({ [abi.RECORD_FLOW]: FLOW });
    expect(call("numberOf", 0)).toBe(FLOW);
    present({});
    expect(call("numberOf", 0)).toBe(-1);
    expect(call("capacity")).toBe(FLOW_CAPACITY);
  });

  it.each([
    { which: 0, field: "start", offset: abi.FLOW_START, bytes: 8 },
    { which: 1, field: "last", offset: abi.FLOW_LAST, bytes: 8 },
    { which: 2, field: "deadline", offset: abi.FLOW_DEADLINE, bytes: 8 },
    { which: 3, field: "packets", offset: abi.FLOW_PACKETS, bytes: 8, both: true },
    { which: 4, field: "octets", offset: abi.FLOW_OCTETS, bytes: 8, both: true },
    { which: 5, field: "tcpFlags", offset: abi.FLOW_TCP_FLAGS, bytes: 1, both: true },
    { which: 6, field: "retransmissions", offset: abi.FLOW_RETRANSMISSIONS, bytes: 2, both: true },
    { which: 7, field: "outOfOrder", offset: abi.FLOW_OUT_OF_ORDER, bytes: 2, both: true },
    { which: 8, field: "zeroWindows", offset: abi.FLOW_ZERO_WINDOWS, bytes: 2, both: true },
    { which: 9, field: "state", offset: abi.FLOW_STATE, bytes: 1 },
    { which: 10, field: "ipProto", offset: abi.FLOW_IP_PROTO, bytes: 1 },
    { which: 11, field: "ipVersion", offset: abi.FLOW_IP_VERSION, bytes: 1 },
    { which: 12, field: "labels", offset: abi.FLOW_LABELS, bytes: 4 },
    { which: 13, field: "end", offset: abi.FLOW_END, bytes: 1 },
    { which: 14, field: "firstSide", offset: abi.FLOW_FIRST_SIDE, bytes: 1 },
    { which: 15, field: "zone", offset: abi.FLOW_ZONE, bytes: 2 },
    { which: 16, field: "vlan", offset: abi.FLOW_VLAN, bytes: 2 },
    { which: 17, field: "rtt", offset: abi.FLOW_RTT, bytes: 4 },
    { which: 18, field: "timeout", offset: abi.FLOW_TIMEOUT, bytes: 4 },
    { which: 19, field: "invalid", offset: abi.FLOW_INVALID, bytes: 4 },
  ])("has $field where the host writes it", ({ which, offset, bytes, both }) => {
    for (const direction of both ? [0, 1] : [0]) {
      const at = record + offset + direction * bytes;
      for (let i = 0; i < bytes; i++) module.bytes[at + i] = 0x11 + i;
      const expected = BigInt(`0x${Array.from({ length: bytes }, (_, i) => (0x10 + bytes - i).toString(16)).join("")}`);
      expect(call("numbers", FLOW, direction, which)).toBe(expected);
    }
  });

  it.each([
    ["replied", abi.FLOW_FLAG_REPLIED, 1],
    ["assured", abi.FLOW_FLAG_ASSURED, 2],
    ["midstream", abi.FLOW_FLAG_MIDSTREAM, 4],
    ["closing", abi.FLOW_FLAG_CLOSING, 8],
  ])("says that it is %s", (_, flag, expected) => {
    module.bytes[record + abi.FLOW_FLAGS] = flag;
    expect(call("flags", FLOW)).toBe(expected);
  });

  it.each([
    { name: "Port", column: COLUMNS["nat.port"], value: 0xbeef },
    { name: "Address", column: COLUMNS["nat.address"], value: 0x0a000001 },
    { name: "Score", column: COLUMNS["ids.score"], value: -12.5 },
  ])("has a value in a column, and no byte of its neighbours' changes: $name", ({ name, column, value }) => {
    const { address, bytes } = column;
    call(`set${name}`, FLOW, value);
    expect(call(`get${name}`, FLOW)).toBe(value);
    const all = module.bytes.slice(address, address + (FLOW_CAPACITY + 1) * bytes);
    const others = [...all.slice(0, FLOW * bytes), ...all.slice((FLOW + 1) * bytes)];
    expect(others.every((byte) => byte === 0xa5)).toBe(true);
    expect(all.slice(FLOW * bytes, (FLOW + 1) * bytes)).not.toEqual(new Uint8Array(bytes).fill(0xa5));
  });

  it("has a value in a column's last entry, too", () => {
    call("setPort", FLOW_CAPACITY, 0x1234);
    expect(module.memory.getUint16(COLUMNS["nat.port"].address + FLOW_CAPACITY * 2, true)).toBe(0x1234);
  });

  it("has labels, by the bits in the packet's record", () => {
    present({ [abi.RECORD_LABELS]: LABELS.suspect });
    expect([call("isSuspect", 0), call("isBulk", 0)]).toEqual([1, 0]);
    present({ [abi.RECORD_LABELS]: LABELS.bulk });
    expect([call("isSuspect", 0), call("isBulk", 0)]).toEqual([0, 1]);
  });

  it("is labelled and rid of a label through the outbox", () => {
    expect([call("label", FLOW), call("unlabel", FLOW)]).toEqual([1, 1]);
    const message = (index: number) => module.bytes.slice(OUTBOX + 64 + index * 16, OUTBOX + 80 + index * 16);
    expect(Buffer.from(message(0)).toString("hex")).toBe("07000100100000000700000000000080");
    expect(Buffer.from(message(1)).toString("hex")).toBe("07000000100000000700000001000000");
  });

  it("leaves alone what the function keeps in its own segment", () => {
    expect([call("tableAddress"), call("tableBytes")]).toEqual([SEGMENTS.table.address, SEGMENTS.table.bytes]);
  });
});

describe("what the manifest does not declare", () => {
  const asking = (statement: string) => `
    import { Column, CustomEvent, Flow, Label, Segment } from "sluice/sdk";
    export { nf_abi } from "sluice/sdk/exports";
    const found = ${statement};
    export function use(): u32 { return found; }`;

  it.each([
    ["a column", 'new Column<u16>("nat.prot").get(changetype<Flow>(1))', "no column nat.prot"],
    ["a column of that size", 'new Column<u32>("nat.port").get(changetype<Flow>(1))', "of 4 bytes"],
    ["a segment", 'new Segment("tables").bytes', "no segment tables"],
    ["an event", 'new CustomEvent("ids.scam").mask', "event ids.scam"],
    ["a label", 'new Label("suspicious").mask', "no label suspicious"],
  ])("is refused while the function is configured: %s", async (_, statement, message) => {
    await expect(runAssembly(asking(statement))).rejects.toThrow(message);
  });
});
