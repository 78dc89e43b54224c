// Documents side by side, as people read differences.
import { createTwoFilesPatch } from "diff";
import { stringify } from "yaml";

/** Unified, of their YAML; "" if they are the same. */
export function diffDocuments(name: string, before: object | undefined, after: object | undefined): string {
  const [old, next] = [before, after].map((document) => (document === undefined ? "" : stringify(document)));
  if (old === next) return "";
  const patch = createTwoFilesPatch(
    `${name} before`,
    `${name} after`,
    old as string,
    next as string,
    undefined,
    undefined,
    {
      context: 2,
    },
  );
  return patch.split("\n").slice(1).join("\n");
}
