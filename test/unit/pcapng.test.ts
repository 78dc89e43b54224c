// pcapng as other programs and our own reader see it.
import { execFileSync, spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import { formatHeader, formatPacketBlock, formatStatistics } from "../../runtime/telemetry/pcapng.ts";
import { PcapngTally } from "../../runtime/telemetry/pcapng-tally.ts";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const frame = encodePacket('udp 10.0.0.1:5000 > 10.0.0.2:53 payload "odd"');
const later = encodePacket("tcp [2001:db8::1]:1234 > [2001:db8::2]:80 syn");
const START = 1_764_180_232_123_456_789n;

const interfaces = ["lan", "wan"].map((name) => {
  return { name, description: `port ${name} (${name}0)`, linkType: 1, snapLength: 65_535 };
});

const capture = Buffer.concat([
  formatHeader("sluice", interfaces),
  formatPacketBlock({
    ...{ interface: 0, timeNs: START, bytes: frame, wireLength: frame.length, direction: "in" },
    comment: "drop fw rule:3",
  }),
  formatPacketBlock({
    ...{ interface: 1, timeNs: START + 1000n, bytes: later.subarray(0, 60), wireLength: later.length },
    ...{ direction: "out", comment: "" },
  }),
  ...[0, 1].map((index) =>
    formatStatistics({
      ...{ interface: index, timeNs: START + 2000n, accepted: 1, dropped: 7, unseen: 5, comment: "asked to stop" },
    }),
  ),
]);

function writeCapture(): string {
  const file = `${makeFolder()}/written.pcapng`;
  writeFileSync(file, capture);
  return file;
}

const hasProgram = (name: string) => spawnSync(name, ["--version"]).error === undefined;

describe("a pcapng capture", () => {
  it("comes back from the project's own reader as it was written", () => {
    const { packets, damage } = loadAddon().readCapture(writeCapture());
    expect(damage).toBeNull();
    expect(packets).toEqual([
      { bytes: Buffer.from(frame), wireLength: frame.length, link: 0, timeNs: START },
      { bytes: Buffer.from(later.subarray(0, 60)), wireLength: later.length, link: 0, timeNs: START + 1000n },
    ]);
  });

  it.skipIf(!hasProgram("tcpdump"))("is read by tcpdump (skipped without it)", () => {
    const said = execFileSync("tcpdump", ["-nn", "-r", writeCapture()], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "ignore"],
    });
    const [first, second, ...rest] = said.trim().split("\n");
    expect(first).toContain("IP 10.0.0.1.5000 > 10.0.0.2.53");
    expect(second).toContain("IP6 2001:db8::1.1234 > 2001:db8::2.80");
    expect(rest).toEqual([]);
  });

  it.skipIf(!hasProgram("tshark"))(
    "is read by tshark: comments, directions, interfaces, times (skipped without it)",
    () => {
      const fields = ["frame.comment", "frame.interface_name", "frame.time_epoch", "frame.packet_flags_direction"];
      const args = [
        "-r",
        writeCapture(),
        "-T",
        "fields",
        "-E",
        "separator=|",
        ...fields.flatMap((field) => ["-e", field]),
      ];
      const said = execFileSync("tshark", args, { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
      expect(said.split("\n")).toEqual([
        "drop fw rule:3|lan|1764180232.123456789|0x00000001",
        "|wan|1764180232.123457789|0x00000002",
        "",
      ]);
    },
  );

  it.skipIf(!hasProgram("capinfos"))("says how many packets are missing (skipped without capinfos)", () => {
    const said = execFileSync("capinfos", [writeCapture()], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] });
    expect(said).toMatch(/Number of stat entries = 1/);
    expect(said).toMatch(/Number of packets = 1/);
  });

  it("is counted while it passes by in pieces of any size", () => {
    const tally = new PcapngTally();
    for (let at = 0; at < capture.length; at += 7) tally.add(capture.subarray(at, at + 7));
    expect({ ...tally }).toEqual({ packets: 2, missing: 14, why: "asked to stop" });
  });
});
