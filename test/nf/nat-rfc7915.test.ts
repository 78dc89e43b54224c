// RFC 7915: IP and ICMP translation between the families, by its sections.
import { afterEach, expect } from "vitest";
import { type NatUnderTest, openNat, setMtu } from "../support/nat-under-test.ts";
import { describeRequirements } from "../support/requirements.ts";

const opened: NatUnderTest[] = [];
const office = { prefix: "64:ff9b::/96", from: ["2001:db8:1::/48"], pool: ["203.0.113.1"], order: "preserve" };

async function open(more: object = {}): Promise<NatUnderTest> {
  const nat = await openNat({ nat64: [{ ...office, filtering: "endpoint-independent" }], ...more });
  opened.push(nat);
  nat.out(udp);
  return nat;
}

afterEach(() => {
  for (const nat of opened.splice(0)) nat.close();
});

const host = "2001:db8:1::5";
const server = "64:ff9b::c000:201";
const udp = `udp [${host}]:5000 > [${server}]:53`;
const back = "udp 192.0.2.1:53 > 203.0.113.1:5000";
const back6 = `udp [${server}]:53 > [${host}]:5000`;
const out4 = "udp 203.0.113.1:5000 > 192.0.2.1:53";

const hex = (rest: number) => rest.toString(16).padStart(8, "0");

/** An error of IPv4 about a packet of the host, and what the host is told. */
async function told(nat: NatUnderTest, error: string): Promise<string> {
  const [result = ""] = nat.in(`icmp 198.51.100.9 > 203.0.113.1 ${error} payload (${out4})`);
  return result.replace(/ ttl 63 payload .*/, "").replace("next icmp6 64:ff9b::c633:6409 > 2001:db8:1::5 ", "");
}

/** The same the other way. */
async function told4(nat: NatUnderTest, error: string): Promise<string> {
  const [result = ""] = nat.out(`icmp6 ${host} > ${server} ${error} payload (${back6})`);
  return result.replace(/ ttl 63 payload .*/, "").replace("next icmp 203.0.113.1 > 192.0.2.1 ", "");
}

