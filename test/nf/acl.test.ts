import { afterEach, beforeAll, describe, expect, it } from "vitest";
import type { FunctionPackage } from "../../runtime/function/catalog.ts";
import { type FunctionUnderTest, openPackage } from "../../runtime/testing/index.ts";
import { loadBuiltIn } from "../support/built-in.ts";
import type { Rule } from "../support/rule-sets.ts";

let compiled: FunctionPackage;
beforeAll(async () => {
  compiled = await loadBuiltIn("acl");
});

interface AclConfig {
  readonly default?: "permit" | "deny";
  readonly malformed?: "permit" | "deny";
  readonly permitAddressResolution?: boolean;
  readonly rules: readonly (Rule & { readonly name?: string })[];
}

const open: FunctionUnderTest[] = [];
afterEach(() => {
  for (const acl of open.splice(0)) acl.close();
});

function openAcl(config: AclConfig): FunctionUnderTest {
  const acl = openPackage(compiled, { config });
  open.push(acl);
  return acl;
}

/** Sends the packets on the left and says what became of each, without repeating it. */
function judge(config: AclConfig, packets: readonly string[]): string[] {
  return openAcl(config)
    .process(packets)
    .map((said) => (said.startsWith("next ") ? "permit" : said));
}

describe("the rules of an acl", () => {
  it("decides by the first rule that matches, and counts it", () => {
    const acl = openAcl({
      rules: [
        { action: "deny", name: "telnet", ipProtos: ["tcp"], destinationPorts: [23] },
        { action: "permit", sources: ["10.0.0.0/8"] },
        { action: "deny", sources: ["10.1.0.0/16"] },
      ],
    });
    const web = "tcp 10.1.0.1:5000 > 192.0.2.1:80 syn";
    expect(acl.process(["tcp 10.1.0.1:5000 > 192.0.2.1:23 syn", web, "tcp 11.1.0.1:5000 > 192.0.2.1:80 syn"])).toEqual([
      "drop rule:1",
      `next ${web}`,
      "drop default",
    ]);
    expect(acl.counters()).toEqual({
      "hits{rule=1,name=telnet}": 1,
      "hits{rule=2}": 1,
      "hits{rule=3}": 0,
      unmatched: 1,
    });
  });

  it("tells IPv4 from IPv6, source from destination and each length of prefix from the next", () => {
    const rules: Rule[] = [
      { action: "deny", sources: ["10.0.0.4/31"] },
      { action: "deny", destinations: ["10.0.0.4/32"] },
      { action: "deny", sources: ["2001:db8::/33"] },
      { action: "deny", destinations: ["2001:db8:8000::1/128"] },
      { action: "deny", sources: ["::ffff:10.0.0.0/104"] },
    ];
    const packets = [
      "udp 10.0.0.3:1 > 10.0.0.1:2",
      "udp 10.0.0.4:1 > 10.0.0.1:2",
      "udp 10.0.0.5:1 > 10.0.0.1:2",
      "udp 10.0.0.6:1 > 10.0.0.1:2",
      "udp 10.0.0.6:1 > 10.0.0.4:2",
      "udp [2001:db8:7fff::1]:1 > [2001:db8::1]:2",
      "udp [2001:db8:8000::1]:1 > [2001:db8::1]:2",
      "udp [2001:db8:8000::1]:1 > [2001:db8:8000::1]:2",
      "udp [2001:db8:8000::1]:1 > [2001:db8:8000::2]:2",
    ];
    expect(judge({ default: "permit", rules }, packets)).toEqual([
      ...["permit", "drop rule:1", "drop rule:1", "permit", "drop rule:2"],
      ...["drop rule:3", "permit", "drop rule:4", "permit"],
    ]);
  });

  it("takes ports as numbers and ranges, of TCP, UDP and SCTP only", () => {
    const rules: Rule[] = [
      { action: "deny", destinationPorts: [0, "53", "1000-2000"] },
      { action: "deny", sourcePorts: ["60000-65535"] },
    ];
    const packets = [
      "udp 10.0.0.1:5 > 10.0.0.2:0",
      "tcp 10.0.0.1:5 > 10.0.0.2:53 syn",
      "sctp 10.0.0.1:5 > 10.0.0.2:1000",
      "udp 10.0.0.1:5 > 10.0.0.2:999",
      "udp 10.0.0.1:5 > 10.0.0.2:2001",
      "udp [2001:db8::1]:65535 > [2001:db8::2]:5",
      // Its record says type 8, code 0 and identifier 53 where others have ports.
      "icmp 10.0.0.1 > 10.0.0.2 echo id 53 seq 1",
      "arp who-has 10.0.0.2 tell 10.0.0.1",
    ];
    expect(judge({ default: "permit", rules }, packets)).toEqual([
      ...["drop rule:1", "drop rule:1", "drop rule:1", "permit", "permit", "drop rule:2", "permit", "permit"],
    ]);
  });

  it("matches IP protocol, DSCP, VLAN and ethertype by name and by number", () => {
    const rules: Rule[] = [
      { action: "deny", ipProtos: ["icmp", 47] },
      { action: "deny", dscps: ["ef", "af41", 1] },
      { action: "deny", vlans: [0, 100] },
      { action: "deny", etherTypes: ["lldp", "0x88b5"] },
    ];
    const packets = [
      "icmp 10.0.0.1 > 10.0.0.2 echo id 1 seq 1",
      "gre 10.0.0.1 > 10.0.0.2",
      "udp 10.0.0.1:1 > 10.0.0.2:2 dscp 46",
      "udp [2001:db8::1]:1 > [2001:db8::2]:2 dscp 34 ecn 3",
      "udp 10.0.0.1:1 > 10.0.0.2:2 dscp 1",
      "udp 10.0.0.1:1 > 10.0.0.2:2 dscp 47",
      "vlan 100 vlan 200 udp 10.0.0.1:1 > 10.0.0.2:2",
      "vlan 200 vlan 100 udp 10.0.0.1:1 > 10.0.0.2:2",
      "vlan 0 priority 5 udp 10.0.0.1:1 > 10.0.0.2:2",
      "type 0x88cc payload 0207",
      "type 0x88b5",
      "type 0x88b6",
    ];
    expect(judge({ default: "permit", rules }, packets)).toEqual([
      ...["drop rule:1", "drop rule:1", "drop rule:2", "drop rule:2", "drop rule:2", "permit"],
      ...["drop rule:3", "permit", "drop rule:3", "drop rule:4", "drop rule:4", "permit"],
    ]);
  });

  it("wants every condition of a rule, and one value of each", () => {
    const rules: Rule[] = [
      {
        action: "permit",
        sources: ["10.0.0.0/24", "2001:db8::/32"],
        destinations: ["192.0.2.0/24", "2001:db8:1::/48"],
        ipProtos: ["udp", "tcp"],
        destinationPorts: [53, 853],
      },
    ];
    const packets = [
      "udp 10.0.0.9:1 > 192.0.2.7:53",
      "tcp [2001:db8::9]:1 > [2001:db8:1::7]:853 syn",
      "udp 10.0.1.9:1 > 192.0.2.7:53",
      "udp 10.0.0.9:1 > 192.0.3.7:53",
      "sctp 10.0.0.9:1 > 192.0.2.7:53",
      "udp 10.0.0.9:1 > 192.0.2.7:54",
    ];
    expect(judge({ rules }, packets)).toEqual([
      ...["permit", "permit", "drop default", "drop default", "drop default", "drop default"],
    ]);
  });
});

