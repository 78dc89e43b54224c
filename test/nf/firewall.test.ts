import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { closeFirewalls, judge, loadFirewall, openFirewall, refusal } from "../support/firewall-under-test.ts";

beforeAll(async () => void (await loadFirewall()));
afterEach(closeFirewalls);

const zones = {
  inside: { ports: ["in"], prefixes: ["10.0.0.0/8", "2001:db8:a::/48"] },
  outside: { ports: ["out"], prefixes: ["0.0.0.0/0", "::/0"] },
  servers: { prefixes: ["10.9.0.0/16"] },
};

describe("zones", () => {
  it("are found by port and by the destination's longest prefix, and pairs of them have a policy", () => {
    const firewall = openFirewall({
      zones,
      antiSpoofing: false,
      rules: [{ action: "drop", from: ["inside"], to: ["servers"], ipProtos: ["udp"], destinationPorts: [53] }],
      pairs: [
        { from: "inside", to: "outside", action: "accept" },
        { from: "inside", to: "servers", action: "accept" },
        { from: "outside", to: "servers", action: "drop" },
      ],
    });
    const packets = [
      "udp 10.0.0.1:1 > 192.0.2.1:53",
      "udp [2001:db8:a::1]:1 > [2001:db8:b::1]:53",
      "udp 10.0.0.1:1 > 10.9.0.1:53",
      "udp 10.0.0.1:1 > 10.9.0.1:54",
      "udp 10.0.0.1:1 > 10.8.0.1:53",
    ];
    expect(judge(firewall, packets)).toEqual(["accept", "accept", "drop rule:1", "accept", "drop default"]);
    expect(judge(firewall, "udp 192.0.2.1:1 > 10.9.0.1:53", "out")).toEqual(["drop pair:3"]);
  });

  it("are found by VLAN before port, and by `towards` where no prefix says where a packet goes", () => {
    const firewall = openFirewall({
      zones: { guests: { vlans: [30] }, staff: { ports: ["in"] }, world: { ports: ["out"] } },
      towards: { in: "world", out: "staff" },
      rules: [{ action: "drop", from: ["guests"], to: ["world"], ipProtos: ["tcp"], destinationPorts: [25] }],
      pairs: [
        { from: "guests", to: "world", action: "accept" },
        { from: "staff", to: "world", action: "accept" },
      ],
    });
    const packets = [
      "vlan 30 tcp 10.0.0.1:1 > 192.0.2.1:25 syn",
      "vlan 30 tcp 10.0.0.1:1 > 192.0.2.1:80 syn",
      "vlan 31 tcp 10.0.0.1:2 > 192.0.2.1:25 syn",
    ];
    expect(judge(firewall, packets)).toEqual(["drop rule:1", "accept", "accept"]);
    expect(judge(firewall, "tcp 192.0.2.1:1 > 10.0.0.1:80 syn", "out")).toEqual(["drop default"]);
  });

  it("tell spoofed packets, first ones and later ones", () => {
    const firewall = openFirewall({ zones, default: "accept" });
    const inside = [
      "udp 10.0.0.1:1 > 192.0.2.1:53",
      "udp 192.0.2.7:1 > 192.0.2.1:53",
      "udp [2001:db8:b::1]:1 > [2001:db8:c::1]:53",
    ];
    expect(judge(firewall, inside)).toEqual(["accept", "drop spoofed:1", "drop spoofed:1"]);
    expect(judge(firewall, ["udp 10.0.0.1:1 > 192.0.2.1:53", "udp 10.0.0.9:1 > 192.0.2.1:53"], "out")).toEqual([
      "drop spoofed:2",
      "drop spoofed:2",
    ]);
    expect(judge(firewall, "udp 192.0.2.1:53 > 10.0.0.1:1", "out")).toEqual(["accept"]);
    // Who has no address yet, and neighbours on the link.
    const links = ["udp 0.0.0.0:68 > 255.255.255.255:67", "icmp6 fe80::1 > ff02::1 router-solicit"];
    expect(judge(firewall, links)).toEqual(["accept", "accept"]);
  });
});

