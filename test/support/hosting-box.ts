// `sluice dataplane` in a namespace, for a control process there.
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Namespace } from "../../runtime/testing/network.ts";
import { sluicePath } from "./run-sluice.ts";
import type { RunningControl } from "./running-control.ts";

export interface HostingBox {
  readonly pid: number;
  /** Stops every chain. */
  close(): Promise<void>;
}

export async function startHost(namespace: Namespace, control: RunningControl): Promise<HostingBox> {
  const child = namespace.spawn(sluicePath, ["dataplane", "--json"], {
    env: control.environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let stderr = "";
  child.stderr?.on("data", (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const [first] = await Promise.race([once(lines, "line"), once(child, "close")]);
  if (typeof first !== "string") throw new Error(`sluice dataplane ended with ${first}: ${stderr}`);
  return {
    pid: child.pid as number,
    async close() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const closed = once(child, "close");
      child.kill("SIGTERM");
      await closed;
    },
  };
}