describe("what rules do not speak of", () => {
  it("lets ARP and neighbour discovery of this link pass a default deny, and nothing else", () => {
    const neighbour = "icmp6 fe80::1 > ff02::1:ff00:2 neighbor-solicit";
    const target = "payload fe800000000000000000000000000002";
    const packets = [
      "arp who-has 10.0.0.2 tell 10.0.0.1",
      `${neighbour} ttl 255 ${target}`,
      `${neighbour} ttl 64 ${target}`,
      "icmp6 fe80::1 > ff02::2 router-solicit ttl 255",
      "type 0x88cc payload 0207",
    ];
    const dropped = packets.map(() => "drop default");
    expect(judge({ rules: [] }, packets)).toEqual(["permit", "permit", ...dropped.slice(2)]);
    expect(judge({ permitAddressResolution: false, rules: [] }, packets)).toEqual(dropped);
    expect(judge({ rules: [{ action: "deny" }] }, packets)).toEqual(packets.map(() => "drop rule:1"));
  });

  it("asks rules with ports only of frames that have ports: later fragments match by the rest", () => {
    const rules: Rule[] = [
      { action: "deny", destinations: ["192.0.2.1"], destinationPorts: ["0-65535"] },
      { action: "permit", destinations: ["192.0.2.2"], destinationPorts: [53] },
      { action: "permit", destinations: ["192.0.2.3"], laterFragments: true },
      { action: "permit", destinations: ["192.0.2.1"] },
    ];
    const later = (to: string) => `ip 10.0.0.1 > ${to} proto udp frag id 7 offset 1480 payload "end"`;
    // The host holds fragments back until it has seen the first one of their packet.
    const first = (to: string) => `udp 10.0.0.1:5 > ${to}:53 frag id 7 more zeros 1472`;
    const packets = ["192.0.2.1", "192.0.2.2", "192.0.2.3"].flatMap((to) => [first(to), later(to)]);
    expect(judge({ rules }, packets)).toEqual([
      ...["drop rule:1", "permit"],
      ...["permit", "drop default"],
      ...["drop default", "permit"],
    ]);
  });

  it("sees no fragment that would overwrite a TCP header: the host drops it first", () => {
    const packets = [
      'tcp 10.0.0.1:5 > 10.0.0.2:80 syn frag id 7 more payload "1234"',
      'ip 10.0.0.1 > 10.0.0.2 proto tcp frag id 7 offset 8 payload "12345678"',
    ];
    expect(judge({ rules: [{ action: "permit" }] }, packets)).toEqual(["permit", "drop fragment-tiny"]);
  });

  it("drops damaged frames before any rule, unless they are to pass", () => {
    const damaged = "raw 020000000002020000000001080045000014";
    const rules: Rule[] = [{ action: "permit" }];
    expect(judge({ default: "permit", rules }, [damaged])).toEqual(["drop malformed"]);
    expect(judge({ malformed: "permit", rules: [{ action: "deny" }] }, [damaged])).toEqual(["permit"]);
  });
});