describe("rules", () => {
  it("share sets of addresses of both families, and of ports", () => {
    const firewall = openFirewall({
      sets: {
        blocked: { addresses: ["192.0.2.0/25", "2001:db8:bad::/48", "198.51.100.7"] },
        fromFile: { addresses: "203.0.113.0/24 # all of them\n\n# nobody\n2001:db8:dead::1\n" },
        web: { ports: [80, "8000-8099"] },
      },
      rules: [
        { action: "drop", sources: ["set:blocked", "set:fromFile", "10.6.6.6"] },
        { action: "drop", destinations: ["set:blocked"] },
        { action: "accept", ipProtos: ["tcp"], destinationPorts: ["set:web", 443] },
      ],
    });
    const packets = [
      "tcp 192.0.2.127:1 > 10.0.0.1:80 syn",
      "tcp 192.0.2.128:1 > 10.0.0.1:80 syn",
      "tcp [2001:db8:bad:1::1]:1 > [2001:db8::1]:80 syn",
      "tcp 203.0.113.9:1 > 10.0.0.1:80 syn",
      "tcp [2001:db8:dead::1]:1 > [2001:db8::1]:80 syn",
      "tcp 10.6.6.6:1 > 10.0.0.1:80 syn",
      "tcp 10.0.0.1:1 > 198.51.100.7:80 syn",
      "tcp 10.0.0.1:1 > 10.0.0.2:8099 syn",
      "tcp 10.0.0.1:1 > 10.0.0.2:443 syn",
      "tcp 10.0.0.1:1 > 10.0.0.2:8100 syn",
    ];
    expect(judge(firewall, packets)).toEqual([
      ...["drop rule:1", "accept", "drop rule:1", "drop rule:1", "drop rule:1", "drop rule:1", "drop rule:2"],
      ...["accept", "accept", "drop default"],
    ]);
  });

  it("take ICMP types of both families, TCP flags, DSCPs and flow labels", () => {
    const firewall = openFirewall({
      default: "accept",
      rules: [
        { action: "drop", icmpTypes: ["echo-request", "13", "40/3"], icmpv6Types: ["echo-request"] },
        { action: "drop", tcpFlags: ["syn psh", "urg !ack"] },
        { action: "drop", dscps: ["ef"] },
        { action: "drop", flowLabels: [7, "1000-2000"] },
      ],
    });
    const packets = [
      "icmp 10.0.0.1 > 10.0.0.2 echo id 1 seq 1",
      "icmp6 2001:db8::1 > 2001:db8::2 echo id 1 seq 1",
      "icmp 10.0.0.1 > 10.0.0.2 type 13",
      "icmp 10.0.0.3 > 10.0.0.2 type 40 code 3",
      "icmp 10.0.0.4 > 10.0.0.2 type 40 code 4",
      "icmp6 2001:db8::1 > 2001:db8::2 type 130",
      "tcp 10.0.0.1:1 > 10.0.0.2:80 syn psh",
      "tcp 10.0.0.1:2 > 10.0.0.2:80 syn urg",
      "tcp 10.0.0.1:3 > 10.0.0.2:80 syn",
      "udp 10.0.0.1:1 > 10.0.0.2:53 dscp 46",
      "udp [2001:db8::1]:1 > [2001:db8::2]:53 flow-label 7",
      "udp [2001:db8::1]:2 > [2001:db8::2]:53 flow-label 2000",
      "udp [2001:db8::1]:3 > [2001:db8::2]:53 flow-label 2001",
    ];
    expect(judge(firewall, packets)).toEqual([
      ...["drop rule:1", "drop rule:1", "drop rule:1", "drop rule:1", "accept", "accept"],
      ...["drop rule:2", "drop rule:2", "accept", "drop rule:3", "drop rule:4", "drop rule:4", "accept"],
    ]);
  });

  it("are there at the times of their schedules, also past midnight and past Sunday", () => {
    const firewall = openFirewall({
      utcOffset: "+01:00",
      schedules: {
        work: { days: ["monday"], from: "08:00", to: "18:00" },
        night: { days: ["sunday"], from: "23:00", to: "01:00" },
      },
      rules: [{ action: "accept", schedules: ["work", "night"] }],
    });
    let port = 1;
    const at = (time: string) =>
      firewall.process(`udp 10.0.0.1:${port++} > 10.0.0.2:53`, { time: Date.parse(time) / 1000 })[0]?.slice(0, 4);
    // 2026-11-22 is a Sunday.
    expect(
      ["2026-11-22T21:59:59Z", "2026-11-22T22:00:30Z", "2026-11-22T23:59:30Z", "2026-11-23T00:00:30Z"].map(at),
    ).toEqual(["drop", "next", "next", "drop"]);
    expect(
      ["2026-11-23T06:59:30Z", "2026-11-23T07:00:30Z", "2026-11-23T16:59:30Z", "2026-11-23T17:00:30Z"].map(at),
    ).toEqual(["drop", "next", "next", "drop"]);
  });

  it("count packets and bytes and say when they were last hit", () => {
    const firewall = openFirewall({ rules: [{ action: "accept", name: "dns", ipProtos: ["udp"] }] });
    firewall.process(
      ["udp 10.0.0.1:1 > 10.0.0.2:53", "udp 10.0.0.2:53 > 10.0.0.1:1", "tcp 10.0.0.1:1 > 10.0.0.2:80 syn"],
      {
        time: 1_800_000_000,
      },
    );
    expect(firewall.counters()).toMatchObject({
      "packets{rule=1,name=dns}": 2,
      "bytes{rule=1,name=dns}": 84,
      "last_hit{rule=1,name=dns}": 1_800_000_000,
      "packets{policy=default}": 1,
      "bytes{policy=default}": 54,
    });
  });

  it("log a line per flow", () => {
    const logged: string[] = [];
    const firewall = openFirewall(
      { rules: [{ action: "drop", name: "telnet", log: true, destinationPorts: [23] }] },
      { onLog: (...line) => void logged.push(JSON.stringify(line)) },
    );
    firewall.process(["tcp 10.0.0.1:1 > 10.0.0.2:23 syn", "tcp 10.0.0.1:1 > 10.0.0.2:23 syn"]);
    firewall.lane.takeLog();
    expect(logged.filter((line) => line.includes("rule=1 telnet: drop"))).toHaveLength(1);
  });
});

