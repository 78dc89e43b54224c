// What becomes of flows, counts and sets when the configuration changes while packets come.
import { afterEach, describe, expect, it } from "vitest";
import { parseDocument } from "../../runtime/chain/document.ts";
import { planChain } from "../../runtime/chain/planner.ts";
import { Catalog } from "../../runtime/function/catalog.ts";
import { ChainUnderTest } from "../support/chain-under-test.ts";
import { type FirewallConfig, loadFirewall } from "../support/firewall-under-test.ts";

let chain: ChainUnderTest | undefined;
afterEach(() => {
  chain?.close();
  chain = undefined;
});

function describeChain(config: FirewallConfig) {
  const document = {
    chain: "test",
    ports: { in: { driver: "memory" }, out: { driver: "memory" } },
    functions: { fw: { use: "firewall", config } },
    paths: [{ from: "in", through: ["fw"], to: "out" }],
  };
  return parseDocument(JSON.stringify(document), "test.yaml");
}

async function openWith(config: FirewallConfig): Promise<ChainUnderTest> {
  chain = new ChainUnderTest(describeChain(config), [await loadFirewall()], {});
  return chain;
}

async function changeTo(running: ChainUnderTest, config: FirewallConfig): Promise<void> {
  const packages = [await loadFirewall()];
  running.plan = planChain(describeChain(config), new Catalog(packages), running.plan).plan;
  running.lane.change(running.plan, packages);
}

const flow4 = "udp 10.0.0.1:5 > 10.0.0.2:53";
const reply4 = "udp 10.0.0.2:53 > 10.0.0.1:5";
const flow6 = "udp [2001:db8::1]:5 > [2001:db8::2]:53";
const reply6 = "udp [2001:db8::2]:53 > [2001:db8::1]:5";
const echo = "icmp 10.0.0.1 > 10.0.0.2 echo id 3 seq 1";
const echoReply = "icmp 10.0.0.2 > 10.0.0.1 echo-reply id 3 seq 1";

describe("a rule change", () => {
  it("leaves accepted flows alone, unless it is to look at them again", async () => {
    const fw = await openWith({ rules: [{ action: "accept" }] });
    expect(fw.process(flow4, reply4)).toEqual(["forward out", "forward out"]);
    await changeTo(fw, { rules: [{ action: "drop" }] });
    expect(fw.process(flow4, reply4, "udp 10.0.0.1:6 > 10.0.0.2:53")).toEqual([
      ...["forward out", "forward out", "drop rule:1"],
    ]);
    await changeTo(fw, { rules: [{ action: "drop" }], onChange: "reevaluate" });
    expect(fw.process(reply4, flow4)).toEqual(["drop rule:1", "drop rule:1"]);
  });

  it("opens the way for flows that were dropped before, whatever becomes of accepted ones", async () => {
    const fw = await openWith({ rules: [] });
    expect(fw.process(flow4)).toEqual(["drop default"]);
    await changeTo(fw, { rules: [{ action: "accept", destinationPorts: [53] }] });
    expect(fw.process(flow4, reply4)).toEqual(["forward out", "forward out"]);
  });

  it("looks at flows from their first sender's side, also if a reply comes first", async () => {
    const fw = await openWith({ rules: [{ action: "accept" }] });
    const there = [flow4, flow6, echo];
    const back = [reply4, reply6, echoReply];
    expect(fw.process(...there, ...back)).toEqual(Array(6).fill("forward out"));
    const clients = { sources: ["10.0.0.1", "2001:db8::1"], destinations: ["10.0.0.2", "2001:db8::2"] };
    const rules = [
      { ...clients, action: "accept", ipProtos: ["udp"], destinationPorts: [53] },
      { ...clients, action: "accept", icmpTypes: ["echo-request"] },
    ];
    await changeTo(fw, { rules, onChange: "reevaluate" });
    expect(fw.process(...back)).toEqual(Array(3).fill("forward out"));
    expect(fw.process(...there)).toEqual(Array(3).fill("forward out"));
  });

  it("can tell what is established from what is new", async () => {
    const fw = await openWith({ rules: [{ action: "accept" }] });
    fw.process(flow4, reply4, flow6);
    const rules = [{ action: "accept", states: ["established"] }];
    await changeTo(fw, { rules, onChange: "reevaluate" });
    expect(fw.process(flow4, flow6, "udp 10.0.0.1:6 > 10.0.0.2:53")).toEqual([
      ...["forward out", "drop default", "drop default"],
    ]);
  });

  it("is none if the configuration stays the same", async () => {
    const config = { rules: [{ action: "accept" }] };
    const fw = await openWith(config);
    fw.process(flow4);
    await changeTo(fw, config);
    fw.process(flow4);
    expect(fw.counters("fw").packets).toBeDefined();
    expect(fw.process(flow4, reply4)).toEqual(["forward out", "forward out"]);
  });

  it("keeps counting the connections of a source", async () => {
    const limited = (name: string) => ({ rules: [{ action: "accept", name, connectionsPerSource: 1 }] });
    const fw = await openWith(limited("one"));
    expect(fw.process(flow4)).toEqual(["forward out"]);
    await changeTo(fw, limited("other"));
    expect(fw.process("udp 10.0.0.1:6 > 10.0.0.2:53", flow4)).toEqual(["drop rule-connections:1", "forward out"]);
  });
});

describe("a set of 100 000 entries", () => {
  it("is replaced between two batches", async () => {
    const lines = (first: number) =>
      Array.from({ length: 100_000 }, (_, index) => {
        const bits = index * 2;
        const host = `${(bits >> 16) & 255}.${(bits >> 8) & 255}.${bits & 255}`;
        return index % 4 === 3 ? `2001:db8:${first}:${(index >> 2).toString(16)}::/64` : `${first}.${host}/32`;
      });
    const config = (first: number, asText: boolean) => ({
      default: "accept",
      sets: { blocked: { addresses: asText ? lines(first).join("\n") : lines(first) } },
      rules: [
        { action: "drop", sources: ["set:blocked"] },
        { action: "drop", destinations: ["set:blocked"], destinationPorts: [53] },
      ],
    });
    const packets = (first: number) => [
      `udp ${first}.0.0.0:1 > 192.0.2.1:80`,
      `udp ${first}.0.0.1:1 > 192.0.2.1:80`,
      `udp ${first}.3.13.60:1 > 192.0.2.1:80`,
      `udp [2001:db8:${first}:3::9]:1 > [2001:db8:99::1]:80`,
      `udp [2001:db8:${first}:7000::9]:1 > [2001:db8:99::1]:80`,
      `udp 192.0.2.1:2 > ${first}.0.0.2:53`,
    ];
    const blocked = ["drop rule:1", "forward out", "drop rule:1", "drop rule:1", "forward out", "drop rule:2"];
    const fw = await openWith(config(20, true));
    expect(fw.process(...packets(20))).toEqual(blocked);
    await changeTo(fw, { ...config(30, false), onChange: "reevaluate" });
    expect(fw.process(...packets(30))).toEqual(blocked);
    expect(fw.process(...packets(20))).toEqual(Array(6).fill("forward out"));
  }, 60_000);
});
