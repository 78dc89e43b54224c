// What a change is in the operator's words, and what becomes of one that follows another.
import type { ChangeRequest } from "./upgrade-socket.ts";

/** The chain as it was started. */
export const NO_CHANGE: ChangeRequest = { file: null, set: [], functions: [], use: [], cold: false, dryRun: false };

/** A document of its own begins anew; packages and values come on top of what was changed before. */
export function followRequest(before: ChangeRequest, next: ChangeRequest): ChangeRequest {
  const functions = [...new Set([...before.functions, ...next.functions])];
  if (next.file !== null) return { ...next, functions };
  return {
    ...next,
    file: before.file,
    set: [...before.set, ...next.set],
    use: [...before.use, ...next.use],
    functions,
  };
}
