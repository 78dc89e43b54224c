// Every header field of the SDK against a reference that knows nothing but where its bits are.
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { type AssemblyModule, runAssembly, SCRATCH } from "../support/assembly-module.ts";

interface Field {
  readonly name: string;
  /** First bit of the field, counted from the header's start as the RFCs do. */
  readonly bit: number;
  readonly bits: number;
  /** The view's unit in units of the wire: 4 for IPv4's header length in bytes. */
  readonly scale: number;
  readonly byteOrder: "network" | "little";
  readonly type: "u64" | "u32" | "bool";
  readonly writable: boolean;
}

function field(name: string, bit: number, bits: number, more: Partial<Field> = {}): Field {
  const type = bits > 32 ? "u64" : "u32";
  return { name, bit, bits, scale: 1, byteOrder: "network", type, writable: true, ...more };
}

const flag = (name: string, bit: number) => field(name, bit, 1, { type: "bool" });
const ports = [field("sourcePort", 0, 16), field("destinationPort", 16, 16)];
const icmp = [field("type", 0, 8), field("code", 8, 8), field("checksum", 16, 16), field("rest", 32, 32)];
const echo = [field("identifier", 32, 16), field("sequence", 48, 16)];

const views: Readonly<Record<string, readonly Field[]>> = {
  Ethernet: [field("destination", 0, 48), field("source", 48, 48), field("etherType", 96, 16)],
  VlanTag: [
    field("tci", 0, 16),
    field("priority", 0, 3),
    flag("dropEligible", 3),
    field("id", 4, 12),
    field("etherType", 16, 16),
  ],
  Arp: [
    ...[field("hardwareType", 0, 16), field("protocolType", 16, 16), field("hardwareLength", 32, 8)],
    ...[field("protocolLength", 40, 8), field("operation", 48, 16), field("senderMac", 64, 48)],
    ...[field("senderAddress", 112, 32), field("targetMac", 144, 48), field("targetAddress", 192, 32)],
  ],
  Ipv4: [
    ...[field("version", 0, 4), field("headerLength", 4, 4, { scale: 4 }), field("trafficClass", 8, 8)],
    ...[field("dscp", 8, 6), field("ecn", 14, 2), field("totalLength", 16, 16), field("identification", 32, 16)],
    ...[flag("reservedFlag", 48), flag("dontFragment", 49), flag("moreFragments", 50)],
    ...[field("fragmentOffset", 51, 13, { scale: 8 }), field("ttl", 64, 8), field("ipProto", 72, 8)],
    ...[field("checksum", 80, 16), field("source", 96, 32), field("destination", 128, 32)],
  ],
  Option: [field("kind", 0, 8), field("length", 8, 8)],
  Ipv6: [
    ...[field("version", 0, 4), field("trafficClass", 4, 8), field("dscp", 4, 6), field("ecn", 10, 2)],
    ...[field("flowLabel", 12, 20), field("payloadLength", 32, 16), field("nextHeader", 48, 8)],
    ...[field("hopLimit", 56, 8), field("sourceHigh", 64, 64), field("sourceLow", 128, 64)],
    ...[field("destinationHigh", 192, 64), field("destinationLow", 256, 64)],
  ],
  Ipv6Extension: [
    ...[field("nextHeader", 0, 8), field("extensionLength", 8, 8)],
    ...[field("routingType", 16, 8, { writable: false }), field("segmentsLeft", 24, 8)],
    ...[field("fragmentOffset", 16, 13, { scale: 8 }), flag("moreFragments", 31), field("identification", 32, 32)],
  ],
  Tcp: [
    ...[...ports, field("sequence", 32, 32), field("acknowledgement", 64, 32)],
    ...[field("headerLength", 96, 4, { scale: 4 }), field("reserved", 100, 4), field("flags", 104, 8)],
    ...["cwr", "ece", "urg", "ack", "psh", "rst", "syn", "fin"].map((name, index) => flag(name, 104 + index)),
    ...[field("window", 112, 16), field("checksum", 128, 16), field("urgentPointer", 144, 16)],
  ],
  Udp: [...ports, field("length", 32, 16), field("checksum", 48, 16)],
  Icmp: [...icmp, ...echo, field("gateway", 32, 32), field("pointer", 32, 8), field("mtu", 48, 16)],
  Icmpv6: [
    ...[...icmp, ...echo, field("mtu", 32, 32), field("pointer", 32, 32)],
    ...[field("targetHigh", 64, 64), field("targetLow", 128, 64)],
  ],
  Sctp: [...ports, field("verificationTag", 32, 32), field("checksum", 64, 32, { byteOrder: "little" })],
  SctpChunk: [field("type", 0, 8), field("flags", 8, 8), field("length", 16, 16)],
};

