// Which results do not hold, as Lane::Accept says it (native/src/lane.cc).
import {
  RESULT_FLAG_RESIZED,
  RESULT_FLAG_REWRITTEN,
  RESULT_FLAGS,
  RESULT_HEAD,
  RESULT_LENGTH,
  RESULT_REASON,
  RESULT_TARGET,
  RESULT_VERDICT,
  VERDICT_BRANCH,
  VERDICT_DROP,
  VERDICT_HOST,
  VERDICT_TRANSMIT,
} from "../../../nfs/sdk/abi.ts";
import type { engineDropReasons } from "../layout.ts";

export interface ResultLimits {
  readonly ports: number;
  readonly branches: number;
  readonly reasons: number;
  readonly writable: boolean;
  readonly slotBytes: number;
}

/** The result at `at`; `offset`: where its frame begins in the UMEM. Null if it holds. */
export function findBadResult(
  results: DataView,
  at: number,
  offset: number,
  limits: ResultLimits,
): (typeof engineDropReasons)[number] | null {
  const verdict = results.getUint8(at + RESULT_VERDICT);
  const target = results.getUint16(at + RESULT_TARGET, true);
  if (verdict > VERDICT_HOST) return "bad-verdict";
  if (verdict === VERDICT_TRANSMIT && target >= limits.ports) return "bad-target";
  if (verdict === VERDICT_BRANCH && target >= limits.branches) return "bad-target";
  const isReasoned = verdict === VERDICT_DROP || verdict === VERDICT_HOST;
  if (isReasoned && results.getUint16(at + RESULT_REASON, true) >= limits.reasons) return "bad-reason";
  const flags = results.getUint8(at + RESULT_FLAGS);
  if ((flags & (RESULT_FLAG_RESIZED | RESULT_FLAG_REWRITTEN)) === 0) return null;
  if (!limits.writable) return "not-writable";
  if ((flags & RESULT_FLAG_RESIZED) === 0) return null;
  const length = results.getUint32(at + RESULT_LENGTH, true);
  const start = offset + results.getInt16(at + RESULT_HEAD, true);
  const slot = offset - (offset % limits.slotBytes);
  const isWithin = start >= slot && start + length <= slot + limits.slotBytes && length > 0;
  return isWithin ? null : "bad-length";
}