describe("a rule that only counts", () => {
  it("leaves the decision to those that follow, and may be there several times", () => {
    const logged: string[] = [];
    const firewall = openFirewall(
      {
        rules: [
          { action: "count", name: "all", log: true },
          { action: "drop", destinationPorts: [23] },
          { action: "count", name: "dns", destinationPorts: [53] },
          { action: "count", sources: ["10.0.0.1", "2001:db8::1"], states: ["new", "invalid"] },
          { action: "accept", ipProtos: ["udp"] },
        ],
      },
      { onLog: (...line) => void logged.push(JSON.stringify(line)) },
    );
    const packets = [
      "udp 10.0.0.1:1 > 10.0.0.2:53",
      "udp 10.0.0.1:1 > 10.0.0.2:53",
      "udp 10.0.0.3:1 > 10.0.0.2:53",
      "udp 10.0.0.3:1 > 10.0.0.2:54",
      "tcp 10.0.0.1:1 > 10.0.0.2:23 syn",
      "tcp [2001:db8::1]:1 > [2001:db8::2]:80 syn",
      "tcp 10.0.0.1:9 > 10.0.0.2:80 ack 7",
    ];
    expect(judge(firewall, packets)).toEqual([
      ...["accept", "accept", "accept", "accept", "drop rule:2", "drop default", "drop invalid"],
    ]);
    expect(firewall.counters()).toMatchObject({
      "packets{rule=1,name=all}": 5,
      "packets{rule=2}": 1,
      "packets{rule=3,name=dns}": 2,
      "packets{rule=4}": 3,
      "packets{rule=5}": 4,
    });
    firewall.lane.takeLog();
    expect(logged.filter((line) => line.includes("rule=1 all: count"))).toHaveLength(5);
    expect(refusal({ rules: [{ action: "count", rateLimit: { perSecond: 1 } }] })).toMatch(/rules\/0\/rateLimit/);
    expect(refusal({ default: "count", rules: [] })).toMatch(/default/);
  });
});

