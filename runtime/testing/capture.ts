// Frames on a device, recorded by tcpdump.

import type { ChildProcess } from "node:child_process";
import { once } from "node:events";

const PCAP_HEADER_BYTES = 24;
const PACKET_HEADER_BYTES = 16;
/** Frames that the kernel has seen reach tcpdump's output within this time. */
const SETTLE_MS = 150;

export interface Capture {
  /** Ends the capture and returns its frames in order. */
  stop(): Promise<readonly Buffer[]>;
}

export async function startCapture(
  start: (command: string, args: readonly string[]) => ChildProcess,
  device: string,
  filter: string,
  direction: string,
): Promise<Capture> {
  const options = ["-i", device, "-Q", direction, "-U", "-n", "-s", "0", "-B", "16384", "--immediate-mode", "-w", "-"];
  const child = start("tcpdump", [...options, ...(filter === "" ? [] : [filter])]);
  const chunks: Buffer[] = [];
  child.stdout?.on("data", (chunk: Buffer) => chunks.push(chunk));
  await listening(child);
  return {
    async stop() {
      await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
      if (child.exitCode === null && child.signalCode === null) {
        const closed = once(child, "close");
        child.kill("SIGINT");
        await closed;
      }
      return readFrames(Buffer.concat(chunks));
    },
  };
}

function listening(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      if (said.includes("listening on")) resolve();
    });
    child.once("error", reject);
    child.once("exit", () => reject(new Error(`tcpdump ended: ${said.trim()}`)));
  });
}

/** Frames of a pcap in this machine's byte order, whole ones only. */
function readFrames(bytes: Buffer): Buffer[] {
  const frames: Buffer[] = [];
  let at = PCAP_HEADER_BYTES;
  while (at + PACKET_HEADER_BYTES <= bytes.length) {
    const length = bytes.readUInt32LE(at + 8);
    const start = at + PACKET_HEADER_BYTES;
    if (start + length > bytes.length) break;
    frames.push(bytes.subarray(start, start + length));
    at = start + length;
  }
  return frames;
}
