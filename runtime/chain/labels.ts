// Labels of a chain by the number of their bit. Every function that declares a label may set it.

import type { Report } from "./faults.ts";
import type { ResolvedFunction } from "./plan-functions.ts";

const labelsLimit = 32;

/** Names by the number of their bit; those of the plan before keep theirs, since flows have them. */
export function planLabels(
  functions: readonly ResolvedFunction[],
  report: Report,
  before: readonly string[] = [],
): string[] {
  const labels = new Set<string>(before);
  for (const { name, pointer, manifest } of functions)
    for (const label of manifest.labels ?? []) {
      if (labels.size < labelsLimit || labels.has(label)) labels.add(label);
      else report("chain-limit", pointer, `"${name}" declares ${label}: more than ${labelsLimit} labels in the chain`);
    }
  return [...labels];
}
