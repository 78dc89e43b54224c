import { setTimeout as sleep } from "node:timers/promises";

const WITHIN_MS = 20_000;

/** As soon as it holds. Rejects if it does not for long. */
export async function until(holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = performance.now() + WITHIN_MS; performance.now() < end; await sleep(20)) {
    if (await holds()) return;
  }
  throw new Error(`does not hold: ${holds}`);
}
