import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { type AssemblyModule, runAssembly, SCRATCH } from "../support/assembly-module.ts";

/** RFC 1071, as its text says it. */
function referenceChecksum(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) + (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** RFC 9260, appendix A, bit by bit. */
function referenceCrc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return ~crc >>> 0;
}

const source = `
  import * as sdk from "sluice/sdk";
  export function full(at: usize, bytes: u32): u32 { return sdk.checksum(at, bytes); }
  export function crc(at: usize, bytes: u32): u32 { return sdk.crc32c(at, bytes); }
  export function mend16(sum: u32, a: u32, b: u32): u32 { return sdk.mend(sum, sdk.difference16(a, b)); }
  export function mend32(sum: u32, a: u32, b: u32): u32 { return sdk.mend(sum, sdk.difference32(a, b)); }
  export function mend128(sum: u32, a: u64, b: u64, c: u64, d: u64): u32 {
    return sdk.mend(sum, sdk.difference128(a, b, c, d));
  }
  export function mendUdp(sum: u32, a: u32, b: u32): u32 { return sdk.mendUdp(sum, sdk.difference16(a, b)); }
  export function mendBoth(sum: u32, a: u32, b: u32, c: u32, d: u32): u32 {
    return sdk.mend(sum, sdk.difference32(a, b) + sdk.difference16(c, d));
  }
  export function udpField(sum: u32): u32 { return sdk.udpField(sum); }
  export function decrementTtl(at: usize): void { sdk.Ipv4.at(at).decrementTtl(); }
  export function fillChecksum(at: usize): void { sdk.Ipv4.at(at).fillChecksum(); }
  export function isValid(at: usize): bool { return sdk.Ipv4.at(at).hasValidChecksum; }
  export function transport4(ip: usize, at: usize, bytes: u32, proto: u32): u32 {
    return sdk.transportChecksum(sdk.pseudoSum4(sdk.Ipv4.at(ip), proto, bytes), at, bytes);
  }
  export function transport6(ip: usize, at: usize, bytes: u32, proto: u32): u32 {
    return sdk.transportChecksum(sdk.pseudoSum6(sdk.Ipv6.at(ip), proto, bytes), at, bytes);
  }`;

// Sums of nothing but zeros do not occur in packets: an IP header has a version, a pseudo-header a protocol.
const packets = fc.uint8Array({ minLength: 40, maxLength: 1600 }).filter((bytes) => bytes.some((byte) => byte !== 0));
const evenOffset = (limit: number) => fc.nat(limit / 2 - 1).map((half) => half * 2);

