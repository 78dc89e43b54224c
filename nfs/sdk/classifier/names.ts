// Names of IP protocols, DSCPs and ethertypes (IANA, IEEE), the same as in a chain document's `match`.
import { Config } from "../config";

const IP_PROTOS: StaticArray<string> = [
  "icmp=1",
  "igmp=2",
  "ipip=4",
  "tcp=6",
  "udp=17",
  "gre=47",
  "esp=50",
  "ah=51",
  "icmpv6=58",
  "ospf=89",
  "pim=103",
  "vrrp=112",
  "sctp=132",
];

const ETHER_TYPES: StaticArray<string> = [
  "ipv4=2048",
  "arp=2054",
  "ipv6=34525",
  "lacp=34825",
  "eapol=34958",
  "lldp=35020",
  "ptp=35063",
];

/** A name such as "tcp", or 0 … 255. */
export function readIpProto(config: Config): u32 {
  if (config.isNumber) return <u32>config.asInteger(0, 0xff);
  const named = find(IP_PROTOS, config.asText());
  return named >= 0 ? named : digits(config, 0, 0xff, "an IP protocol such as tcp, udp, icmp, icmpv6, sctp or 47");
}

/** A name such as "arp", a number, or text such as "0x88cc". */
export function readEtherType(config: Config): u32 {
  if (config.isNumber) return <u32>config.asInteger(0x600, 0xffff);
  const named = find(ETHER_TYPES, config.asText());
  return named >= 0 ? named : digits(config, 0x600, 0xffff, "an ethertype such as ipv4, arp or 0x88cc");
}

/** 0 … 63, or a name: cs0 … cs7 (RFC 2474), af11 … af43 (RFC 2597), ef (RFC 3246), le (RFC 8622). */
export function readDscp(config: Config): u32 {
  if (config.isNumber) return <u32>config.asInteger(0, 63);
  const text = config.asText();
  if (text == "ef") return 46;
  if (text == "le") return 1;
  if (text.length == 3 && text.startsWith("cs") && isBetween(text, 2, "0", "7")) return digitAt(text, 2) * 8;
  if (text.length == 4 && text.startsWith("af") && isBetween(text, 2, "1", "4") && isBetween(text, 3, "1", "3")) {
    return digitAt(text, 2) * 8 + digitAt(text, 3) * 2;
  }
  return digits(config, 0, 63, "a DSCP such as ef, af41, cs6 or 46");
}

function find(names: StaticArray<string>, name: string): i32 {
  for (let i = 0; i < names.length; i++) {
    const parts = names[i].split("=");
    if (parts[0] == name) return I32.parseInt(parts[1]);
  }
  return -1;
}

/** A number written as text, decimal or with 0x. */
function digits(config: Config, low: u32, high: u32, expected: string): u32 {
  const text = config.asText();
  const isHexadecimal = text.startsWith("0x");
  const base = isHexadecimal ? 16 : 10;
  const start = isHexadecimal ? 2 : 0;
  let value: u64 = 0;
  let sound = text.length > start && text.length <= 6;
  for (let i = start; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const digit = code > 0x39 ? (code | 32) - 0x57 : code - 0x30;
    sound = sound && digit >= 0 && digit < base && (code <= 0x39 || digit >= 10);
    value = value * base + digit;
  }
  if (sound && value >= low && value <= high) return <u32>value;
  if (config.isText) config.fail("must be " + expected);
  return low;
}

function digitAt(text: string, index: i32): u32 {
  return text.charCodeAt(index) - 0x30;
}

function isBetween(text: string, index: i32, low: string, high: string): bool {
  return text.charCodeAt(index) >= low.charCodeAt(0) && text.charCodeAt(index) <= high.charCodeAt(0);
}
