// The values of packet text: numbers, addresses, hex, payloads.
import ipaddr from "ipaddr.js";
import type { Address } from "./packet-model.ts";
import type { Token, TokenReader } from "./packet-tokens.ts";

export interface Endpoint {
  readonly address: Address;
  readonly port: number;
}

export function takeNumber(tokens: TokenReader, name: string, max: number): number {
  const token = tokens.take(`a number for ${name}`);
  const value = token.kind === "word" && /^(0x[0-9a-f]+|[0-9]+)$/i.test(token.text) ? Number(token.text) : Number.NaN;
  if (Number.isNaN(value)) tokens.fail(token, `${name} is a number, not "${token.text}"`);
  if (value > max) tokens.fail(token, `${name} is at most ${max}, not ${token.text}`);
  return value;
}

const isHex = (token: Token | undefined): boolean => token?.kind === "word" && /^([0-9a-f]{2})+$/i.test(token.text);

export function takeHex(tokens: TokenReader, name: string): Uint8Array {
  const token = tokens.take(`hex digits for ${name}`);
  if (!isHex(token)) tokens.fail(token, `${name} is written as pairs of hex digits, not "${token.text}"`);
  return Uint8Array.fromHex(token.text);
}

export const takeHexIfAny = (tokens: TokenReader, name: string): Uint8Array | undefined =>
  isHex(tokens.next) ? takeHex(tokens, name) : undefined;

/** Options of IPv4 or TCP: up to 40 bytes, a multiple of 4. */
export function takeOptions(tokens: TokenReader, name: string): Uint8Array {
  const token = tokens.next;
  const options = takeHex(tokens, name);
  if (options.length % 4 !== 0 || options.length > 40) {
    tokens.fail(token, `${name} are at most 40 bytes and a multiple of 4, not ${options.length}`);
  }
  return options;
}

export function takeMac(tokens: TokenReader): Uint8Array {
  const token = tokens.take("a MAC address");
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(token.text)) {
    tokens.fail(token, `"${token.text}" is not a MAC address`, "write it as 02:00:0a:00:00:01");
  }
  return Uint8Array.fromHex(token.text.replaceAll(":", ""));
}

function parseAddress(text: string): Address | undefined {
  if (ipaddr.IPv4.isValidFourPartDecimal(text)) return Uint8Array.from(ipaddr.IPv4.parse(text).toByteArray());
  const plain = text.includes(":") && !text.includes("%") && ipaddr.IPv6.isValid(text);
  return plain ? Uint8Array.from(ipaddr.IPv6.parse(text).toByteArray()) : undefined;
}

export function takeAddress(tokens: TokenReader): Address {
  const token = tokens.take("an address");
  const address = parseAddress(token.text);
  if (address === undefined) tokens.fail(token, `"${token.text}" is not an IPv4 or IPv6 address`);
  return address;
}

export function takeIpv4Address(tokens: TokenReader): Address {
  const token = tokens.next;
  const address = takeAddress(tokens);
  if (address.length !== 4) tokens.fail(token, "ARP has IPv4 addresses only");
  return address;
}

/** `10.0.0.1:53` or `[2001:db8::1]:53`. */
export function takeEndpoint(tokens: TokenReader): Endpoint {
  const token = tokens.take("an address and port");
  const [, bracketed, plain, digits] = /^(?:\[(.*)\]|([^:]*)):([0-9]+)$/.exec(token.text) ?? [];
  const address = parseAddress(bracketed ?? plain ?? "");
  const port = Number(digits);
  if (address === undefined || (address.length === 16) !== (bracketed !== undefined)) {
    const help = "write 10.0.0.1:53 or [2001:db8::1]:53";
    tokens.fail(token, `"${token.text}" is not an address and port`, help);
  }
  if (port > 0xffff) tokens.fail(token, `a port is at most 65535, not ${digits}`);
  return { address, port };
}

/** `A > B`, both of one address family. */
export function takePair<T>(tokens: TokenReader, take: (tokens: TokenReader) => T, familyOf: (value: T) => number) {
  const source = take(tokens);
  takeArrow(tokens);
  const token = tokens.next;
  const destination = take(tokens);
  if (familyOf(source) !== familyOf(destination)) tokens.fail(token, "one address is IPv4 and the other is IPv6");
  return { source, destination };
}

export function takeArrow(tokens: TokenReader): void {
  const token = tokens.take('">"');
  if (token.text !== ">") tokens.fail(token, `expected ">", not "${token.text}"`);
}

/** The canonical form of RFC 5952. */
export const formatAddress = (address: Address): string =>
  address.length === 4 ? address.join(".") : (ipaddr.fromByteArray([...address]) as ipaddr.IPv6).toRFC5952String();

export const formatEndpoint = (address: Address, port: number): string =>
  address.length === 4 ? `${formatAddress(address)}:${port}` : `[${formatAddress(address)}]:${port}`;

export const formatMac = (mac: Uint8Array): string =>
  Array.from(mac, (byte) => byte.toString(16).padStart(2, "0")).join(":");

export const formatHexNumber = (value: number, digits: number): string =>
  `0x${value.toString(16).padStart(digits, "0")}`;
