// A match that stands alone, outside of a chain document.

import { throwFaults } from "./faults.ts";
import { planMatch } from "./match.ts";
import { suggest } from "./nearest.ts";
import type { Match } from "./plan.ts";
import { type MatchDeclaration, matchSchema } from "./schema.ts";
import { findSchemaFaults } from "./schema-faults.ts";
import { parseSource } from "./source-text.ts";

/**
 * YAML or JSON, as a path's `match` in a chain document; `where` is what the text is called in errors. Null if it takes
 * everything. `labels` are the chain's, by bit.
 */
export function parseMatch(text: string, where: string, labels: readonly string[]): Match | null {
  const source = parseSource(text, where);
  throwFaults([...source.faults, ...findSchemaFaults(source.value, matchSchema, "document-schema", source.locate)]);
  const declaration = source.value as MatchDeclaration;
  const unknown = (declaration.labels ?? []).filter((label) => !labels.includes(label));
  throwFaults(
    unknown.map((label) => {
      const what = `no function of the chain sets the label "${label}"`;
      return { code: "unknown-label", where, what, help: suggest(label, labels, "labels") };
    }),
  );
  return planMatch(declaration, labels);
}
