// Many faults, one error.

import { type ErrorCode, type Fault, SluiceError } from "../errors.ts";

/** Notes a fault at a place (JSON pointer) of a document. */
export type Report = (code: ErrorCode, pointer: string, what: string, help?: string) => void;

/** More than a person reads; a damaged document can have thousands. */
const reported = 100;

/** Throws if there are any: sorted, and not more than a person reads. */
export function throwFaults(faults: readonly Fault[]): void {
  const [first, ...rest] = sortFaults(faults);
  if (first === undefined) return;
  const left = rest.length - (reported - 1);
  if (left <= 0) throw new SluiceError(first, ...rest);
  const more = { code: first.code, where: first.where, what: `and ${left} more faults` };
  throw new SluiceError(first, ...rest.slice(0, reported - 1), more);
}

/** In the order of their places in the text, each once. */
export function sortFaults(faults: readonly Fault[]): Fault[] {
  const seen = new Set<string>();
  const distinct = faults.filter(({ code, where, what }) => {
    const key = `${code} ${where} ${what}`;
    return !seen.has(key) && seen.add(key);
  });
  return distinct.toSorted(byPlace);
}

function byPlace(a: Fault, b: Fault): number {
  const [lineA, columnA] = readPlace(a.where);
  const [lineB, columnB] = readPlace(b.where);
  return lineA - lineB || columnA - columnB;
}

/** Places that are not in a text come last. */
function readPlace(where: string): [number, number] {
  const match = /:(\d+):(\d+)$/.exec(where);
  return match === null ? [Number.MAX_SAFE_INTEGER, 0] : [Number(match[1]), Number(match[2])];
}
