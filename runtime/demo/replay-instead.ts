// What the demonstration can do without root: the same chain, on captures that it writes itself.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { formatTable, printLine } from "../cli/output.ts";
import { loadAddon } from "../dataplane/load-addon.ts";
import { replay } from "../dataplane/replay.ts";
import { loadChain } from "../function/load-chain.ts";
import { encodePacket } from "../testing/packet-text.ts";

/** What the office sends, and whether the chain lets it pass. */
const fromOffice: readonly (readonly [line: string, passes: boolean])[] = [
  ["arp who-has 10.77.0.1 tell 10.77.0.2", true],
  ["udp 10.77.0.2:40001 > 10.77.0.1:53", true],
  ["tcp 10.77.0.2:40002 > 10.77.0.1:80 syn", true],
  ["tcp [fd77::2]:40003 > [fd77::1]:443 syn", true],
  ["tcp 10.77.0.2:40004 > 10.77.0.1:8080 syn", false],
  ["tcp [fd77::2]:40005 > [fd77::1]:445 syn", false],
];

/** True if everything held. */
export async function replayInstead(obstacle: string, chainFile: string): Promise<boolean> {
  printLine(`The built-in network cannot be made here: it ${obstacle}.`);
  printLine("Captures are replayed through the same chain instead.");
  printLine();
  const folder = mkdtempSync(join(tmpdir(), "sluice-demo-"));
  try {
    const frames = fromOffice.map(([line]) => encodePacket(line));
    writeFileSync(join(folder, "lan.pcap"), capture(frames));
    const out = join(folder, "out");
    const { plan, packages } = loadChain(chainFile);
    const inputs = plan.ports.map(({ name }) => (name === "lan" ? [join(folder, "lan.pcap")] : []));
    const idle = { swaps: [], swapEvery: undefined, faults: [], replan: () => plan };
    await replay({ native: loadAddon(), plan, packages, inputs, out, batch: 1, lanes: 1, ...idle });
    return report(readVerdicts(join(out, "verdicts.jsonl")), readFileSync(join(out, "wan.pcap")), frames);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

interface Verdict {
  readonly verdict: string;
  readonly to?: string;
  readonly reason?: string;
}

function report(verdicts: readonly Verdict[], sent: Buffer, frames: readonly Uint8Array[]): boolean {
  const held = fromOffice.map(([, passes], index) => (verdicts[index]?.verdict === "forward") === passes);
  const rows = fromOffice.map(([line, passes], index) => {
    const { verdict = "none", to, reason = "" } = verdicts[index] ?? {};
    return [line, passes ? "forward" : "drop", `${verdict} ${to ?? reason}`, held[index] ? "held" : "FAILED"];
  });
  for (const line of formatTable(["packet", "expected", "observed", ""], rows)) printLine(line);
  const isUnchanged = sent.equals(capture(frames.filter((_, index) => fromOffice[index]?.[1])));
  printLine();
  printLine(`bytes sent to wan: ${isUnchanged ? "unchanged" : "CHANGED"}`);
  return isUnchanged && held.every(Boolean);
}

function readVerdicts(file: string): Verdict[] {
  const lines = readFileSync(file, "utf8").trimEnd().split("\n");
  return lines.map((line) => JSON.parse(line) as Verdict);
}

/** pcap, microseconds, Ethernet. */
function capture(frames: readonly Uint8Array[]): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(0xa1b2c3d4, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(262144, 16);
  header.writeUInt32LE(1, 20);
  const records = frames.flatMap((frame) => {
    const record = Buffer.alloc(16);
    record.writeUInt32LE(frame.length, 8);
    record.writeUInt32LE(frame.length, 12);
    return [record, frame];
  });
  return Buffer.concat([header, ...records]);
}
