// RFC 5382: behavioural requirements for TCP.
import { afterEach, expect } from "vitest";
import { describeBoth, type NatOptions, type NatUnderTest, openNat } from "../support/nat-under-test.ts";
import { describeRequirements } from "../support/requirements.ts";

const opened: NatUnderTest[] = [];

async function open(rule: object = {}, options?: NatOptions, more: object = {}): Promise<NatUnderTest> {
  const sources = [{ from: ["10.0.0.0/8"], pool: ["203.0.113.1"], order: "preserve", ...rule }];
  const nat = await openNat({ sources, ...more }, options);
  opened.push(nat);
  return nat;
}

afterEach(() => {
  for (const nat of opened.splice(0)) nat.close();
});

const [r1, r2] = ["192.0.2.1:80", "192.0.2.2:80"] as const;
const client = (words: string, to: string = r1) => `tcp 10.0.0.1:5000 > ${to} ${words}`;
const server = (words: string, from: string = r1) => `tcp ${from} > 203.0.113.1:5000 ${words}`;

/** What became of each: the first word. */
const verdicts = (results: readonly string[]) => results.map((result) => result.split(" ")[0]);

function handshake(nat: NatUnderTest, time: number): void {
  nat.out(client("syn seq 99"), time);
  nat.in(server("syn ack 100 seq 499"));
  nat.out(client("ack 500 seq 100"));
}

