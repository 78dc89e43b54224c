import { setTimeout as sleep } from "node:timers/promises";
import type { Namespace } from "../../runtime/testing/network.ts";

const PATIENCE_MS = 2000;

/**
 * Echo requests, a hundred a second, that were answered. Once there was an answer, ping itself waits for the others for
 * two round trips only (ping(8), -W), which says nothing on a busy machine; the kernel counts those that come later, too.
 */
export async function pingAnswered(
  from: Namespace,
  to: string,
  count: number,
  ...options: readonly string[]
): Promise<number> {
  const before = await countReplies(from);
  await from.run("ping", "-c", String(count), "-i", "0.01", "-W", "2", ...options, to).catch(() => {});
  for (const until = performance.now() + PATIENCE_MS; ; await sleep(50)) {
    const answered = (await countReplies(from)) - before;
    if (answered >= count || performance.now() > until) return answered;
  }
}

async function countReplies(namespace: Namespace): Promise<number> {
  const { stdout } = await namespace.run("cat", "/proc/net/snmp");
  const [names, values] = stdout.split("\n").filter((line) => line.startsWith("Icmp:")) as [string, string];
  return Number(values.split(" ")[names.split(" ").indexOf("InEchoReps")]);
}
