import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { closeFirewalls, judge, loadFirewall, openFirewall } from "../support/firewall-under-test.ts";

beforeAll(async () => void (await loadFirewall()));
afterEach(closeFirewalls);

const web = { action: "accept", ipProtos: ["tcp"], destinationPorts: [80] };

describe("a connection", () => {
  it("is decided by its first packet, both ways, and its packets count for the rule", () => {
    const firewall = openFirewall({ rules: [web] });
    expect(judge(firewall, "tcp 10.0.0.1:5 > 10.0.0.2:80 syn seq 100 win 1000")).toEqual(["accept"]);
    expect(judge(firewall, "tcp 10.0.0.2:80 > 10.0.0.1:5 syn seq 500 ack 101 win 1000", "out")).toEqual(["accept"]);
    const rest = [
      "tcp 10.0.0.1:5 > 10.0.0.2:80 seq 101 ack 501 win 1000",
      'tcp 10.0.0.1:5 > 10.0.0.2:80 seq 101 ack 501 win 1000 payload "hi"',
    ];
    expect(judge(firewall, rest)).toEqual(["accept", "accept"]);
    expect(firewall.counters()).toMatchObject({ "packets{rule=1}": 4, "packets{policy=default}": 0 });
  });

  it("is decided once, also if all its packets are in one batch", () => {
    const firewall = openFirewall({ rules: [{ action: "accept", sources: ["10.0.0.1", "2001:db8::1"] }] });
    const packets = [
      "udp 10.0.0.1:5 > 10.0.0.2:53",
      "udp 10.0.0.2:53 > 10.0.0.1:5",
      "udp [2001:db8::1]:5 > [2001:db8::2]:53",
      "udp [2001:db8::2]:53 > [2001:db8::1]:5",
      "icmp 10.0.0.1 > 10.0.0.2 echo id 3 seq 1",
      "icmp 10.0.0.2 > 10.0.0.1 echo-reply id 3 seq 1",
      "udp 10.0.0.2:54 > 10.0.0.1:5",
    ];
    expect(judge(firewall, packets)).toEqual([
      "accept",
      "accept",
      "accept",
      "accept",
      "accept",
      "accept",
      "drop default",
    ]);
  });

  it("that nobody saw begin is invalid, unless it is to be taken", () => {
    const middle = "tcp 10.0.0.1:5 > 10.0.0.2:80 seq 101 ack 501";
    expect(judge(openFirewall({ rules: [web] }), [middle, middle])).toEqual(["drop invalid", "drop invalid"]);
    expect(judge(openFirewall({ rules: [web], midstream: "accept" }), [middle, middle])).toEqual(["accept", "accept"]);
  });

  it("is taken in the middle only by what both ends say while it is established", () => {
    const firewall = openFirewall({ rules: [web], midstream: "accept" });
    const packets = ["syn ack 501", "fin ack 501", "rst", "ack 501"].map(
      (words, index) => `tcp 10.0.0.1:${index + 5} > 10.0.0.2:80 seq 101 ${words}`,
    );
    expect(judge(firewall, packets)).toEqual(["drop invalid", "drop invalid", "drop invalid", "accept"]);
  });

  it("is not hindered by what a stranger sent in the name of who is called", () => {
    const zones = { inside: { ports: ["in"] }, outside: { ports: ["out"] } };
    const towards = { in: "outside", out: "inside" };
    const firewall = openFirewall({ zones, towards, pairs: [{ from: "inside", to: "outside", action: "accept" }] });
    const forged = ["tcp 192.0.2.1:80 > 10.0.0.1:5 syn seq 9", "udp 192.0.2.1:53 > 10.0.0.1:5"];
    expect(judge(firewall, forged, "out")).toEqual(["drop default", "drop default"]);
    const calls = ["tcp 10.0.0.1:5 > 192.0.2.1:80 syn seq 100 win 1000", "udp 10.0.0.1:5 > 192.0.2.1:53"];
    expect(judge(firewall, calls)).toEqual(["drop reopened", "accept"]);
    expect(judge(firewall, calls)).toEqual(["accept", "accept"]);
    const answers = ["tcp 192.0.2.1:80 > 10.0.0.1:5 syn ack 101 seq 500 win 1000", "udp 192.0.2.1:53 > 10.0.0.1:5"];
    expect(judge(firewall, answers, "out")).toEqual(["accept", "accept"]);
    expect(judge(firewall, "udp 192.0.2.1:53 > 10.0.0.1:6", "out")).toEqual(["drop default"]);
    expect(judge(firewall, "udp 10.0.0.1:6 > 192.0.2.1:53 payload 01")).toEqual(["accept"]);
  });

  it("drops what does not belong where it stands, unless a rule takes invalid packets", () => {
    const packets = [
      "tcp 10.0.0.1:5 > 10.0.0.2:80 syn seq 100 win 1000",
      "tcp 10.0.0.2:80 > 10.0.0.1:5 syn seq 500 ack 101 win 1000",
      "tcp 10.0.0.1:5 > 10.0.0.2:80 seq 101 ack 501 win 1000",
      'tcp 10.0.0.1:5 > 10.0.0.2:80 seq 900000 ack 501 win 1000 payload "lost"',
    ];
    expect(judge(openFirewall({ rules: [web] }), packets).at(-1)).toBe("drop invalid");
    const tolerant = openFirewall({ rules: [{ action: "accept", states: ["invalid"] }, web] });
    expect(judge(tolerant, packets).at(-1)).toBe("accept");
  });
});

