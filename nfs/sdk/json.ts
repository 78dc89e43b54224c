// A JSON reader (RFC 8259) that remembers where each value stands, so that every later complaint can say so.

import { reportConfigError } from "./imports";

export const enum Kind {
  Absent,
  Null,
  Flag,
  Number,
  Text,
  List,
  Object,
}

const DEPTH_LIMIT = 64;
/** Shared by all values that have no members: most values have none. */
const none: Json[] = [];

/** A value of the document. `key` is its name in an object, or its index in a list, as text. */
export class Json {
  flag: bool = false;
  number: f64 = 0;
  text: string = "";
  /** Members of an object or elements of a list, in the document's order. */
  members: Json[] = none;
  /** Somebody asked for this member. */
  used: bool = false;

  constructor(
    public kind: Kind,
    readonly parent: Json | null,
    readonly key: string,
  ) {}

  /** JSON pointer (RFC 6901) from the document's root. */
  get path(): string {
    const parent = this.parent;
    if (parent === null) return "";
    return parent.path + "/" + this.key.replaceAll("~", "~0").replaceAll("/", "~1");
  }

  find(key: string): Json | null {
    const members = this.members;
    for (let i = 0; i < members.length; i++) {
      if (members[i].key == key) return members[i];
    }
    return null;
  }
}

/** Reads a document. A fault of syntax is reported, and the result's kind is Absent. */
export function readJson(text: string): Json {
  const reader = new Reader(text);
  const root = reader.value(null, "", 0);
  reader.end();
  if (reader.fault.length == 0) return root;
  reportConfigError("", "is not valid JSON: " + reader.fault);
  return new Json(Kind.Absent, null, "");
}

class Reader {
  fault: string = "";
  private at: i32 = 0;

  constructor(private readonly text: string) {}

  value(parent: Json | null, key: string, depth: i32): Json {
    const json = new Json(Kind.Null, parent, key);
    this.space();
    const code = this.peek();
    if (depth > DEPTH_LIMIT) this.fail("nested too deeply");
    else if (code == 0x7b) this.object(json, depth);
    else if (code == 0x5b) this.list(json, depth);
    else if (code == 0x22) this.string(json);
    else if (code == 0x2d || isDigit(code)) this.number(json);
    else if (this.word("true")) this.flag(json, true);
    else if (this.word("false")) this.flag(json, false);
    else if (!this.word("null")) this.fail("a value expected");
    return json;
  }

  end(): void {
    this.space();
    if (this.at < this.text.length) this.fail("nothing more expected");
  }

  private object(json: Json, depth: i32): void {
    json.kind = Kind.Object;
    json.members = [];
    if (this.opens(0x7d)) return;
    do {
      this.space();
      if (this.peek() != 0x22) return this.fail("a key expected");
      const key = this.quoted();
      this.space();
      if (!this.take(0x3a)) return this.fail("':' expected");
      if (json.find(key) !== null) return this.fail("the key '" + key + "' is there twice");
      json.members.push(this.value(json, key, depth + 1));
    } while (this.separated());
    if (!this.take(0x7d)) this.fail("',' or '}' expected");
  }

  private list(json: Json, depth: i32): void {
    json.kind = Kind.List;
    json.members = [];
    if (this.opens(0x5d)) return;
    do {
      json.members.push(this.value(json, json.members.length.toString(), depth + 1));
    } while (this.separated());
    if (!this.take(0x5d)) this.fail("',' or ']' expected");
  }

  /** Takes the opening bracket; true if the closing one follows at once. */
  private opens(close: i32): bool {
    this.at++;
    this.space();
    return this.take(close);
  }

  private separated(): bool {
    this.space();
    return this.fault.length == 0 && this.take(0x2c);
  }

  private flag(json: Json, value: bool): void {
    json.kind = Kind.Flag;
    json.flag = value;
  }

  private string(json: Json): void {
    json.kind = Kind.Text;
    json.text = this.quoted();
  }

  /** -? (0 | [1-9][0-9]*) (.[0-9]+)? ([eE][+-]?[0-9]+)? */
  private number(json: Json): void {
    const start = this.at;
    this.take(0x2d);
    let sound = this.take(0x30) || this.digits();
    if (this.take(0x2e)) sound = this.digits() && sound;
    if ((this.peek() | 32) == 0x65) {
      this.at++;
      if (!this.take(0x2b)) this.take(0x2d);
      sound = this.digits() && sound;
    }
    if (!sound) return this.fail("a number expected");
    json.kind = Kind.Number;
    json.number = F64.parseFloat(this.text.substring(start, this.at));
  }

  private digits(): bool {
    const start = this.at;
    while (isDigit(this.peek())) this.at++;
    return this.at > start;
  }

  private quoted(): string {
    this.at++;
    // Joined once: a text of many lines has as many escapes, and nothing that is left over is freed.
    const parts: string[] = [];
    let start = this.at;
    while (this.peek() != 0x22) {
      const code = this.peek();
      if (code < 0x20) {
        this.fail(code < 0 ? "'\"' expected" : "a control character in a string");
        return "";
      }
      this.at++;
      if (code != 0x5c) continue;
      parts.push(this.text.substring(start, this.at - 1));
      parts.push(this.escape());
      start = this.at;
    }
    const last = this.text.substring(start, this.at++);
    if (parts.length == 0) return last;
    parts.push(last);
    return parts.join("");
  }

  private escape(): string {
    const code = this.peek();
    this.at++;
    if (code == 0x75) return this.unicode();
    const plain = '"\\/bfnrt'.indexOf(String.fromCharCode(code));
    if (code >= 0 && plain >= 0) return '"\\/\b\f\n\r\t'.charAt(plain);
    this.fail("an unknown escape in a string");
    return "";
  }

  private unicode(): string {
    let value = 0;
    for (let i = 0; i < 4; i++) {
      const code = this.peek();
      const letter = code | 32;
      if (isDigit(code)) value = (value << 4) | (code - 0x30);
      else if (letter >= 0x61 && letter <= 0x66) value = (value << 4) | (letter - 0x57);
      else this.fail("four hexadecimal digits expected");
      this.at++;
    }
    return String.fromCharCode(value);
  }

  private word(word: string): bool {
    if (!this.text.startsWith(word, this.at)) return false;
    this.at += word.length;
    return true;
  }

  private space(): void {
    while (this.at < this.text.length) {
      const code = this.text.charCodeAt(this.at);
      if (code != 0x20 && code != 0x0a && code != 0x0d && code != 0x09) return;
      this.at++;
    }
  }

  /** The code unit here, -1 at the end and after a fault, so that every loop ends. */
  private peek(): i32 {
    return this.at < this.text.length && this.fault.length == 0 ? this.text.charCodeAt(this.at) : -1;
  }

  private take(code: i32): bool {
    if (this.peek() != code) return false;
    this.at++;
    return true;
  }

  private fail(message: string): void {
    if (this.fault.length == 0) this.fault = message + " at offset " + this.at.toString();
  }
}

function isDigit(code: i32): bool {
  return code >= 0x30 && code <= 0x39;
}
