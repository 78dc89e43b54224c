// From the reason of a verdict to the entry of a function's configuration that it names.
import { extendPointer } from "./pointer.ts";

export interface FoundRule {
  /** Into the chain document. */
  readonly pointer: string;
  readonly value: unknown;
}

/**
 * `rule:3` of a function whose configuration has a list `rules` is its third entry, and so is `rule-rate:3` unless there
 * is a list `rule-rates`. Null if there is none.
 */
export function findRule(functionName: string, config: unknown, reason: string): FoundRule | null {
  const [, name = "", word = "", number] = /^(([a-z][a-z0-9]*)[a-z0-9-]*):(\d+)$/.exec(reason) ?? [];
  const lists = config as Readonly<Record<string, unknown>> | null;
  const index = Number(number) - 1;
  for (const key of [`${name}s`, `${word}s`]) {
    const list = lists?.[key];
    if (!Array.isArray(list) || !(index >= 0 && index < list.length)) continue;
    return { pointer: extendPointer("/functions", functionName, "config", key, index), value: list[index] };
  }
  return null;
}
