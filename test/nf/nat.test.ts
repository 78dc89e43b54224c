// nfs/nat in packet lines: what leaves, and what comes back.
import { afterEach, describe, expect, it } from "vitest";
import { describeBoth, type NatOptions, type NatUnderTest, openNat } from "../support/nat-under-test.ts";

const opened: NatUnderTest[] = [];

async function open(config: object, options?: NatOptions): Promise<NatUnderTest> {
  const nat = await openNat(config, options);
  opened.push(nat);
  return nat;
}

afterEach(() => {
  for (const nat of opened.splice(0)) nat.close();
});

/** Outside ports are the inside ones, so that lines can be read. */
const office = { from: ["10.0.0.0/8"], pool: ["203.0.113.1"], order: "preserve" };

describeBoth("source NAT", () => {
  it("gives inside hosts an outside address, and brings replies back", async () => {
    const nat = await open({ sources: [office] });
    expect(nat.out("udp 10.0.0.1:5000 > 192.0.2.53:53")).toEqual(["next udp 203.0.113.1:5000 > 192.0.2.53:53"]);
    expect(nat.in("udp 192.0.2.53:53 > 203.0.113.1:5000")).toEqual(["next udp 192.0.2.53:53 > 10.0.0.1:5000"]);
    expect(nat.out("tcp 10.0.0.1:5000 > 192.0.2.80:80 syn")).toEqual(["next tcp 203.0.113.1:5000 > 192.0.2.80:80 syn"]);
    expect(nat.in("tcp 192.0.2.80:80 > 203.0.113.1:5000 syn ack 1")).toEqual([
      "next tcp 192.0.2.80:80 > 10.0.0.1:5000 syn ack 1",
    ]);
  });

  it("gives another port where the same is taken, of the same parity", async () => {
    const nat = await open({ sources: [office] });
    expect(nat.out(["udp 10.0.0.1:5000 > 192.0.2.53:53", "udp 10.0.0.2:5000 > 192.0.2.53:53"])).toEqual([
      "next udp 203.0.113.1:5000 > 192.0.2.53:53",
      "next udp 203.0.113.1:5002 > 192.0.2.53:53",
    ]);
    expect(nat.in(["udp 192.0.2.53:53 > 203.0.113.1:5002", "udp 192.0.2.53:53 > 203.0.113.1:5000"])).toEqual([
      "next udp 192.0.2.53:53 > 10.0.0.2:5000",
      "next udp 192.0.2.53:53 > 10.0.0.1:5000",
    ]);
  });

  it("translates the identifiers of echoes", async () => {
    const nat = await open({ sources: [office] });
    expect(nat.out(["icmp 10.0.0.1 > 192.0.2.1 echo id 9 seq 1", "icmp 10.0.0.2 > 192.0.2.1 echo id 9 seq 1"])).toEqual(
      ["next icmp 203.0.113.1 > 192.0.2.1 echo id 9 seq 1", "next icmp 203.0.113.1 > 192.0.2.1 echo id 10 seq 1"],
    );
    expect(nat.in("icmp 192.0.2.1 > 203.0.113.1 echo-reply id 10 seq 1")).toEqual([
      "next icmp 192.0.2.1 > 10.0.0.2 echo-reply id 9 seq 1",
    ]);
  });

  it("leaves alone what no rule is for, and what is not IPv4", async () => {
    const nat = await open({ sources: [office] });
    const lines = [
      "udp 172.16.0.1:5000 > 192.0.2.53:53",
      "arp who-has 10.0.0.2 tell 10.0.0.1",
      "udp [fd00::1]:5 > [fd00::2]:6",
    ];
    expect(nat.out(lines)).toEqual(lines.map((line) => `next ${line}`));
    expect(nat.in("udp 192.0.2.53:53 > 172.16.0.1:5000")).toEqual(["next udp 192.0.2.53:53 > 172.16.0.1:5000"]);
    expect(nat.held).toEqual([0, 0, 0, 0]);
  });

  it("keeps UDP without a checksum without one", async () => {
    const nat = await open({ sources: [office] });
    expect(nat.out("udp 10.0.0.1:5000 > 192.0.2.53:53 checksum 0")).toEqual([
      "next udp 203.0.113.1:5000 > 192.0.2.53:53 checksum 0x0000",
    ]);
  });

  it("translates all fragments of a packet", async () => {
    const nat = await open({ sources: [office] });
    const first = "udp 10.0.0.1:5000 > 192.0.2.53:53 frag id 7 more udp-length 40 checksum 0x1234 zeros 16";
    const later = "ip 10.0.0.1 > 192.0.2.53 proto udp frag id 7 offset 24 zeros 16";
    const [one, two] = nat.out([first, later]);
    // 0x1234 less what the address has gained: 0xcb00 + 0x7101 - 0x0a00 - 0x0001.
    expect(one).toBe(
      "next udp 203.0.113.1:5000 > 192.0.2.53:53 udp-length 40 checksum 0xe032 frag id 1 offset 0 more zeros 16",
    );
    // Several hosts share the address: the packet gets an identification of its own, all its fragments the same.
    expect(two).toBe("next ip 203.0.113.1 > 192.0.2.53 proto udp frag id 1 offset 24 zeros 16");
    expect(
      nat.in([
        "ip 192.0.2.53 > 203.0.113.1 proto udp frag id 9 offset 24 zeros 16",
        "udp 192.0.2.53:53 > 203.0.113.1:5000 frag id 9 more udp-length 40 checksum 0 zeros 16",
      ]),
    ).toEqual(expect.arrayContaining(["next ip 192.0.2.53 > 10.0.0.1 proto udp frag id 9 offset 24 zeros 16"]));
  });

  it("drops what it cannot translate, instead of showing inside addresses", async () => {
    const nat = await open({ sources: [office] });
    expect(
      nat.out([
        "gre 10.0.0.1 > 192.0.2.1",
        "ip 10.0.0.1 > 192.0.2.1 proto 136",
        "icmp 10.0.0.1 > 192.0.2.1 unreachable payload (udp 192.0.2.1:1 > 10.0.0.1:2)",
      ]),
    ).toEqual(["drop ip-proto:47", "drop ip-proto:136", "drop stray-icmp-error:1"]);
  });

  it("lets nobody reach an inside host by its inside address through a flow that is translated", async () => {
    const nat = await open({ sources: [office] });
    nat.out("udp 10.0.0.1:5000 > 192.0.2.53:53");
    expect(nat.in("udp 192.0.2.53:53 > 10.0.0.1:5000")).toEqual(["drop mismatch"]);
  });

  it("does what the configuration says with packets that nobody waits for", async () => {
    const line = "tcp 192.0.2.9:1 > 203.0.113.1:22 syn";
    for (const [unclaimed, result] of [
      ["drop", "drop no-mapping"],
      ["pass", `next ${line}`],
      ["host", "host no-mapping"],
    ])
      expect((await open({ sources: [office], unclaimed })).in(line)).toEqual([result]);
  });
});

