// What holds for any traffic of IPv6 hosts, to IPv4 and to IPv6 alike: no two IPv6 endpoints share an outside one, what comes back finds who it
// is for and has its checksums right, also in pieces, and nothing is left when all has ended.
import { describe, expect, it } from "vitest";
import { openNat } from "../support/nat-under-test.ts";
import {
  buildFrames,
  exchange64,
  ICMP,
  ICMPV6,
  type Packet64,
  readFrames,
  type Seen64,
  TCP,
  UDP,
} from "../support/nat64-traffic.ts";

const PACKETS = 400_000;
const FEWER = 100_000;
const BATCH = 125;
const MILLISECOND = 1_000_000n;
const SECOND = 1_000_000_000n;
const TEN_DAYS = 864_000n * SECOND;
const LEAST_LIFE = 59n * SECOND;

/** xorshift32: the same traffic in every run. */
function makeRandom(seed: number): (limit: number) => number {
  let state = seed;
  return (limit) => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) % limit;
  };
}

const hex = (value: number, digits: number) => value.toString(16).padStart(digits, "0");
/** Addresses are hex digits. */
interface Way {
  readonly config: (rule: object) => object;
  /** What an inside host calls a remote one; and the same of the address that packets have outside. */
  readonly call: (v4: string) => string;
  readonly calledAs: (outside: string) => string;
  readonly digits: 8 | 32;
}

const hosts = { from: ["2001:db8:1::/48"] };
const by64 = (prefix: string, embed: (v4: string) => string): Way => ({
  config: (rule) => ({ nat64: [{ ...hosts, prefix, pool: ["203.0.113.0/30"], ...rule }] }),
  call: embed,
  calledAs: embed,
  digits: 8,
});
const ways: Readonly<Record<string, Way>> = {
  "64:ff9b::/96": by64("64:ff9b::/96", (v4) => `0064ff9b${"0".repeat(16)}${v4}`),
  "2001:db8:aa00::/40": by64(
    "2001:db8:aa00::/40",
    (v4) => `20010db8aa${v4.slice(0, 6)}00${v4.slice(6)}${"0".repeat(12)}`,
  ),
  "2001:db8:aa:bb::/64": by64("2001:db8:aa:bb::/64", (v4) => `20010db800aa00bb00${v4}${"0".repeat(6)}`),
  "IPv6 addresses": {
    config: (rule) => ({ sources: [{ ...hosts, pool: ["2001:db8:f::/126"], ...rule }] }),
    call: (v4) => `20010db800090000${"0".repeat(8)}${v4}`,
    calledAs: (outside) => outside,
    digits: 32,
  },
};

function randomPacket(random: (limit: number) => number, id: number, way: Way): Packet64 {
  const ipProto = [TCP, UDP, ICMPV6][random(3)] as number;
  const sourcePort = 1 + random(48) * 1361;
  return {
    ipProto,
    source: `20010db800010000${hex(random(40) + 1, 16)}`,
    sourcePort,
    destination: way.call(hex(0xc0000201 + random(6), 8)),
    destinationPort: ipProto === ICMPV6 ? sourcePort : 53,
    id,
    isReply: false,
    isSplit: (way.digits === 32 || ipProto !== ICMPV6) && random(4) === 0,
    hasChecksum: true,
  };
}

interface Owner {
  readonly packet: Packet64;
  readonly time: bigint;
}

const insideOf = ({ ipProto, source, sourcePort }: Packet64) => `${ipProto} ${source}#${sourcePort}`;
const isEcho = ({ ipProto }: Packet64) => ipProto === ICMP || ipProto === ICMPV6;
const outsideOf = ({ ipProto, source, sourcePort }: Packet64) => `${ipProto} ${source}#${sourcePort}`;

class Ledger {
  readonly faults: string[] = [];
  readonly owners = new Map<string, Owner>();
  passed = 0;
  returned = 0;
  pieces = 0;

  left(sent: Packet64, seen: Seen64, time: bigint, way: Way): void {
    this.passed++;
    if (seen.isSplit) this.pieces++;
    const outside = outsideOf(seen);
    const owner = this.owners.get(outside);
    if (owner !== undefined && insideOf(owner.packet) !== insideOf(sent) && time - owner.time < LEAST_LIFE)
      this.faults.push(`${outside} of ${insideOf(owner.packet)} was given to ${insideOf(sent)}`);
    if (seen.source.length !== way.digits || way.calledAs(seen.destination) !== sent.destination)
      this.faults.push(`${outside} goes to ${seen.destination}`);
    if (!seen.isSound || seen.isSplit !== sent.isSplit) this.faults.push(`${outside}: checksum or pieces`);
    this.owners.set(outside, { packet: sent, time });
  }

  came({ packet }: Owner, sent: Packet64, seen: Seen64, way: Way): void {
    this.returned++;
    const isMeant = seen.destination === packet.source && seen.destinationPort === packet.sourcePort;
    const fromPort = isEcho(sent) ? packet.sourcePort : sent.sourcePort;
    const isFrom = seen.source === way.calledAs(sent.source) && seen.sourcePort === fromPort;
    if (!isMeant || !isFrom) this.faults.push(`a reply to ${insideOf(packet)} came to ${insideOf(seen)}`);
    // Between the families UDP gets the checksum that it has not.
    const hasChecksum = sent.hasChecksum || way.digits === 8;
    if (!seen.isSound || seen.hasChecksum !== hasChecksum || seen.isSplit !== sent.isSplit)
      this.faults.push(`a reply to ${insideOf(packet)}: checksum or pieces`);
  }
}

