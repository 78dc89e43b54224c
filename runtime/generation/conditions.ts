// Conditions under which a change is given up by itself: `divergence>0.1%`, `drop-rate>5%`, `faults>0`,
// `ns-per-packet>400`. Pure: text in, judgement out.
import { SluiceError } from "../errors.ts";

/**
 * divergence: frames that end otherwise than in the generation that runs, of those that were compared. drop-rate: frames
 * that are dropped, faults included, of all. faults: calls that trapped, results that do not hold, a function that does
 * not return. ns-per-packet: time in the functions.
 */
export const measures = ["divergence", "drop-rate", "faults", "ns-per-packet"] as const;
export type Measure = (typeof measures)[number];

export interface Condition {
  readonly measure: Measure;
  /** What is above it breaks the condition. Shares are 0 … 1. */
  readonly limit: number;
  /** Frames by which it is not judged yet. */
  readonly after: number;
  readonly text: string;
}

/** What was measured of a generation. A share of nothing is null, and so is what is not measured. */
export interface Measurements {
  readonly frames: number;
  readonly values: Readonly<Record<Measure, number | null>>;
}

/** A share of a handful of frames says nothing. */
export const JUDGED_AFTER = 1000;
const shares: readonly Measure[] = ["divergence", "drop-rate"];

/** Throws usage. `where` is the option's name. */
export function parseCondition(text: string, where = "--abort-on"): Condition {
  const [, name = "", number = "", percent, after] =
    /^\s*([a-z-]+)\s*>\s*(\d+(?:\.\d+)?)\s*(%)?(?:\s+after\s+(\d+))?\s*$/.exec(text) ?? [];
  const refuse = (what: string) => {
    const help = "for example divergence>0.1%, drop-rate>5%, faults>0, ns-per-packet>400, divergence>1% after 50";
    return new SluiceError({ code: "usage", where, what: `"${text}" ${what}`, help });
  };
  if (name === "") throw refuse("is not a condition: MEASURE>NUMBER, perhaps with `after FRAMES`");
  const measure = measures.find((each) => each === name);
  if (measure === undefined) throw refuse(`names no measure; there are ${measures.join(", ")}`);
  const isShare = shares.includes(measure);
  if (isShare !== (percent !== undefined)) {
    throw refuse(isShare ? `is about a share: say it in per cent, ${name}>${number}%` : "is not about a share");
  }
  if (isShare && Number(number) >= 100) throw refuse("can never hold");
  const limit = isShare ? Number(number) / 100 : Number(number);
  const least = measure === "faults" ? 0 : JUDGED_AFTER;
  return { measure, limit, after: after === undefined ? least : Number(after), text: text.trim() };
}

/** The first condition that is broken, in words: `divergence 1.20% (divergence>0.1%)`; undefined if none is. */
export function findBroken(conditions: readonly Condition[], { frames, values }: Measurements): string | undefined {
  const broken = conditions.find(({ measure, limit, after }) => {
    const value = values[measure];
    return value !== null && frames >= after && value > limit;
  });
  if (broken === undefined) return undefined;
  return `${broken.measure} is ${format(broken.measure, values[broken.measure] as number)} (${broken.text})`;
}

function format(measure: Measure, value: number): string {
  if (shares.includes(measure)) return `${Number((value * 100).toPrecision(3))}%`;
  return String(Math.round(value));
}