describe("checksums", () => {
  let module: AssemblyModule;
  const call = (name: string, ...args: (number | bigint)[]) => Number(module.exports[name]?.(...args)) >>> 0;

  beforeAll(async () => {
    module = await runAssembly(source);
  });

  it("are those of RFC 1071 for any bytes at any address", () => {
    const bytes = fc.uint8Array({ maxLength: 1600 });
    fc.assert(
      fc.property(bytes, fc.nat(7), (packet, misalignment) => {
        module.bytes.fill(0xa5, SCRATCH, SCRATCH + 2048);
        module.bytes.set(packet, SCRATCH + misalignment);
        expect(call("full", SCRATCH + misalignment, packet.length)).toBe(referenceChecksum(packet));
      }),
    );
  });

  it("of the largest packet of ones do not overflow", () => {
    module.bytes.fill(0xff, SCRATCH, SCRATCH + 65535);
    expect(call("full", SCRATCH, 65535)).toBe(referenceChecksum(new Uint8Array(65535).fill(0xff)));
  });

  it.each([2, 4])("after a change of %i bytes are mended as if computed anew", (size) => {
    const change = fc.uint8Array({ minLength: size, maxLength: size });
    fc.assert(
      fc.property(packets, evenOffset(36), change, (packet, offset, bytes) => {
        const changed = Uint8Array.from(packet);
        changed.set(bytes, offset);
        fc.pre(changed.some((byte) => byte !== 0));
        const [before, after] = [packet, changed].map((each) => Buffer.from(each).readUIntBE(offset, size)) as [
          number,
          number,
        ];
        const mended = call(`mend${size * 8}`, referenceChecksum(packet), before, after);
        expect(mended).toBe(referenceChecksum(changed));
      }),
    );
  });

  it("after a change of an IPv6 address are mended as if computed anew", () => {
    const address = fc.uint8Array({ minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(packets, evenOffset(24), address, (packet, offset, bytes) => {
        const changed = Uint8Array.from(packet);
        changed.set(bytes, offset);
        fc.pre(changed.some((byte) => byte !== 0));
        const halves = [packet, changed].flatMap((each) => {
          const view = Buffer.from(each);
          return [view.readBigUInt64BE(offset), view.readBigUInt64BE(offset + 8)];
        });
        expect(call("mend128", referenceChecksum(packet), ...halves)).toBe(referenceChecksum(changed));
      }),
    );
  });

  it("take the sum of several differences at once", () => {
    const u32 = fc.nat(0xffffffff);
    const u16 = fc.nat(0xffff);
    fc.assert(
      fc.property(u16, u32, u32, u16, u16, (sum, a, b, c, d) => {
        expect(call("mendBoth", sum, a, b, c, d)).toBe(call("mend16", call("mend32", sum, a, b), c, d));
      }),
    );
  });

  it("of UDP stay 0 if they were 0, and never become 0", () => {
    expect(call("mendUdp", 0, 1, 2)).toBe(0);
    // ~(~0x0001 + ~0x0000 + 0x0001) is 0: the one change that would take the checksum away.
    expect(call("mend16", 0x0001, 0x0000, 0x0001)).toBe(0);
    expect(call("mendUdp", 0x0001, 0x0000, 0x0001)).toBe(0xffff);
    expect([call("udpField", 0), call("udpField", 7)]).toEqual([0xffff, 7]);
  });

  it("of IPv4 survive a decremented TTL", () => {
    const header = fc.uint8Array({ minLength: 20, maxLength: 20 });
    fc.assert(
      fc.property(header, fc.integer({ min: 1, max: 255 }), (bytes, ttl) => {
        module.bytes.set(bytes, SCRATCH);
        module.bytes[SCRATCH] = 0x45;
        module.bytes[SCRATCH + 8] = ttl;
        module.exports.fillChecksum?.(SCRATCH);
        expect(call("isValid", SCRATCH)).toBe(1);
        module.exports.decrementTtl?.(SCRATCH);
        expect(module.bytes[SCRATCH + 8]).toBe(ttl - 1);
        expect(call("isValid", SCRATCH)).toBe(1);
      }),
    );
  });

  it("of transport headers cover the pseudo-header", () => {
    fc.assert(
      fc.property(
        packets,
        fc.constantFrom(6, 17, 58),
        fc.uint8Array({ minLength: 40, maxLength: 40 }),
        (data, proto, ip) => {
          module.bytes.set(ip, SCRATCH);
          module.bytes.set(data, SCRATCH + 64);
          const tail4 = [0, proto, data.length >> 8, data.length & 0xff];
          const pseudo4 = Uint8Array.from([...ip.slice(12, 20), ...tail4, ...data]);
          expect(call("transport4", SCRATCH, SCRATCH + 64, data.length, proto)).toBe(referenceChecksum(pseudo4));
          const tail6 = [0, 0, data.length >> 8, data.length & 0xff, 0, 0, 0, proto];
          const pseudo6 = Uint8Array.from([...ip.slice(8, 40), ...tail6, ...data]);
          expect(call("transport6", SCRATCH, SCRATCH + 64, data.length, proto)).toBe(referenceChecksum(pseudo6));
        },
      ),
    );
  });

  it("of SCTP are CRC32c", () => {
    const check = Buffer.from("123456789");
    module.bytes.set(check, SCRATCH);
    expect(call("crc", SCRATCH, check.length)).toBe(0xe3069283);
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        module.bytes.set(bytes, SCRATCH);
        expect(call("crc", SCRATCH, bytes.length)).toBe(referenceCrc32c(bytes));
      }),
    );
  });
});
