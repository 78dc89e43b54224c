// Documents side by side, as people read differences.
import { createTwoFilesPatch } from "diff";
import { stringify } from "yaml";

/** Unified, of their YAML; "" if they are the same. */
export function diffDocuments(name: string, before: object | undefined, after: object | undefined): string {
  const [old, next] = [before, after].map((document) => (document === undefined ? "" : writeText(document)));
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

/** What a document is compared with next is what it was compared with last; a long one takes a tenth of a second. */
const written = new Map<string, string>();
const REMEMBERED = 8;

function writeText(document: object): string {
  const key = JSON.stringify(document);
  const text = written.get(key) ?? stringify(document);
  written.delete(key);
  written.set(key, text);
  if (written.size > REMEMBERED) written.delete(written.keys().next().value as string);
  return text;
}
