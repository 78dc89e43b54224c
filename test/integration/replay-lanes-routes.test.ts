// `sluice replay --lanes N --routes FILE`: several lanes route as one does, byte by byte.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { encodePacket, formatPacket } from "../../runtime/testing/packet-text.ts";
import { decodePcap, encodePcap } from "../support/capture.ts";
import { projectRoot, runSluice } from "../support/run-sluice.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const MILLISECOND = 1_000_000n;
const noon = 1_763_700_000_000n * MILLISECOND;
const hosts = Array.from({ length: 12 }, (_, index) => index + 10);

const routes = `
ports:
  lan: { mac: "02:00:00:00:01:00", addresses: [10.1.0.1/24, "fd01::1/64"] }
  wan: { mac: "02:00:00:00:02:00", mtu: 1400, addresses: [203.0.113.1/24, "2001:db8::1/64"] }
routes:
  - { to: 0.0.0.0/0, via: 203.0.113.2 }
  - { to: "::/0", via: "2001:db8::2" }
  - { to: 10.67.0.0/16, kind: prohibit }
  - { to: 10.69.0.0/16, via: 203.0.113.9 }
neighbours:
  203.0.113.2: "02:00:00:00:00:03"
  2001:db8::2: "02:00:00:00:00:03"
${hosts.map((host) => `  10.1.0.${host}: "02:00:00:00:00:02"\n  fd01::${host}: "02:00:00:00:00:02"\n`).join("")}`;

/** What one host of the office sends: forwarded, dropped, too long, in fragments, for the box, without a neighbour. */
function speak(host: number): readonly Uint8Array[] {
  const [here, here6] = [`10.1.0.${host}`, `[fd01::${host}]`];
  const frame = (line: string) => encodePacket(`ether 02:00:00:00:00:02 > 02:00:00:00:01:00 ${line}`);
  return [
    frame(`udp ${here}:5000 > 198.51.100.${host}:53`),
    frame(`udp ${here6}:5000 > [2001:db8:9::${host}]:53`),
    frame(`udp ${here}:1 > 198.51.100.1:53 ttl 1`),
    frame(`udp ${here6}:1 > [2001:db8:9::1]:53 ttl 1`),
    frame(`udp ${here}:2 > 10.67.0.${host}:53`),
    frame(`udp ${here}:3 > 10.69.0.${host}:53`),
    frame(`udp ${here}:4 > 10.1.0.1:53`),
    frame(`udp ${here}:5 > 198.51.100.2:53 ip-id ${host} zeros 1472`),
    frame(`udp ${here}:6 > 198.51.100.3:53 df zeros 1472`),
    frame(`ip ${here} > 198.51.100.4 proto udp frag id ${host} offset 1448 zeros 560`),
    frame(`ip ${here} > 198.51.100.4 proto udp frag id ${host} offset 808 more zeros 640`),
    frame(`udp ${here}:7 > 198.51.100.4:53 frag id ${host} more zeros 800`),
    frame(`icmp ${here} > 198.51.100.5 echo id ${host} seq 1`),
  ];
}

function replay(lanes: number) {
  const folder = makeFolder({ "routes.yaml": routes });
  const spoken = hosts.map(speak);
  const frames = (spoken[0] ?? []).flatMap((_, step) => spoken.map((each) => each[step] as Uint8Array));
  const packets = frames.map((bytes, index) => ({ bytes, timeNs: noon + BigInt(index) * MILLISECOND }));
  writeFileSync(join(folder, "lan.pcap"), encodePcap(packets));
  const out = join(folder, "out");
  const input = ["--in", `lan=${join(folder, "lan.pcap")}`, "--routes", join(folder, "routes.yaml")];
  const words = ["replay", `${projectRoot}/chains/router.yaml`, ...input, "--out", out, "--lanes", String(lanes)];
  expect(runSluice(words)).toMatchObject({ status: 0, stderr: "" });
  const sent = (port: string) =>
    decodePcap(readFileSync(join(out, `${port}.pcap`))).packets.map(
      ({ bytes, timeNs }) => `${timeNs} ${bytes.toHex()}`,
    );
  const lines = readFileSync(join(out, "verdicts.jsonl"), "utf8").trim().split("\n");
  const verdicts = lines.map((line): Record<string, unknown> => {
    const { flow: _, ...verdict } = JSON.parse(line);
    return verdict;
  });
  const { received, emitted, transmitted, dropped, host } = JSON.parse(readFileSync(join(out, "stats.json"), "utf8"));
  return { verdicts, lan: sent("lan"), wan: sent("wan"), stats: { received, emitted, transmitted, dropped, host } };
}

const runs = new Map<number, ReturnType<typeof replay>>();
function runWith(lanes: number): ReturnType<typeof replay> {
  const run = runs.get(lanes) ?? replay(lanes);
  runs.set(lanes, run);
  return run;
}

describe("the replay that several lanes are compared with", () => {
  it("has forwarded, fragmented, told senders, left to the kernel and given up waiting", () => {
    const one = runWith(1);
    const kinds = new Set(one.verdicts.map(({ verdict, reason = "" }) => `${verdict} ${reason}`));
    expect(kinds).toEqual(
      new Set([
        ...["forward ", "host local", "drop ttl-exceeded", "drop no-route", "drop packet-too-big"],
        "drop neighbour-unknown",
      ]),
    );
    // Forwarded: two whole, three fragments, an echo, and two fragments of what was too long.
    expect(one.wan).toHaveLength(8 * hosts.length);
    const answers = one.lan.map((line) => formatPacket(Buffer.from(line.split(" ")[1] ?? "", "hex")));
    for (const host of hosts) expect(answers.join("\n")).toContain(`icmp 10.1.0.1 > 10.1.0.${host} time-exceeded`);
  });
});

describe.each([2, 3])("replay of routed ports with %i lanes", (lanes) => {
  it("gives every frame the same verdict, and sends the same bytes at the same times", () => {
    const [one, several] = [runWith(1), runWith(lanes)];
    expect(several.verdicts).toEqual(one.verdicts);
    expect(several.wan.toSorted()).toEqual(one.wan.toSorted());
    expect(several.lan.toSorted()).toEqual(one.lan.toSorted());
    expect(several.stats).toEqual(one.stats);
  });
});
