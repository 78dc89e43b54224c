// nfs/nat behind the chain's own address, which may change at any time.
import { afterEach, describe, expect, it } from "vitest";
import {
  addressOf,
  describeBoth,
  type NatOptions,
  type NatUnderTest,
  openNat,
  portOf,
  setAddress,
} from "../support/nat-under-test.ts";

const opened: NatUnderTest[] = [];
const [old, next] = ["203.0.113.1", "198.51.100.7"] as const;

async function open(config: object, address: string | null = old, options?: NatOptions): Promise<NatUnderTest> {
  const nat = await openNat(config, options);
  opened.push(nat);
  if (address !== null) setAddress(nat, address);
  return nat;
}

afterEach(() => {
  for (const nat of opened.splice(0)) nat.close();
});

/** Outside ports are the inside ones, so that lines can be read. */
const office = { from: ["10.0.0.0/8"], masquerade: true, order: "preserve" };
const forwards = [{ port: "wan", ipProto: "tcp", ports: 8080, to: "10.0.0.80", toPort: 80 }];

describeBoth("masquerade", () => {
  it("gives inside hosts the outside port's own address, and brings replies back", async () => {
    for (const masquerade of [true, "wan"]) {
      const nat = await open({ sources: [{ ...office, masquerade }] });
      expect(nat.out("udp 10.0.0.1:5000 > 192.0.2.53:53")).toEqual([`next udp ${old}:5000 > 192.0.2.53:53`]);
      expect(nat.in(`udp 192.0.2.53:53 > ${old}:5000`)).toEqual(["next udp 192.0.2.53:53 > 10.0.0.1:5000"]);
      expect(nat.out("icmp 10.0.0.1 > 192.0.2.1 echo id 9 seq 1")).toEqual([
        `next icmp ${old} > 192.0.2.1 echo id 9 seq 1`,
      ]);
    }
  });

  it("keeps out of the ports that the machine's own connections have", async () => {
    const nat = await open({ sources: [office] });
    for (let i = 0; i < 200; i++) {
      const port = portOf(nat.outsideOf(`udp 10.0.0.1:${40000 + i} > 192.0.2.53:53`));
      expect(port).toBeGreaterThan(1023);
      expect(port).toBeLessThan(32768);
    }
    const wide = await open({ sources: [{ ...office, ports: "1024-65535" }] });
    expect(wide.outsideOf("udp 10.0.0.1:40000 > 192.0.2.53:53")).toBe(`${old}:40000`);
  });

  it("refuses new mappings as long as the port has no address", async () => {
    const nat = await open({ sources: [office] }, null);
    expect(nat.out("udp 10.0.0.1:5000 > 192.0.2.53:53")).toEqual(["drop no-address"]);
    expect(nat.counter("refused{sources=1}")).toBe(1);
    expect(nat.held).toEqual([0, 0, 0, 0]);
    setAddress(nat, old);
    expect(nat.out("udp 10.0.0.1:5001 > 192.0.2.53:53")).toEqual([`next udp ${old}:5001 > 192.0.2.53:53`]);
  });

  it("finds its sessions again when an address goes and comes back", async () => {
    const nat = await open({ sources: [office] });
    nat.out("udp 10.0.0.1:5000 > 192.0.2.53:53");
    setAddress(nat, null);
    expect(nat.out("udp 10.0.0.2:6000 > 192.0.2.53:53")).toEqual(["drop no-address"]);
    setAddress(nat, old);
    expect(nat.in(`udp 192.0.2.53:53 > ${old}:5000`)).toEqual(["next udp 192.0.2.53:53 > 10.0.0.1:5000"]);
    expect(nat.counter("renumbered")).toBe(0);
  });

  it("passes on what no mapping takes or lets in: the machine itself may be meant", async () => {
    const nat = await open({ sources: [office] });
    nat.out("udp 10.0.0.1:5000 > 192.0.2.53:53");
    const lines = [
      `tcp 192.0.2.9:1 > ${old}:22 syn`,
      `udp 192.0.2.9:53 > ${old}:5000`,
      `gre 192.0.2.9 > ${old}`,
      `icmp 192.0.2.9 > ${old} echo id 3 seq 1`,
      `icmp 192.0.2.9 > ${old} unreachable code 3 payload (udp ${old}:45000 > 192.0.2.9:53)`,
    ];
    for (const line of lines) expect(nat.in(line)).toEqual([`next ${line}`]);
    const fragments = [
      `udp 192.0.2.9:53 > ${old}:45000 udp-length 40 checksum 0x0000 frag id 9 offset 0 more zeros 16`,
      `ip 192.0.2.9 > ${old} proto udp frag id 9 offset 24 zeros 16`,
    ];
    expect(nat.in(fragments)).toEqual(fragments.map((line) => `next ${line}`));
    const own = [`icmp 10.0.0.2 > ${old} echo id 3 seq 1`, `tcp 10.0.0.2:9 > ${old}:22 syn`];
    for (const line of own) expect(nat.out(line)).toEqual([`next ${line}`]);
    expect(nat.in(`udp 192.0.2.53:53 > ${old}:5000`)).toEqual(["next udp 192.0.2.53:53 > 10.0.0.1:5000"]);
  });

  it("does something else with it if the configuration says so, and drops what is for a pool", async () => {
    const nat = await open({ sources: [office], unclaimed: "drop" });
    expect(nat.in(`tcp 192.0.2.9:1 > ${old}:22 syn`)).toEqual(["drop no-mapping"]);
    nat.out("udp 10.0.0.1:5000 > 192.0.2.53:53");
    expect(nat.in(`udp 192.0.2.9:53 > ${old}:5000`)).toEqual(["drop filtered"]);
    const pool = { from: ["172.16.0.0/12"], pool: ["203.0.113.9"] };
    const both = await open({ sources: [office, pool] });
    expect(both.in("tcp 192.0.2.9:1 > 203.0.113.9:22 syn")).toEqual(["drop no-mapping"]);
  });
});