describe("the configuration of an acl", () => {
  const refusal = (config: unknown) => {
    try {
      openAcl(config as AclConfig);
      return "accepted";
    } catch (error) {
      return String(error);
    }
  };

  it("refuses what it does not know, with the place", () => {
    const rule = { action: "permit" };
    expect(refusal({})).toMatch(/rules/);
    expect(refusal({ rules: [rule, { ...rule, source: ["10.0.0.0/8"] }] })).toMatch(/rules\/1.*source/s);
    expect(refusal({ rules: [{ ...rule, sources: ["10.0.0.0/33"] }] })).toMatch(/rules\/0\/sources\/0/);
    expect(refusal({ rules: [{ ...rule, sources: ["10.0.0.1/8"] }] })).toMatch(/rules\/0\/sources\/0.*10\.0\.0\.0\/8/s);
    expect(refusal({ rules: [{ ...rule, sources: [] }] })).toMatch(/rules\/0\/sources/);
    expect(refusal({ rules: [{ ...rule, destinationPorts: ["90-80"] }] })).toMatch(/rules\/0\/destinationPorts\/0/);
    expect(refusal({ rules: [{ ...rule, ipProtos: ["tpc"] }] })).toMatch(/rules\/0\/ipProtos\/0/);
    expect(refusal({ rules: [{ action: "drop" }] })).toMatch(/rules\/0\/action/);
    expect(refusal({ rules: [rule] })).toBe("accepted");
  });
});