describe("ICMP replies", () => {
  it("that nobody asked for are invalid", () => {
    const firewall = openFirewall({ default: "accept" });
    const replies = [
      "icmp 10.0.0.1 > 10.0.0.2 echo-reply id 1 seq 1",
      "icmp6 2001:db8::1 > 2001:db8::2 echo-reply id 1 seq 1",
      "icmp 10.0.0.1 > 10.0.0.2 type 14",
      "icmp 10.0.0.1 > 10.0.0.2 echo id 2 seq 1",
    ];
    expect(judge(firewall, replies)).toEqual(["drop invalid", "drop invalid", "drop invalid", "accept"]);
    expect(judge(firewall, "icmp 10.0.0.2 > 10.0.0.1 echo-reply id 2 seq 1", "out")).toEqual(["accept"]);
  });
});

describe("ICMP errors", () => {
  const errors = [
    "icmp 192.0.2.9 > 10.0.0.1 time-exceeded payload (udp 10.0.0.1:5 > 10.0.0.2:53)",
    "icmp6 2001:db8:9::9 > 2001:db8::1 too-big mtu 1280 payload (udp [2001:db8::1]:5 > [2001:db8::2]:53)",
  ];
  const flows = ["udp 10.0.0.1:5 > 10.0.0.2:53", "udp [2001:db8::1]:5 > [2001:db8::2]:53"];

  it("go the way of the connection that they are about", () => {
    const firewall = openFirewall({ rules: [{ action: "accept", ipProtos: ["udp"] }] });
    expect(judge(firewall, errors)).toEqual(["drop invalid", "drop invalid"]);
    expect(judge(firewall, flows)).toEqual(["accept", "accept"]);
    expect(judge(firewall, errors, "out")).toEqual(["accept", "accept"]);
    const refusing = openFirewall({ rules: [] });
    expect(judge(refusing, flows)).toEqual(["drop default", "drop default"]);
    expect(judge(refusing, errors, "out")).toEqual(["drop default", "drop default"]);
  });

  it("can have rules of their own, as related", () => {
    const rules = [
      { action: "drop", states: ["related"], icmpTypes: ["time-exceeded"] },
      { action: "accept", ipProtos: ["udp"] },
    ];
    const firewall = openFirewall({ rules });
    expect(judge(firewall, [...flows, ...errors])).toEqual(["accept", "accept", "drop rule:1", "accept"]);
  });
});

describe("fragments", () => {
  it("go the way of the first one, in both families", () => {
    const firewall = openFirewall({ rules: [{ action: "accept", destinationPorts: [53] }] });
    const packets = (to: number) => [
      `udp 10.0.0.1:5 > 10.0.0.2:${to} frag id ${to} more zeros 1472`,
      `ip 10.0.0.1 > 10.0.0.2 proto udp frag id ${to} offset 1480 payload "end"`,
      `udp [2001:db8::1]:5 > [2001:db8::2]:${to} frag id ${to} more zeros 1400`,
      `ip 2001:db8::1 > 2001:db8::2 proto udp frag id ${to} offset 1408 payload "end"`,
    ];
    expect(judge(firewall, packets(53))).toEqual(["accept", "accept", "accept", "accept"]);
    expect(judge(firewall, packets(54))).toEqual(Array(4).fill("drop default"));
  });

  it("without a first one do not come here: the host holds them back", () => {
    const firewall = openFirewall({ rules: [{ action: "accept", destinationPorts: [53] }] });
    expect(judge(firewall, 'ip 10.0.0.1 > 10.0.0.2 proto udp frag id 9 offset 1480 payload "end"')).toEqual([]);
  });
});

describe("address resolution", () => {
  it("passes where no rule matches it, on this link only, unless it is not to", () => {
    const packets = [
      "arp who-has 10.0.0.2 tell 10.0.0.1",
      "icmp6 fe80::1 > ff02::1:ff00:2 neighbor-solicit ttl 255 payload 20010db8000000000000000000000002",
      "icmp6 fe80::2 > ff02::1:ff00:2 neighbor-solicit ttl 254 payload 20010db8000000000000000000000002",
    ];
    expect(judge(openFirewall({}), packets)).toEqual(["accept", "accept", "drop default"]);
    expect(judge(openFirewall({ addressResolution: false }), packets)).toEqual(Array(3).fill("drop default"));
    expect(judge(openFirewall({ rules: [{ action: "drop", etherTypes: ["arp"] }] }), packets[0] as string)).toEqual([
      "drop rule:1",
    ]);
  });
});
