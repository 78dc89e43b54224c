// Lengths of time as people write them: 500ms, 2s, 10m, 1h.
const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 };

export const LONGEST_MS = 24 * 3_600_000;

/** Milliseconds, undefined if it is not a time from 1ms to 24h. */
export function parseTime(text: string): number | undefined {
  const [, count, unit = ""] = /^(\d+)(ms|s|m|h)$/.exec(text) ?? [];
  const timeMs = Number(count) * (units[unit] ?? Number.NaN);
  return timeMs > 0 && timeMs <= LONGEST_MS ? timeMs : undefined;
}

/** In the largest unit that says it exactly. */
export function formatTime(timeMs: number): string {
  const [unit, size] = Object.entries(units).findLast(([, each]) => timeMs % each === 0) ?? ["ms", 1];
  return `${timeMs / size}${unit}`;
}
