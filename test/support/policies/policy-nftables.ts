// A policy as an nftables ruleset for a router between lan0 and wan0: conntrack decides what belongs together.
import { parsePrefixRange } from "../rule-sets.ts";
import type { Action, Policy, PolicyRule, Rejection, Translation } from "./policy.ts";

/** Datagrams to this port pass whatever the policy says. */
export const MARKER_PORT = 9;

type Family = 4 | 6;
const families: readonly Family[] = [4, 6];
const FLAGS = ["fin", "syn", "rst", "psh", "ack", "urg", "ecn", "cwr"];

export function nftablesRuleset(policy: Policy): string {
  const zones = new Map(Object.keys(policy.zones).map((name, index) => [name, index + 1]));
  const lines = [
    "flush ruleset",
    "table inet filter {",
    ...chain("raw", "type filter hook prerouting priority raw; policy accept;", [`udp dport ${MARKER_PORT} notrack`]),
    ...(policy.translation === null ? [] : translationChains(policy.translation)),
    ...rejectionChains(),
    ...chain("judge", "", judgement(policy, zones, "new")),
    ...chain("errors", "", judgement(policy, zones, "related")),
    ...chain("strays", "", judgement(policy, zones, "invalid")),
    ...chain("through", "type filter hook forward priority filter; policy drop;", [
      `udp dport ${MARKER_PORT} accept`,
      ...zoneMarks(policy, zones),
      ...spoofed(policy, zones),
      ...(policy.translation === null ? [] : unclaimed(policy.translation)),
      ...badFlags,
      "ct state established accept",
      "ct state related goto errors",
      "ct state new goto judge",
      "ct state invalid goto strays",
    ]),
    "}",
  ];
  return `${lines.join("\n")}\n`;
}

function chain(name: string, header: string, rules: readonly string[]): string[] {
  return [`  chain ${name} {`, ...[header, ...rules].filter((line) => line !== "").map((line) => `    ${line}`), "  }"];
}

/** The mark: zone of the source | zone of the destination << 8; longer prefixes come later. */
function zoneMarks(policy: Policy, zones: ReadonlyMap<string, number>): string[] {
  const prefixes = Object.entries(policy.zones)
    .flatMap(([name, zone]) => zone.prefixes.map((prefix) => ({ prefix, number: zones.get(name) as number })))
    .toSorted((a, b) => lengthOf(a.prefix) - lengthOf(b.prefix));
  return prefixes.flatMap(({ prefix, number }) => [
    `${ip(prefix)} saddr ${prefix} meta mark set meta mark & 0xffffff00 | ${number}`,
    `${ip(prefix)} daddr ${prefix} meta mark set meta mark & 0xffff00ff | ${number << 8}`,
  ]);
}

function lengthOf(prefix: string): number {
  return Number(prefix.split("/")[1]);
}

/** A source of another zone than that of the port where the packet came in. */
function spoofed(policy: Policy, zones: ReadonlyMap<string, number>): string[] {
  return Object.entries(policy.zones).flatMap(([name, { ports = [] }]) =>
    ports.map((port) => `iifname "${port}0" meta mark & 0xff != ${zones.get(name)} drop`),
  );
}

/** What was called by an outside address and has still got it, nobody has. */
function unclaimed({ sources, forwards }: Translation): string[] {
  const all = [...sources.flatMap(({ pool }) => pool), ...forwards.map(({ address }) => address)];
  return (["ip", "ip6"] as const).flatMap((family) => {
    const claimed = all.filter((prefix) => ip(prefix) === family);
    return claimed.length === 0 ? [] : [`iifname "wan0" ${family} daddr ${braces(withoutCovered(claimed))} drop`];
  });
}

/** What the firewall's check of TCP flags is for. */
const badFlags = [
  "tcp flags & (fin | syn) == fin | syn drop",
  "tcp flags & (fin | rst) == fin | rst drop",
  "tcp flags & (syn | rst) == syn | rst drop",
  "tcp flags & (syn | rst | ack) == 0 drop",
];

type State = "new" | "related" | "invalid";

function judgement(policy: Policy, zones: ReadonlyMap<string, number>, state: State): string[] {
  const rules = policy.rules.filter((rule) => (rule.states ?? ["new"]).includes(state));
  const matching = rules.flatMap((rule) =>
    alternatives(rule, policy, zones).map((conditions) => `${conditions} ${verdictOf(rule)}`.trim()),
  );
  if (state === "related") return [...matching, "accept"];
  if (state === "invalid") return [...matching, "drop"];
  const pairs = policy.pairs.map((pair) => {
    const mark = (zones.get(pair.from) as number) | ((zones.get(pair.to) as number) << 8);
    return `meta mark & 0xffff == ${mark} ${verdictOf(pair)}`;
  });
  return [...matching, ...pairs, verdictOf({ action: policy.default })];
}

