// What is of IPv6 alone where nfs/nat translates hosts and ports of both families: what stays on its link, extension headers,
// UDP without checksum, and rules of several families beside each other.
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { type NatUnderTest, openNat } from "../support/nat-under-test.ts";
import { replayLines, type Step } from "../support/replayed-lines.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const opened: NatUnderTest[] = [];

async function open(config: object): Promise<NatUnderTest> {
  const nat = await openNat(config);
  opened.push(nat);
  return nat;
}

afterEach(() => {
  for (const nat of opened.splice(0)) nat.close();
});

const [host, outside, server] = ["fd00:1::5", "2001:db8:f::1", "2001:db8:9::53"] as const;
const office = { from: ["fd00::/8"], pool: [outside], order: "preserve" };
const udp = `udp [${host}]:5000 > [${server}]:53`;
const seen = `udp [${outside}]:5000 > [${server}]:53`;

/** An address that begins with the given bytes. */
function setAddresses(nat: NatUnderTest, ...addresses: readonly (readonly number[])[]): void {
  const all = addresses.map((bytes) => new Uint8Array(bytes));
  const link = { port: 1, mac: new Uint8Array(6), mtu: 1500, addresses: all };
  nat.fn.lane.native.fixRoutes({ links: [link], routes: [], neighbours: [] });
}

const v4 = [203, 0, 113, 1];
const v6 = (last: number) => [0x20, 0x01, 0x0d, 0xb8, 0, 0x0f, ...Array<number>(9).fill(0), last];

describe("IPv6 hosts behind a pool", () => {
  it("are not translated towards their own link: neighbours, routers, groups, link-local addresses", async () => {
    const nat = await open({ sources: [{ ...office, from: ["::/0"] }] });
    const lines = [
      "icmp6 fe80::1 > ff02::1:ff00:2 neighbor-solicit payload fd000001000000000000000000000002",
      `icmp6 ${host} > ff02::1:ff00:2 neighbor-solicit payload fd000001000000000000000000000002`,
      `icmp6 ${host} > fd00:1::6 neighbor-advert payload fd000001000000000000000000000005`,
      "icmp6 :: > ff02::16 type 143",
      `udp [${host}]:5353 > [ff02::fb]:5353`,
      "udp [fe80::1]:546 > [fe80::2]:547",
    ];
    expect(nat.out(lines)).toEqual(lines.map((line) => `next ${line}`));
    expect(nat.held).toEqual([0, 0, 0, 0]);
  });

  it("keep their extension headers, and ports are found behind them", async () => {
    const nat = await open({ sources: [office] });
    const headers = "ext hop-by-hop 050200000100 ext destination";
    expect(nat.out(`${udp} ${headers}`)).toEqual([`next ${seen} ${headers}`]);
    const back = `udp [${server}]:53 > [${outside}]:5000`;
    expect(nat.in(`${back} ext destination`)).toEqual([`next udp [${server}]:53 > [${host}]:5000 ext destination`]);
    // What is bound for another address than the header's has its checksum over that one.
    const route = "ext routing 04010000000020010db8000900000000000000000054";
    expect(nat.in(`${back} ${route}`)).toEqual(["drop source-route"]);
  });

  it("may send UDP without checksum, which is for the receiver to judge (RFC 6935)", async () => {
    const nat = await open({ sources: [office] });
    expect(nat.out(`${udp} checksum 0`)).toEqual([`next ${seen} checksum 0x0000`]);
  });

  it("have fragments translated behind their first one, whatever headers are before", async () => {
    const nat = await open({ sources: [office] });
    const first = `udp [${host}]:5000 > [${server}]:53 udp-length 40 checksum 0x1234 ext hop-by-hop 050200000100 frag id 7 more zeros 16`;
    const later = `ip ${host} > ${server} proto udp ext hop-by-hop 050200000100 frag id 7 offset 24 zeros 16`;
    const [one = "", two = ""] = nat.out([first, later]);
    expect(one).toMatch(/^next udp \[2001:db8:f::1\]:5000 .* frag id 1 offset 0 more/);
    expect(two).toMatch(/^next ip 2001:db8:f::1 > 2001:db8:9::53 proto udp .* frag id 1 offset 24/);
    expect(nat.out(`ip ${host} > ${server} proto udp frag id 8 offset 24 zeros 16`)).toEqual([]);
  });

  it("get errors about fragments and about what was cut short", async () => {
    const nat = await open({ sources: [office] });
    nat.out(`${udp} payload "hello"`);
    const error = (quote: string) => `icmp6 2001:db8:7::7 > ${outside} too-big mtu 1280 payload (${quote})`;
    expect(nat.in(error(`${seen} payload "hello"`))).toEqual([
      `next icmp6 2001:db8:7::7 > ${host} too-big mtu 1280 payload (${udp} payload "hello")`,
    ]);
    const quoted = `${seen} udp-length 40 checksum 0x1234 frag id 1 more zeros 16`;
    expect(nat.in(error(quoted))[0]).toMatch(
      new RegExp(`^next icmp6 2001:db8:7::7 > ${host} too-big mtu 1280 payload \\(udp \\[${host}\\]:5000 > `),
    );
  });

  it("have other mappings towards IPv4, and prefixes for what no rule is for", async () => {
    const nat = await open({
      sources: [{ ...office, from: ["fd00::/16"] }],
      nat64: [{ prefix: "64:ff9b::/96", from: ["fd00::/8"], pool: ["203.0.113.1"], order: "preserve" }],
      prefixes: [{ inside: "fd01:203:405::/48", outside: "2001:db8:1::/48" }],
    });
    expect(nat.out(udp)).toEqual([`next ${seen}`]);
    expect(nat.out(`udp [${host}]:5000 > [64:ff9b::c000:201]:53`)[0]).toMatch(
      /^next udp 203.0.113.1:5000 > 192.0.2.1:53 /,
    );
    expect(nat.out(`udp [fd01:203:405:1::1234]:5 > [${server}]:53`)).toEqual([
      `next udp [2001:db8:1:d550::1234]:5 > [${server}]:53`,
    ]);
    expect(nat.in(`ip ${server} > 2001:db8:1:d550::1234 proto 136`)).toEqual([
      `next ip ${server} > fd01:203:405:1::1234 proto 136`,
    ]);
    expect(nat.held).toEqual([2, 2, 2, 1]);
  });

  it("are named in columns, with their outside endpoint", () => {
    const document = `
chain: six
ports: { lan: { driver: memory }, wan: { driver: memory } }
functions:
  nat: { use: nat@1, config: { outside: [wan], sources: [{ from: ["fd00::/8"], pool: ["${outside}"], order: preserve }] } }
paths:
  - { from: lan, through: [nat], to: wan }
  - { from: wan, through: [nat], to: lan }
`;
    const chain = join(makeFolder({ "six.yaml": document }), "six.yaml");
    const steps: readonly Step[] = [
      { port: "lan", line: udp },
      { port: "wan", line: `udp [${server}]:53 > [${outside}]:5000` },
    ];
    const { flows, sent } = replayLines(chain, steps, "--swap", "2:nat=nat@1.2.0");
    expect(sent("lan")).toEqual([`udp [${server}]:53 > [${host}]:5000`]);
    expect(flows).toMatchObject([
      {
        "nat.inside_high": 0xfd00000100000000n.toString(),
        "nat.inside_low": 5,
        "nat.inside_port": 5000,
        "nat.outside_high": 0x20010db8000f0000n.toString(),
        "nat.outside_low": 1,
        "nat.outside_port": 5000,
        reply: { src_ip: server, src_port: 53, dest_ip: outside, dest_port: 5000 },
      },
    ]);
  });
});