describeRequirements("RFC 7915", "nfs/nat/README.md", [
  {
    id: "4.1",
    says: "IPv4 to IPv6: traffic class, hop limit, next header and length follow; flow label 0; options are left out",
    holds: async () => {
      const nat = await open();
      expect(nat.in(`${back} ttl 9 dscp 46 ecn 1 options 01010100 payload 0102`)).toEqual([
        `next ${back6} ttl 8 dscp 46 ecn 1 payload 0102`,
      ]);
    },
  },
  {
    id: "4.1 (source route)",
    says: "A packet with places to go to before its destination is dropped, and its sender told",
    holds: async () => {
      const nat = await open();
      const results = nat.in(`${back} options 8307040a00000100`);
      expect(results).toContain("drop source-route");
      expect(results.join()).toContain("unreachable code 5");
      expect(nat.in(`${back} options 8307080a00000100`)[0]).toMatch(/^next/);
    },
  },
  {
    id: "4.1 (hops)",
    says: "A packet without a hop left is dropped, and its sender told",
    but: "ports that route count it themselves, as `countHops: false` says for others; the error comes from the address that the packet was for",
    holds: async () => {
      const nat = await open();
      const results = nat.in(`${back} ttl 1`);
      expect(results).toContain("drop hop-limit");
      expect(results.join()).toContain("icmp 203.0.113.1 > 192.0.2.1 time-exceeded");
      const six = nat.out(`${udp} ttl 1`);
      expect(six).toContain("drop hop-limit");
      expect(six.join()).toContain(`icmp6 ${server} > ${host} time-exceeded`);
      const routed = await open({ countHops: false });
      expect(routed.in(`${back} ttl 1`)).toEqual([`next ${back6} ttl 1`]);
    },
  },
  {
    id: "4.1 (fragments)",
    says: "Fragments get a fragment header: offset and more follow, the identification is the lower half",
    holds: async () => {
      const nat = await open();
      expect(nat.in(`${back} frag id 77 more zeros 24`)[0]).toMatch(
        /^next udp \[64:ff9b::c000:201\]:53 > \[2001:db8:1::5\]:5000 ttl 63 frag id 77 offset 0 more/,
      );
      expect(nat.in("ip 192.0.2.1 > 203.0.113.1 proto udp frag id 77 offset 32 payload 0102")).toEqual([
        `next ip ${server} > ${host} proto udp ttl 63 frag id 77 offset 32 payload 0102`,
      ]);
    },
  },
  {
    id: "4 (size)",
    says: "What may be fragmented and is above 1280 bytes as IPv6 is fragmented; `lowestMtu6` sets another limit",
    but: "pieces after the first leave past the functions that follow",
    holds: async () => {
      const nat = await open();
      const small = nat.in(`${back} zeros 1232`);
      expect(small).toEqual([`next ${back6} ttl 63 zeros 1232`]);
      const [first = "", second = ""] = nat.in(`${back} ip-id 9 zeros 1400`).toSorted();
      expect([first, second].join()).toContain(
        `ip ${server} > ${host} proto udp ttl 63 frag id 9 offset 1232 zeros 176`,
      );
      expect([first, second].join()).toContain(
        `${back6} udp-length 1408 checksum 0xf170 ttl 63 frag id 9 offset 0 more`,
      );
      const wide = await open({ lowestMtu6: 1500 });
      expect(wide.in(`${back} zeros 1400`)).toEqual([`next ${back6} ttl 63 zeros 1400`]);
    },
  },
  {
    id: "4 (too big)",
    says: "What must not be fragmented and is above the MTU as IPv6 is dropped, and its sender told an MTU 20 bytes less",
    but: "the MTU is the host's port's own, unless `mtu6` says another",
    holds: async () => {
      const narrow = await open();
      setMtu(narrow, 1400);
      expect(narrow.in(`${back} df zeros 1352`)).toEqual([`next ${back6} ttl 63 zeros 1352`]);
      expect(narrow.in(`${back} df zeros 1353`).join()).toContain(`unreachable code 4 mtu 1380`);
      const nat = await open({ mtu6: 1500 });
      setMtu(nat, 1400);
      expect(nat.in(`${back} df zeros 1452`)).toEqual([`next ${back6} ttl 63 zeros 1452`]);
      const results = nat.in(`${back} df zeros 1453`);
      expect(results).toContain("drop too-big");
      expect(results.join()).toContain(`unreachable code 4 mtu 1480`);
    },
  },
  {
    id: "4.2",
    says: "ICMP errors of IPv4 get the types, codes and pointers of IPv6",
    holds: async () => {
      const nat = await open();
      const codes = { 0: 0, 1: 0, 3: 4, 5: 0, 6: 0, 7: 0, 8: 0, 9: 1, 10: 1, 11: 0, 12: 0, 13: 1, 15: 1 };
      for (const [code, code6] of Object.entries(codes))
        expect(await told(nat, `unreachable code ${code}`)).toBe(`unreachable${code6 === 0 ? "" : ` code ${code6}`}`);
      expect(await told(nat, "unreachable code 2")).toBe(`type 4 code 1 rest ${hex(6)}`);
      expect(await told(nat, "time-exceeded code 1")).toBe("time-exceeded code 1");
      const pointers = { 0: 0, 1: 1, 2: 4, 3: 4, 8: 7, 9: 6, 12: 8, 15: 8, 16: 24, 19: 24 };
      for (const [pointer, pointer6] of Object.entries(pointers)) {
        const word = hex(Number(pointer) * 0x1000000);
        expect(await told(nat, `type 12 rest ${word}`)).toBe(`type 4${pointer6 === 0 ? "" : ` rest ${hex(pointer6)}`}`);
      }
    },
  },
  {
    id: "4.2 (none)",
    says: "What has no counterpart is dropped: redirects, source quench, other codes and pointers, queries that are no echoes",
    holds: async () => {
      const nat = await open();
      const pointers = ["04", "05", "06", "07", "0a", "0b", "14"].map((pointer) => `type 12 rest ${pointer}000000`);
      for (const error of [
        "redirect",
        "type 4",
        "unreachable code 14",
        "unreachable code 16",
        "type 12 code 1",
        ...pointers,
      ])
        expect(await told(nat, error)).toMatch(/^drop stray-icmp-error/);
      expect(nat.in("icmp 192.0.2.1 > 203.0.113.1 type 13")[0]).toMatch(/^drop/);
    },
  },
  {
    id: "4.2 (MTU)",
    says: "An MTU grows by 20 bytes, up to that of the link and not below 1280; none is guessed by the packet's size",
    holds: async () => {
      const nat = await open();
      const mtus = { 1400: 1420, 1500: 1500, 576: 1280, 1260: 1280, 1479: 1499 };
      for (const [mtu, mtu6] of Object.entries(mtus))
        expect(await told(nat, `unreachable code 4 mtu ${mtu}`)).toBe(`too-big mtu ${mtu6}`);
      const large = "icmp 198.51.100.9 > 203.0.113.1 unreachable code 4 payload";
      expect(nat.in(`${large} (${out4} zeros 1472)`)[0]).toContain(`too-big mtu 1500 `);
    },
  },
  {
    id: "4.3",
    says: "What an error quotes is translated, too",
    but: "extensions behind the quote (RFC 4884) are left out",
    holds: async () => {
      const nat = await open();
      expect(
        nat.in(`icmp 192.0.2.1 > 203.0.113.1 unreachable code 3 payload (${out4} ttl 3 dscp 8 payload 0102)`),
      ).toEqual([
        `next icmp6 ${server} > ${host} unreachable code 4 ttl 63 payload (${udp} ttl 3 dscp 8 payload 0102)`,
      ]);
      expect(
        nat.in(`icmp 192.0.2.1 > 203.0.113.1 unreachable code 3 payload (${out4} frag id 5 more zeros 24)`)[0],
      ).toContain("frag id 5 offset 0 more");
      expect(nat.in(`icmp 192.0.2.1 > 203.0.113.1 unreachable bad-checksum payload (${out4})`)).toEqual([
        "drop bad-icmp-error",
      ]);
    },
  },
  {
    id: "4.5",
    says: "UDP without checksum gets one; in a fragment, where it cannot be computed, it is dropped",
    holds: async () => {
      const nat = await open();
      expect(nat.in(`${back} checksum 0 payload 01020304`)).toEqual([`next ${back6} ttl 63 payload 01020304`]);
      expect(nat.in(`${back} checksum 0 frag id 3 more zeros 24`)).toEqual(["drop zero-checksum"]);
    },
  },
  {
    id: "5.1",
    says: "IPv6 to IPv4: TOS, TTL and protocol follow; DF above 1260 bytes only, an identification of its own for each",
    holds: async () => {
      const nat = await open();
      const small = nat.out([`${udp} ttl 9 dscp 46 ecn 1 flow-label 5 payload 01`, `${udp} payload 02`]);
      expect(small).toEqual([
        `next ${out4} ttl 8 dscp 46 ecn 1 ip-id 2 payload 01`,
        `next ${out4} ttl 63 ip-id 3 payload 02`,
      ]);
      expect(nat.out(`${udp} zeros 1232`)[0]).not.toContain(" df");
      expect(nat.out(`${udp} zeros 1233`)[0]).toContain(" df");
    },
  },
  {
    id: "5.1 (extensions)",
    says: "Hop-by-hop, destination and used up routing headers are left out; a routing header in use is answered",
    holds: async () => {
      const nat = await open();
      expect(nat.out(`${udp} ext hop-by-hop ext destination payload 01`)[0]).toMatch(
        /^next udp 203\.0\.113\.1:5000 > 192\.0\.2\.1:53 ttl 63 ip-id \d+ payload 01$/,
      );
      expect(nat.out(`${udp} ext routing 040000000000 payload 01`)[0]).toMatch(/^next udp 203/);
      const results = nat.out(`${udp} ext routing 040100000000 payload 01`);
      expect(results).toContain("drop source-route");
      expect(results.join()).toContain(`type 4 rest ${hex(43)}`);
      expect(nat.out(`${udp} ext auth 00000000000000000000 payload 01`)).toEqual(["drop extension"]);
    },
  },
  {
    id: "5.1.1",
    says: "Fragments: the lower 16 bits of the identification, offset and more follow, DF is 0",
    holds: async () => {
      const nat = await open();
      expect(nat.out(`${udp} frag id 0x12345678 more zeros 24`)[0]).toMatch(
        /^next udp 203\.0\.113\.1:5000 > 192\.0\.2\.1:53 ttl 63 frag id 22136 offset 0 more/,
      );
      expect(nat.out(`ip ${host} > ${server} proto udp frag id 0x12345678 offset 32 payload 0102`)).toEqual([
        "next ip 203.0.113.1 > 192.0.2.1 proto udp ttl 63 frag id 22136 offset 32 payload 0102",
      ]);
      expect(nat.out(`${udp} frag id 9 payload 01`)).toEqual([`next ${out4} ttl 63 ip-id 9 payload 01`]);
    },
  },
  {
    id: "5.2",
    says: "ICMPv6 errors get the types, codes, pointers and MTUs of IPv4",
    holds: async () => {
      const nat = await open();
      nat.in(back);
      for (const [code, code4] of Object.entries({ 0: 1, 1: 10, 2: 1, 3: 1, 4: 3 }))
        expect(await told4(nat, `unreachable code ${code}`)).toBe(`unreachable code ${code4}`);
      expect(await told4(nat, "time-exceeded code 1")).toBe("time-exceeded code 1");
      expect(await told4(nat, `type 4 code 1 rest ${hex(6)}`)).toBe("unreachable code 2");
      for (const [mtu, mtu4] of Object.entries({ 1280: 1260, 1400: 1380, 9000: 1480, 100: 1260 }))
        expect(await told4(nat, `too-big mtu ${mtu}`)).toBe(`unreachable code 4 mtu ${mtu4}`);
      const pointers = { 0: 0, 1: 1, 4: 2, 5: 2, 6: 9, 7: 8, 8: 12, 23: 12, 24: 16, 39: 16 };
      for (const [pointer, pointer4] of Object.entries(pointers))
        expect(await told4(nat, `type 4 rest ${hex(Number(pointer))}`)).toBe(
          pointer4 === 0 ? "type 12" : `type 12 rest ${hex(pointer4 * 0x1000000)}`,
        );
      for (const none of [`type 4 rest ${hex(2)}`, `type 4 rest ${hex(40)}`, "type 4 code 2", "unreachable code 5"])
        expect(await told4(nat, none)).toMatch(/^drop stray-icmp-error/);
    },
  },
  {
    id: "5.3",
    says: "What an error quotes is translated, too",
    holds: async () => {
      const nat = await open();
      nat.in(back);
      const quoted = `payload (${back6} ttl 3 payload 0102)`;
      expect(nat.out(`icmp6 2001:db8:1::ffff > ${server} time-exceeded ${quoted}`)).toEqual([
        `next icmp 203.0.113.1 > 192.0.2.1 time-exceeded ttl 63 payload (${back} ttl 3 payload 0102)`,
      ]);
      expect(nat.out(`icmp6 ${host} > ${server} unreachable bad-checksum ${quoted}`)).toEqual(["drop bad-icmp-error"]);
    },
  },
  {
    id: "1.2",
    says: "Fragmented ICMP is not translated",
    holds: async () => {
      const nat = await open();
      expect(nat.out(`icmp6 ${host} > ${server} echo id 9 seq 1 frag id 3 more zeros 24`)).toEqual([
        "drop icmp-fragment",
      ]);
    },
  },
]);