/** A rule's conditions, once for each family and each way in which TCP flags may be. */
function alternatives(rule: PolicyRule, policy: Policy, zones: ReadonlyMap<string, number>): string[] {
  const hasPorts = rule.sourcePorts !== undefined || rule.destinationPorts !== undefined;
  const withPorts = `meta l4proto ${rule.tcpFlags === undefined ? "{ tcp, udp }" : "tcp"}`;
  const common = [
    hasPorts ? withPorts : "",
    zoneCondition(rule.from, zones, "0xff", 0),
    zoneCondition(rule.to, zones, "0xff00", 8),
    portCondition("sport", rule.sourcePorts, policy),
    portCondition("dport", rule.destinationPorts, policy),
    rule.ipProtos === undefined ? "" : `meta l4proto ${braces(rule.ipProtos.map((name) => name))}`,
  ];
  return families.flatMap((family) => {
    const ofFamily = [
      addressCondition("saddr", rule.sources, policy, family),
      addressCondition("daddr", rule.destinations, policy, family),
    ];
    if (ofFamily.includes(null)) return [];
    return icmpAlternatives(rule, family).flatMap((icmp) =>
      flagAlternatives(rule).map((flags) => {
        const proto = `meta nfproto ipv${family}`;
        return [proto, ...ofFamily, ...common, icmp, flags].filter((text) => text !== "").join(" ");
      }),
    );
  });
}

function zoneCondition(
  names: readonly string[] | undefined,
  zones: ReadonlyMap<string, number>,
  mask: string,
  shift: number,
): string {
  if (names === undefined) return "";
  return `meta mark & ${mask} == ${braces(names.map((name) => (zones.get(name) as number) << shift))}`;
}

function portCondition(field: string, ports: PolicyRule["sourcePorts"], { portSets }: Policy): string {
  if (ports === undefined) return "";
  const all = ports.flatMap((port) =>
    String(port).startsWith("set:") ? (portSets[String(port).slice(4)] ?? []) : [port],
  );
  return `th ${field} ${braces(mergeRanges(all))}`;
}

/** Null if the rule is about the other family only. */
function addressCondition(
  field: string,
  prefixes: readonly string[] | undefined,
  { addressSets }: Policy,
  family: Family,
): string | null {
  if (prefixes === undefined) return "";
  const all = prefixes
    .flatMap((prefix) => (prefix.startsWith("set:") ? (addressSets[prefix.slice(4)] ?? []) : [prefix]))
    .filter((prefix) => prefix.includes(":") === (family === 6));
  if (all.length === 0) return null;
  if (all.some((prefix) => prefix.endsWith("/0"))) return "";
  return `${family === 6 ? "ip6" : "ip"} ${field} ${braces(withoutCovered(all))}`;
}

/** Elements of an anonymous set must not overlap. */
function withoutCovered(prefixes: readonly string[]): string[] {
  const ranges = [...new Set(prefixes)].map((prefix) => ({ prefix, ...parsePrefixRange(prefix) }));
  return ranges
    .filter(
      (range) => !ranges.some((other) => other !== range && other.first <= range.first && range.last <= other.last),
    )
    .map(({ prefix }) => prefix);
}

