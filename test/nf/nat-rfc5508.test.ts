// RFC 5508: behavioural requirements for ICMP.
import { afterEach, expect } from "vitest";
import { describeBoth, type NatUnderTest, openNat } from "../support/nat-under-test.ts";
import { describeRequirements } from "../support/requirements.ts";

const opened: NatUnderTest[] = [];
const office = { from: ["10.0.0.0/8"], pool: ["203.0.113.1"], order: "preserve" };

async function open(config: object = { sources: [office] }): Promise<NatUnderTest> {
  const nat = await openNat(config);
  opened.push(nat);
  return nat;
}

afterEach(() => {
  for (const nat of opened.splice(0)) nat.close();
});

const udp = "udp 10.0.0.1:5000 > 192.0.2.1:53";
const seen = "udp 203.0.113.1:5000 > 192.0.2.1:53";
const echo = (from: string, to: string, id: number) => `icmp ${from} > ${to} echo id ${id} seq 1`;
const reply = (from: string, to: string, id: number) => `icmp ${from} > ${to} echo-reply id ${id} seq 1`;

describeRequirements(
  "RFC 5508",
  "nfs/nat/README.md",
  [
    {
      id: "REQ-1",
      says: "Queries from inside and their responses pass",
      but: "only echoes; timestamps and address masks are dropped as `ip-proto` but under a one-to-one rule",
      holds: async () => {
        const nat = await open();
        expect(nat.out(echo("10.0.0.1", "192.0.2.1", 9))).toEqual([`next ${echo("203.0.113.1", "192.0.2.1", 9)}`]);
        expect(nat.in(reply("192.0.2.1", "203.0.113.1", 9))).toEqual([`next ${reply("192.0.2.1", "10.0.0.1", 9)}`]);
        expect(nat.out("icmp 10.0.0.1 > 192.0.2.1 type 13")).toEqual(["drop ip-proto:1"]);
      },
    },
    {
      id: "REQ-1a",
      says: "The mapping of an identifier does not depend on the destination",
      holds: async () => {
        const nat = await open({ sources: [{ ...office, order: "random" }] });
        expect(nat.outsideOf(echo("10.0.0.1", "192.0.2.1", 9))).toBe(nat.outsideOf(echo("10.0.0.1", "192.0.2.2", 9)));
      },
    },
    {
      id: "REQ-2",
      says: "A query's session lives 60 seconds at least",
      holds: async () => {
        const nat = await open();
        nat.out(echo("10.0.0.1", "192.0.2.1", 9), 1000);
        expect(nat.in(reply("192.0.2.1", "203.0.113.1", 9), 1059)).toEqual([
          `next ${reply("192.0.2.1", "10.0.0.1", 9)}`,
        ]);
        expect(nat.in(reply("192.0.2.1", "203.0.113.1", 9), 1130)).toEqual(["drop no-mapping"]);
      },
    },
    {
      id: "REQ-3",
      says: "Errors with a wrong checksum, or that quote a header with one, are dropped",
      holds: async () => {
        const nat = await open();
        nat.out(udp);
        expect(nat.in(`icmp 192.0.2.1 > 203.0.113.1 unreachable bad-checksum payload (${seen})`)).toEqual([
          "drop bad-icmp-error",
        ]);
        if (nat.family === 4)
          expect(nat.in(`icmp 192.0.2.1 > 203.0.113.1 unreachable payload (${seen} bad-ip-checksum)`)).toEqual([
            "drop bad-icmp-error",
          ]);
        expect(nat.in(`icmp 192.0.2.1 > 203.0.113.1 unreachable payload (${seen} bad-checksum)`)[0]).toMatch(/^next/);
      },
    },
    {
      id: "REQ-4",
      says: "Errors from outside: what they quote is turned back, type and code stay, without a mapping they are dropped",
      holds: async () => {
        const nat = await open();
        nat.out(udp);
        expect(nat.in(`icmp 198.51.100.1 > 203.0.113.1 unreachable code 1 payload (${seen})`)).toEqual([
          `next icmp 198.51.100.1 > 10.0.0.1 unreachable code 1 payload (${udp})`,
        ]);
        expect(nat.in("icmp 198.51.100.1 > 203.0.113.1 unreachable payload (udp 203.0.113.1:7 > 192.0.2.1:9)")).toEqual(
          ["drop stray-icmp-error:1"],
        );
      },
    },
    {
      id: "REQ-5",
      says: "Errors from inside: the same, and their source is the outside address",
      holds: async () => {
        const nat = await open();
        nat.out(udp);
        nat.in("udp 192.0.2.1:53 > 203.0.113.1:5000");
        const quoted = "payload (udp 192.0.2.1:53 > 10.0.0.1:5000)";
        const shown = "payload (udp 192.0.2.1:53 > 203.0.113.1:5000)";
        for (const speaker of ["10.0.0.1", "172.16.9.9"])
          expect(nat.out(`icmp ${speaker} > 192.0.2.1 unreachable code 3 ${quoted}`)).toEqual([
            `next icmp 203.0.113.1 > 192.0.2.1 unreachable code 3 ${shown}`,
          ]);
      },
    },
    {
      id: "REQ-6",
      says: "An error neither refreshes nor ends the session that it is about",
      holds: async () => {
        const nat = await open();
        nat.out(echo("10.0.0.1", "192.0.2.1", 9), 1000);
        const error = `icmp 198.51.100.1 > 203.0.113.1 time-exceeded payload (${echo("203.0.113.1", "192.0.2.1", 9)})`;
        expect(nat.in(error, 1050)[0]).toMatch(/^next icmp 198.51.100.1 > 10.0.0.1 time-exceeded/);
        expect(nat.in(reply("192.0.2.1", "203.0.113.1", 9), 1061)).toEqual(["drop no-mapping"]);
      },
    },
    {
      id: "REQ-7",
      says: "Queries and errors between inside hosts by outside addresses pass",
      but: "queries only under one-to-one rules (RFC 7857 asks for no more), errors under all",
      holds: async () => {
        const oneToOne = await open({ oneToOne: [{ inside: "10.0.0.0/28", outside: "203.0.113.0/28" }] });
        expect(oneToOne.out(echo("10.0.0.1", "203.0.113.2", 9))).toEqual([
          `transmit lan ${echo("203.0.113.1", "10.0.0.2", 9)}`,
        ]);
        const nat = await open({ sources: [{ ...office, filtering: "endpoint-independent" }] });
        nat.out(udp);
        nat.out("udp 10.0.0.2:6000 > 203.0.113.1:5000");
        expect(
          nat.out("icmp 10.0.0.1 > 203.0.113.1 unreachable code 3 payload (udp 203.0.113.1:6000 > 10.0.0.1:5000)"),
        ).toEqual([
          "transmit lan icmp 203.0.113.1 > 10.0.0.2 unreachable code 3 payload (udp 10.0.0.2:6000 > 203.0.113.1:5000)",
        ]);
      },
    },
    {
      id: "REQ-8",
      says: "Who gets no session because of limits or rules is told so by an ICMP error, and the packet is dropped",
      but: "with `tellRefused`, and 1000 times a second at the most",
      holds: async () => {
        const nat = await open({ tellRefused: true, sources: [{ ...office, mappingsPerHost: 1, hairpin: false }] });
        nat.out(udp);
        const second = "udp 10.0.0.1:5001 > 192.0.2.1:53";
        expect(nat.out(second).map((line) => line.replace(" df ", " "))).toEqual([
          `emit lan icmp 192.0.2.1 > 10.0.0.1 unreachable code 13 payload (${second})`,
          "drop limit",
        ]);
        const called = nat.out("udp 10.0.0.2:5001 > 203.0.113.1:5000");
        expect(called[0]).toMatch(/^emit lan icmp 203\.0\.113\.1 > 10\.0\.0\.2 unreachable code 13 /);
        expect(called[1]).toBe("drop hairpin-off");
        const silent = await open({ sources: [{ ...office, mappingsPerHost: 1 }] });
        silent.out(udp);
        expect(silent.out(second)).toEqual(["drop limit"]);
      },
    },
    {
      id: "REQ-9",
      says: "ICMP errors of its own can be kept from some interfaces",
      but: "none are ever sent outside, and inside only with `tellRefused`",
      holds: async () => {
        const nat = await open({ tellRefused: true, sources: [office] });
        nat.out(udp);
        expect(nat.in("udp 192.0.2.9:53 > 203.0.113.1:5000")).toEqual(["drop filtered"]);
        expect(nat.in("udp 192.0.2.9:53 > 203.0.113.1:5001")).toEqual(["drop no-mapping"]);
      },
    },
    {
      id: "REQ-10",
      says: "Destination unreachable, time exceeded and echoes are supported",
      holds: async () => {
        const nat = await open();
        nat.out(udp);
        for (const type of ["unreachable", "time-exceeded"])
          expect(nat.in(`icmp 192.0.2.9 > 203.0.113.1 ${type} payload (${seen})`)).toEqual([
            `next icmp 192.0.2.9 > 10.0.0.1 ${type} payload (${udp})`,
          ]);
      },
    },
    {
      id: "REQ-11",
      says: "What is neither a query nor an error may be dropped",
      holds: async () => {
        const nat = await open();
        expect(nat.out("icmp 10.0.0.1 > 192.0.2.1 type 10")).toEqual(["drop ip-proto:1"]);
      },
    },
  ],
  describeBoth,
);