describe("addresses of IPv6", () => {
  it("are forgotten with the last that has them, but those of rules", async () => {
    const forwards = [{ address: outside, ipProto: "tcp", ports: 80, to: "fd00:1::80" }];
    const oneToOne = [{ inside: "fd00:2::/64", outside: "2001:db8:f:2::/64" }];
    const nat = await open({ sources: [office], forwards, oneToOne });
    nat.out([udp, `udp [${host}]:5000 > [${server}]:54`, `gre fd00:2::1 > ${server}`], 1000);
    nat.in([`tcp [${server}]:9 > [${outside}]:80 syn`, `tcp [${server}]:9 > [${outside}]:81 syn`], 1001);
    expect(nat.counter("addresses")).toBe(6);
    nat.out("udp [fe80::1]:1 > [fe80::2]:1", 90_000);
    expect(nat.held).toEqual([0, 0, 0, 0]);
    expect(nat.counter("addresses")).toBe(2);
  });

  it("of a port are followed beside the one of IPv4", async () => {
    const sources = [
      { from: ["fd00::/8"], masquerade: true, order: "preserve" },
      { from: ["10.0.0.0/8"], masquerade: true, order: "preserve" },
    ];
    const forwards = [
      { port: "wan", ipProto: "tcp", ports: 8080, to: "fd00:1::80", toPort: 80 },
      { port: "wan", ipProto: "tcp", ports: 8080, to: "10.0.0.80", toPort: 80 },
    ];
    const nat = await open({ sources, forwards });
    setAddresses(nat, v4);
    expect(nat.out(udp)).toEqual(["drop no-address"]);
    expect(nat.out("udp 10.0.0.1:5000 > 192.0.2.53:53")[0]).toMatch(/^next udp 203.0.113.1:5000/);
    setAddresses(nat, v4, v6(1));
    expect(nat.out(udp.replace("5000", "6000"))).toEqual([`next ${seen.replace("5000", "6000")}`]);
    expect(nat.in(`tcp [${server}]:9 > [${outside}]:8080 syn`)).toEqual([
      `next tcp [${server}]:9 > [fd00:1::80]:80 syn`,
    ]);
    expect(nat.in("tcp 192.0.2.1:9 > 203.0.113.1:8080 syn")).toEqual(["next tcp 192.0.2.1:9 > 10.0.0.80:80 syn"]);
    const before = nat.counter("renumbered");
    setAddresses(nat, v4, v6(2));
    nat.out("arp who-has 10.0.0.2 tell 10.0.0.1");
    expect(nat.counter("renumbered") - before).toBe(2);
    expect(nat.out(udp)[0]).toMatch(/^next udp \[2001:db8:f::2\]:5000/);
    expect(nat.out("udp 10.0.0.1:5000 > 192.0.2.53:53")[0]).toMatch(/^next udp 203.0.113.1:5000/);
    // The link's own traffic is none of the rule's, and the machine's own address goes on.
    expect(nat.in(`tcp [${server}]:9 > [2001:db8:f::2]:22 syn`)).toEqual([
      `next tcp [${server}]:9 > [2001:db8:f::2]:22 syn`,
    ]);
  });

  it("of NAT64 may be behind a port's own address of IPv4", async () => {
    const nat64 = [{ prefix: "64:ff9b::/96", from: ["fd00::/8"], masquerade: true, order: "preserve" }];
    const nat = await open({ nat64 });
    const line = `udp [${host}]:5000 > [64:ff9b::c000:201]:53`;
    expect(nat.out(line)).toEqual(["drop no-address"]);
    setAddresses(nat, v4);
    expect(nat.out(line)[0]).toMatch(/^next udp 203.0.113.1:5000 > 192.0.2.1:53 /);
    expect(nat.in("udp 192.0.2.1:53 > 203.0.113.1:5000")[0]).toMatch(
      /^next udp \[64:ff9b::c000:201\]:53 > \[fd00:1::5\]:5000/,
    );
    expect(nat.in("tcp 192.0.2.1:53 > 203.0.113.1:22 syn")).toEqual(["next tcp 192.0.2.1:53 > 203.0.113.1:22 syn"]);
    setAddresses(nat, [203, 0, 113, 9]);
    expect(nat.out(line)).toEqual(["drop renumbered"]);
    expect(nat.out(line)[0]).toMatch(/^next udp 203.0.113.9:5000 > /);
  });

  it.each([
    [{ sources: [{ ...office, pool: ["203.0.113.1"] }] }, "/sources/0/pool/0"],
    [{ sources: [{ ...office, from: ["fd00::/8", "10.0.0.0/8"] }] }, "/sources/0/from/1"],
    [{ sources: [{ ...office, pool: ["2001:db8::/64"] }] }, "/sources/0/pool"],
    [{ forwards: [{ address: outside, ipProto: "tcp", ports: 80, to: "10.0.0.1" }] }, "/forwards/0/address"],
    [{ oneToOne: [{ inside: "fd00::/64", outside: "2001:db8::/56" }] }, "/oneToOne/0"],
    [{ oneToOne: [{ inside: "10.0.0.0/24", outside: "2001:db8::/24" }] }, "/oneToOne/0"],
    [{ nat64: [{ prefix: "64:ff9b::/96", from: ["fd00::/8"], pool: [outside] }] }, "/nat64/0/pool/0"],
    [
      { sources: [1, 2, 3, 4, 5].map((n) => ({ from: ["fd00::/8"], pool: [`2001:db8:f:${n}::/120`] })) },
      "/sources/4/pool/0",
    ],
    [{ sources: [{ from: ["10.0.0.0/8"], pool: ["0.0.0.1"] }] }, "/sources/0/pool/0"],
  ])("that %j names are refused where they are wrong", async (config, pointer) => {
    await expect(open(config)).rejects.toThrow(pointer);
  });
});

