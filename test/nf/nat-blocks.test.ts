// Port blocks: a host's ports are of blocks that it has alone, and each is told of once when it comes and once when it goes.
import { afterEach, describe, expect, it } from "vitest";
import { turn } from "../../runtime/dataplane/breathe.ts";
import { describeBoth, type NatUnderTest, openNat, portOf } from "../support/nat-under-test.ts";

const office = { from: ["10.0.0.0/8"], pool: ["203.0.113.1"], blocks: { size: 64, perHost: 2 }, parity: false };
const opened: NatUnderTest[] = [];

async function open(rule: object = {}, more: object = {}): Promise<{ nat: NatUnderTest; lines: string[] }> {
  const lines: string[] = [];
  const nat = await openNat({ sources: [{ ...office, ...rule }], ...more }, { onLog: (line) => lines.push(line) });
  opened.push(nat);
  return { nat, lines };
}

afterEach(() => {
  for (const nat of opened.splice(0)) nat.close();
});

const udp = (host: number, port: number) => `udp 10.0.0.${host}:${port} > 192.0.2.1:53`;
/** So many mappings of a host. */
const many = (nat: NatUnderTest, host: number, count: number, time: number) =>
  nat.out(
    Array.from({ length: count }, (_, i) => udp(host, 2000 + i)),
    time,
  );
const portsOf = (results: readonly string[]) => results.map((line) => Number(/^next udp [\d.]+:(\d+)/.exec(line)?.[1]));
const blockOf = (port: number) => port >> 6;

/** Lets time pass, and says what was written meanwhile. */
function pass(nat: NatUnderTest, lines: readonly string[], time: number): readonly string[] {
  nat.out("udp 172.16.0.1:1 > 192.0.2.9:1", time);
  nat.out("udp 172.16.0.1:1 > 192.0.2.9:1", time + 1);
  while (turn(nat.fn.lane));
  nat.fn.lane.takeLog();
  return lines;
}

describeBoth("port blocks", () => {
  it("are one host's alone, of all its protocols", async () => {
    const { nat } = await open();
    const first = portsOf(many(nat, 1, 64, 1000));
    const second = portsOf(many(nat, 2, 64, 1000));
    expect(new Set(first).size).toBe(64);
    expect(new Set(first.map(blockOf)).size).toBe(1);
    expect(new Set(second.map(blockOf)).size).toBe(1);
    expect(blockOf(first[0] as number)).not.toBe(blockOf(second[0] as number));
    const tcp = portOf(nat.outsideOf("tcp 10.0.0.1:5000 > 192.0.2.1:80 syn"));
    expect(blockOf(tcp)).toBe(blockOf(first[0] as number));
    const id = portOf(nat.outsideOf("icmp 10.0.0.1 > 192.0.2.1 echo id 9 seq 1"));
    expect(blockOf(id)).toBe(blockOf(first[0] as number));
    expect(nat.counter("blocks")).toBe(2);
  });

  it("are as many as the host may have, and what finds no port there is refused", async () => {
    const { nat } = await open();
    const results = many(nat, 1, 129, 1000);
    expect(new Set(portsOf(results.slice(0, 128)).map(blockOf)).size).toBe(2);
    expect(results[128]).toBe("drop limit");
    expect(nat.out(udp(2, 7), 1001)[0]).toMatch(/^next/);
  });

  it("lie between the ports of the rule, and are not given twice when all are", async () => {
    const { nat } = await open({ ports: "1000-1200", blocks: { size: 64, perHost: 1 } });
    const blocks = [1, 2].map((host) => blockOf(portOf(nat.outsideOf(udp(host, 5), 1000))));
    expect(blocks.toSorted()).toEqual([16, 17]);
    expect(nat.out(udp(3, 5), 1000)).toEqual(["drop no-port"]);
  });

  it("are told of once when they come and once when they go, with their host, their ports and the time", async () => {
    const { nat, lines } = await open();
    const port = portOf(nat.outsideOf(udp(1, 5000), 1000));
    many(nat, 1, 40, 1001);
    const low = blockOf(port) * 64;
    const what = `inside=10.0.0.1 outside=203.0.113.1 ports=${low}-${low + 63}`;
    expect(pass(nat, lines, 1002)).toEqual([`block allocated ${what} time=1000.001`]);
    const [, released] = pass(nat, lines, 9000);
    expect(lines).toHaveLength(2);
    expect(released).toMatch(new RegExp(`^block released ${what} time=\\d+\\.\\d{3}$`));
    expect([...nat.held, nat.counter("blocks")]).toEqual([1, 1, 1, 1, 0].map(() => 0));
  });

  it("stay while one of their ports is used", async () => {
    const { nat, lines } = await open();
    nat.out([udp(1, 1), udp(1, 2)], 1000);
    for (let time = 1200; time < 3000; time += 200) nat.out(udp(1, 1), time);
    expect(pass(nat, lines, 3000)).toHaveLength(1);
    expect(pass(nat, lines, 9000)).toHaveLength(2);
  });

  it("leave forwarded ports alone", async () => {
    const forward = { address: "203.0.113.1", ipProto: "udp", ports: "1024-1086", to: "10.0.0.9" };
    const { nat } = await open({ ports: "1024-1087", blocks: { size: 64 } }, { forwards: [forward] });
    const results = many(nat, 1, 2, 1000);
    expect(portsOf(results.slice(0, 1))).toEqual([1087]);
    expect(results[1]).toBe("drop limit");
  });

  it("leave nothing behind, however often they come and go", async () => {
    const { nat, lines } = await open({ pool: ["203.0.113.0/30"] });
    for (let round = 0; round < 40; round++) {
      for (let host = 1; host < 100; host++)
        nat.out([udp(host, 1 + round), udp(host, 900 + round)], 1000 + 400 * round);
      nat.fn.lane.takeLog();
    }
    const all = pass(nat, lines, 90_000);
    expect([...nat.held, nat.counter("blocks")]).toEqual([0, 0, 0, 0, 0]);
    expect(all.length).toBeGreaterThan(1000);
    const of = (kind: string) => all.filter((line) => line.startsWith(`block ${kind}`));
    expect(of("released").length).toBe(of("allocated").length);
    expect(nat.counter("block_log_lost")).toBe(0);
  });

  it.each([
    ["that no block fits between the ports", { ports: "1025-1100" }, "do not fit"],
    ["a size that is no power of two", { blocks: { size: 100 } }, "power of two"],
  ])("are refused for %s", async (_, rule, said) => {
    await expect(open(rule)).rejects.toThrow(said);
  });

  it("are refused beside a rule of the same address that gives ports one by one", async () => {
    const both = [office, { from: ["172.16.0.0/12"], pool: ["203.0.113.1"] }];
    await expect(open({}, { sources: both })).rejects.toThrow("other blocks");
  });
});

describe("port blocks of NAT64", () => {
  it("are given to hosts of NAT64, too", async () => {
    const lines: string[] = [];
    const rule = { ...office, prefix: "64:ff9b::/96", from: ["2001:db8::/32"] };
    const nat = await openNat({ nat64: [rule] }, { onLog: (line) => lines.push(line) });
    opened.push(nat);
    const port = portOf(nat.outsideOf("udp [2001:db8::a:5]:5000 > [64:ff9b::c000:201]:53", 1000));
    const low = blockOf(port) * 64;
    expect(pass(nat, lines, 1002)[0]).toBe(
      `block allocated inside=2001:db8:0:0:0:0:a:5 outside=203.0.113.1 ports=${low}-${low + 63} time=1000.001`,
    );
    expect(pass(nat, lines, 9000)).toHaveLength(2);
  });
});
