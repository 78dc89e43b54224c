import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { LineProgram } from "../support/line-program.ts";

interface Key {
  readonly addresses: readonly [string, string];
  readonly ports: readonly [number, number];
  readonly zone: number;
  readonly vlan: number;
  readonly ipProto: number;
  readonly ipVersion: number;
  readonly side: 0 | 1;
}

const program = new LineProgram("flow_table_harness");
afterAll(() => program.close());

const readKey = (line: string, zone = 0) => program.ask<Key | null>("read", encodePacket(line).toHex(), zone);
const pad = (hex: string) => hex.padEnd(32, "0");
const withoutSide = (key: Key | null) => ({ ...key, side: undefined });

const a4 = pad("0a000001");
const b4 = pad("0a000002");
const [a6, b6] = [pad("20010db8").replace(/0$/, "1"), pad("20010db8").replace(/0$/, "2")];

const expectations: readonly (readonly [line: string, expected: Partial<Key>])[] = [
  ["tcp 10.0.0.1:1234 > 10.0.0.2:80", { addresses: [a4, b4], ports: [1234, 80], ipProto: 6, ipVersion: 4, side: 0 }],
  ["tcp 10.0.0.2:80 > 10.0.0.1:1234", { addresses: [a4, b4], ports: [1234, 80], ipProto: 6, ipVersion: 4, side: 1 }],
  [
    "udp [2001:db8::2]:53 > [2001:db8::1]:9",
    { addresses: [a6, b6], ports: [9, 53], ipProto: 17, ipVersion: 6, side: 1 },
  ],
  ["sctp 10.0.0.1:5 > 10.0.0.2:6", { ports: [5, 6], ipProto: 132, side: 0 }],
  ["udp 10.0.0.1:9 > 10.0.0.1:7", { addresses: [a4, a4], ports: [7, 9], side: 1 }],
  ["udp 10.0.0.1:7 > 10.0.0.1:7", { addresses: [a4, a4], ports: [7, 7], side: 0 }],
  ["icmp 10.0.0.1 > 10.0.0.2 echo id 7 seq 1", { ports: [7, 7], ipProto: 1, side: 0 }],
  ["icmp 10.0.0.2 > 10.0.0.1 echo-reply id 7 seq 1", { ports: [7, 7], ipProto: 1, side: 1 }],
  ["icmp6 2001:db8::1 > 2001:db8::2 echo id 300", { ports: [300, 300], ipProto: 58, ipVersion: 6 }],
  ["icmp 10.0.0.1 > 10.0.0.2 unreachable code 4 mtu 1400", { ports: [0, 0], ipProto: 1 }],
  ["icmp6 fe80::1 > ff02::1 router-advert", { ports: [0, 0], ipProto: 58 }],
  ['gre 10.0.0.1 > 10.0.0.2 payload "x"', { addresses: [a4, b4], ports: [0, 0], ipProto: 47 }],
  ["vlan 100 priority 3 vlan 200 udp 10.0.0.1:1 > 10.0.0.2:2", { vlan: 100, ports: [1, 2] }],
  ["udp 10.0.0.1:1 > 10.0.0.2:2 frag offset 0 more id 9 zeros 8", { ports: [1, 2], ipProto: 17 }],
  ["ip 10.0.0.1 > 10.0.0.2 proto udp frag offset 1480 id 9 zeros 8", { ports: [0, 0], ipProto: 17 }],
];

describe("a flow key", () => {
  it.each(expectations)("of %s", async (line, expected) => {
    expect(await readKey(line)).toMatchObject({ zone: 0, vlan: 0, ...expected });
  });

  it("has the zone that the frame's port is in", async () => {
    expect(await readKey("udp 10.0.0.1:1 > 10.0.0.2:2", 7)).toMatchObject({ zone: 7 });
  });

  it("tells IPv4 from the IPv6 addresses that mean the same", async () => {
    const mapped = await readKey("udp [::ffff:a00:1]:1 > [::ffff:a00:2]:2");
    expect(mapped).toMatchObject({ ipVersion: 6, addresses: [`${"0".repeat(20)}ffff0a000001`, expect.any(String)] });
  });

  it("is not there for what is no IP packet, or has an IP header that is not sound", async () => {
    expect(await readKey("arp who-has 10.0.0.2 tell 10.0.0.1")).toBeNull();
    const frame = encodePacket("udp 10.0.0.1:1 > 10.0.0.2:2");
    expect(await program.ask("read", frame.subarray(0, 30).toHex(), 0)).toBeNull();
    frame[14] = 0x44;
    expect(await program.ask("read", frame.toHex(), 0)).toBeNull();
    frame[14] = 0x65;
    expect(await program.ask("read", frame.toHex(), 0)).toBeNull();
  });

  it("is that of the addresses alone where a sound IP packet has a broken transport header", async () => {
    const frame = encodePacket("tcp 10.0.0.1:1234 > 10.0.0.2:80");
    frame[17] = 30;
    const cut = await program.ask<Key>("read", frame.subarray(0, 44).toHex(), 0);
    expect(cut).toMatchObject({ addresses: [a4, b4], ports: [0, 0], ipProto: 6 });
  });

  const address = fc.oneof(
    fc.uint8Array({ minLength: 16, maxLength: 16 }).map((bytes) => bytes.toHex()),
    fc.constantFrom(a4, b4, a6, b6, "0".repeat(32), "f".repeat(32)),
  );
  const port = fc.oneof(fc.nat(0xffff), fc.constantFrom(0, 1, 255, 256, 0xffff));
  const endpoint = fc.record({ address, port });

  it("is the same in both directions, with the sender on the other side", async () => {
    await fc.assert(
      fc.asyncProperty(
        endpoint,
        endpoint,
        fc.nat(255),
        fc.constantFrom(4, 6),
        fc.nat(0xffff),
        async (a, b, ...rest) => {
          const there = await program.ask<Key>("make", a.address, b.address, a.port, b.port, ...rest, 5);
          const back = await program.ask<Key>("make", b.address, a.address, b.port, a.port, ...rest, 5);
          expect(withoutSide(back)).toEqual(withoutSide(there));
          const isSelf = a.address === b.address && a.port === b.port;
          expect(back.side).toBe(isSelf ? there.side : 1 - there.side);
          expect(there.addresses[there.side]).toBe(a.address);
          expect(there.ports[there.side]).toBe(a.port);
          expect(there.addresses[1 - there.side]).toBe(b.address);
          expect(there.ports[1 - there.side]).toBe(b.port);
        },
      ),
      { numRuns: 500 },
    );
  });
});