describeRequirements(
  "RFC 5382",
  "nfs/nat/README.md",
  [
    {
      id: "REQ-1",
      says: "Mapping is endpoint-independent",
      holds: async () => {
        const nat = await open({ order: "random" });
        expect(nat.outsideOf(client("syn"))).toBe(nat.outsideOf(client("syn", r2)));
      },
    },
    {
      id: "REQ-2",
      says: "All valid sequences of packets are translated, a simultaneous open among them",
      holds: async () => {
        const nat = await open();
        expect(nat.out(client("syn seq 99"))).toEqual([`next tcp 203.0.113.1:5000 > ${r1} syn seq 99`]);
        expect(nat.in(server("syn seq 499"))).toEqual([`next tcp ${r1} > 10.0.0.1:5000 syn seq 499`]);
        expect(verdicts(nat.out(client("syn ack 500 seq 99")))).toEqual(["next"]);
        expect(verdicts(nat.in([server("syn ack 100 seq 499"), server("ack 100 seq 500")]))).toEqual(["next", "next"]);
        expect(verdicts(nat.out([client("ack 500 seq 100"), client("fin ack 500 seq 100")]))).toEqual(["next", "next"]);
      },
    },
    {
      id: "REQ-3",
      says: "Filtering is endpoint-independent or address-dependent, as chosen",
      holds: async () => {
        const called = async (filtering: string) => {
          const nat = await open({ filtering });
          nat.out(client("syn"));
          return verdicts(nat.in([server("syn", "192.0.2.1:81"), server("syn", r2)]));
        };
        expect(await called("endpoint-independent")).toEqual(["next", "next"]);
        expect(await called("address-dependent")).toEqual(["next", "drop"]);
        expect(await called("address-and-port-dependent")).toEqual(["drop", "drop"]);
      },
    },
    {
      id: "REQ-4",
      says: "A SYN that nobody waits for is not answered, and a SYN from inside makes the connection",
      holds: async () => {
        const nat = await open();
        nat.out(client("syn", r2));
        expect(nat.in(server("syn seq 499"))).toEqual(["drop filtered"]);
        expect(verdicts(nat.out(client("syn seq 99")))).toEqual(["next"]);
        expect(nat.in(server("syn ack 100 seq 499"))).toEqual([`next tcp ${r1} > 10.0.0.1:5000 syn seq 499 ack 100`]);
      },
    },
    {
      id: "REQ-5",
      says: "An established connection lives 2 hours 4 minutes without a packet, any other 4 minutes",
      but: "the 4 minutes are the chain's: `flows.timeouts.tcp`, as in chains/nat.yaml",
      holds: async () => {
        const tcp = {
          syn_sent: 240,
          syn_recv: 240,
          fin_wait: 240,
          close_wait: 240,
          last_ack: 240,
          time_wait: 240,
          close: 240,
        };
        const nat = await open({}, { flows: { timeouts: { tcp } } });
        handshake(nat, 1000);
        const outcome = `next tcp ${r1} > 10.0.0.1:5000 seq 500 ack 100`;
        expect(nat.in(server("ack 100 seq 500"), 1000 + 7440)).toEqual([outcome]);
        nat.out(`tcp 10.0.0.2:6000 > ${r1} syn seq 99`, 9000);
        const answer = "tcp 192.0.2.1:80 > 203.0.113.1:6000 syn ack 100 seq 499";
        expect(verdicts(nat.in(answer, 9239))).toEqual(["next"]);
      },
    },
    {
      id: "REQ-6",
      says: "FTP works",
      of: 4,
      holds: async () => {
        const nat = await open({}, {}, { helpers: { ftp: true } });
        const [control, called] = ["tcp 10.0.0.1:5000 > 192.0.2.1:21", "tcp 192.0.2.1:20 > 203.0.113.1:5001 syn"];
        nat.out(`${control} syn seq 99`);
        expect(nat.out(`${control} ack 500 seq 100 payload "PORT 10,0,0,1,19,137\\r\\n"`)[0]).toContain(
          "PORT 203,0,113,1,19,137",
        );
        expect(nat.in(called)).toEqual(["next tcp 192.0.2.1:20 > 10.0.0.1:5001 syn"]);
      },
      but: "with `helpers: { ftp: true }`; passive FTP needs nothing from inside",
    },
    {
      id: "REQ-7",
      says: "No outside port is given to two inside endpoints",
      holds: async () => {
        const nat = await open({ ports: "2000-2063", parity: false });
        const send = (i: number) => nat.out(`tcp 10.0.0.${i + 1}:5000 > ${r1} syn`)[0] as string;
        expect(new Set([...Array(64).keys()].map((i) => send(i).split(" ")[2])).size).toBe(64);
        expect(send(64)).toBe("drop no-port");
      },
    },
    {
      id: "REQ-8",
      says: "Inside hosts reach each other by outside endpoints",
      holds: async () => {
        const nat = await open({ filtering: "endpoint-independent" });
        nat.out(client("syn"));
        expect(nat.out("tcp 10.0.0.2:6000 > 203.0.113.1:5000 syn seq 1")).toEqual([
          "transmit lan tcp 203.0.113.1:6000 > 10.0.0.1:5000 syn seq 1",
        ]);
        expect(nat.out("tcp 10.0.0.1:5000 > 203.0.113.1:6000 syn seq 7 ack 2")).toEqual([
          "transmit lan tcp 203.0.113.1:5000 > 10.0.0.2:6000 syn seq 7 ack 2",
        ]);
      },
    },
    {
      id: "REQ-9",
      says: "ICMP errors about a connection are translated",
      holds: async () => {
        const nat = await open({ order: "random" });
        const [sent = ""] = nat.out(client("syn seq 99")).map((line) => line.replace("next ", ""));
        expect(nat.in(`icmp 198.51.100.1 > 203.0.113.1 unreachable code 4 mtu 1400 payload (${sent})`)).toEqual([
          `next icmp 198.51.100.1 > 10.0.0.1 unreachable code 4 mtu 1400 payload (${client("syn seq 99")})`,
        ]);
      },
    },
    {
      id: "REQ-10",
      says: "No ICMP message ends a mapping or a connection",
      holds: async () => {
        const nat = await open();
        handshake(nat, 1000);
        nat.in(
          `icmp 192.0.2.1 > 203.0.113.1 unreachable code 3 payload (tcp 203.0.113.1:5000 > ${r1} ack 500 seq 100)`,
        );
        expect(verdicts(nat.in(server("ack 100 seq 500")))).toEqual(["next"]);
      },
    },
  ],
  describeBoth,
);
