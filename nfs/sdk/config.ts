// A function's configuration, typed. Whatever does not fit is reported with its path, a neutral value takes its place,
// and reading goes on, so that all faults are reported at once:
//
//   const config = Config.parse(json);
//   const rules = config.list("rules");
//   for (let i = 0; i < rules.length; i++) add(rules.at(i).prefix("source"), rules.at(i).range("ports", 0, 65535));
//   return config.accepted();

import { Address, Prefix, parseDecimal } from "./address";
import { findBranch, findPort, reportConfigError } from "./imports";
import { Json, Kind, readJson } from "./json";

/** Faults beyond these are not reported: ten thousand bad rules make no readable message. */
const FAULT_LIMIT = 100;
let faults = 0;

/** An inclusive range of numbers. */
export class Range {
  constructor(
    readonly low: u32,
    readonly high: u32,
  ) {}
}

export class Config {
  private constructor(private readonly json: Json) {}

  static parse(json: string): Config {
    faults = 0;
    const root = readJson(json);
    if (root.kind == Kind.Absent) faults = 1;
    return new Config(root).expect(Kind.Object);
  }

  /** True if nothing was reported. Reports every key that nobody asked for, so call it last. */
  accepted(): bool {
    reportUnused(this.json);
    return faults == 0;
  }

  /** Reports a fault at this value: "is not …", "must be …". */
  fail(message: string): void {
    if (faults++ < FAULT_LIMIT) reportConfigError(this.json.path, message);
  }

  // ---- members of an object, by key ----

  has(key: string): bool {
    return this.expect(Kind.Object).json.find(key) !== null;
  }

  /** The member; a missing one is reported. */
  get(key: string): Config {
    const found = this.expect(Kind.Object).json.find(key);
    if (found !== null) {
      found.used = true;
      return new Config(found);
    }
    if (this.json.kind != Kind.Absent) this.fail("needs the key '" + key + "'");
    return new Config(new Json(Kind.Absent, this.json, key));
  }

  object(key: string): Config {
    return this.get(key).expect(Kind.Object);
  }

  list(key: string): Config {
    return this.get(key).expect(Kind.List);
  }

  text(key: string): string {
    return this.get(key).asText();
  }

  textOr(key: string, fallback: string): string {
    return this.has(key) ? this.text(key) : fallback;
  }

  flag(key: string): bool {
    return this.get(key).asFlag();
  }

  flagOr(key: string, fallback: bool): bool {
    return this.has(key) ? this.flag(key) : fallback;
  }

  number(key: string): f64 {
    return this.get(key).asNumber();
  }

  numberOr(key: string, fallback: f64): f64 {
    return this.has(key) ? this.number(key) : fallback;
  }

  integer(key: string, low: i64, high: i64): i64 {
    return this.get(key).asInteger(low, high);
  }

  integerOr(key: string, fallback: i64, low: i64, high: i64): i64 {
    return this.has(key) ? this.integer(key, low, high) : fallback;
  }

  range(key: string, low: u32, high: u32): Range {
    return this.get(key).asRange(low, high);
  }

  address(key: string): Address {
    return this.get(key).asAddress();
  }

  prefix(key: string): Prefix {
    return this.get(key).asPrefix();
  }

  choice(key: string, options: string[]): i32 {
    return this.get(key).asChoice(options);
  }

  choiceOr(key: string, fallback: i32, options: string[]): i32 {
    return this.has(key) ? this.choice(key, options) : fallback;
  }

  port(key: string): u32 {
    return this.get(key).asPort();
  }

  branch(key: string): u32 {
    return this.get(key).asBranch();
  }

  // ---- elements of a list, by index ----

  /** Elements of a list, members of an object, 0 of anything else. */
  get length(): i32 {
    return this.json.members.length;
  }

  /** Unchecked: `index` must be below `length`. Works for objects too, in the document's order. */
  at(index: i32): Config {
    const member = this.json.members[index];
    member.used = true;
    return new Config(member);
  }

  /** This value's name in its object, or its index in its list. */
  get key(): string {
    return this.json.key;
  }

  // ---- this value itself ----

  get isText(): bool {
    return this.json.kind == Kind.Text;
  }

