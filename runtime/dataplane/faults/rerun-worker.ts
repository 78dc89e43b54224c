// The thread in which a bundle's calls are made again: it may not come back from them.
import { parentPort, workerData } from "node:worker_threads";
import { type Fault, SluiceError } from "../../errors.ts";
import { loadAddon } from "../load-addon.ts";
import type { Bundle } from "./bundle.ts";
import { Rerun, type RerunOutcome } from "./rerun.ts";

export interface RerunWorkerSetup {
  readonly bundle: Omit<Bundle, "package"> & {
    readonly package: Pick<Bundle["package"], "manifest" | "wasm" | "origin">;
  };
  readonly asConfigured: boolean;
}

export type RerunMessage =
  /** The function is configured, and the calls begin. */
  | { readonly kind: "calling" }
  | { readonly kind: "done"; readonly outcome: RerunOutcome }
  | { readonly kind: "failed"; readonly faults: readonly Fault[] };

const { bundle, asConfigured } = workerData as RerunWorkerSetup;
const post = (message: RerunMessage) => parentPort?.postMessage(message);
try {
  const rerun = new Rerun(loadAddon(), bundle, asConfigured);
  post({ kind: "calling" });
  post({ kind: "done", outcome: rerun.run() });
} catch (error) {
  // Whatever its numbers say that cannot be: it was not made by a lane.
  const damage = { code: "bundle-damaged" as const, where: bundle.package.origin, what: (error as Error).message };
  post({ kind: "failed", faults: error instanceof SluiceError ? error.faults : [damage] });
}