/** Sends so many packets, half from inside, half answers. */
async function play(packets: number, to: string, rule: object = {}, flows: object = {}) {
  const way = ways[to] as Way;
  const nat = await openNat(way.config(rule), { flows });
  const random = makeRandom(0x9e3779b9);
  const ledger = new Ledger();
  let time = 1_700_000_000n * SECOND;
  let id = 0;
  for (let sent = 0; sent < packets; sent += 2 * BATCH) {
    time += BigInt(BATCH) * 4n * MILLISECOND;
    const first = id;
    const out = Array.from({ length: BATCH }, () => randomPacket(random, id++, way));
    const left = exchange64(nat.fn, 0, out, time);
    for (const seen of left) ledger.left(out[seen.id - first] as Packet64, seen, time, way);
    const replies = left.map((seen): Packet64 => {
      const back = { source: seen.destination, destination: seen.source };
      const ports = { sourcePort: seen.destinationPort, destinationPort: seen.sourcePort };
      const isSplit = (way.digits === 32 || !isEcho(seen)) && random(4) === 0;
      const hasChecksum = seen.ipProto !== UDP || isSplit || random(4) > 0;
      return { ...seen, ...back, ...ports, isReply: true, isSplit, hasChecksum };
    });
    const came = exchange64(nat.fn, 1, replies, time + MILLISECOND);
    const answered = new Map(left.map((seen, index) => [seen.id, [seen, replies[index]] as const]));
    for (const seen of came) {
      const [asked, reply] = answered.get(seen.id) as readonly [Seen64, Packet64];
      ledger.came(ledger.owners.get(outsideOf(asked)) as Owner, reply, seen, way);
    }
    if (came.length !== left.length) ledger.faults.push(`${left.length - came.length} replies were dropped`);
  }
  return { nat, ledger, time };
}

describe("random packets of IPv6 hosts", () => {
  it.each([
    { packets: PACKETS, to: "64:ff9b::/96", mapping: "endpoint-independent" },
    { packets: FEWER, to: "2001:db8:aa00::/40", mapping: "address-dependent" },
    { packets: FEWER, to: "2001:db8:aa:bb::/64", mapping: "address-and-port-dependent" },
    { packets: PACKETS, to: "IPv6 addresses", mapping: "endpoint-independent" },
    { packets: FEWER, to: "IPv6 addresses", mapping: "address-dependent" },
    { packets: FEWER, to: "IPv6 addresses", mapping: "address-and-port-dependent" },
  ])(
    "$packets to $to with $mapping mapping are translated one to one, and leave nothing behind",
    async (each) => {
      const { nat, ledger, time } = await play(each.packets, each.to, {
        mapping: each.mapping,
        filtering: each.mapping,
      });
      expect(ledger.faults.slice(0, 5)).toEqual([]);
      expect([ledger.passed, ledger.returned]).toEqual([each.packets / 2, each.packets / 2]);
      expect(ledger.pieces).toBeGreaterThan(each.packets / 20);
      expect(nat.counter("sessions")).toBeGreaterThan(1000);
      nat.out("udp 172.16.0.1:1 > 192.0.2.1:1", Number((time + TEN_DAYS) / SECOND));
      expect([...nat.held, nat.counter("addresses")]).toEqual([0, 0, 0, 0, each.to === "IPv6 addresses" ? 4 : 0]);
      nat.close();
    },
    300_000,
  );

  it.each([
    ["64:ff9b::/96", "203.0.113.1", 0],
    ["IPv6 addresses", "2001:db8:f::1", 1],
  ])(
    "to %s on a full table and with few ports leak nothing",
    async (to, address, named) => {
      const few = { pool: [address], ports: "2000-2063", parity: false };
      const { nat, ledger, time } = await play(FEWER, to, few, { capacity: 300 });
      expect(ledger.faults.filter((fault) => fault.includes("checksum"))).toEqual([]);
      expect(ledger.passed).toBeLessThan(FEWER / 2);
      nat.out("udp 172.16.0.1:1 > 192.0.2.1:1", Number((time + TEN_DAYS) / SECOND));
      expect([...nat.held, nat.counter("addresses")]).toEqual([0, 0, 0, 0, named]);
      nat.close();
    },
    300_000,
  );

  it("are checked by a reader that sees a wrong checksum in either family and piece", () => {
    const packet = randomPacket(makeRandom(3), 1, ways["64:ff9b::/96"] as Way);
    const both = [packet, { ...packet, source: "0a000001", destination: "c0000201" }];
    for (const each of both.flatMap((one) => [false, true].map((isSplit) => ({ ...one, ipProto: TCP, isSplit })))) {
      const frames = buildFrames(each);
      expect(readFrames(frames)[0]?.isSound).toBe(true);
      const last = frames.at(-1) as Uint8Array;
      last.set([(last.at(-6) as number) ^ 0x40], last.length - 6);
      expect(readFrames(frames)[0]?.isSound).toBe(false);
    }
  });
});
