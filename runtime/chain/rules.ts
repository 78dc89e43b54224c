// From the reason of a verdict to the entry of a function's configuration that it names.
import { extendPointer } from "./pointer.ts";

export interface FoundRule {
  /** Into the chain document. */
  readonly pointer: string;
  readonly value: unknown;
}

/** `rule:3` of a function whose configuration has a list `rules` is its third entry. Null if it has none. */
export function findRule(functionName: string, config: unknown, reason: string): FoundRule | null {
  const [, name, number] = /^([a-z][a-z0-9-]*):(\d+)$/.exec(reason) ?? [];
  if (name === undefined) return null;
  const list = (config as Readonly<Record<string, unknown>> | null)?.[`${name}s`];
  const index = Number(number) - 1;
  if (!Array.isArray(list) || index < 0 || index >= list.length) return null;
  return { pointer: extendPointer("/functions", functionName, "config", `${name}s`, index), value: list[index] };
}