const cases = Object.entries(views).flatMap(([view, fields]) => fields.map((each) => ({ view, ...each })));

/** One exported getter and setter per field. */
function accessors(): string {
  const classes = Object.keys(views).join(", ");
  const functions = cases.map(({ view, name, type, writable }) => {
    const target = `changetype<${view}>(at).${name}`;
    const value = type === "bool" ? "value != 0" : `<${type}>value`;
    const get = `export function get_${view}_${name}(at: usize): u64 { return <u64>${target}; }`;
    return writable
      ? `${get}\nexport function set_${view}_${name}(at: usize, value: u64): void { ${target} = ${value}; }`
      : get;
  });
  return `import { ${classes} } from "sluice/sdk";\n${functions.join("\n")}\n`;
}

const HEADER_BYTES = 60;

function toBits(header: Uint8Array): bigint {
  return BigInt(`0x${Buffer.from(header).toString("hex")}`);
}

function swap(value: bigint, { bits, byteOrder }: Field): bigint {
  if (byteOrder === "network") return value;
  const hex = value.toString(16).padStart(bits / 4, "0");
  return BigInt(`0x${Buffer.from(hex, "hex").reverse().toString("hex")}`);
}

function shiftOf({ bit, bits }: Field): bigint {
  return BigInt(HEADER_BYTES * 8 - bit - bits);
}

function readField(header: Uint8Array, field: Field): bigint {
  const raw = BigInt.asUintN(field.bits, toBits(header) >> shiftOf(field));
  return swap(raw, field) * BigInt(field.scale);
}

function writeField(header: Uint8Array, field: Field, value: bigint): Uint8Array {
  const raw = swap(BigInt.asUintN(field.bits, value / BigInt(field.scale)), field);
  const mask = ((1n << BigInt(field.bits)) - 1n) << shiftOf(field);
  const written = (toBits(header) & ~mask) | (raw << shiftOf(field));
  return Buffer.from(written.toString(16).padStart(HEADER_BYTES * 2, "0"), "hex");
}

describe("header views", () => {
  let module: AssemblyModule;

  beforeAll(async () => {
    module = await runAssembly(accessors());
  });

  const headers = fc.uint8Array({ minLength: HEADER_BYTES, maxLength: HEADER_BYTES });

  it.each(cases)("reads $name of $view where the RFC puts it", ({ view, ...field }) => {
    fc.assert(
      fc.property(headers, (header) => {
        module.bytes.set(header, SCRATCH);
        const read = module.exports[`get_${view}_${field.name}`]?.(SCRATCH) as bigint;
        expect(BigInt.asUintN(64, read)).toBe(readField(header, field));
      }),
    );
  });

  it.each(cases.filter(({ writable }) => writable))("writes $name of $view and nothing else", ({ view, ...field }) => {
    const values = fc.bigInt({ min: 0n, max: (1n << BigInt(field.bits)) - 1n });
    fc.assert(
      fc.property(headers, values, (header, raw) => {
        module.bytes.fill(0xa5, SCRATCH - 16, SCRATCH + HEADER_BYTES + 16);
        module.bytes.set(header, SCRATCH);
        module.exports[`set_${view}_${field.name}`]?.(SCRATCH, raw * BigInt(field.scale));
        const written = Buffer.from(module.bytes.slice(SCRATCH - 16, SCRATCH + HEADER_BYTES + 16));
        const frame = Buffer.alloc(16, 0xa5);
        const expected = Buffer.concat([frame, writeField(header, field, raw * BigInt(field.scale)), frame]);
        expect(written.toString("hex")).toBe(expected.toString("hex"));
      }),
    );
  });
});

