// The faults of one lane: each kind as often as it happened, and evidence of some.
import { resolveFault } from "../../function/host-module.ts";
import type { LaneFunction } from "../generation.ts";
import type { LaneMemory } from "../lane-memory.ts";
import { CALL_BYTES, CALL_HOP, CALL_KIND, type CallKind, callKinds, engineDropReasons } from "../layout.ts";
import type { NativeLane } from "../native.ts";
import { EvidenceGate, type FaultEvidence } from "./evidence.ts";

/** One kind of fault of one function, as often as it happened. */
export interface FaultReport {
  readonly function: string;
  readonly package: string;
  readonly message: string;
  /** `file:line:column` in the function's AssemblyScript, if the package has a source map. */
  readonly source: string | null;
  count: number;
}

export interface LaneFaultsSetup {
  readonly native: NativeLane;
  readonly memory: LaneMemory;
  readonly lane: number;
  readonly laneCount: number;
  readonly seed: bigint;
  readonly onFault?: ((fault: FaultReport) => void) | undefined;
  readonly onEvidence?: ((evidence: FaultEvidence) => void) | undefined;
}

/** What failed, while the lane still has what it was given. */
export interface FailedCall {
  readonly kind: CallKind;
  readonly function: LaneFunction;
  /** Index of the function. */
  readonly index: number;
  /** Of nf_process. */
  readonly hop: number;
}

/** Kinds of fault remembered per lane; further ones are only counted. */
const FAULT_KINDS = 1000;

export class LaneFaults {
  readonly #setup: LaneFaultsSetup;
  readonly #reports = new Map<string, FaultReport>();
  #gate = new EvidenceGate();

  constructor(setup: LaneFaultsSetup) {
    this.#setup = setup;
  }

  get reports(): readonly FaultReport[] {
    return [...this.#reports.values()];
  }

  /** Another generation's faults are others. */
  forgetEvidence(): void {
    this.#gate = new EvidenceGate();
  }

  noteTrap(failed: FailedCall, trap: unknown): void {
    const { planned, package: from } = failed.function;
    const error = trap instanceof Error ? trap : new Error(String(trap));
    const { message, source } = resolveFault(error, from.wasm);
    const key = `${planned.name} ${message} ${source}`;
    if (this.#setup.onEvidence !== undefined && this.#gate.opens(key, performance.now())) {
      const copy = () => this.#setup.native.copyCall(callKinds.indexOf(failed.kind), failed.index, failed.hop);
      const calls = collectCalls(this.#setup.native, failed, copy);
      const what = { kind: "trap", call: failed.kind, message, source, bad: null } as const;
      this.#setup.onEvidence({ ...this.#describe(failed), ...what, ...calls });
    }
    this.#count(key, failed.function, message, source);
  }

  /** It could not be instantiated again, or nf_migrate_more trapped: there is no call that could be kept. */
  noteFailure(failed: LaneFunction, failure: unknown): void {
    const error = failure instanceof Error ? failure : new Error(String(failure));
    const { message, source } = resolveFault(error, failed.package.wasm);
    this.#count(`${failed.planned.name} ${message} ${source}`, failed, message, source);
  }

  /** After a turn: a result that did not hold, if one was noted. */
  noteBadResult(find: (hop: number) => FailedCall): void {
    const noted = this.#setup.native.takeBadResult();
    if (noted === null || this.#setup.onEvidence === undefined) return;
    const failed = find(noted.hop);
    const { position, result } = noted;
    const message = engineDropReasons[noted.reason] as string;
    if (!this.#gate.opens(`${failed.function.planned.name} ${message}`, performance.now())) return;
    const calls = collectCalls(this.#setup.native, failed, () => noted.call);
    const bad = { position, reason: message, result };
    const what = { kind: "result", call: "nf_process", message, source: null, bad } as const;
    this.#setup.onEvidence({ ...this.#describe(failed), ...what, ...calls });
  }

  #describe({ function: failed, index }: FailedCall) {
    const { lane, laneCount, seed, memory } = this.#setup;
    return {
      ...{ lane, laneCount, seed, function: index },
      at: new Date().toISOString(),
      declared: { reasons: failed.state.reasons, counters: failed.state.declaredCounters },
      slotBytes: memory.slotBytes,
      umemBytes: memory.umem.bytes,
    };
  }

  #count(key: string, failed: LaneFunction, message: string, source: string | null): void {
    let fault = this.#reports.get(key);
    if (fault === undefined) {
      const { name, package: from } = failed.planned;
      fault = { function: name, package: `${from.name}@${from.version}`, message, source, count: 0 };
      if (this.#reports.size < FAULT_KINDS) this.#reports.set(key, fault);
    }
    fault.count += 1;
    this.#setup.onFault?.(fault);
  }
}

/** What the function's recorder has; without one the call that failed, and the state that it left. */
function collectCalls(
  native: NativeLane,
  { function: failed, index, hop, kind }: FailedCall,
  copy: () => ArrayBuffer,
): Pick<FaultEvidence, "calls" | "state" | "isExact"> {
  const recording = failed.recorder === undefined ? null : native.copyRecording(index);
  if (recording === null) return { calls: copy(), state: failed.copyState(), isExact: false };
  const calls = dropLater(recording.calls, kind, hop);
  return { calls, state: failed.readState(recording), isExact: true };
}

/** A result is noted after its turn, in which later hops of the same function may have been called. */
function dropLater(log: ArrayBuffer, kind: CallKind, hop: number): ArrayBuffer {
  const view = new DataView(log);
  const isThat = (at: number) => {
    return callKinds[view.getUint32(at + CALL_KIND, true)] === kind && view.getUint32(at + CALL_HOP, true) === hop;
  };
  let end = log.byteLength;
  for (let at = 0; at < log.byteLength; at += view.getUint32(at + CALL_BYTES, true)) {
    if (isThat(at)) end = at + view.getUint32(at + CALL_BYTES, true);
  }
  return end === log.byteLength ? log : log.slice(0, end);
}
