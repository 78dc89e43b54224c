import fc from "fast-check";
import { afterEach, beforeAll, describe, expect, it } from "vitest";
import { closeFirewalls, judge, loadFirewall, openFirewall } from "../support/firewall-under-test.ts";
import {
  type FirewallRule,
  LinearFirewall,
  lineOf,
  type ModelConfig,
  type ModelPacket,
} from "../support/linear-firewall.ts";
import { seedDice } from "../support/rule-sets.ts";

beforeAll(async () => void (await loadFirewall()));
afterEach(closeFirewalls);

// ---- a small world, in which rules, sets and zones overlap ----

const hosts4 = ["10.0.0.1", "10.0.0.2", "10.0.1.1", "10.1.0.1", "192.0.2.1"];
const hosts6 = ["2001:db8::1", "2001:db8::2", "2001:db8:0:1::1", "2001:db8:1::1", "fd00::1"];
const prefixes = [
  "10.0.0.0/8",
  "10.0.0.0/24",
  "10.0.0.1",
  "192.0.2.0/24",
  "0.0.0.0/0",
  "2001:db8::/32",
  "2001:db8::/64",
  "2001:db8::1",
  "::/0",
];
const list = <Value>(value: fc.Arbitrary<Value>) => fc.array(value, { minLength: 1, maxLength: 3 });
const zone = fc.constantFrom("a", "b", "c");
const addresses = list(fc.constantFrom(...prefixes, "set:few", "set:many"));
const action = fc.constantFrom("accept" as const, "drop" as const);

const rule = fc.record(
  {
    action,
    from: list(zone),
    to: list(zone),
    sources: addresses,
    destinations: addresses,
    destinationPorts: list(fc.constantFrom<string | number>(53, 80, "50-60", "set:web")),
    ipProtos: list(fc.constantFrom("tcp", "udp", "icmp", "icmpv6")),
    tcpFlags: list(fc.constantFrom("syn", "syn !ack", "ack", "!syn")),
    icmpTypes: list(fc.constantFrom<string | number>("echo-request", 3, 8)),
    icmpv6Types: list(fc.constantFrom<string | number>("echo-request", 1, 128)),
    flowLabels: list(fc.constantFrom<string | number>(7, "5-9", "100-1048575")),
    states: list(fc.constantFrom("new", "established", "untracked")),
  },
  { requiredKeys: ["action"] },
) as fc.Arbitrary<FirewallRule>;

const pairs = fc.uniqueArray(fc.record({ from: zone, to: zone, action }), {
  selector: ({ from, to }) => from + to,
  maxLength: 5,
});

const config: fc.Arbitrary<ModelConfig> = fc.record({
  zones: fc.constantFrom(
    {
      a: { prefixes: ["10.0.0.0/24", "2001:db8::/64"] },
      b: { prefixes: ["10.0.0.0/8", "2001:db8::/32"] },
      c: { prefixes: ["10.0.0.2", "192.0.2.0/24", "::/0"] },
    },
    { a: { prefixes: ["0.0.0.0/0"] }, b: { prefixes: ["::/1"] }, c: { prefixes: ["10.0.0.0/7"] } },
  ),
  sets: fc.constant({
    few: { addresses: ["10.0.0.2", "2001:db8::2"] },
    many: { addresses: ["10.0.1.0/24", "10.1.0.0/16", "2001:db8:1::/48", "10.0.0.0/31"] },
    web: { ports: [80, 443, "8000-8099"] },
  }),
  rules: fc.array(rule, { maxLength: 70 }),
  pairs,
});

const packet: fc.Arbitrary<ModelPacket> = fc
  .tuple(fc.constantFrom(hosts4, hosts6), fc.nat(4), fc.integer({ min: 1, max: 4 }), fc.boolean())
  .chain(([hosts, from, distance, isBack]) => {
    const ends = { source: hosts[from] as string, destination: hosts[(from + distance) % 5] as string };
    return fc.record({
      ipProto: fc.constantFrom("udp" as const, "tcp" as const, "icmp" as const),
      source: fc.constant(ends.source),
      destination: fc.constant(ends.destination),
      sourcePort: isBack ? fc.constantFrom(53, 80) : fc.constantFrom(1000, 1001),
      destinationPort: isBack ? fc.constantFrom(1000, 1001) : fc.constantFrom(53, 80, 8080),
      flowLabel: fc.constantFrom(0, 7, 500),
    });
  });

describe("the rules of a firewall", () => {
  it("decide flows as trying one after the other does", () => {
    fc.assert(
      fc.property(config, fc.array(packet, { minLength: 20, maxLength: 120 }), (world, packets) => {
        // A SYN, or an echo request, against the flow's direction is another matter: the tracker's.
        const sent = packets.filter((each) => each.ipProto === "udp" || each.sourcePort >= 1000);
        const once = new Set<string>();
        const fresh = sent.filter((each) => each.ipProto !== "icmp" || isFirst(once, endsOf(each)));
        const firewall = openFirewall({ ...world });
        const model = new LinearFirewall(world);
        expect(judge(firewall, fresh.map(lineOf))).toEqual(fresh.map((each) => model.judge(each)));
        closeFirewalls();
      }),
      { numRuns: 60 },
    );
  }, 120_000);

  it("are found among 10 000 without trying them all", () => {
    const dice = seedDice(7);
    const address = () => `10.${dice(4)}.${dice(256)}.${dice(256)}`;
    const rules = Array.from(
      { length: 10_000 },
      (_, index): FirewallRule => ({
        action: index % 3 === 0 ? "drop" : "accept",
        sources: [`${address()}/${dice(2) === 0 ? 32 : 24}`.replace(/\d+\/24$/, "0/24")],
        ...(dice(2) === 0 && { destinationPorts: [1 + dice(1000)] }),
        ...(dice(3) === 0 && { states: ["new"] }),
        ipProtos: ["udp"],
      }),
    );
    const logged: string[] = [];
    const world = { zones: {}, sets: {}, pairs: [], rules };
    const firewall = openFirewall(world, { onLog: (...line) => void logged.push(line.join(" ")) });
    const reads = Number(/costs at most (\d+) reads/.exec(logged.join("\n"))?.[1]);
    // Two loads for each of 157 words of the five fields and the state, and what it takes to get there.
    expect(reads).toBeLessThan(6 * (2 * 157 + 5) + 2 * 157 + 64);
    const model = new LinearFirewall(world);
    const packets = Array.from(
      { length: 500 },
      (_, index): ModelPacket => ({
        ...{
          ipProto: "udp",
          destination: "192.0.2.1",
          destinationPort: 1 + dice(1000),
          flowLabel: 0,
          sourcePort: index + 1,
        },
        source: dice(2) === 0 ? address() : ((rules[dice(10_000)]?.sources?.[0] ?? "").split("/")[0] as string),
      }),
    );
    expect(judge(firewall, packets.map(lineOf))).toEqual(packets.map((each) => model.judge(each)));
  }, 60_000);
});

function endsOf({ source, destination, sourcePort }: ModelPacket): string {
  return [sourcePort, ...[source, destination].toSorted()].join(" ");
}

function isFirst(seen: Set<string>, key: string): boolean {
  const before = seen.size;
  return seen.add(key).size > before;
}