describeBoth("ICMP errors", () => {
  it("from outside are brought to the host whose packet they quote, as it sent it", async () => {
    const nat = await open({ sources: [{ ...office, order: "random" }] });
    const sent = nat.out('udp 10.0.0.1:5000 > 192.0.2.53:53 payload "hello"')[0]?.replace("next ", "") as string;
    expect(nat.in(`icmp 198.51.100.1 > 203.0.113.1 time-exceeded payload (${sent})`)).toEqual([
      'next icmp 198.51.100.1 > 10.0.0.1 time-exceeded payload (udp 10.0.0.1:5000 > 192.0.2.53:53 payload "hello")',
    ]);
  });

  it("from inside have the outside address, and quote what came from outside", async () => {
    const nat = await open({ sources: [office] });
    nat.out("tcp 10.0.0.1:5000 > 192.0.2.80:80 syn");
    nat.in("tcp 192.0.2.80:80 > 203.0.113.1:5000 syn ack 1");
    for (const speaker of ["10.0.0.1", "10.9.9.9"])
      expect(
        nat.out(
          `icmp ${speaker} > 192.0.2.80 unreachable code 3 payload (tcp 192.0.2.80:80 > 10.0.0.1:5000 syn ack 1)`,
        ),
      ).toEqual([
        "next icmp 203.0.113.1 > 192.0.2.80 unreachable code 3 payload (tcp 192.0.2.80:80 > 203.0.113.1:5000 syn ack 1)",
      ]);
  });

  it("are not believed without a session, or with a bad checksum", async () => {
    const nat = await open({ sources: [office] });
    nat.out("udp 10.0.0.1:5000 > 192.0.2.53:53");
    const error = (port: number, words = "") =>
      `icmp 192.0.2.53 > 203.0.113.1 unreachable code 3${words} payload (udp 203.0.113.1:${port} > 192.0.2.53:53)`;
    expect(nat.in([error(5001), error(5000, " bad-checksum"), error(5000)])).toEqual([
      "drop stray-icmp-error:1",
      "drop bad-icmp-error",
      "next icmp 192.0.2.53 > 10.0.0.1 unreachable code 3 payload (udp 10.0.0.1:5000 > 192.0.2.53:53)",
    ]);
  });
});