  get isNumber(): bool {
    return this.json.kind == Kind.Number;
  }

  get isObject(): bool {
    return this.json.kind == Kind.Object;
  }

  get isList(): bool {
    return this.json.kind == Kind.List;
  }

  asText(): string {
    return this.expect(Kind.Text).json.text;
  }

  asFlag(): bool {
    return this.expect(Kind.Flag).json.flag;
  }

  asNumber(): f64 {
    return this.expect(Kind.Number).json.number;
  }

  /** A whole number, low … high; `low` in place of anything else. */
  asInteger(low: i64, high: i64): i64 {
    if (this.expect(Kind.Number).json.kind != Kind.Number) return low;
    const value = this.json.number;
    if (value == Math.trunc(value) && value >= <f64>low && value <= <f64>high) return <i64>value;
    this.fail("must be a whole number from " + low.toString() + " to " + high.toString());
    return low;
  }

  /** A number, or text of one number or two: 80, "80", "1024-65535". */
  asRange(low: u32, high: u32): Range {
    if (this.isNumber) {
      const value = <u32>this.asInteger(low, high);
      return new Range(value, value);
    }
    const text = this.asText();
    const dash = text.indexOf("-");
    const first = parseDecimal(dash < 0 ? text : text.substring(0, dash), high);
    const last = dash < 0 ? first : parseDecimal(text.substring(dash + 1), high);
    if (first >= <i64>low && last >= first) return new Range(<u32>first, <u32>last);
    if (this.isText) {
      this.fail("must be a number or a range 'first-last' from " + low.toString() + " to " + high.toString());
    }
    return new Range(low, low);
  }

  /** An IPv4 or IPv6 address. */
  asAddress(): Address {
    const address = Address.parse(this.asText());
    if (address !== null) return address;
    if (this.isText) this.fail("must be an IPv4 or IPv6 address");
    return new Address(4, 0, 0);
  }

  /** A prefix without host bits, or an address alone. */
  asPrefix(): Prefix {
    const text = this.asText();
    const prefix = Prefix.parse(text);
    if (prefix === null) {
      if (this.isText) this.fail("must be an IPv4 or IPv6 prefix, as in '10.0.0.0/8' or '2001:db8::/32'");
      return new Prefix(new Address(4, 0, 0), 0);
    }
    const address = Address.parse(text.split("/")[0]);
    if (address !== null && !address.equals(prefix.address)) {
      this.fail("has bits beyond the prefix's length; the prefix itself is '" + prefix.toString() + "'");
    }
    return prefix;
  }

  /** One of the options: its index. */
  asChoice(options: string[]): i32 {
    const chosen = options.indexOf(this.asText());
    if (chosen >= 0) return chosen;
    if (this.isText) this.fail("must be one of: " + options.join(", "));
    return 0;
  }

  /** The index of a port of the chain, given by name. */
  asPort(): u32 {
    const index = findPort(this.asText());
    if (index >= 0) return index;
    if (this.isText) this.fail("the chain has no port '" + this.json.text + "'");
    return 0;
  }

  /** The index of a branch that the chain declares for this function, given by name. */
  asBranch(): u32 {
    const index = findBranch(this.asText());
    if (index >= 0) return index;
    if (this.isText) this.fail("the chain declares no branch '" + this.json.text + "' for this function");
    return 0;
  }

  /** Reports another kind of value, once: from then on it counts as absent, and absent values are not complained of. */
  private expect(kind: Kind): Config {
    const found = this.json.kind;
    if (found == kind || found == Kind.Absent) return this;
    this.fail("must be " + describe(kind) + ", not " + describe(found));
    this.json.kind = Kind.Absent;
    this.json.members = [];
    return this;
  }
}

function describe(kind: Kind): string {
  if (kind == Kind.Flag) return "true or false";
  if (kind == Kind.Number) return "a number";
  if (kind == Kind.Text) return "text";
  if (kind == Kind.List) return "a list";
  return kind == Kind.Object ? "an object" : "null";
}

function reportUnused(json: Json): void {
  for (let i = 0; i < json.members.length; i++) {
    const member = json.members[i];
    if (json.kind == Kind.Object && !member.used) new Config(member).fail("is not a known key");
    else reportUnused(member);
  }
}
