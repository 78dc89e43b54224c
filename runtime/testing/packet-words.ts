// The words that follow a packet's endpoints, in any order: each with what it does to the packet that is being read.
import { encodeIp } from "./packet-encoder.ts";
import type { IpBody } from "./packet-model.ts";
import type { TokenReader } from "./packet-tokens.ts";
import { takeHex, takeNumber } from "./packet-values.ts";

export type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** What each word does. A key that ends in `*` may be repeated. */
export type Words = Readonly<Record<string, () => unknown>>;

/** Reads words to the end of the line. */
export function readWords(tokens: TokenReader, words: Words): void {
  const seen = new Set<string>();
  while (tokens.next !== undefined) {
    const token = tokens.take("a word");
    const repeated = words[`${token.text}*`];
    const apply = repeated ?? (Object.hasOwn(words, token.text) ? words[token.text] : undefined);
    if (apply === undefined || token.kind !== "word") {
      const known = Object.keys(words).map((word) => word.replace("*", ""));
      tokens.fail(token, `"${token.text}" is not a word of this line`, `one of ${known.join(", ")}`);
    }
    if (repeated === undefined && seen.has(token.text)) tokens.fail(token, `"${token.text}" is given twice`);
    seen.add(token.text);
    apply();
  }
}

export interface PayloadDraft {
  payload: Uint8Array;
}

export const payloadWords = (
  tokens: TokenReader,
  draft: PayloadDraft,
  readInner: (tokens: TokenReader) => IpBody,
): Words => ({
  payload: () => {
    draft.payload = takePayload(tokens, readInner);
  },
  zeros: () => {
    draft.payload = new Uint8Array(takeNumber(tokens, "zeros", 0xffff));
  },
});

/** `"text"`, hex digits, or another IP packet in parentheses. */
function takePayload(tokens: TokenReader, readInner: (tokens: TokenReader) => IpBody): Uint8Array {
  const token = tokens.next;
  if (token === undefined || token.kind === "word") return takeHex(tokens, "payload");
  tokens.take("a payload");
  return token.kind === "string" ? new TextEncoder().encode(token.text) : encodeIp(readInner(tokens.inside(token)));
}