describeBoth("port forwards", () => {
  const forwards = [
    { address: "203.0.113.1", ipProto: "tcp", ports: "8080-8081", to: "10.0.0.80", toPort: 80 },
    { address: "203.0.113.1", ipProto: "udp", ports: 53, to: "10.0.0.53" },
  ];

  it("lead to inside hosts, and replies have the outside endpoint", async () => {
    const nat = await open({ sources: [office], forwards });
    expect(nat.in(["tcp 192.0.2.9:4000 > 203.0.113.1:8081 syn", "udp 192.0.2.9:4000 > 203.0.113.1:53"])).toEqual([
      "next tcp 192.0.2.9:4000 > 10.0.0.80:81 syn",
      "next udp 192.0.2.9:4000 > 10.0.0.53:53",
    ]);
    expect(nat.out(["tcp 10.0.0.80:81 > 192.0.2.9:4000 syn ack 1", "udp 10.0.0.53:53 > 192.0.2.9:4000"])).toEqual([
      "next tcp 203.0.113.1:8081 > 192.0.2.9:4000 syn ack 1",
      "next udp 203.0.113.1:53 > 192.0.2.9:4000",
    ]);
    expect(nat.in("tcp 192.0.2.9:4000 > 203.0.113.1:8082 syn")).toEqual(["drop no-mapping"]);
  });

  it("are reached from inside by their outside address, and their ports are given to nobody", async () => {
    const nat = await open({ sources: [{ ...office, parity: false }], forwards });
    expect(nat.out("tcp 10.0.0.1:8080 > 203.0.113.1:8080 syn")).toEqual([
      "transmit lan tcp 203.0.113.1:8082 > 10.0.0.80:80 syn",
    ]);
    expect(nat.out("tcp 10.0.0.80:80 > 203.0.113.1:8082 syn ack 1")).toEqual([
      "transmit lan tcp 203.0.113.1:8080 > 10.0.0.1:8080 syn ack 1",
    ]);
  });
});

describeBoth("one-to-one NAT", () => {
  const config = { oneToOne: [{ inside: "10.1.0.0/28", outside: "203.0.113.16/28" }], sources: [office] };

  it("gives each inside address one outside address, both ways and for every protocol", async () => {
    const nat = await open(config);
    expect(
      nat.out(["udp 10.1.0.5:5000 > 192.0.2.53:53", "gre 10.1.0.5 > 192.0.2.1", "icmp 10.1.0.5 > 192.0.2.1 echo id 3"]),
    ).toEqual([
      "next udp 203.0.113.21:5000 > 192.0.2.53:53",
      "next gre 203.0.113.21 > 192.0.2.1",
      "next icmp 203.0.113.21 > 192.0.2.1 echo id 3",
    ]);
    expect(nat.in(["gre 192.0.2.1 > 203.0.113.21", "tcp 192.0.2.9:1 > 203.0.113.22:22 syn"])).toEqual([
      "next gre 192.0.2.1 > 10.1.0.5",
      "next tcp 192.0.2.9:1 > 10.1.0.6:22 syn",
    ]);
    expect(nat.out("tcp 10.1.0.6:22 > 192.0.2.9:1 syn ack 1")).toEqual([
      "next tcp 203.0.113.22:22 > 192.0.2.9:1 syn ack 1",
    ]);
  });

  it("lets inside hosts reach each other by outside addresses", async () => {
    const nat = await open(config);
    expect(nat.out("icmp 10.1.0.5 > 203.0.113.22 echo id 3")).toEqual([
      "transmit lan icmp 203.0.113.21 > 10.1.0.6 echo id 3",
    ]);
    expect(nat.out("icmp 10.1.0.6 > 203.0.113.21 echo-reply id 3")).toEqual([
      "transmit lan icmp 203.0.113.22 > 10.1.0.5 echo-reply id 3",
    ]);
  });
});