describe("header lists", () => {
  it("walks the options of an IPv4 header, past padding, to its end", async () => {
    const list = await listOptions("48", "01 01 07 04 aa bb 01 00 ff ff ff ff");
    expect(list).toEqual([[7, 4]]);
  });

  it("ends at an option that is longer than its header", async () => {
    expect(await listOptions("47", "02 04 05 b4 08 0a 00 00")).toEqual([[2, 4]]);
  });

  it("ends at an option whose length cannot be", async () => {
    expect(await listOptions("47", "02 01 05 b4 08 04 00 00")).toEqual([]);
  });

  it("finds IPv6 extension headers by their kind, and none that is cut", async () => {
    const module = await runAssembly(`
      import { Ipv6 } from "sluice/sdk";
      export function find(at: usize, kind: u32, end: usize): i32 {
        const found = Ipv6.at(at).findExtension(kind, end);
        return found === null ? -1 : <i32>(found.address - at);
      }`);
    // Hop-by-hop (8), routing (24), authentication ((4 + 2) * 4 = 24), fragment (8), then UDP.
    const chain = `2b00${"00".repeat(6)}3302${"00".repeat(22)}2c04${"00".repeat(22)}1100${"00".repeat(6)}`;
    const packet = Buffer.from(`6000000000400040${"00".repeat(32)}${chain}`, "hex");
    module.bytes.set(packet, SCRATCH);
    const find = (kind: number, end = packet.length) => module.exports.find?.(SCRATCH, kind, SCRATCH + end);
    expect([0, 43, 51, 44, 60].map((kind) => find(kind))).toEqual([40, 48, 72, 96, -1]);
    expect(find(51, 80)).toBe(-1);
    expect(find(43, 71)).toBe(-1);
  });

  it("walks SCTP chunks over their padding", async () => {
    const module = await runAssembly(`
      import { Sctp } from "sluice/sdk";
      export function types(at: usize, end: usize): u64 {
        let types: u64 = 0;
        const sctp = Sctp.at(at);
        for (let chunk = sctp.firstChunk(end); chunk !== null; chunk = sctp.chunkAfter(chunk, end)) {
          types = (types << 8) | chunk.type;
        }
        return types;
      }`);
    const packet = Buffer.from(`${"00".repeat(12)}01000005aa0000000300000a${"00".repeat(8)}0b000003`, "hex");
    module.bytes.set(packet, SCRATCH);
    expect(module.exports.types?.(SCRATCH, SCRATCH + packet.length)).toBe(0x0103n);
  });
});

/** Kinds and lengths of the options of an IPv4 header. */
async function listOptions(firstByte: string, options: string): Promise<number[][]> {
  const module = await runAssembly(`
    import { Ipv4 } from "sluice/sdk";
    export function list(at: usize, out: usize): i32 {
      const ip = Ipv4.at(at);
      let count = 0;
      for (let option = ip.firstOption; option !== null; option = ip.optionAfter(option)) {
        store<u8>(out + count * 2, option.kind);
        store<u8>(out + count * 2, option.length, 1);
        count++;
      }
      return count;
    }`);
  const header = Buffer.from(firstByte + "00".repeat(19) + options.replaceAll(" ", ""), "hex");
  module.bytes.set(header, SCRATCH);
  const count = module.exports.list?.(SCRATCH, SCRATCH + 1024) as number;
  return Array.from({ length: count }, (_, i) => [
    ...module.bytes.slice(SCRATCH + 1024 + i * 2, SCRATCH + 1026 + i * 2),
  ]);
}
