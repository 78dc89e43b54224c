// Packet lines through a chain, one a millisecond, by `sluice replay`: what became of them, and what flows say.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { encodePacket, formatPacket } from "../../runtime/testing/packet-text.ts";
import { decodePcap, encodePcap } from "./capture.ts";
import { runSluice } from "./run-sluice.ts";
import { makeFolder } from "./temporary-folder.ts";

const MILLISECOND = 1_000_000n;
const noon = 1_763_700_000_000_000_000n;

export interface Step {
  readonly port: "lan" | "wan";
  readonly line: string;
}

export interface Replayed {
  readonly verdicts: readonly Record<string, unknown>[];
  readonly flows: readonly Record<string, unknown>[];
  readonly events: readonly Record<string, unknown>[];
  /** What left, without MAC addresses. */
  readonly sent: (port: "lan" | "wan") => readonly string[];
  /** The same, with them. */
  readonly frames: (port: "lan" | "wan") => readonly string[];
  readonly stats: Record<string, unknown>;
}

export function replayLines(chain: string, steps: readonly Step[], ...options: readonly string[]): Replayed {
  const capture = (port: string) => {
    const packets = steps.map(({ line }, i) => ({ bytes: encodePacket(line), timeNs: noon + BigInt(i) * MILLISECOND }));
    return encodePcap(packets.filter((_, i) => steps[i]?.port === port));
  };
  const folder = makeFolder();
  for (const port of ["lan", "wan"]) writeFileSync(join(folder, `${port}.pcap`), capture(port));
  const inputs = ["--in", `lan=${join(folder, "lan.pcap")}`, "--in", `wan=${join(folder, "wan.pcap")}`];
  const out = join(folder, "out");
  const { status, stderr } = runSluice(["replay", chain, ...inputs, "--out", out, ...options]);
  expect({ status, stderr: stderr.replace(/^.*(fault|bundle).*$/gm, "").trim() }).toEqual({ status: 0, stderr: "" });
  const read = (name: string) =>
    readFileSync(join(out, name), "utf8")
      .trimEnd()
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  const frames = (port: string) =>
    decodePcap(readFileSync(join(out, `${port}.pcap`))).packets.map(({ bytes }) => formatPacket(bytes));
  const sent = (port: string) => frames(port).map((line) => line.replace(/^ether \S+ > \S+ /, ""));
  const stats = JSON.parse(readFileSync(join(out, "stats.json"), "utf8"));
  return {
    verdicts: read("verdicts.jsonl"),
    flows: read("flows.jsonl"),
    events: read("eve.jsonl"),
    sent,
    frames,
    stats,
  };
}