describeBoth("another address of the port", () => {
  it("ends sessions and mappings of the old one, and new ones have the new one", async () => {
    const nat = await open({ sources: [office] });
    const line = "udp 10.0.0.1:5000 > 192.0.2.53:53";
    nat.out([line, "udp 10.0.0.2:6000 > 192.0.2.53:53", "tcp 10.0.0.1:5000 > 192.0.2.80:80 syn"]);
    setAddress(nat, next);
    expect(nat.out(line)).toEqual(["drop renumbered"]);
    expect(nat.counter("renumbered")).toBe(3);
    expect(nat.held).toEqual([0, 0, 0, 0]);
    expect(nat.out(line)).toEqual([`next udp ${next}:5000 > 192.0.2.53:53`]);
    expect(nat.in(`udp 192.0.2.53:53 > ${next}:5000`)).toEqual(["next udp 192.0.2.53:53 > 10.0.0.1:5000"]);
    expect(nat.held).toEqual([1, 1, 1, 1]);
  });

  it("leaves nothing that takes packets for the old one", async () => {
    const nat = await open({ sources: [{ ...office, filtering: "endpoint-independent" }] });
    nat.out("udp 10.0.0.1:5000 > 192.0.2.53:53");
    setAddress(nat, next);
    const late = `udp 192.0.2.53:53 > ${old}:5000`;
    expect(nat.in([late, `udp 192.0.2.9:1 > ${old}:5000`])).toEqual([
      "drop renumbered",
      `next udp 192.0.2.9:1 > ${old}:5000`,
    ]);
    expect(nat.in(late)).toEqual([`next ${late}`]);
  });

  it("closes the flows of all sessions, however many", async () => {
    const nat = await open({ sources: [office], udpTimeout: 86400 });
    const host = (i: number) => `10.0.${i >> 8}.${i & 255}`;
    const lines = [...Array(3000).keys()].map((i) => `udp ${host(i)}:${1024 + i} > 192.0.2.53:53`);
    for (let i = 0; i < lines.length; i += 250) nat.out(lines.slice(i, i + 250));
    expect(nat.held[1]).toBe(3000);
    setAddress(nat, next);
    for (let i = 0; i < 8; i++) nat.out("arp who-has 10.0.0.2 tell 10.0.0.1");
    expect(nat.counter("renumbered")).toBe(3000);
    expect(nat.held).toEqual([0, 0, 0, 0]);
    const sent = nat.out(lines.slice(0, 3)).concat(nat.out(lines.slice(2990)));
    expect(sent.filter((line) => line.startsWith(`next udp ${next}:`)).length).toBe(13);
  });

  it("does not touch sessions that have addresses of pools", async () => {
    const pool = { from: ["172.16.0.0/12"], pool: ["203.0.113.9"], order: "preserve" };
    const nat = await open({ sources: [office, pool] });
    nat.out(["udp 172.16.0.1:5000 > 192.0.2.53:53", "udp 10.0.0.1:5000 > 192.0.2.53:53"]);
    setAddress(nat, next);
    expect(nat.in("udp 192.0.2.53:53 > 203.0.113.9:5000")).toEqual(["next udp 192.0.2.53:53 > 172.16.0.1:5000"]);
    expect(nat.counter("renumbered")).toBe(1);
  });

  it("gives blocks of ports back, and new ones of the new address", async () => {
    const said: string[] = [];
    const blocks = { size: 64 };
    const nat = await open({ sources: [{ ...office, blocks }] }, old, { onLog: (line) => said.push(line) });
    nat.out("udp 10.0.0.1:5000 > 192.0.2.53:53");
    setAddress(nat, next);
    nat.out("udp 10.0.0.1:5000 > 192.0.2.53:53");
    expect(addressOf(nat.outsideOf("udp 10.0.0.1:5000 > 192.0.2.53:53"))).toBe(next);
    nat.fn.lane.takeLog();
    expect(said.map((line) => line.split(" ").slice(0, 4).join(" "))).toEqual([
      `block allocated inside=10.0.0.1 outside=${old}`,
      `block released inside=10.0.0.1 outside=${old}`,
      `block allocated inside=10.0.0.1 outside=${next}`,
    ]);
  });
});

