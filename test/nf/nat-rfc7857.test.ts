// RFC 7857: updates to the behavioural requirements, by its sections.
import { afterEach, expect } from "vitest";
import {
  addressOf,
  describeBoth,
  type NatOptions,
  type NatUnderTest,
  openNat,
  portOf,
} from "../support/nat-under-test.ts";
import { describeRequirements } from "../support/requirements.ts";

const opened: NatUnderTest[] = [];

async function open(rule: object = {}, options?: NatOptions): Promise<NatUnderTest> {
  const sources = [{ from: ["10.0.0.0/8"], pool: ["203.0.113.1"], ...rule }];
  const nat = await openNat({ sources }, options);
  opened.push(nat);
  return nat;
}

afterEach(() => {
  for (const nat of opened.splice(0)) nat.close();
});

const syn = (time: number, nat: NatUnderTest) => nat.out("tcp 10.0.0.1:5000 > 192.0.2.1:80 syn seq 99", time);
const patient = {
  flows: { timeouts: { tcp: { syn_sent: 240, syn_recv: 240, fin_wait: 240, close: 240 } } },
} satisfies NatOptions;

describeRequirements(
  "RFC 7857",
  "nfs/nat/README.md",
  [
    {
      id: "2.1",
      says: "Timeouts of connections that open and that close can be set, with 4 minutes as the default",
      but: "they are the chain's `flows.timeouts.tcp`, and so are their defaults",
      holds: async () => {
        const nat = await open({ order: "preserve" }, { flows: { timeouts: { tcp: { syn_sent: 300, close: 20 } } } });
        syn(1000, nat);
        expect(nat.in("tcp 192.0.2.1:80 > 203.0.113.1:5000 rst ack 100 seq 499", 1299)[0]).toMatch(/^next/);
        expect(nat.in("tcp 192.0.2.1:80 > 203.0.113.1:5000 syn seq 499", 1330)).toEqual(["drop no-mapping"]);
      },
    },
    {
      id: "2.2",
      says: "A TCP reset is translated, and the mapping stays for 4 minutes",
      but: "if `flows.timeouts.tcp.close` says so",
      holds: async () => {
        const nat = await open({ order: "preserve" }, patient);
        syn(1000, nat);
        nat.in("tcp 192.0.2.1:80 > 203.0.113.1:5000 rst ack 100 seq 499");
        expect(nat.outsideOf("tcp 10.0.0.1:5000 > 192.0.2.2:80 syn", 1239)).toBe("203.0.113.1:5000");
      },
    },
    {
      id: "3",
      says: "With narrower mappings, one outside port may be used towards several destinations",
      but: "with `sharePorts`, and not before all ports are taken",
      holds: async () => {
        const dependent = "address-and-port-dependent";
        const narrow = { mapping: dependent, filtering: dependent, ports: "2000-2001", parity: false };
        const nat = await open({ ...narrow, sharePorts: true });
        const call = (host: number, server: number) =>
          nat.out(`udp 10.0.0.${host}:5000 > 192.0.2.${server}:53`, 1000)[0] as string;
        for (const server of [1, 2, 3])
          expect(new Set([1, 2].map((host) => call(host, server).split(" ")[2])).size).toBe(2);
        expect(call(3, 1)).toBe("drop no-port");
        const port = portOf(call(2, 3).split(" ")[2] as string);
        expect(nat.in(`udp 192.0.2.3:53 > 203.0.113.1:${port}`)).toEqual(["next udp 192.0.2.3:53 > 10.0.0.2:5000"]);
        expect(nat.in(`udp 192.0.2.4:53 > 203.0.113.1:${port}`)).toEqual(["drop filtered"]);
        nat.out("udp 172.16.0.1:1 > 192.0.2.1:1", 9000);
        expect(nat.held).toEqual([0, 0, 0, 0]);
        expect(new Set([4, 5].map((host) => call(host, 9).split(" ")[2])).size).toBe(2);
        const strict = await open(narrow);
        for (const host of [1, 2]) strict.out(`udp 10.0.0.${host}:5000 > 192.0.2.1:53`);
        expect(strict.out("udp 10.0.0.3:5000 > 192.0.2.2:53")).toEqual(["drop no-port"]);
      },
    },
    {
      id: "4",
      says: "Pairing holds over all protocols, and who finds no port at the address gets none, if so chosen",
      holds: async () => {
        const pool = ["203.0.113.0/28"];
        const nat = await open({ pool });
        const lines = [
          "udp 10.0.0.1:1 > 192.0.2.1:1",
          "tcp 10.0.0.1:1 > 192.0.2.1:1 syn",
          "icmp 10.0.0.1 > 192.0.2.1 echo id 1",
        ];
        expect(new Set(lines.map((line) => addressOf(nat.outsideOf(line)))).size).toBe(1);
        const full = async (rule: object) => {
          const small = await open({ pool, ports: 7, parity: false, ...rule });
          return small.out(["udp 10.0.0.1:1 > 192.0.2.1:1", "udp 10.0.0.1:2 > 192.0.2.1:1"])[1]?.split(" ")[0];
        };
        expect([await full({}), await full({ whenExhausted: "other-address" })]).toEqual(["drop", "next"]);
      },
    },
    {
      id: "5",
      says: "Mappings of TCP and UDP do not depend on each other",
      holds: async () => {
        const nat = await open({ order: "preserve", parity: false });
        expect(nat.outsideOf("udp 10.0.0.1:5000 > 192.0.2.1:1")).toBe("203.0.113.1:5000");
        expect(nat.outsideOf("tcp 10.0.0.2:5000 > 192.0.2.1:1 syn")).toBe("203.0.113.1:5000");
      },
    },
    {
      id: "6",
      says: "Filters of TCP and UDP do not depend on each other",
      holds: async () => {
        const nat = await open({ order: "preserve", filtering: "endpoint-independent" });
        nat.out("udp 10.0.0.1:5000 > 192.0.2.1:1");
        expect(nat.in("udp 192.0.2.9:1 > 203.0.113.1:5000")[0]).toMatch(/^next/);
        expect(nat.in("tcp 192.0.2.9:1 > 203.0.113.1:5000 syn")).toEqual(["drop no-mapping"]);
      },
    },
    {
      id: "7",
      says: "Packets from outside that are filtered do not refresh a mapping",
      holds: async () => {
        const nat = await open({ order: "preserve" });
        nat.out("udp 10.0.0.1:5000 > 192.0.2.1:1", 1000);
        expect(nat.in("udp 192.0.2.9:1 > 203.0.113.1:5000", 1299)).toEqual(["drop filtered"]);
        expect(nat.in("udp 192.0.2.1:1 > 203.0.113.1:5000", 1301)).toEqual(["drop no-mapping"]);
      },
    },
    {
      id: "7.1",
      says: "ICMP errors and resets from inside do not refresh a mapping",
      but: "this is shown for errors; a reset ends a connection after `flows.timeouts.tcp.close`",
      holds: async () => {
        const nat = await open({ order: "preserve" });
        nat.out("udp 10.0.0.1:5000 > 192.0.2.1:53", 1000);
        nat.in("udp 192.0.2.1:53 > 203.0.113.1:5000", 1001);
        nat.out("icmp 10.0.0.1 > 192.0.2.1 unreachable code 3 payload (udp 192.0.2.1:53 > 10.0.0.1:5000)", 1290);
        expect(nat.in("udp 192.0.2.1:53 > 203.0.113.1:5000", 1302)).toEqual(["drop no-mapping"]);
      },
    },
    {
      id: "8",
      says: "Keeping the parity of ports can be switched off",
      holds: async () => {
        const nat = await open({ parity: false });
        const ports = [...Array(40).keys()].map((i) => portOf(nat.outsideOf(`udp 10.0.0.${i}:5000 > 192.0.2.1:1`)));
        expect(new Set(ports.map((port) => port % 2)).size).toBe(2);
      },
    },
    {
      id: "9",
      says: "Ports are chosen at random",
      holds: async () => {
        const choose = async (seed: bigint) => {
          const nat = await open({}, { seed });
          return [...Array(50).keys()].map((i) => portOf(nat.outsideOf(`udp 10.0.0.${i}:5000 > 192.0.2.1:1`)));
        };
        const [first, again, other] = [await choose(1n), await choose(1n), await choose(2n)];
        expect(first).toEqual(again);
        expect(first.filter((port) => other.includes(port)).length).toBeLessThan(5);
        const quarters = new Set(first.map((port) => port >> 14));
        expect(quarters.size).toBe(4);
      },
    },
    {
      id: "10",
      says: "Identifications of fragments from several hosts behind one address do not collide",
      but: "those of whole packets go on as they came",
      holds: async () => {
        const nat = await open({ order: "preserve" });
        const first = (host: number) => `udp 10.0.0.${host}:500${host} > 192.0.2.1:53 frag id 7 more zeros 24`;
        const later = (host: number) => `ip 10.0.0.${host} > 192.0.2.1 proto udp frag id 7 offset 32 zeros 8`;
        const results = nat.out([first(1), first(2), later(1), later(2)]);
        const ids = results.map((line) => /^next .* 203\.0\.113\.1.* frag id (\d+)/.exec(line)?.[1]);
        expect(ids[0]).toBeDefined();
        expect(ids[0]).toBe(ids[2]);
        expect(ids[1]).toBe(ids[3]);
        expect(ids[0]).not.toBe(ids[1]);
        const back = "udp 192.0.2.1:53 > 203.0.113.1:5001 frag id 7 more zeros 24";
        expect(nat.in(back)[0]).toContain("frag id 7 ");
      },
    },
    {
      id: "11",
      says: "The mapping of an ICMP query may end with its last session",
      holds: async () => {
        const nat = await open();
        nat.out("icmp 10.0.0.1 > 192.0.2.1 echo id 1", 1000);
        nat.out("arp who-has 10.0.0.2 tell 10.0.0.1", 1061);
        expect(nat.held).toEqual([0, 0, 0, 0]);
      },
    },
    {
      id: "12",
      says: "ICMP errors between inside hosts by outside addresses pass",
      holds: async () => {
        const nat = await open({ order: "preserve", filtering: "endpoint-independent" });
        nat.out("udp 10.0.0.1:5000 > 192.0.2.1:1");
        nat.out("udp 10.0.0.2:6000 > 203.0.113.1:5000");
        const quoted = "payload (udp 203.0.113.1:6000 > 10.0.0.1:5000)";
        expect(nat.out(`icmp 10.0.0.1 > 203.0.113.1 unreachable ${quoted}`)[0]).toMatch(/^transmit lan .* > 10.0.0.2 /);
      },
    },
  ],
  describeBoth,
);
