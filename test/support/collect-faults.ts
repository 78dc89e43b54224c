import { type Fault, SluiceError } from "../../runtime/errors.ts";

/** The faults that `action` throws; none if it does not throw. Any other error is thrown on. */
export function collectFaults(action: () => unknown): readonly Fault[] {
  try {
    action();
    return [];
  } catch (error) {
    if (error instanceof SluiceError) return error.faults;
    throw error;
  }
}

/** One line per fault: `CODE WHERE WHAT`. */
export function listFaults(action: () => unknown): string[] {
  return collectFaults(action).map(({ code, where, what }) => `${code} ${where} ${what}`);
}
