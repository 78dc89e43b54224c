// Names of the numbers that chain documents speak of (IANA, IEEE), and how they are written.

import ipaddr from "ipaddr.js";
import type { KernelClass } from "./plan.ts";

export const ipProtoNames: ReadonlyMap<string, number> = new Map([
  ["icmp", 1],
  ["igmp", 2],
  ["ipip", 4],
  ["tcp", 6],
  ["udp", 17],
  ["gre", 47],
  ["esp", 50],
  ["ah", 51],
  ["icmpv6", 58],
  ["ospf", 89],
  ["pim", 103],
  ["vrrp", 112],
  ["sctp", 132],
]);

export const etherTypeNames: ReadonlyMap<string, number> = new Map([
  ["ipv4", 0x0800],
  ["arp", 0x0806],
  ["ipv6", 0x86dd],
  ["lacp", 0x8809],
  ["eapol", 0x888e],
  ["lldp", 0x88cc],
  ["ptp", 0x88f7],
]);

/** Class selectors (RFC 2474), assured forwarding (RFC 2597), expedited forwarding (RFC 3246), lower effort (RFC 8622). */
export const dscpNames: ReadonlyMap<string, number> = new Map([
  ...[0, 1, 2, 3, 4, 5, 6, 7].map((selector) => [`cs${selector}`, selector * 8] as const),
  ...[1, 2, 3, 4].flatMap((group) => [1, 2, 3].map((drop) => [`af${group}${drop}`, group * 8 + drop * 2] as const)),
  ["ef", 46],
  ["le", 1],
]);

/** Values below 0x0600 in that field are IEEE 802.3 lengths. */
const smallestEtherType = 0x0600;

export interface Prefix {
  /** 4 or 16 bytes, network order, bits after the prefix zero. */
  readonly address: Uint8Array;
  readonly prefixLength: number;
}

/** `10.0.0.0/8`, `2001:db8::/32` or a single address. */
export function parsePrefix(text: string): Prefix | undefined {
  const [, addressText = "", lengthText] = /^([0-9a-fA-F:.]+)(?:\/(0|[1-9]\d{0,2}))?$/.exec(text) ?? [];
  const isIpv4 = ipaddr.IPv4.isValidFourPartDecimal(addressText);
  if (!isIpv4 && !(addressText.includes(":") && ipaddr.IPv6.isValid(addressText))) return undefined;
  const address = Uint8Array.from(ipaddr.parse(addressText).toByteArray());
  const prefixLength = lengthText === undefined ? address.length * 8 : Number(lengthText);
  if (prefixLength > address.length * 8) return undefined;
  return { address: maskAddress(address, prefixLength), prefixLength };
}

export function maskAddress(address: Uint8Array, prefixLength: number): Uint8Array {
  return address.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, prefixLength - index * 8))));
}

/** Whether an address has both. */
export function overlaps(a: Prefix, b: Prefix): boolean {
  if (a.address.length !== b.address.length) return false;
  const common = Math.min(a.prefixLength, b.prefixLength);
  const [one, other] = [a, b].map(({ address }) => maskAddress(address, common)) as [Uint8Array, Uint8Array];
  return one.every((byte, index) => byte === other[index]);
}

/** `80` or `1000-2000`, inclusive. */
export function parsePortRange(value: string | number): readonly [number, number] | undefined {
  const [, first, last] = /^(\d{1,5})(?:-(\d{1,5}))?$/.exec(String(value)) ?? [];
  if (first === undefined) return undefined;
  const range = [Number(first), Number(last ?? first)] as const;
  return range[0] <= range[1] && range[1] <= 0xffff ? range : undefined;
}

/** A name, a number, or (JSON has no hexadecimal numbers) `"0x88cc"`. */
export function parseEtherType(value: string | number): number | undefined {
  const named = etherTypeNames.get(String(value));
  if (named !== undefined) return named;
  if (!/^(0x[0-9a-fA-F]{1,4}|\d{1,5})$/.test(String(value))) return undefined;
  const etherType = Number(value);
  return etherType >= smallestEtherType && etherType <= 0xffff ? etherType : undefined;
}

/** A name or a number. */
export function parseIpProto(value: string | number): number | undefined {
  return parseNumber(value, ipProtoNames, 0xff);
}

/** A name or a number. */
export function parseDscp(value: string | number): number | undefined {
  return parseNumber(value, dscpNames, 0x3f);
}

function parseNumber(value: string | number, names: ReadonlyMap<string, number>, largest: number): number | undefined {
  const named = names.get(String(value));
  if (named !== undefined) return named;
  return /^\d{1,3}$/.test(String(value)) && Number(value) <= largest ? Number(value) : undefined;
}

/** `arp`, `0x88cc`, `icmp`, `ip:89`, `tcp:22`. */
export function parseKernelClass(value: string | number): KernelClass | undefined {
  const etherType = parseEtherType(value);
  if (etherType !== undefined) return { etherType };
  const [protoText = "", portText] = String(value)
    .replace(/^ip:(?=\d+$)/, "")
    .split(/:(?=\d+$)/);
  const isBareNumber = /^\d+$/.test(String(value));
  const ipProto = isBareNumber ? undefined : parseIpProto(protoText);
  if (ipProto === undefined) return undefined;
  if (portText === undefined) return { ipProto };
  const range = hasPorts(ipProto) ? parsePortRange(portText) : undefined;
  return range && { ipProto, destinationPort: range[0] };
}

function hasPorts(ipProto: number): boolean {
  return ["tcp", "udp", "sctp"].some((name) => ipProtoNames.get(name) === ipProto);
}
