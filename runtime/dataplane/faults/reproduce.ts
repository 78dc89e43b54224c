// Makes the calls of a bundle again in a thread of their own, and says whether the same fault came of them.
import { Worker } from "node:worker_threads";
import { type Fault, SluiceError } from "../../errors.ts";
import { compileForHost } from "../../function/host-module.ts";
import { resolveOffsets } from "../../function/source-map.ts";
import type { Bundle } from "./bundle.ts";
import { NOT_RETURNED } from "./evidence.ts";
import { findWasmOffsets } from "./interrupted-code.ts";
import type { RerunOutcome } from "./rerun.ts";
import type { RerunMessage, RerunWorkerSetup } from "./rerun-worker.ts";

export interface Reproduction {
  readonly isReproduced: boolean;
  /** Where it began: with the state that was kept, or with a function that was only configured. */
  readonly from: "kept state" | "new instance";
  /** What happened this time; null: nothing. */
  readonly fault: RerunOutcome["fault"];
  readonly calls: number;
}

/** A function whose nf_configure takes longer is given up. */
const READY_WITHIN_MS = 30_000;

/** `limitMs`: when calls that have not come back are taken for an endless loop. */
export async function reproduce(bundle: Bundle, limitMs: number): Promise<Reproduction> {
  const first = await attempt(bundle, isWhole(bundle) ? "kept state" : "new instance", limitMs);
  if (first.isReproduced || bundle.description.isExact || first.from === "new instance") return first;
  // What the failed call itself left in the function's memory may keep it from failing again.
  const second = await attempt(bundle, "new instance", limitMs);
  return second.isReproduced ? second : first;
}

function isWhole({ state }: Bundle): boolean {
  return state.memory !== null && state.globals !== null;
}

async function attempt(bundle: Bundle, from: Reproduction["from"], limitMs: number): Promise<Reproduction> {
  const { fault, calls } = await run(bundle, from === "new instance", limitMs);
  return { isReproduced: isSame(bundle, fault), from, fault, calls };
}

function isSame({ description: { kind, message, source, bad } }: Bundle, fault: RerunOutcome["fault"]): boolean {
  if (fault === null) return false;
  if (kind === "time") return fault.message === NOT_RETURNED;
  if (fault.message !== message) return false;
  return kind === "result" ? fault.position === bad?.position : source === null || fault.source === source;
}

async function run(bundle: Bundle, asConfigured: boolean, limitMs: number): Promise<RerunOutcome> {
  const { manifest, wasm, origin } = bundle.package;
  const workerData: RerunWorkerSetup = { bundle: { ...bundle, package: { manifest, wasm, origin } }, asConfigured };
  const worker = new Worker(new URL("rerun-worker.ts", import.meta.url), { workerData });
  try {
    return await outcomeOf(worker, bundle, limitMs);
  } finally {
    await worker.terminate();
  }
}

function outcomeOf(worker: Worker, { package: { wasm }, calls }: Bundle, limitMs: number): Promise<RerunOutcome> {
  const { promise, resolve, reject } = Promise.withResolvers<RerunOutcome>();
  const giveUp = async () => {
    const { shift } = compileForHost(wasm);
    const offsets = await findWasmOffsets(worker);
    const source = resolveOffsets(
      offsets.map((offset) => offset - shift),
      wasm,
    );
    resolve({ fault: { message: NOT_RETURNED, source, position: null, result: null }, calls: calls.length });
  };
  const what = `it was not configured within ${READY_WITHIN_MS / 1000} s`;
  const tooSlow = () => reject(new SluiceError({ code: "function-fault", where: "nf_configure", what }));
  let timer = setTimeout(tooSlow, READY_WITHIN_MS);
  worker.on("message", (message: RerunMessage) => {
    clearTimeout(timer);
    if (message.kind === "done") resolve(message.outcome);
    else if (message.kind === "failed") reject(new SluiceError(...(message.faults as [Fault])));
    else timer = setTimeout(() => void giveUp().catch(reject), limitMs);
  });
  worker.once("error", reject);
  return promise.finally(() => clearTimeout(timer));
}