describe("IPv6 prefixes", () => {
  const prefixes = [{ inside: "fd01:203:405::/48", outside: "2001:db8:1::/48" }];

  it("are changed so that sums stay: RFC 6296, appendix B", async () => {
    const nat = await open({ prefixes });
    expect(nat.out('udp [fd01:203:405:1::1234]:5000 > [2001:db8:ffff::1]:53 payload "x"')).toEqual([
      'next udp [2001:db8:1:d550::1234]:5000 > [2001:db8:ffff::1]:53 payload "x"',
    ]);
    expect(nat.in("udp [2001:db8:ffff::1]:53 > [2001:db8:1:d550::1234]:5000")).toEqual([
      "next udp [2001:db8:ffff::1]:53 > [fd01:203:405:1::1234]:5000",
    ]);
    expect(nat.in("tcp [2001:db8:ffff::2]:9 > [2001:db8:1:d550::1234]:22 syn")).toEqual([
      "next tcp [2001:db8:ffff::2]:9 > [fd01:203:405:1::1234]:22 syn",
    ]);
  });

  it("of 64 bits change the first word of the interface that can take it", async () => {
    const nat = await open({ prefixes: [{ inside: "fd01:203:405:1::/64", outside: "2001:db8:1:d550::/64" }] });
    const [sent = ""] = nat.out("udp [fd01:203:405:1:ffff::1]:5 > [2001:db8:ffff::1]:53");
    const [, address = ""] = /\[(2001:db8:1:d550:ffff\S*)\]:5 /.exec(sent) ?? [];
    expect(nat.in(`udp [2001:db8:ffff::1]:53 > [${address}]:5`)).toEqual([
      "next udp [2001:db8:ffff::1]:53 > [fd01:203:405:1:ffff::1]:5",
    ]);
    expect(nat.out("udp [fd01:203:405:1:ffff:ffff:ffff:ffff]:5 > [2001:db8:ffff::1]:53")).toEqual([
      "drop no-checksum-word",
    ]);
  });

  it("are changed in what ICMPv6 errors quote", async () => {
    const nat = await open({ prefixes });
    nat.out("udp [fd01:203:405:1::1234]:5000 > [2001:db8:ffff::1]:53");
    expect(
      nat.in(
        "icmp6 2001:db8:9::9 > 2001:db8:1:d550::1234 time-exceeded payload (udp [2001:db8:1:d550::1234]:5000 > [2001:db8:ffff::1]:53)",
      ),
    ).toEqual([
      "next icmp6 2001:db8:9::9 > fd01:203:405:1::1234 time-exceeded payload (udp [fd01:203:405:1::1234]:5000 > [2001:db8:ffff::1]:53)",
    ]);
  });

  it("let inside hosts reach each other by outside addresses", async () => {
    const nat = await open({ prefixes });
    expect(nat.out("udp [fd01:203:405:1::1]:5 > [2001:db8:1:d550::2]:6")).toEqual([
      "transmit lan udp [2001:db8:1:d550::1]:5 > [fd01:203:405:1::2]:6",
    ]);
  });
});

describe("a configuration", () => {
  it.each([
    [{ outside: ["dmz"] }, "/outside/0"],
    [{ sources: [{ ...office, pool: [] }] }, "/sources/0/pool"],
    [{ sources: [{ ...office, pool: ["2001:db8::1"] }] }, "/sources/0/pool/0"],
    [{ sources: [{ ...office, from: ["10.0.0.1/8"] }] }, "/sources/0/from/0"],
    [{ sources: [{ ...office, mapping: "cone" }] }, "/sources/0/mapping"],
    [{ oneToOne: [{ inside: "10.0.0.0/24", outside: "203.0.113.0/28" }] }, "/oneToOne/0"],
    [{ prefixes: [{ inside: "fd00::/80", outside: "2001:db8::/48" }] }, "/prefixes/0/inside"],
    [
      { forwards: [{ address: "203.0.113.1", ipProto: "tcp", ports: "1-9", to: "10.0.0.1", toPort: 65535 }] },
      "/forwards/0/toPort",
    ],
    [{ udpTimeout: 30 }, "/udpTimeout"],
  ])("that says %j is refused where it is wrong", async (config, pointer) => {
    await expect(open(config)).rejects.toThrow(pointer);
  });
});