describeBoth("forwards of a port's own address", () => {
  it("lead to inside hosts, from inside too, and follow the address", async () => {
    const nat = await open({ sources: [{ ...office, parity: false }], forwards });
    expect(nat.in(`tcp 192.0.2.9:4000 > ${old}:8080 syn`)).toEqual(["next tcp 192.0.2.9:4000 > 10.0.0.80:80 syn"]);
    expect(nat.out("tcp 10.0.0.80:80 > 192.0.2.9:4000 syn ack 1")).toEqual([
      `next tcp ${old}:8080 > 192.0.2.9:4000 syn ack 1`,
    ]);
    expect(nat.out(`tcp 10.0.0.1:8080 > ${old}:8080 syn`)).toEqual([`transmit lan tcp ${old}:8081 > 10.0.0.80:80 syn`]);
    setAddress(nat, next);
    expect(nat.out("tcp 10.0.0.80:80 > 192.0.2.9:4000 ack 1")).toEqual(["drop renumbered"]);
    expect(nat.in(`tcp 192.0.2.9:4001 > ${next}:8080 syn`)).toEqual(["next tcp 192.0.2.9:4001 > 10.0.0.80:80 syn"]);
    expect(nat.in(`tcp 192.0.2.9:4002 > ${old}:8080 syn`)).toEqual([`next tcp 192.0.2.9:4002 > ${old}:8080 syn`]);
    expect(nat.outsideOf("tcp 10.0.0.1:8080 > 192.0.2.9:80 syn")).toBe(`${next}:8081`);
  });

  it("need no source rule", async () => {
    const nat = await open({ forwards });
    expect(nat.in([`tcp 192.0.2.9:4000 > ${old}:8080 syn`, `tcp 192.0.2.9:4000 > ${old}:22 syn`])).toEqual([
      "next tcp 192.0.2.9:4000 > 10.0.0.80:80 syn",
      `next tcp 192.0.2.9:4000 > ${old}:22 syn`,
    ]);
  });
});

describe("a configuration", () => {
  const forward = forwards[0] as object;
  it.each([
    [{ outside: ["wan", "lan"], sources: [office] }, "/sources/0/masquerade"],
    [{ sources: [{ ...office, masquerade: false }] }, "/sources/0/masquerade"],
    [{ sources: [{ ...office, masquerade: "lan" }] }, "/sources/0/masquerade"],
    [{ sources: [{ ...office, masquerade: "dmz" }] }, "/sources/0/masquerade"],
    [{ sources: [{ ...office, pool: [old] }] }, "/sources/0/masquerade"],
    [{ sources: [{ from: ["10.0.0.0/8"] }] }, "/sources/0"],
    [{ forwards: [{ ipProto: "tcp", ports: 80, to: "10.0.0.80" }] }, "/forwards/0"],
    [{ forwards: [{ ...forward, address: old }] }, "/forwards/0/port"],
    [{ forwards: [{ ...forward, port: "lan" }] }, "/forwards/0/port"],
    [{ forwards: [forward, forward] }, "/forwards/1"],
    [{ sources: [office, { ...office, blocks: { size: 64 } }] }, "/sources/1"],
  ])("that says %j is refused where it is wrong", async (config, pointer) => {
    await expect(open(config)).rejects.toThrow(pointer);
  });

  it("that has several outside ports names one of them", async () => {
    const nat = await open({ outside: ["wan", "lan"], sources: [{ ...office, masquerade: "wan" }] });
    expect(nat.counter("mappings")).toBe(0);
  });
});
