// Lengths of time as requests have them.
import { SluiceError } from "../errors.ts";
import { parseTime } from "../generation/time-text.ts";

/** Milliseconds. Throws request-invalid. */
export function readTime(text: string, where: string): number {
  const timeMs = parseTime(text);
  if (timeMs !== undefined) return timeMs;
  const what = `"${text}" is not a time from 1ms to 24h such as 60s`;
  throw new SluiceError({ code: "request-invalid", where, what });
}
