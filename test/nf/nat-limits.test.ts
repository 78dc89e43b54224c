// What nfs/nat does when there is no more.
import { afterEach, expect, it } from "vitest";
import { describeBoth, type NatOptions, type NatUnderTest, openNat } from "../support/nat-under-test.ts";

const opened: NatUnderTest[] = [];

async function open(rule: object, options?: NatOptions): Promise<NatUnderTest> {
  const nat = await openNat(
    { sources: [{ from: ["10.0.0.0/8"], pool: ["203.0.113.1"], order: "preserve", ...rule }] },
    options,
  );
  opened.push(nat);
  return nat;
}

afterEach(() => {
  for (const nat of opened.splice(0)) nat.close();
});

const udp = (host: number, port: number, to = "192.0.2.1:53") => `udp 10.0.0.${host}:${port} > ${to}`;
const verdicts = (results: readonly string[]) => results.map((result) => result.replace(/^next .*/, "next"));

describeBoth("limits per inside host", () => {
  it("of mappings leave what there is, and other hosts, alone", async () => {
    const nat = await open({ mappingsPerHost: 2 });
    expect(verdicts(nat.out([udp(1, 1), udp(1, 2), udp(1, 3), udp(2, 3)]))).toEqual([
      "next",
      "next",
      "drop limit",
      "next",
    ]);
    expect(verdicts(nat.out([udp(1, 1, "192.0.2.2:53"), udp(1, 1)]))).toEqual(["next", "next"]);
    expect(nat.counter("refused{sources=1}")).toBe(1);
  });

  it("of sessions count every destination", async () => {
    const nat = await open({ sessionsPerHost: 2 });
    const lines = [udp(1, 1), udp(1, 1, "192.0.2.2:53"), udp(1, 1, "192.0.2.3:53"), udp(2, 1)];
    expect(verdicts(nat.out(lines))).toEqual(["next", "next", "drop limit", "next"]);
    expect(nat.held).toEqual([2, 3, 3, 2]);
  });

  it("end with what they count", async () => {
    const nat = await open({ mappingsPerHost: 1 });
    expect(verdicts(nat.out(udp(1, 1), 1000))).toEqual(["next"]);
    expect(verdicts(nat.out(udp(1, 2), 1299))).toEqual(["drop limit"]);
    expect(verdicts(nat.out(udp(1, 2), 1301))).toEqual(["next"]);
  });
});

describeBoth("ports that are all taken", () => {
  it("give new connections nothing and leave the others alone", async () => {
    const nat = await open({ ports: "4000-4001", parity: false });
    expect(verdicts(nat.out([udp(1, 1), udp(2, 1), udp(3, 1)]))).toEqual(["next", "next", "drop no-port"]);
    expect(verdicts(nat.out([udp(1, 1), udp(2, 1)]))).toEqual(["next", "next"]);
    expect(nat.held).toEqual([2, 2, 2, 2]);
  });

  it("of one parity are all taken for ports of that parity only", async () => {
    const nat = await open({ ports: "4000-4001" });
    expect(verdicts(nat.out([udp(1, 2), udp(2, 2), udp(3, 1)]))).toEqual(["next", "drop no-port", "next"]);
  });

  it("are free again with the end of their last session", async () => {
    const nat = await open({ ports: 4000, parity: false });
    nat.out([udp(1, 1), udp(1, 1, "192.0.2.2:53")], 1000);
    nat.out(udp(1, 1), 1200);
    expect(verdicts(nat.out(udp(2, 1), 1400))).toEqual(["drop no-port"]);
    expect(verdicts(nat.out(udp(2, 1), 1501))).toEqual(["next"]);
  });
});