describe("a rejected packet", () => {
  const rules = [
    { action: "reject", destinationPorts: [23, 24] },
    { action: "reject", rejectWith: "prohibited", destinationPorts: [25] },
  ];

  it("is answered with a reset, or an ICMP error of its family, and dropped", () => {
    const firewall = openFirewall({ rules });
    expect(judge(firewall, "tcp 10.0.0.1:9 > 10.0.0.2:23 syn seq 5")).toEqual([
      "answer tcp 10.0.0.2:23 > 10.0.0.1:9 rst ack 6 win 0 df",
      "drop rule:1",
    ]);
    expect(judge(firewall, "udp 10.0.0.1:9 > 10.0.0.2:24")).toEqual([
      "answer icmp 10.0.0.2 > 10.0.0.1 unreachable code 3 df payload (udp 10.0.0.1:9 > 10.0.0.2:24)",
      "drop rule:1",
    ]);
    expect(judge(firewall, "tcp [2001:db8::1]:9 > [2001:db8::2]:25 syn")).toEqual([
      "answer icmp6 2001:db8::2 > 2001:db8::1 unreachable code 1 payload (tcp [2001:db8::1]:9 > [2001:db8::2]:25 syn)",
      "drop rule:2",
    ]);
    expect(judge(firewall, "udp [2001:db8::1]:9 > [2001:db8::2]:24")).toEqual([
      "answer icmp6 2001:db8::2 > 2001:db8::1 unreachable code 4 payload (udp [2001:db8::1]:9 > [2001:db8::2]:24)",
      "drop rule:1",
    ]);
  });

  it("is only dropped when there are too many", () => {
    const firewall = openFirewall({ rules, rejectLimit: { perSecond: 1, burst: 1 } });
    const packets = ["udp 10.0.0.1:9 > 10.0.0.2:24", "udp 10.0.0.1:8 > 10.0.0.2:24"];
    expect(judge(firewall, packets)).toEqual([expect.stringMatching(/^answer icmp/), "drop rule:1", "drop rule:1"]);
    expect(firewall.counters()).toMatchObject({ rejects_silent: 1 });
  });
});

describe("the checks before any rule", () => {
  const damaged = "raw 020000000002020000000001080045000014";

  it.each([
    [damaged, "truncated:4"],
    ["tcp 10.0.0.1:1 > 10.0.0.2:80 syn fin", "bad-flags:3"],
    ["tcp [2001:db8::1]:1 > [2001:db8::2]:80 syn rst", "bad-flags:6"],
    ["tcp 10.0.0.1:1 > 10.0.0.2:80", "bad-flags"],
    ["tcp 10.0.0.1:1 > 10.0.0.2:80 fin psh urg", "bad-flags:41"],
    ["udp 10.0.0.1:1 > 10.0.0.1:80", "land"],
    ["udp [2001:db8::1]:1 > [2001:db8::1]:80", "land"],
    ["udp 127.0.0.1:1 > 10.0.0.1:80", "bad-source"],
    ["udp 224.0.0.1:1 > 10.0.0.1:80", "bad-source"],
    ["udp [ff02::1]:1 > [2001:db8::1]:80", "bad-source"],
    ["udp 10.0.0.1:1 > 10.0.0.2:80 options 8307040a00000900", "source-route"],
    ["udp [2001:db8::1]:1 > [2001:db8::2]:80 ext routing 000100000000", "source-route"],
  ])("drop %s", (packet, reason) => {
    expect(judge(openFirewall({ default: "accept" }), packet)).toEqual([`drop ${reason}`]);
  });

  it("drop other options only if they are told to", () => {
    const packets = [
      "udp 10.0.0.1:1 > 10.0.0.2:80 options 94040000",
      "udp [2001:db8::1]:1 > [2001:db8::2]:80 ext hop-by-hop 010400000000",
      'udp [2001:db8::1]:2 > [2001:db8::2]:80 frag id 5 more payload "12345678"',
    ];
    expect(judge(openFirewall({ default: "accept" }), packets)).toEqual(["accept", "accept", "accept"]);
    expect(judge(openFirewall({ default: "accept", ipOptions: "drop" }), packets)).toEqual([
      ...["drop ip-option", "drop ip-option", "accept"],
    ]);
  });

  it("can be left out", () => {
    const firewall = openFirewall({
      default: "accept",
      checks: { land: false, tcpFlags: false, sources: false },
      midstream: "accept",
    });
    const packets = ["udp 10.0.0.1:1 > 10.0.0.1:80", "udp 127.0.0.1:1 > 10.0.0.1:80"];
    expect(judge(firewall, packets)).toEqual(["accept", "accept"]);
  });
});

