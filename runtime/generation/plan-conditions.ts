// What must hold after a step of an upgrade plan: from the document's words to what is checked.
import type { Report } from "../chain/faults.ts";
import { extendPointer } from "../chain/pointer.ts";
import { SluiceError } from "../errors.ts";
import type { ConditionDeclaration } from "./plan-schema.ts";
import { formatTime, LONGEST_MS, parseTime } from "./time-text.ts";

/** Packets as lines of text: how a probe is written, and how a frame that left is shown. */
export interface PacketText {
  /** Throws packet-text. */
  encode(line: string): Uint8Array;
  format(bytes: Uint8Array): string;
}

export type Condition = RateCondition | FaultsCondition | ProbeCondition;

export interface RateCondition {
  readonly kind: "rate";
  /** As it is shown. */
  readonly text: string;
  /** `owner.name`, with labels: `fw.packets{family=ipv4}`. */
  readonly counter: string;
  /** Per second. */
  readonly min: number;
  readonly max: number;
  readonly overMs: number;
}

export interface FaultsCondition {
  readonly kind: "faults";
  readonly text: string;
  /** Frames. */
  readonly max: number;
  readonly overMs: number;
}

export interface ProbeCondition {
  readonly kind: "probe";
  readonly text: string;
  readonly from: string;
  readonly frame: Uint8Array;
  /** Null: it must not leave. */
  readonly to: string | null;
  /** Null: whatever leaves. */
  readonly expect: Uint8Array | null;
  readonly withinMs: number;
}

/** Whoever has the lane again keeps it for so long before that counts: a function that does not return shows by then. */
export const SETTLE_MS = 200;

const DEFAULT_TIME = "1s";

/** Reports what the schema cannot say, and leaves such conditions out. Their shape is sound. */
export function readConditions(
  declarations: readonly ConditionDeclaration[] | undefined,
  pointer: string,
  packets: PacketText,
  report: Report,
): Condition[] {
  return (declarations ?? []).flatMap((declaration, index) => {
    const condition = readCondition(declaration, extendPointer(pointer, index), packets, report);
    return condition === undefined ? [] : [condition];
  });
}

/** How long it takes at the least until it is known to hold. */
export function lastsMs(condition: Condition): number {
  return condition.kind === "probe" ? 0 : condition.overMs;
}

function readCondition(
  declaration: ConditionDeclaration,
  pointer: string,
  packets: PacketText,
  report: Report,
): Condition | undefined {
  const kinds = (["counter", "faults", "probe"] as const).filter((kind) => declaration[kind] !== undefined);
  if (kinds.length !== 1) {
    const found = kinds.length === 0 ? "none of them" : kinds.join(" and ");
    report("document-schema", pointer, `a condition has one of counter, faults and probe; this has ${found}`);
    return undefined;
  }
  if (declaration.probe !== undefined && declaration.over !== undefined) {
    report("document-schema", extendPointer(pointer, "over"), 'a probe has no "over"', 'it has "within"');
  }
  if ((declaration.rate !== undefined) !== (declaration.counter !== undefined)) {
    report("document-schema", pointer, '"counter" and "rate" stand together');
    return undefined;
  }
  if (declaration.probe !== undefined) return readProbe(declaration.probe, `${pointer}/probe`, packets, report);
  const overMs = readTime(declaration.over ?? DEFAULT_TIME, extendPointer(pointer, "over"), report);
  return declaration.counter === undefined
    ? readFaults(declaration.faults ?? 0, overMs)
    : readRate(declaration.counter, declaration.rate ?? {}, overMs, pointer, report);
}

function readFaults(max: number, overMs: number): FaultsCondition {
  return { kind: "faults", text: `faults at most ${max} over ${formatTime(overMs)}`, max, overMs };
}

function readRate(
  counter: string,
  rate: { readonly min?: number; readonly max?: number },
  overMs: number,
  pointer: string,
  report: Report,
): RateCondition {
  const { min = 0, max = Number.POSITIVE_INFINITY } = rate;
  if (min > max) report("document-schema", extendPointer(pointer, "rate"), `the minimum ${min} is above ${max}`);
  const bounds = [rate.min === undefined ? [] : `at least ${min}`, rate.max === undefined ? [] : `at most ${max}`];
  const text = `${counter} ${bounds.flat().join(" and ")} per second over ${formatTime(overMs)}`;
  return { kind: "rate", text, counter, min, max, overMs };
}

function readProbe(
  { from, frame, to, expect, within = DEFAULT_TIME }: NonNullable<ConditionDeclaration["probe"]>,
  pointer: string,
  packets: PacketText,
  report: Report,
): ProbeCondition | undefined {
  const encode = (line: string, key: string): Uint8Array | undefined => {
    try {
      return packets.encode(line);
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      for (const { where, what, help } of error.faults) {
        report("packet-text", extendPointer(pointer, key), `${where}: ${what}`, help);
      }
      return undefined;
    }
  };
  const sent = encode(frame, "frame");
  const expected = expect === undefined ? null : encode(expect, "expect");
  if (expect !== undefined && to === "none") {
    report("document-schema", extendPointer(pointer, "expect"), "a probe that must not leave has no frame to expect");
  }
  const withinMs = readTime(within, extendPointer(pointer, "within"), report);
  if (sent === undefined || expected === undefined) return undefined;
  const text = to === "none" ? `probe ${from}: ${frame} does not leave` : `probe ${from} > ${to}: ${frame}`;
  return { kind: "probe", text, from, frame: sent, to: to === "none" ? null : to, expect: expected, withinMs };
}

/** Milliseconds; the schema has seen to the form. */
export function readTime(text: string, pointer: string, report: Report): number {
  const timeMs = parseTime(text);
  if (timeMs === undefined) report("document-schema", pointer, `"${text}" is longer than 24h`);
  return timeMs ?? LONGEST_MS;
}
