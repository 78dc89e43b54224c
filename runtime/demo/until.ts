// Waiting for something that will be true soon.
import { setTimeout as sleep } from "node:timers/promises";
import { SluiceError } from "../errors.ts";

/** What `work` comes to, unless whoever watches has enough before: then it throws the signal's reason, and nobody waits for the work. */
export function unlessAborted<T>(signal: AbortSignal, work: Promise<T>): Promise<T> {
  const aborted = new Promise<never>((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
  return Promise.race([work, aborted]);
}

/** Tries `attempt` until it does not reject, for at most `seconds`. Throws test-failed with the last reason. */
export async function until<T>(what: string, attempt: () => Promise<T>, seconds = 10): Promise<T> {
  const end = performance.now() + seconds * 1000;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > end) {
        const reason = error instanceof Error ? error.message : String(error);
        throw new SluiceError({ code: "test-failed", where: what, what: `not within ${seconds} s: ${reason}` });
      }
      await sleep(50);
    }
  }
}
