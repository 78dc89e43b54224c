// How often functions trapped lately: who traps too often is quarantined.

/** Traps within the time that are one too many. */
export const TRAPS_MAX = 16;
export const TRAPS_WITHIN_MS = 10_000;

export class TrapCount {
  readonly #times = new Map<number, number[]>();

  /** Notes a trap of the function; true if it is the last that is put up with. */
  isTooMany(index: number, nowMs: number): boolean {
    const times = this.#times.get(index) ?? [];
    times.push(nowMs);
    if (times.length > TRAPS_MAX) times.shift();
    this.#times.set(index, times);
    return times.length === TRAPS_MAX && nowMs - (times[0] as number) <= TRAPS_WITHIN_MS;
  }
}