describe("the largest segment", () => {
  it("of a SYN is made small enough, with its checksum, wherever the option stands", () => {
    const firewall = openFirewall({ default: "accept", mssClamp: { ipv4: 1360, ipv6: 1340 } });
    const packets = [
      "tcp 10.0.0.1:1 > 10.0.0.2:80 syn tcp-options 020405b4",
      "tcp 10.0.0.1:2 > 10.0.0.2:80 syn tcp-options 01020405b4010000",
      "tcp [2001:db8::1]:1 > [2001:db8::2]:80 syn tcp-options 020405a0",
      "tcp 10.0.0.1:3 > 10.0.0.2:80 syn tcp-options 02040400",
    ];
    expect(firewall.process(packets)).toEqual([
      "next tcp 10.0.0.1:1 > 10.0.0.2:80 syn tcp-options 02040550",
      "next tcp 10.0.0.1:2 > 10.0.0.2:80 syn tcp-options 0102040550010000",
      "next tcp [2001:db8::1]:1 > [2001:db8::2]:80 syn tcp-options 0204053c",
      "next tcp 10.0.0.1:3 > 10.0.0.2:80 syn tcp-options 02040400",
    ]);
  });
});

describe("the configuration of a firewall", () => {
  it("has examples that are accepted", async () => {
    const { examples } = (await loadFirewall()).manifest.config as { examples: Record<string, unknown>[] };
    expect(examples.map(refusal)).toEqual(examples.map(() => "accepted"));
  });

  it("is refused with the place of what is wrong", () => {
    const rule = { action: "accept" };
    expect(refusal({ rules: [{ ...rule, from: ["nowhere"] }] })).toMatch(/rules\/0\/from\/0.*no zone 'nowhere'/s);
    expect(refusal({ rules: [{ ...rule, sources: ["set:none"] }] })).toMatch(/rules\/0\/sources\/0.*no set 'none'/s);
    expect(refusal({ sets: { web: { ports: [80] } }, rules: [{ ...rule, sources: ["set:web"] }] })).toMatch(
      /rules\/0\/sources\/0.*set of ports/s,
    );
    expect(refusal({ rules: [{ ...rule, schedules: ["never"] }] })).toMatch(/rules\/0\/schedules\/0.*never/s);
    expect(refusal({ rules: [{ ...rule, tcpFlags: ["sin"] }] })).toMatch(/rules\/0\/tcpFlags\/0/);
    expect(refusal({ rules: [{ ...rule, icmpTypes: ["eco"] }] })).toMatch(/rules\/0\/icmpTypes\/0/);
    expect(refusal({ zones: { a: { ports: ["nope"] } } })).toMatch(/zones\/a\/ports\/0.*nope/s);
    expect(refusal({ zones: { a: { vlans: [1] }, b: { vlans: [1] } } })).toMatch(/zones\/b\/vlans\/0.*'a' already/s);
    expect(refusal({ zones: { a: { prefixes: ["10.0.0.0/8"] }, b: { prefixes: ["10.0.0.0/8"] } } })).toMatch(
      /zones\/b\/prefixes\/0.*'a' already/s,
    );
    expect(refusal({ towards: { in: "a" } })).toMatch(/towards\/in.*no zone 'a'/s);
    expect(
      refusal({ sets: { bad: { addresses: "10.0.0.0/8\n10.0.0\n" } }, rules: [{ ...rule, sources: ["set:bad"] }] }),
    ).toMatch(/sets\/bad\/addresses.*line 2/s);
    expect(refusal({ rules: [{ action: "permit" }] })).toMatch(/rules\/0\/action/);
    expect(refusal({ schedules: { s: { from: "25:00" } }, rules: [] })).toMatch(/schedules\/s\/from/);
    expect(refusal({ rules: [rule] })).toBe("accepted");
  });
});
