// IPv4 and IPv6 addresses and prefixes as text and as numbers. For configuration: all of this allocates.

/** An IPv4 address is in the low 32 bits: 10.0.0.1 is { version: 4, high: 0, low: 0x0a000001 }. */
export class Address {
  constructor(
    readonly version: u32,
    readonly high: u64,
    readonly low: u64,
  ) {}

  /** "192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"; null for anything else. */
  static parse(text: string): Address | null {
    return text.includes(":") ? parseIpv6(text) : parseIpv4(text);
  }

  /** 32 or 128. */
  get bits(): u32 {
    return this.version == 4 ? 32 : 128;
  }

  equals(other: Address): bool {
    return this.version == other.version && this.high == other.high && this.low == other.low;
  }

  /** IPv6 in the form of RFC 5952. */
  toString(): string {
    return this.version == 4 ? printIpv4(<u32>this.low) : printIpv6(this.high, this.low);
  }
}

/** An address of which the first `length` bits count; the others are 0. */
export class Prefix {
  constructor(
    readonly address: Address,
    readonly length: u32,
  ) {}

  /** "10.0.0.0/8", "2001:db8::/32"; an address alone is a prefix of full length. Host bits are cleared. */
  static parse(text: string): Prefix | null {
    const slash = text.indexOf("/");
    const address = Address.parse(slash < 0 ? text : text.substring(0, slash));
    if (address === null) return null;
    const length = slash < 0 ? address.bits : <u32>parseDecimal(text.substring(slash + 1), address.bits);
    if (length > address.bits) return null;
    return new Prefix(mask(address, length), length);
  }

  contains(address: Address): bool {
    return address.version == this.address.version && mask(address, this.length).equals(this.address);
  }

  toString(): string {
    return this.address.toString() + "/" + this.length.toString();
  }
}

function mask(address: Address, length: u32): Address {
  if (address.version == 4) return new Address(4, 0, address.low & (highBits(length) >> 32));
  return new Address(
    6,
    address.high & highBits(min(length, 64)),
    address.low & highBits(length > 64 ? length - 64 : 0),
  );
}

/** The highest `count` of 64 bits, 0 … 64. */
function highBits(count: u32): u64 {
  return count == 0 ? 0 : u64.MAX_VALUE << (64 - count);
}

/** Decimal digits without leading zeros, at most `limit`; -1 for anything else. */
export function parseDecimal(text: string, limit: i64): i64 {
  const digits = text.length;
  if (digits == 0 || digits > 18 || (digits > 1 && text.charCodeAt(0) == 48)) return -1;
  let value: i64 = 0;
  for (let i = 0; i < digits; i++) {
    const digit = text.charCodeAt(i) - 48;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
  }
  return value <= limit ? value : -1;
}

function parseIpv4(text: string): Address | null {
  const parts = text.split(".");
  if (parts.length != 4) return null;
  let value: u64 = 0;
  for (let i = 0; i < 4; i++) {
    const octet = parseDecimal(parts[i], 255);
    if (octet < 0) return null;
    value = (value << 8) | octet;
  }
  return new Address(4, 0, value);
}

function parseIpv6(text: string): Address | null {
  const gap = text.indexOf("::");
  const head = parseGroups(gap < 0 ? text : text.substring(0, gap), gap < 0);
  const tail = parseGroups(gap < 0 ? "" : text.substring(gap + 2), true);
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (gap < 0 ? missing != 0 : missing < 1) return null;
  const groups = head.concat(new Array<u64>(missing).fill(0)).concat(tail);
  let high: u64 = 0;
  let low: u64 = 0;
  for (let i = 0; i < 4; i++) {
    high = (high << 16) | groups[i];
    low = (low << 16) | groups[i + 4];
  }
  return new Address(6, high, low);
}

/** Groups of 16 bits between colons; at the address's end, the last two may be written as an IPv4 address. */
function parseGroups(text: string, atEnd: bool): u64[] | null {
  const groups: u64[] = [];
  if (text.length == 0) return groups;
  const parts = text.split(":");
  for (let i = 0; i < parts.length; i++) {
    const quad = atEnd && i == parts.length - 1 && parts[i].includes(".") ? parseIpv4(parts[i]) : null;
    if (quad !== null) {
      groups.push(quad.low >> 16);
      groups.push(quad.low & 0xffff);
      continue;
    }
    const group = parseHexadecimal(parts[i]);
    if (group < 0) return null;
    groups.push(group);
  }
  return groups.length <= 8 ? groups : null;
}

/** One to four hexadecimal digits; -1 for anything else. */
function parseHexadecimal(text: string): i64 {
  if (text.length == 0 || text.length > 4) return -1;
  let value: i64 = 0;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const letter = code | 32;
    if (code >= 48 && code <= 57) value = (value << 4) | (code - 48);
    else if (letter >= 97 && letter <= 102) value = (value << 4) | (letter - 87);
    else return -1;
  }
  return value;
}

function printIpv4(address: u32): string {
  const a = (address >> 24).toString();
  const b = ((address >> 16) & 255).toString();
  const c = ((address >> 8) & 255).toString();
  return a + "." + b + "." + c + "." + (address & 255).toString();
}

function group(high: u64, low: u64, index: i32): u32 {
  return <u32>((index < 4 ? high >> (48 - 16 * index) : low >> (112 - 16 * index)) & 0xffff);
}

function printIpv6(high: u64, low: u64): string {
  if (high == 0 && low >> 32 == 0xffff) return "::ffff:" + printIpv4(<u32>low);
  let gap = 8;
  let gapLength = 1;
  for (let start = 0; start < 8; start++) {
    let end = start;
    while (end < 8 && group(high, low, end) == 0) end++;
    if (end - start > gapLength) {
      gap = start;
      gapLength = end - start;
    }
  }
  let text = "";
  for (let i = 0; i < 8; i++) {
    if (i == gap) {
      text += "::";
      i += gapLength - 1;
      continue;
    }
    if (i > 0 && !text.endsWith("::")) text += ":";
    text += group(high, low, i).toString(16);
  }
  return text;
}