function mergeRanges(ports: readonly (string | number)[]): string[] {
  const ranges = ports
    .map((port) => String(port).split("-").map(Number))
    .map(([first = 0, last = first]) => [first, last] as [number, number])
    .toSorted((a, b) => a[0] - b[0]);
  const merged: [number, number][] = [];
  for (const [first, last] of ranges) {
    const before = merged.at(-1);
    if (before !== undefined && first <= before[1] + 1) before[1] = Math.max(before[1], last);
    else merged.push([first, last]);
  }
  return merged.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`));
}

const typeNumbers4: Readonly<Record<string, string>> = { "echo-request": "8", "echo-reply": "0", unreachable: "3" };
const typeNumbers6: Readonly<Record<string, string>> = {
  "echo-request": "128",
  "echo-reply": "129",
  unreachable: "1",
  "too-big": "2",
};

function icmpAlternatives(rule: PolicyRule, family: Family): string[] {
  if (rule.icmpTypes === undefined && rule.icmpv6Types === undefined) return [""];
  const types = (family === 6 ? rule.icmpv6Types : rule.icmpTypes) ?? [];
  const word = family === 6 ? "icmpv6" : "icmp";
  const numbers = family === 6 ? typeNumbers6 : typeNumbers4;
  return types.map((text) => {
    const [name = "", code] = text.split("/");
    const type = `${word} type ${numbers[name] ?? name}`;
    return code === undefined ? type : `${type} ${word} code ${code}`;
  });
}

function flagAlternatives({ tcpFlags }: PolicyRule): string[] {
  return (tcpFlags ?? [""]).map((text) => {
    if (text === "") return "";
    const words = text.split(" ");
    const set = words.filter((word) => !word.startsWith("!"));
    const mask = words.map((word) => word.replace("!", ""));
    return `tcp flags & ${flagMask(mask)} == ${flagMask(set)}`;
  });
}

function flagMask(words: readonly string[]): string {
  return `0x${words.reduce((mask, word) => mask | (1 << FLAGS.indexOf(word)), 0).toString(16)}`;
}

function verdictOf({ action, rejectWith = "reset" }: { action: Action; rejectWith?: Rejection }): string {
  return action === "reject" ? `goto reject-${rejectWith}` : action;
}

function rejectionChains(): string[] {
  const codes = {
    "port-unreachable": "port-unreachable",
    "host-unreachable": "host-unreachable",
    prohibited: "admin-prohibited",
  };
  return [
    ...chain("reject-reset", "", ["meta l4proto tcp reject with tcp reset", "reject with icmpx port-unreachable"]),
    ...Object.entries(codes).flatMap(([name, code]) => chain(`reject-${name}`, "", [`reject with icmpx ${code}`])),
  ];
}

function translationChains({ sources, forwards, oneToOne }: Translation): string[] {
  const inward = forwards.flatMap(({ address, ipProto, ports: [first, last], to, toPort }) =>
    Array.from({ length: last - first + 1 }, (_, index) => {
      const target = `dnat ${ip(to)} to ${ip(to) === "ip6" ? `[${to}]` : to}:${toPort + index}`;
      return `iifname "wan0" ${ip(address)} daddr ${address} ${ipProto} dport ${first + index} ${target}`;
    }),
  );
  const oneToOneIn = oneToOne.map(
    ({ inside, outside }) =>
      `iifname "wan0" dnat ${ip(inside)} prefix to ${ip(inside)} daddr map { ${outside} : ${inside} }`,
  );
  const oneToOneOut = oneToOne.map(
    ({ inside, outside }) =>
      `oifname "wan0" snat ${ip(inside)} prefix to ${ip(inside)} saddr map { ${inside} : ${outside} }`,
  );
  const outward = sources.flatMap(({ from, pool }) => outwardRules(from, pool));
  return [
    ...chain("inward", "type nat hook prerouting priority dstnat; policy accept;", [...inward, ...oneToOneIn]),
    ...chain("outward", "type nat hook postrouting priority srcnat; policy accept;", [...oneToOneOut, ...outward]),
  ];
}

/** The kernel has one range per rule: addresses of a pool are used by the sender's last bits. */
function outwardRules(from: readonly string[], pool: readonly string[]): string[] {
  const ranges = pool.map((prefix) => {
    const { first, last } = parsePrefixRange(prefix);
    const print = ip(prefix) === "ip6" ? grouped : dotted;
    return first === last ? prefix : `${print(first)}-${print(last)}`;
  });
  return ranges.map((range, index) => {
    const family = ip(range);
    const share = ranges.length === 1 ? "" : ` jhash ${family} saddr mod ${ranges.length} seed 0x1 == ${index}`;
    return `oifname "wan0" ${family} saddr ${braces(from)}${share} snat ${family} to ${range} persistent`;
  });
}

function dotted(address: bigint): string {
  return [24n, 16n, 8n, 0n].map((shift) => (address >> shift) & 255n).join(".");
}

function grouped(address: bigint): string {
  const shifts = Array.from({ length: 8 }, (_, index) => BigInt(112 - 16 * index));
  return shifts.map((shift) => ((address >> shift) & 0xffffn).toString(16)).join(":");
}

function ip(prefix: string): "ip" | "ip6" {
  return prefix.includes(":") ? "ip6" : "ip";
}

function braces(values: readonly (string | number)[]): string {
  return values.length === 1 ? String(values[0]) : `{ ${values.join(", ")} }`;
}
