// Packets that NAT64 sends, read by another program: tshark finds every checksum right, also over reassembled fragments and
// of packets that errors quote.
import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { turn } from "../../runtime/dataplane/breathe.ts";
import type { MemoryPort } from "../../runtime/dataplane/native.ts";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { encodePcap } from "../support/capture.ts";
import { openNat } from "../support/nat-under-test.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const hasTshark = spawnSync("tshark", ["--version"]).status === 0;
const MILLISECOND = 1_000_000n;

const [host, server] = ["2001:db8:1::5", "64:ff9b::c000:201"] as const;
const udp = `udp [${host}]:5000 > [${server}]:9999`;
const back = "udp 192.0.2.1:9999 > 203.0.113.1:5000";
const out4 = "udp 203.0.113.1:5000 > 192.0.2.1:9999";
const steps = [
  ["lan", `${udp} payload "odd"`],
  ["wan", `${back} checksum 0 payload "odd"`],
  ["wan", `${back} ip-id 9 zeros 1400`],
  ["lan", `${udp} ext hop-by-hop zeros 1300`],
  ["lan", `tcp [${host}]:5002 > [${server}]:80 syn seq 99`],
  ["wan", "tcp 192.0.2.1:80 > 203.0.113.1:5002 syn ack 100 seq 499"],
  ["lan", `icmp6 ${host} > ${server} echo id 7 seq 1 payload "hello"`],
  ["wan", 'icmp 192.0.2.1 > 203.0.113.1 echo-reply id 7 seq 1 payload "hello"'],
  ["wan", `icmp 198.51.100.9 > 203.0.113.1 time-exceeded payload (${out4} payload 0102)`],
  ["wan", `icmp 198.51.100.9 > 203.0.113.1 unreachable code 4 mtu 1400 payload (${out4} zeros 300)`],
  ["lan", `icmp6 ${host} > ${server} unreachable code 4 payload (udp [${server}]:9999 > [${host}]:5000 payload 01)`],
] as const;

it.skipIf(!hasTshark)(
  "is sound to tshark (skipped without it)",
  async () => {
    const rule = { prefix: "64:ff9b::/96", from: ["2001:db8:1::/48"], pool: ["203.0.113.1"], order: "preserve" };
    const nat = await openNat({ nat64: [rule] });
    const ports = nat.fn.lane.ports as readonly MemoryPort[];
    const sent = steps.flatMap(([port, line], index) => {
      ports[port === "lan" ? 0 : 1]?.inject(encodePacket(line), BigInt(index + 1) * MILLISECOND);
      while (turn(nat.fn.lane)) nat.fn.lane.takeLog();
      return ports.flatMap((each) => each.drain().map(({ bytes }) => bytes));
    });
    nat.close();
    expect(sent).toHaveLength(steps.length + 1);
    const file = join(makeFolder(), "sent.pcap");
    writeFileSync(file, encodePcap(sent.map((bytes, index) => ({ bytes, timeNs: BigInt(index) * MILLISECOND }))));
    const checks = ["ip.check_checksum", "tcp.check_checksum", "udp.check_checksum"].flatMap((name) => [
      "-o",
      `${name}:TRUE`,
    ]);
    const status = ["ip", "tcp", "udp", "icmp", "icmpv6"].map((name) => `${name}.checksum.status`);
    const fields = [...status, "_ws.malformed"].flatMap((name) => ["-e", name]);
    const args = ["-r", file, ...checks, "-T", "fields", "-E", "separator=|", ...fields];
    const said = execFileSync("tshark", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] })
      .trimEnd()
      .split("\n");
    expect(said).toHaveLength(sent.length);
    // 0 is bad, 1 good, 2 not looked at: of quoted packets that are not whole, and of first fragments.
    for (const line of said) expect(line).toMatch(/^[12,|]*\|$/);
    const good = said.join().match(/1/g) ?? [];
    expect(good.length).toBeGreaterThan(steps.length + 6);
  },
  60_000,
);
