// Routed ports in replay: what a router does with packets, one by one (RFC 1812, RFC 4443).
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { encodePacket, formatPacket } from "../../runtime/testing/packet-text.ts";
import { decodePcap, encodePcap } from "../support/capture.ts";
import { projectRoot, runSluice } from "../support/run-sluice.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const noon = 1_763_700_000_000_000_000n;

const routes = `
ports:
  lan: { mac: "02:00:00:00:01:00", addresses: [10.1.0.1/24, "fd01::1/64"] }
  wan: { mac: "02:00:00:00:02:00", mtu: 1400, addresses: [203.0.113.1/24, "2001:db8::1/64"] }
routes:
  - { to: 0.0.0.0/0, via: 203.0.113.2 }
  - { to: "::/0", via: "2001:db8::2" }
  - { to: 10.66.0.0/16, kind: blackhole }
  - { to: 10.67.0.0/16, kind: prohibit }
  - { to: 10.68.0.0/16, kind: unreachable }
  - { to: 10.69.0.0/16, via: 203.0.113.9 }
  - { to: 10.70.0.0/16, via: 203.0.113.2, mtu: 600 }
neighbours:
  10.1.0.2: "02:00:00:00:00:02"
  fd01::2: "02:00:00:00:00:02"
  203.0.113.2: "02:00:00:00:00:03"
  2001:db8::2: "02:00:00:00:00:03"
`;

interface Replayed {
  readonly verdicts: readonly Record<string, unknown>[];
  readonly out: (port: string) => string[];
  readonly stats: Record<string, unknown>;
}

async function route(frames: readonly Uint8Array[], document = routes, chain = "router"): Promise<Replayed> {
  const folder = makeFolder({ "routes.yaml": document });
  writeFileSync(
    join(folder, "lan.pcap"),
    encodePcap(frames.map((bytes, index) => ({ bytes, timeNs: noon + BigInt(index) * 1_000_000_000n }))),
  );
  const out = join(folder, "out");
  const { status, stderr } = await runSluice([
    ...["replay", `${projectRoot}/chains/${chain}.yaml`, "--routes", join(folder, "routes.yaml")],
    ...["--in", `lan=${join(folder, "lan.pcap")}`, "--out", out],
  ]);
  expect(stderr).toBe("");
  expect(status).toBe(0);
  const read = (name: string) => readFileSync(join(out, name));
  return {
    verdicts: read("verdicts.jsonl")
      .toString()
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line)),
    out: (port) => decodePcap(read(`${port}.pcap`)).packets.map(({ bytes }) => formatPacket(bytes)),
    stats: JSON.parse(read("stats.json").toString()),
  };
}

const fromOffice = (line: string) => encodePacket(`ether 02:00:00:00:00:02 > 02:00:00:00:01:00 ${line}`);

