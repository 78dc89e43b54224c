// RFC 6146: stateful NAT64, by its sections; and the addresses of RFC 6052.
import { afterEach, expect } from "vitest";
import { type NatOptions, type NatUnderTest, openNat, portOf } from "../support/nat-under-test.ts";
import { describeRequirements } from "../support/requirements.ts";

const opened: NatUnderTest[] = [];
const office = { prefix: "64:ff9b::/96", from: ["2001:db8:1::/48"], pool: ["203.0.113.1"], order: "preserve" };

async function open(rule: object = {}, options?: NatOptions, more: object = {}): Promise<NatUnderTest> {
  const nat = await openNat({ nat64: [{ ...office, ...rule }], ...more }, options);
  opened.push(nat);
  return nat;
}

afterEach(() => {
  for (const nat of opened.splice(0)) nat.close();
});

const host = "2001:db8:1::5";
const other = "2001:db8:1::6";
const server = "64:ff9b::c000:201";
const udp = `udp [${host}]:5000 > [${server}]:53`;
const answer = "udp 192.0.2.1:53 > 203.0.113.1:5000";
const tcp = (flags: string) => `tcp [${host}]:5000 > [${server}]:80 ${flags}`;

describeRequirements("RFC 6146", "nfs/nat/README.md", [
  {
    id: "3.1",
    says: "An IPv6 endpoint's mapping for UDP, TCP and ICMP does not depend on the destination",
    holds: async () => {
      const nat = await open({ order: "random" });
      const seen = nat.outsideOf(udp);
      expect(seen).toMatch(/^203\.0\.113\.1:/);
      expect(nat.outsideOf(`udp [${host}]:5000 > [64:ff9b::c000:202]:99`)).toBe(seen);
      expect(nat.outsideOf(`udp [${other}]:5000 > [${server}]:53`)).not.toBe(seen);
      expect(nat.outsideOf(`icmp6 ${host} > ${server} echo id 9 seq 1`)).toMatch(/^203\.0\.113\.1#/);
      expect(nat.outsideOf(tcp("syn"))).toMatch(/^203\.0\.113\.1:/);
    },
  },
  {
    id: "3.4",
    says: "Fragments are translated, also if they come out of order, if the rest comes within 2 seconds at least",
    holds: async () => {
      const nat = await open();
      const first = `${udp} frag id 7 more zeros 24`;
      const later = `ip ${host} > ${server} proto udp frag id 7 offset 32 zeros 8`;
      expect(nat.out([later], 1000)).toEqual([]);
      const both = nat.out([first], 1002).toSorted();
      expect(both).toEqual([
        "next ip 203.0.113.1 > 192.0.2.1 proto udp ttl 63 frag id 7 offset 32 zeros 8",
        expect.stringMatching(/^next udp 203\.0\.113\.1:5000 > 192\.0\.2\.1:53 ttl 63 frag id 7 offset 0 more/),
      ]);
    },
  },
  {
    id: "3.5.1",
    says: "UDP: a packet from IPv6 makes a session, those from IPv4 pass as the mapping's filtering says",
    holds: async () => {
      const strict = await open();
      strict.out(udp);
      expect(strict.in(answer)).toEqual([`next udp [${server}]:53 > [${host}]:5000 ttl 63`]);
      expect(strict.in("udp 192.0.2.9:53 > 203.0.113.1:5000")).toEqual(["drop filtered"]);
      expect(strict.in("udp 192.0.2.9:53 > 203.0.113.1:5001")).toEqual(["drop no-mapping"]);
      const open64 = await open({ filtering: "endpoint-independent" });
      open64.out(udp);
      const called = "udp [64:ff9b::c000:209]:53 > [2001:db8:1::5]:5000 ttl 63";
      expect(open64.in("udp 192.0.2.9:53 > 203.0.113.1:5000")).toEqual([`next ${called}`]);
      expect(open64.out("udp [2001:db8:1::5]:5000 > [64:ff9b::c000:209]:53")[0]).toMatch(
        /^next udp 203\.0\.113\.1:5000 > 192\.0\.2\.9:53 /,
      );
    },
  },
  {
    id: "3.5.1 (ports)",
    says: "Parity of ports is kept, and ports from 0 to 1023 get such ones if they may",
    but: "ports below 1024 are given with `ports` that name them only",
    holds: async () => {
      const nat = await open({ order: "random" });
      expect(portOf(nat.outsideOf(udp)) % 2).toBe(0);
      expect(portOf(nat.outsideOf(`udp [${host}]:5001 > [${server}]:53`)) % 2).toBe(1);
    },
  },
  {
    id: "3.5.1 (loops)",
    says: "What comes from the prefix itself is dropped",
    holds: async () => {
      const nat = await open({ from: ["::/0"] });
      expect(nat.out("udp [64:ff9b::102:304]:5 > [64:ff9b::c000:201]:53")).toEqual(["drop bad-source"]);
    },
  },
  {
    id: "3.5.2",
    says: "TCP: all of a connection's packets pass, a simultaneous open among them",
    holds: async () => {
      const nat = await open();
      expect(nat.out(tcp("syn seq 99"))[0]).toMatch(/^next tcp 203\.0\.113\.1:5000 > 192\.0\.2\.1:80 syn seq 99/);
      expect(nat.in("tcp 192.0.2.1:80 > 203.0.113.1:5000 syn ack 100 seq 499")[0]).toMatch(
        /^next tcp \[64:ff9b::c000:201\]:80 > \[2001:db8:1::5\]:5000 syn/,
      );
      expect(nat.out(tcp('ack 500 seq 100 payload "hello"'))[0]).toMatch(/^next tcp .* payload "hello"$/);
      const crossing = await open();
      crossing.out(tcp("syn seq 99"));
      expect(crossing.in("tcp 192.0.2.1:80 > 203.0.113.1:5000 syn seq 499")[0]).toMatch(/^next tcp/);
      expect(crossing.out(tcp("syn ack 500 seq 99"))[0]).toMatch(/^next tcp/);
    },
  },
  {
    id: "3.5.2.2 (SYN)",
    says: "A SYN from IPv4 that the filtering refuses is kept for 6 seconds, in case that the host calls meanwhile",
    but: "it is dropped at once, as the text allows; the caller sends it again",
  },
  {
    id: "3.5.3",
    says: "ICMP: an identifier's mapping does not depend on the destination, and its replies find it",
    holds: async () => {
      const nat = await open();
      expect(nat.out(`icmp6 ${host} > ${server} echo id 9 seq 1`)[0]).toMatch(
        /^next icmp 203\.0\.113\.1 > 192\.0\.2\.1 echo id 9 seq 1 /,
      );
      expect(nat.in("icmp 192.0.2.1 > 203.0.113.1 echo-reply id 9 seq 1")).toEqual([
        `next icmp6 ${server} > ${host} echo-reply id 9 seq 1 ttl 63`,
      ]);
    },
  },
  {
    id: "3.6",
    says: "The prefix and the rest of the address say which IPv4 address is meant, for all lengths of RFC 6052",
    holds: async () => {
      const meant: Readonly<Record<string, string>> = {
        "2001:db8::/32": "2001:db8:c000:221::",
        "2001:db8:100::/40": "2001:db8:1c0:2:21::",
        "2001:db8:122::/48": "2001:db8:122:c000:2:2100::",
        "2001:db8:122:300::/56": "2001:db8:122:3c0:0:221::",
        "2001:db8:122:344::/64": "2001:db8:122:344:c0:2:2100::",
        "2001:db8:122:344::/96": "2001:db8:122:344::c000:221",
      };
      // RFC 5952 does not shorten a single group of zeros.
      const shown = (address: string) => address.replace(/^((?:[^:]+:){7}):$/, "$10");
      for (const [prefix, address] of Object.entries(meant)) {
        const nat = await open({ prefix, from: ["fd00::/8"] });
        expect(nat.out(`udp [fd00::1]:5000 > [${address}]:53`)[0]).toMatch(/> 192\.0\.2\.33:53 /);
        expect(nat.in("udp 192.0.2.33:53 > 203.0.113.1:5000")[0]).toContain(
          `udp [${shown(address)}]:53 > [fd00::1]:5000`,
        );
      }
    },
  },
  {
    id: "3.6 (local)",
    says: "The well-known prefix stands before no private address (RFC 6052, section 3.1)",
    holds: async () => {
      const nat = await open();
      for (const address of ["a00:1", "ac10:1", "c0a8:1", "7f00:1", "a9fe:1", "e000:1"])
        expect(nat.out(`udp [${host}]:5000 > [64:ff9b::${address}]:53`)).toEqual(["drop bad-destination"]);
      const own = await open({ prefix: "2001:db8:64::/96" });
      expect(own.out(`udp [${host}]:5000 > [2001:db8:64::a00:1]:53`)[0]).toMatch(/^next udp .* > 10\.0\.0\.1:53/);
      const strict = await open({ prefix: "2001:db8:64::/96", mapping: "address-dependent" });
      for (const address of ["0:0", "0:9", "ff:ffff"])
        expect(strict.out(`udp [${host}]:5000 > [2001:db8:64::${address}]:53`)).toEqual(["drop bad-destination"]);
    },
  },
  {
    id: "3.8",
    says: "Hosts reach each other by outside addresses (hairpinning)",
    holds: async () => {
      const nat = await open({ filtering: "endpoint-independent" });
      nat.out(udp);
      expect(nat.out(`udp [${other}]:6000 > [64:ff9b::cb00:7101]:5000`)).toEqual([
        `transmit lan udp [64:ff9b::cb00:7101]:6000 > [${host}]:5000 ttl 63`,
      ]);
      expect(nat.out(`udp [${host}]:5000 > [64:ff9b::cb00:7101]:6000`)).toEqual([
        `transmit lan udp [64:ff9b::cb00:7101]:5000 > [${other}]:6000 ttl 63`,
      ]);
      const error = `icmp6 ${host} > 64:ff9b::cb00:7101 unreachable code 4`;
      expect(nat.out(`${error} payload (udp [64:ff9b::cb00:7101]:6000 > [${host}]:5000)`)).toEqual([
        `transmit lan icmp6 64:ff9b::cb00:7101 > ${other} unreachable code 4 ttl 63 payload (udp [${other}]:6000 > [64:ff9b::cb00:7101]:5000)`,
      ]);
    },
  },
  {
    id: "3.8 (IPv4)",
    says: "IPv4 and IPv6 hosts inside reach each other the same way",
    holds: async () => {
      const sources = [{ from: ["10.0.0.0/8"], pool: ["203.0.113.1"], order: "preserve" }];
      const nat = await open({ filtering: "endpoint-independent" }, undefined, { sources });
      nat.out(udp);
      expect(nat.out("udp 10.0.0.1:7000 > 203.0.113.1:5000")).toEqual([
        `transmit lan udp [64:ff9b::cb00:7101]:7000 > [${host}]:5000 ttl 63`,
      ]);
      expect(nat.out(`udp [${host}]:5000 > [64:ff9b::cb00:7101]:7000`)[0]).toMatch(
        /^transmit lan udp 203\.0\.113\.1:5000 > 10\.0\.0\.1:7000 /,
      );
    },
  },
  {
    id: "4 UDP",
    says: "A UDP session lives 2 minutes without a packet at least, 5 by default",
    holds: async () => {
      const nat = await open();
      nat.out(udp, 1000);
      expect(nat.in(answer, 1299)[0]).toMatch(/^next/);
      expect(nat.in(answer, 1600)).toEqual(["drop no-mapping"]);
    },
  },
  {
    id: "4 TCP",
    says: "An established connection lives 2 hours 4 minutes without a packet, any other 4 minutes",
    but: "these are the chain's: `flows.timeouts.tcp`, as in chains/nat.yaml",
    holds: async () => {
      const nat = await open({}, { flows: { timeouts: { tcp: { established: 7440, syn_sent: 240, syn_recv: 240 } } } });
      nat.out(tcp("syn seq 99"), 1000);
      nat.in("tcp 192.0.2.1:80 > 203.0.113.1:5000 syn ack 100 seq 499", 1239);
      nat.out(tcp("ack 500 seq 100"), 1240);
      expect(nat.in("tcp 192.0.2.1:80 > 203.0.113.1:5000 ack 100 seq 500", 8679)[0]).toMatch(/^next/);
      expect(nat.in("tcp 192.0.2.1:80 > 203.0.113.1:5000 ack 100 seq 500", 16130)).toEqual(["drop no-mapping"]);
    },
  },
  {
    id: "4 ICMP",
    says: "An ICMP session lives 60 seconds without a packet",
    holds: async () => {
      const nat = await open();
      nat.out(`icmp6 ${host} > ${server} echo id 9 seq 1`, 1000);
      const reply = "icmp 192.0.2.1 > 203.0.113.1 echo-reply id 9 seq 1";
      expect(nat.in(reply, 1059)[0]).toMatch(/^next/);
      expect(nat.in(reply, 1130)).toEqual(["drop no-mapping"]);
    },
  },
  {
    id: "5.3",
    says: "What one host may have is limited, and nothing is left when all has ended",
    holds: async () => {
      const nat = await open({ mappingsPerHost: 2 });
      for (const port of [1, 2]) expect(nat.out(`udp [${host}]:${port} > [${server}]:53`, 1000)[0]).toMatch(/^next/);
      expect(nat.out(`udp [${host}]:3 > [${server}]:53`, 1000)).toEqual(["drop limit"]);
      expect(nat.out(`udp [${other}]:3 > [${server}]:53`, 1000)[0]).toMatch(/^next/);
      nat.out("udp 172.16.0.1:1 > 192.0.2.1:1", 9000);
      expect([...nat.held, nat.counter("addresses")]).toEqual([0, 0, 0, 0, 0]);
    },
  },
]);
