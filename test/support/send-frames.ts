import { once } from "node:events";
import type { Namespace } from "../../runtime/testing/network.ts";

// AF_PACKET has no Node API; Python's socket module is on every Debian.
const sender = `
import socket, sys
device, frames = sys.argv[1], sys.stdin.read().split()
out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
out.bind((device, 0))
for frame in frames:
    out.send(bytes.fromhex(frame))
`;

/** Sends frames from a device, in order. */
export async function sendFrames(from: Namespace, device: string, frames: readonly Uint8Array[]): Promise<void> {
  const child = from.spawn("python3", ["-c", sender, device], { stdio: ["pipe", "inherit", "inherit"] });
  child.stdin?.end(frames.map((frame) => Buffer.from(frame).toString("hex")).join("\n"));
  const [status] = await once(child, "exit");
  if (status !== 0) throw new Error(`sending frames ended with ${status}`);
}