describe("a routed port in replay", () => {
  it("sends packets of both families on: next hop's link address, one hop less, no padding, no tag", async () => {
    const replayed = await route([
      fromOffice("udp 10.1.0.2:5000 > 198.51.100.1:53 pad 60"),
      fromOffice("vlan 7 udp [fd01::2]:5000 > [2001:db8:9::1]:53 ttl 2"),
    ]);
    expect(replayed.out("wan")).toEqual(
      [
        "ether 02:00:00:00:02:00 > 02:00:00:00:00:03 udp 10.1.0.2:5000 > 198.51.100.1:53 ttl 63",
        "ether 02:00:00:00:02:00 > 02:00:00:00:00:03 udp [fd01::2]:5000 > [2001:db8:9::1]:53 ttl 1",
      ].map((line) => formatPacket(encodePacket(line))),
    );
    expect(replayed.verdicts.map(({ verdict, to }) => [verdict, to])).toEqual([
      ["forward", "wan"],
      ["forward", "wan"],
    ]);
  });

  it("says what became of the rest, and tells the sender where it is to be told", async () => {
    const replayed = await route([
      fromOffice("udp 10.1.0.2:1 > 198.51.100.1:53 ttl 1"),
      fromOffice("udp [fd01::2]:1 > [2001:db8:9::1]:53 ttl 1"),
      fromOffice("udp 10.1.0.2:2 > 10.66.0.1:53"),
      fromOffice("udp 10.1.0.2:3 > 10.67.0.1:53"),
      fromOffice("udp 10.1.0.2:4 > 10.68.0.1:53"),
      fromOffice("udp 10.1.0.2:5 > 10.69.0.1:53"),
      fromOffice("udp 10.1.0.2:6 > 10.1.0.1:53"),
      fromOffice("icmp 10.1.0.2 > 198.51.100.1 time-exceeded ttl 1"),
    ]);
    expect(replayed.verdicts.map(({ verdict, reason = "" }) => `${verdict} ${reason}`)).toEqual([
      "drop ttl-exceeded",
      "drop ttl-exceeded",
      "drop no-route",
      "drop no-route",
      "drop no-route",
      "drop neighbour-unknown",
      "host local",
      "drop ttl-exceeded",
    ]);
    expect(replayed.out("lan").map((line) => line.replace(/ payload.*/, ""))).toEqual([
      answer("icmp 10.1.0.1 > 10.1.0.2 time-exceeded dscp 48"),
      answer("icmp6 fd01::1 > fd01::2 time-exceeded"),
      answer("icmp 10.1.0.1 > 10.1.0.2 unreachable code 13 dscp 48"),
      answer("icmp 10.1.0.1 > 10.1.0.2 unreachable code 1 dscp 48"),
      answer("icmp 10.1.0.1 > 10.1.0.2 unreachable code 1 dscp 48"),
    ]);
    expect(replayed.stats).toMatchObject({ received: { lan: 8 }, emitted: 5 });
  });

  it("quotes the packet as it was sent", async () => {
    const sent = 'udp 10.1.0.2:7 > 198.51.100.1:53 ttl 1 ip-id 9 payload "who"';
    const { out } = await route([fromOffice(sent)]);
    expect(out("lan")).toEqual([answer(`icmp 10.1.0.1 > 10.1.0.2 time-exceeded dscp 48 payload (${sent})`)]);
  });

  it("does not tell a host of a neighbour that is not found, where functions have hidden the host", async () => {
    const lost = routes.replace('  203.0.113.2: "02:00:00:00:00:03"\n', "");
    const { out, verdicts } = await route([fromOffice("udp 10.1.0.2:7 > 198.51.100.1:53")], lost, "gateway");
    expect(verdicts.map(({ verdict, reason }) => `${verdict} ${reason}`)).toEqual(["drop neighbour-unknown"]);
    expect(out("lan")).toEqual([]);
    const told = await route([fromOffice("udp 10.1.0.2:7 > 198.51.100.1:53")], lost);
    expect(told.out("lan").map((line) => line.replace(/ payload.*/, ""))).toEqual([
      answer("icmp 10.1.0.1 > 10.1.0.2 unreachable code 1 dscp 48"),
    ]);
  });

  it("fragments what is too long for the next link, or says how long it may be", async () => {
    const { out, verdicts } = await route([
      fromOffice("udp 10.1.0.2:1 > 198.51.100.1:53 ip-id 7 zeros 1472"),
      fromOffice("udp 10.1.0.2:2 > 198.51.100.1:53 df zeros 1472"),
      fromOffice("udp [fd01::2]:3 > [2001:db8:9::1]:53 zeros 1452"),
      fromOffice("udp 10.1.0.2:4 > 10.70.0.1:53 df zeros 580"),
    ]);
    expect(verdicts.slice(1).map(({ reason }) => reason)).toEqual([
      "packet-too-big",
      "packet-too-big",
      "packet-too-big",
    ]);
    const fragments = out("wan").map((line) => /frag.*?(?= zeros| payload|$)/.exec(line)?.[0]);
    expect(fragments).toEqual(["frag id 7 offset 0 more", "frag id 7 offset 1376"]);
    expect(out("lan").map((line) => line.replace(/ payload.*/, ""))).toEqual([
      answer("icmp 10.1.0.1 > 10.1.0.2 unreachable code 4 dscp 48 mtu 1400"),
      answer("icmp6 fd01::1 > fd01::2 too-big mtu 1400"),
      answer("icmp 10.1.0.1 > 10.1.0.2 unreachable code 4 dscp 48 mtu 600"),
    ]);
  });

  it("needs routes, and says what is wrong with them", async () => {
    const folder = makeFolder({
      "routes.yaml":
        "ports: { lan: { mac: nonsense, addresses: [] }, dmz: { mac: '02:00:00:00:00:01', addresses: [] } }\nroutes: [{ to: 10.0.0.0/8, via: 192.0.2.1 }]\n",
    });
    writeFileSync(join(folder, "lan.pcap"), encodePcap([]));
    const words = [
      "replay",
      `${projectRoot}/chains/router.yaml`,
      "--in",
      `lan=${join(folder, "lan.pcap")}`,
      "--out",
      join(folder, "out"),
    ];
    const without = runSluice(words);
    expect(without.status).toBe(2);
    expect(without.stderr).toContain("the chain has ports that route");
    const wrong = runSluice([...words, "--routes", join(folder, "routes.yaml")]);
    expect(wrong.status).toBe(2);
    expect(wrong.stderr).toContain("routes.yaml:1:");
    expect(wrong.stderr).toContain("a link address such as");
  });
});

/** To the office's host, as text. */
function answer(line: string): string {
  return formatPacket(encodePacket(`ether 02:00:00:00:01:00 > 02:00:00:00:00:02 ${line}`)).replace(/ payload \(\)/, "");
}
