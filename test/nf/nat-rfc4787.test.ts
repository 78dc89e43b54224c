// RFC 4787: behavioural requirements for unicast UDP.
import { join } from "node:path";
import { afterEach, expect } from "vitest";
import {
  addressOf,
  describeBoth,
  type NatOptions,
  type NatUnderTest,
  openNat,
  portOf,
  setAddress,
} from "../support/nat-under-test.ts";
import { replayLines } from "../support/replayed-lines.ts";
import { describeRequirements } from "../support/requirements.ts";
import { makeFolder } from "../support/temporary-folder.ts";

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

const a = (to: string, words = "") => `udp 10.0.0.1:5000 > ${to}${words}`;
const [r1, r1b, r2] = ["192.0.2.1:53", "192.0.2.1:54", "192.0.2.2:53"] as const;

const MACS = { lan: "02:00:00:00:01:00", wan: "02:00:00:00:02:00" } as const;
const routed = {
  "routed.yaml": `
chain: routed
ports: { lan: { device: lan0, forwarding: routed }, wan: { device: wan0, forwarding: routed } }
functions: { nat: { use: nat@1, config: { outside: [wan], sources: [{ from: [10.0.0.0/8], masquerade: true }] } } }
paths: [{ from: lan, through: [nat], to: route }, { from: wan, through: [nat], to: route }]
`,
  "routes.yaml": `
ports:
  lan: { mac: "${MACS.lan}", addresses: [10.0.0.254/24] }
  wan: { mac: "${MACS.wan}", mtu: 1400, addresses: [203.0.113.1/24] }
routes: [{ to: 0.0.0.0/0, via: 203.0.113.2 }]
neighbours: { 10.0.0.1: "02:00:00:00:00:02", 203.0.113.2: "02:00:00:00:00:03" }
`,
};