describe("a firewall behind the nat", () => {
  it("rejects in the name of the address that was called", () => {
    const document = `
chain: rejects
ports: { lan: { driver: memory }, wan: { driver: memory } }
functions:
  nat:
    use: nat@1
    config: { outside: [wan], forwards: [
      { address: "${outside}", ipProto: tcp, ports: 8080, to: "fd00:1::80", toPort: 80 },
      { address: "${outside}", ipProto: udp, ports: 53, to: "fd00:1::53" } ] }
  fw: { use: firewall@1, config: { rules: [{ action: reject, name: no }] } }
paths:
  - { from: lan, through: [fw, nat], to: wan }
  - { from: wan, through: [nat, fw], to: lan }
`;
    const chain = join(makeFolder({ "rejects.yaml": document }), "rejects.yaml");
    const steps: readonly Step[] = [
      { port: "wan", line: `tcp [${server}]:9 > [${outside}]:8080 syn seq 9` },
      { port: "wan", line: `udp [${server}]:9 > [${outside}]:53` },
    ];
    const { verdicts, sent } = replayLines(chain, steps);
    expect(verdicts.map(({ verdict }) => verdict)).toEqual(["drop", "drop"]);
    expect(sent("wan")).toEqual([
      `tcp [${outside}]:8080 > [${server}]:9 rst ack 10 win 0`,
      `icmp6 ${outside} > ${server} unreachable code 4 payload (udp [${server}]:9 > [${outside}]:53)`,
    ]);
  });
});
