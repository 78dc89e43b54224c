// A policy that both a chain of firewall and nat and an nftables ruleset can say, and random ones.
import { type Dice, seedDice } from "../rule-sets.ts";

export type Action = "accept" | "drop" | "reject";
export type Rejection = "reset" | "port-unreachable" | "host-unreachable" | "prohibited";

export interface PolicyRule {
  readonly action: Action;
  readonly rejectWith?: Rejection;
  readonly from?: readonly string[];
  readonly to?: readonly string[];
  readonly sources?: readonly string[];
  readonly destinations?: readonly string[];
  readonly sourcePorts?: readonly (string | number)[];
  readonly destinationPorts?: readonly (string | number)[];
  readonly ipProtos?: readonly string[];
  readonly icmpTypes?: readonly string[];
  readonly icmpv6Types?: readonly string[];
  readonly tcpFlags?: readonly string[];
  readonly states?: readonly ("new" | "related" | "invalid")[];
}

export interface Zone {
  readonly ports?: readonly ("lan" | "wan")[];
  readonly prefixes: readonly string[];
}

export interface Pair {
  readonly from: string;
  readonly to: string;
  readonly action: Action;
  readonly rejectWith?: Rejection;
}

export interface Translation {
  readonly sources: readonly { readonly from: readonly string[]; readonly pool: readonly string[] }[];
  readonly forwards: readonly Forward[];
  readonly oneToOne: readonly { readonly inside: string; readonly outside: string }[];
}

export interface Forward {
  readonly address: string;
  readonly ipProto: "tcp" | "udp";
  readonly ports: readonly [first: number, last: number];
  readonly to: string;
  readonly toPort: number;
}

export interface Policy {
  readonly seed: number;
  readonly zones: Readonly<Record<string, Zone>>;
  readonly addressSets: Readonly<Record<string, readonly string[]>>;
  readonly portSets: Readonly<Record<string, readonly (string | number)[]>>;
  readonly rules: readonly PolicyRule[];
  readonly pairs: readonly Pair[];
  readonly default: Action;
  readonly midstream: boolean;
  readonly translation: Translation | null;
}

/** Hosts of every policy: rules, translations and traffic speak of the same few, so that they meet. */
export const hosts = {
  inside: ["10.0.0.1", "10.0.0.2", "10.0.1.1", "10.0.2.9", "10.0.3.200"],
  servers: ["10.9.0.1", "10.9.0.2", "10.9.0.77"],
  outside: ["198.51.100.1", "198.51.100.2", "192.0.2.7", "192.0.2.130", "8.8.8.8"],
  inside6: ["2001:db8:a::1", "2001:db8:a::2", "2001:db8:a:1::1"],
  outside6: ["2001:db8:b::1", "2001:db8:b::2", "2001:db8:c::1"],
} as const;

export const servicePorts = [22, 25, 53, 80, 443, 5000, 8080] as const;
/** Outside addresses of translations. */
export const pools = ["203.0.113.1", "203.0.113.2", "203.0.113.64/30"] as const;
export const pools6 = ["2001:db8:f::1", "2001:db8:f::2", "2001:db8:f::40/126"] as const;
const OUTSIDE_NET = "203.0.113.128/28";
const OUTSIDE_NET6 = "2001:db8:f::80/124";

const prefixes4 = ["10.0.0.0/8", "10.0.0.0/23", "10.0.1.1", "10.0.0.2/31", "10.9.0.0/24", "10.9.0.77", "0.0.0.0/0"];
const remotes4 = ["198.51.100.0/24", "198.51.100.2", "192.0.2.0/25", "192.0.2.128/25", "8.0.0.0/7", "128.0.0.0/1"];
const prefixes6 = ["2001:db8:a::/48", "2001:db8:a::2", "2001:db8:b::/48", "2001:db8:b::1", "2001:db8::/32", "::/0"];
const protocols = [["tcp"], ["udp"], ["tcp", "udp"], ["icmp", "icmpv6"], ["50"], ["udp", "icmp"]];
const flagTexts = ["syn !ack", "syn", "!syn", "ack !psh", "fin", "rst", "psh ack", "urg"];
const types4 = ["echo-request", "8/0", "13", "unreachable", "3/3", "11", "echo-reply"];
const types6 = ["echo-request", "128/0", "unreachable", "1/4", "too-big", "echo-reply"];

export function generatePolicy(seed: number): Policy {
  const dice = seedDice(seed);
  const zones = dice(2) === 0 ? zonesOfPorts : zonesOfPrefixes;
  const names = Object.keys(zones);
  return {
    seed,
    zones,
    addressSets: { blocked: some(dice, [...remotes4, ...prefixes6], 4), known: some(dice, prefixes4, 3) },
    portSets: { services: some(dice, portTexts(dice), 3) },
    rules: Array.from({ length: dice(14) }, () => rule(dice, names)),
    pairs: names.flatMap((from) => names.flatMap((to) => (dice(2) === 0 ? [] : [{ from, to, ...verdict(dice) }]))),
    default: pick(dice, ["accept", "accept", "drop", "reject"] as const),
    midstream: dice(4) === 0,
    translation: dice(4) === 0 ? null : translation(dice),
  };
}

