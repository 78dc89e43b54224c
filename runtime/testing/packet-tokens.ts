// A line of packet text as words, with the place of each for errors.
import { SluiceError } from "../errors.ts";

export interface Token {
  readonly kind: "word" | "string" | "group";
  /** A word as it stands, a string without quotes and with its escapes, a group without its parentheses. */
  readonly text: string;
  /** Offsets in the line; of the inside for groups. */
  readonly start: number;
  readonly end: number;
}

/** Where a line stands in a text of many, 1-based; absent for a line alone. */
export type LineNumber = number | undefined;

export class TokenReader {
  readonly #line: string;
  readonly #number: LineNumber;
  readonly #tokens: Token[] = [];
  #next = 0;

  constructor(line: string, number?: LineNumber, start = 0, end = line.length) {
    this.#line = line;
    this.#number = number;
    for (let at = this.#skipSpace(start, end); at < end; at = this.#skipSpace(at, end)) at = this.#scan(at, end);
  }

  get next(): Token | undefined {
    return this.#tokens[this.#next];
  }

  /** The next token; throws what was `expected` at the end of the line. */
  take(expected: string): Token {
    const token = this.next;
    if (token === undefined) this.fail(undefined, `expected ${expected}, but the line ends`);
    this.#next++;
    return token;
  }

  /** The next token if it is this word, and it is taken. */
  takeIf(word: string): boolean {
    const found = this.next?.kind === "word" && this.next.text === word;
    if (found) this.#next++;
    return found;
  }

  /** A reader of what stands between a group's parentheses. */
  inside(group: Token): TokenReader {
    return new TokenReader(this.#line, this.#number, group.start, group.end);
  }

  fail(token: Token | undefined, what: string, help?: string): never {
    this.#failAt(token?.start ?? this.#line.trimEnd().length, what, help);
  }

  #failAt(offset: number, what: string, help?: string): never {
    const line = this.#number === undefined ? "" : `line ${this.#number}, `;
    throw new SluiceError({ code: "packet-text", where: `${line}column ${offset + 1}`, what, help });
  }

  #skipSpace(start: number, end: number): number {
    let at = start;
    while (at < end && /\s/.test(this.#line[at] as string)) at++;
    return at;
  }

  /** Reads one token at `start`; returns the offset behind it. */
  #scan(start: number, limit: number): number {
    const first = this.#line[start];
    if (first === '"') return this.#scanString(start, limit);
    if (first === "(") return this.#scanGroup(start, limit);
    let end = start;
    while (end < limit && !/[\s"()]/.test(this.#line[end] as string)) end++;
    if (end === start) this.#failAt(start, `unexpected "${first}"`);
    this.#tokens.push({ kind: "word", text: this.#line.slice(start, end), start, end });
    return end;
  }

  /** The offset of the closing quote of the string that opens at `start`. */
  #endOfString(start: number, limit: number): number {
    for (let at = start + 1; at < limit; at++) {
      if (this.#line[at] === "\\") at++;
      else if (this.#line[at] === '"') return at;
    }
    return this.#failAt(start, "the string is not closed");
  }

  #scanString(start: number, limit: number): number {
    const end = this.#endOfString(start, limit);
    let text = "";
    for (let at = start + 1; at < end; ) {
      const { character, length } = this.#unescape(at);
      text += character;
      at += length;
    }
    this.#tokens.push({ kind: "string", text, start, end });
    return end + 1;
  }

  #unescape(at: number): { character: string; length: number } {
    if (this.#line[at] !== "\\") return { character: this.#line[at] as string, length: 1 };
    const plain = { n: "\n", r: "\r", t: "\t", '"': '"', "\\": "\\" }[this.#line[at + 1] as string];
    if (plain !== undefined) return { character: plain, length: 2 };
    return this.#failAt(at, 'an escape is one of \\n \\r \\t \\" \\\\; other bytes are written as hex');
  }

  #scanGroup(start: number, limit: number): number {
    let depth = 0;
    for (let at = start; at < limit; at++) {
      const character = this.#line[at];
      if (character === '"') at = this.#endOfString(at, limit);
      else if (character === "(") depth++;
      else if (character === ")" && --depth === 0) {
        this.#tokens.push({ kind: "group", text: this.#line.slice(start + 1, at), start: start + 1, end: at });
        return at + 1;
      }
    }
    return this.#failAt(start, "the parenthesis is not closed");
  }
}