describeRequirements(
  "RFC 4787",
  "nfs/nat/README.md",
  [
    {
      id: "REQ-1",
      says: "Mapping is endpoint-independent",
      holds: async () => {
        const nat = await open();
        const outside = nat.outsideOf(a(r1));
        expect([nat.outsideOf(a(r1b)), nat.outsideOf(a(r2))]).toEqual([outside, outside]);
        const byAddress = await open({ mapping: "address-dependent" });
        expect(byAddress.outsideOf(a(r1))).toBe(byAddress.outsideOf(a(r1b)));
        expect(byAddress.outsideOf(a(r1))).not.toBe(byAddress.outsideOf(a(r2)));
        const byBoth = await open({ mapping: "address-and-port-dependent" });
        expect(new Set([r1, r1b, r2].map((remote) => byBoth.outsideOf(a(remote)))).size).toBe(3);
      },
    },
    {
      id: "REQ-2",
      says: "Pooling is paired: a host has one outside address",
      holds: async () => {
        const pool = ["203.0.113.0/28"];
        const addresses = (nat: NatUnderTest) =>
          new Set([...Array(40).keys()].map((i) => addressOf(nat.outsideOf(`udp 10.0.0.1:${5000 + i} > ${r1}`))));
        expect(addresses(await open({ pool })).size).toBe(1);
        expect(addresses(await open({ pool, pooling: "arbitrary" })).size).toBeGreaterThan(1);
      },
    },
    {
      id: "REQ-3",
      says: "No outside port is given to two inside endpoints",
      holds: async () => {
        const nat = await open({ ports: "2000-2063", parity: false });
        const send = (i: number) => nat.out(`udp 10.0.0.${i + 1}:5000 > ${r1}`)[0] as string;
        const sent = [...Array(64).keys()].map(send);
        expect(new Set(sent.map((line) => line.split(" ")[2])).size).toBe(64);
        expect(send(64)).toBe("drop no-port");
      },
    },
    {
      id: "REQ-3a",
      says: "Ports below 1024 get ports below 1024 (recommended)",
      but: "with `keepLowPorts`",
      holds: async () => {
        const nat = await open({ keepLowPorts: true });
        const ports = [123, 500, 1023].map((port) => portOf(nat.outsideOf(`udp 10.0.0.1:${port} > 192.0.2.1:53`)));
        for (const port of ports) expect(port).toBeLessThan(1024);
        expect(portOf(nat.outsideOf("udp 10.0.0.1:1024 > 192.0.2.1:53"))).toBeGreaterThan(1023);
      },
    },
    {
      id: "REQ-4",
      says: "The parity of ports is kept",
      holds: async () => {
        const nat = await open();
        for (let port = 5000; port < 5040; port++)
          expect(portOf(nat.outsideOf(`udp 10.0.0.1:${port} > ${r1}`)) % 2).toBe(port % 2);
      },
    },
    {
      id: "REQ-5",
      says: "A mapping lives 2 minutes without a packet at least, 5 by default",
      holds: async () => {
        const nat = await open();
        const outside = nat.outsideOf(a(r1), 1000);
        expect(nat.in(`udp ${r1} > ${outside}`, 1299)).toEqual([`next udp ${r1} > 10.0.0.1:5000`]);
        expect(nat.in(`udp ${r1} > ${outside}`, 1601)).toEqual(["drop no-mapping"]);
        await expect(openNat({ udpTimeout: 119 })).rejects.toThrow("/udpTimeout");
      },
    },
    {
      id: "REQ-6",
      says: "Packets from inside keep a mapping alive",
      holds: async () => {
        const nat = await open();
        const outside = nat.outsideOf(a(r1), 1000);
        for (let time = 1290; time < 3000; time += 290) expect(nat.outsideOf(a(r1), time)).toBe(outside);
      },
    },
    {
      id: "REQ-7",
      says: "An outside interface with a dynamic address does not collide with inside addresses",
      but: "with `masquerade`; that inside and outside networks differ is for whoever configures them",
      holds: async () => {
        const nat = await openNat({ sources: [{ from: ["10.0.0.0/8"], masquerade: true }] });
        opened.push(nat);
        for (const address of ["203.0.113.1", "198.51.100.7", "10.9.9.9"]) {
          setAddress(nat, address);
          nat.out("arp who-has 10.0.0.2 tell 10.0.0.1");
          nat.out(a(r1));
          const outside = nat.outsideOf(a(r1));
          expect(addressOf(outside)).toBe(address);
          expect(nat.in(`udp ${r1} > ${outside}`)).toEqual([`next udp ${r1} > 10.0.0.1:5000`]);
          expect(nat.held).toEqual([1, 1, 1, 1]);
        }
      },
    },
    {
      id: "REQ-8",
      says: "Filtering is endpoint-independent or address-dependent, as chosen",
      holds: async () => {
        const called = async (filtering: string) => {
          const nat = await open({ filtering });
          const outside = nat.outsideOf(a(r1));
          return [r1, r1b, r2].map((remote) => nat.in(`udp ${remote} > ${outside}`)[0]?.split(" ")[0]);
        };
        expect(await called("endpoint-independent")).toEqual(["next", "next", "next"]);
        expect(await called("address-dependent")).toEqual(["next", "next", "drop"]);
        expect(await called("address-and-port-dependent")).toEqual(["next", "drop", "drop"]);
      },
    },
    {
      id: "REQ-9",
      says: "Inside hosts reach each other by outside endpoints",
      holds: async () => {
        const nat = await open({ filtering: "endpoint-independent" });
        const first = nat.outsideOf(a(r1));
        expect(nat.out(`udp 10.0.0.2:6000 > ${first}`)[0]).toMatch(
          /^transmit lan udp 203.0.113.1:\d+ > 10.0.0.1:5000$/,
        );
        expect((await open({ hairpin: false })).out([a(r1), `udp 10.0.0.2:6000 > ${first}`])[1]).toMatch(/^drop/);
      },
    },
    {
      id: "REQ-9a",
      says: "The caller is then seen by its outside endpoint, and answers reach it",
      holds: async () => {
        const nat = await open({ filtering: "endpoint-independent" });
        const [first, second] = [nat.outsideOf(a(r1)), nat.outsideOf(`udp 10.0.0.2:6000 > ${r1}`)];
        expect(nat.out(`udp 10.0.0.2:6000 > ${first}`)).toEqual([`transmit lan udp ${second} > 10.0.0.1:5000`]);
        expect(nat.out(`udp 10.0.0.1:5000 > ${second}`)).toEqual([`transmit lan udp ${first} > 10.0.0.2:6000`]);
      },
    },
    {
      id: "REQ-10",
      says: "No application's payload is changed unless asked for",
      holds: async () => {
        const nat = await open({ order: "preserve" });
        expect(nat.out(a("192.0.2.1:5060", ' payload "Contact: <sip:10.0.0.1:5000>"'))).toEqual([
          'next udp 203.0.113.1:5000 > 192.0.2.1:5060 payload "Contact: <sip:10.0.0.1:5000>"',
        ]);
      },
    },
    {
      id: "REQ-11",
      says: "Behaviour does not depend on time or on what else is translated",
      holds: async () => {
        const nat = await open({ ports: "2000-2063", parity: false });
        const [first, second] = [nat.outsideOf(a(r1)), nat.outsideOf(`udp 10.0.0.2:5000 > ${r1}`)];
        for (let i = 0; i < 62; i++) nat.out(`udp 10.0.1.${i}:5000 > ${r1}`);
        expect([nat.outsideOf(a(r2)), nat.outsideOf(`udp 10.0.0.2:5000 > ${r2}`)]).toEqual([first, second]);
      },
    },
    {
      id: "REQ-12",
      says: "No ICMP message ends a mapping",
      holds: async () => {
        const nat = await open();
        const outside = nat.outsideOf(a(r1));
        for (const type of ["unreachable code 3", "unreachable code 4 mtu 1400", "time-exceeded"])
          nat.in(`icmp 192.0.2.1 > 203.0.113.1 ${type} payload (udp ${outside} > ${r1})`);
        expect(nat.outsideOf(a(r2))).toBe(outside);
        expect(nat.in(`udp ${r1} > ${outside}`)).toEqual([`next udp ${r1} > 10.0.0.1:5000`]);
      },
    },
    {
      id: "REQ-13",
      says: "Packets that are too large for the next link are fragmented, or answered with an ICMP error",
      of: 4,
      but: "on ports that route: a bridge does not know the next link",
      holds: async () => {
        const folder = makeFolder(routed);
        const routes = join(folder, "routes.yaml");
        const frame = (line: string) => ({
          port: "lan" as const,
          line: `ether 02:00:00:00:00:02 > ${MACS.lan} ${line}`,
        });
        const tooLong = [
          "udp 10.0.0.1:5000 > 192.0.2.1:53 df zeros 1472",
          "udp 10.0.0.1:5000 > 192.0.2.1:53 zeros 1472",
        ];
        const { verdicts, sent } = replayLines(join(folder, "routed.yaml"), tooLong.map(frame), "--routes", routes);
        expect(verdicts.map(({ verdict, reason }) => reason ?? verdict)).toEqual(["packet-too-big", "forward"]);
        const [told = "", ...others] = sent("lan");
        expect([told, others]).toEqual([
          expect.stringMatching(/^icmp 10\.0\.0\.254 > 10\.0\.0\.1 unreachable code 4 mtu 1400 /),
          [],
        ]);
        // Whoever sent it finds its own addresses and ports in the answer: 10.0.0.1, 192.0.2.1, 5000, 53.
        expect(told).toMatch(/payload 4500\w{20}0a000001c0000201 ?13880035/);
        const [first = "", last = ""] = sent("wan");
        expect(first).toMatch(/^udp 203\.0\.113\.1:\d+ > 192\.0\.2\.1:53 .*offset 0 more/);
        expect(last).toMatch(/^ip 203\.0\.113\.1 > 192\.0\.2\.1 proto udp .*offset 1376/);
      },
    },
    {
      id: "REQ-14",
      says: "Fragments are translated also if they come out of order",
      holds: async () => {
        const nat = await open({ order: "preserve" });
        nat.out(a(r1));
        const first = `udp ${r1} > 203.0.113.1:5000 frag id 9 offset 0 more udp-length 40 checksum 0x0000 zeros 16`;
        const later = "ip 192.0.2.1 > 203.0.113.1 proto udp frag id 9 offset 24 zeros 16";
        expect(nat.in([later, first]).toSorted()).toEqual([
          "next ip 192.0.2.1 > 10.0.0.1 proto udp frag id 9 offset 24 zeros 16",
          `next udp ${r1} > 10.0.0.1:5000 udp-length 40 checksum 0x0000 frag id 9 offset 0 more zeros 16`,
        ]);
      },
    },
  ],
  describeBoth,
);