const zonesOfPorts: Policy["zones"] = {
  inside: { ports: ["lan"], prefixes: ["10.0.0.0/8", "2001:db8:a::/48"] },
  outside: { ports: ["wan"], prefixes: ["0.0.0.0/0", "::/0"] },
};

const zonesOfPrefixes: Policy["zones"] = {
  inside: { prefixes: ["10.0.0.0/8", "2001:db8:a::/48"] },
  servers: { prefixes: ["10.9.0.0/16", "2001:db8:a:1::/64"] },
  outside: { ports: ["wan"], prefixes: ["0.0.0.0/0", "::/0"] },
};

function rule(dice: Dice, zones: readonly string[]): PolicyRule {
  const icmp = dice(7) === 0;
  const flags = !icmp && dice(8) === 0;
  const ports = !icmp && !flags && dice(2) === 0;
  return {
    ...verdict(dice),
    ...(dice(4) === 0 && { from: some(dice, zones, 1) }),
    ...(dice(4) === 0 && { to: some(dice, zones, 2) }),
    ...(dice(3) === 0 && { sources: some(dice, [...prefixes4, ...remotes4, ...prefixes6, "set:known"], 3) }),
    ...(dice(3) === 0 && { destinations: some(dice, [...prefixes4, ...remotes4, ...prefixes6, "set:blocked"], 3) }),
    ...(dice(8) === 0 && !icmp && { sourcePorts: some(dice, sourceRanges, 2) }),
    ...(ports && { destinationPorts: some(dice, [...portTexts(dice), "set:services"], 2) }),
    ...(!icmp && !flags && dice(3) > 0 && { ipProtos: pick(dice, protocols) }),
    ...(icmp && { icmpTypes: some(dice, types4, 2) }),
    ...(icmp && dice(3) > 0 && { icmpv6Types: some(dice, types6, 2) }),
    ...(flags && { tcpFlags: some(dice, flagTexts, 2) }),
    ...(dice(7) === 0 && { states: some(dice, ["new", "related", "invalid"] as const, 2) }),
  };
}

const sourceRanges = ["1024-8999", "2000-5000", "4000-20000", "30000-65535"];

function portTexts(dice: Dice): (string | number)[] {
  return [...servicePorts, `${dice(100)}-${100 + dice(9000)}`, "1-1023"];
}

function verdict(dice: Dice): { action: Action; rejectWith?: Rejection } {
  const action = pick(dice, ["accept", "accept", "drop", "reject"] as const);
  if (action !== "reject") return { action };
  return { action, rejectWith: pick(dice, ["reset", "port-unreachable", "host-unreachable", "prohibited"] as const) };
}

function translation(dice: Dice): Translation {
  const target = () => pick(dice, [...hosts.inside, ...hosts.servers]);
  const all: Forward[] = [
    { address: "203.0.113.1", ipProto: "tcp", ports: [8080, 8081], to: target(), toPort: 80 },
    { address: "203.0.113.1", ipProto: "udp", ports: [53, 53], to: target(), toPort: 5000 },
    { address: "203.0.113.2", ipProto: "tcp", ports: [443, 443], to: target(), toPort: 443 },
    { address: "2001:db8:f::1", ipProto: "tcp", ports: [8080, 8081], to: pick(dice, hosts.inside6), toPort: 80 },
    { address: "2001:db8:f::2", ipProto: "udp", ports: [53, 53], to: pick(dice, hosts.inside6), toPort: 5000 },
  ];
  const sources = [
    { from: ["10.0.0.0/23"], pool: some(dice, pools, 2) },
    { from: ["10.0.0.0/16"], pool: some(dice, pools, 3) },
    { from: ["2001:db8:a::/64"], pool: some(dice, pools6, 2) },
    { from: ["2001:db8:a::/48"], pool: some(dice, pools6, 3) },
  ];
  const oneToOne = [
    { inside: pick(dice, ["10.9.0.0/28", "10.0.2.0/28"]), outside: OUTSIDE_NET },
    { inside: pick(dice, ["2001:db8:a:1::/124", "2001:db8:a::/124"]), outside: OUTSIDE_NET6 },
  ];
  return {
    sources: sources.filter(() => dice(4) > 0),
    forwards: all.filter(() => dice(3) > 0),
    oneToOne: oneToOne.filter(() => dice(2) === 0),
  };
}

export function pick<Value>(dice: Dice, values: readonly Value[]): Value {
  return values[dice(values.length)] as Value;
}

/** From one to so many of them, none twice, in any order. */
function some<Value>(dice: Dice, values: readonly Value[], most: number): Value[] {
  const left = [...values];
  return Array.from(
    { length: Math.min(1 + dice(most), left.length) },
    () => left.splice(dice(left.length), 1)[0] as Value,
  );
}
