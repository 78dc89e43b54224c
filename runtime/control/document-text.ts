// Documents as clients send them.
import { parseSource } from "../chain/source-text.ts";

/** What was got can be put again. Other texts stay as they are, whatever they are. */
export function withoutStatus(text: string): string {
  if (!/\bstatus\b/.test(text)) return text;
  try {
    const { status: _, ...document } = parseSource(text, "body").value as Record<string, unknown>;
    return JSON.stringify(document);
  } catch {
    return text;
  }
}

/** Of a body that is read as text; a request without one has an empty document. */
export function textOf(body: unknown): string {
  return typeof body === "string" ? body : "";
}
