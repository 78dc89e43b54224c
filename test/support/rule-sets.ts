// Rule sets for nfs/acl with the character of the ClassBench seeds (Taylor and Turner, 2007), sets that are hard for
// classifiers on purpose, and headers that hit them.

export interface Rule {
  readonly action: "permit" | "deny";
  readonly sources?: readonly string[];
  readonly destinations?: readonly string[];
  readonly sourcePorts?: readonly (string | number)[];
  readonly destinationPorts?: readonly (string | number)[];
  readonly ipProtos?: readonly (string | number)[];
  readonly vlans?: readonly number[];
  readonly dscps?: readonly (string | number)[];
  readonly etherTypes?: readonly (string | number)[];
  readonly laterFragments?: boolean;
}

/** What of a frame rules can ask for. Addresses are numbers of 32 or 128 bits, 0 where ipVersion is 0. */
export interface Header {
  readonly ipVersion: 0 | 4 | 6;
  readonly source: bigint;
  readonly destination: bigint;
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly ipProto: number;
  /** -1 for an untagged frame. */
  readonly vlan: number;
  readonly dscp: number;
  readonly etherType: number;
  readonly fragmentOffset: number;
}

/**
 * acl, fw, ipc: the ClassBench seeds. overlapping: wide ranges of ports for all addresses, every frame in thousands of
 * them. crossing: half the rules know the source only, half the destination. hosts: a list of hosts per rule, IPv6.
 * fields: conditions on every field, hardly any two alike.
 */
export type RuleSetKind = "acl" | "fw" | "ipc" | "overlapping" | "crossing" | "hosts" | "fields";
export const ruleSetKinds: readonly RuleSetKind[] = ["acl", "fw", "ipc", "overlapping", "crossing", "hosts", "fields"];

/** A generator of whole numbers below a limit: the same for the same seed everywhere. */
export type Dice = (limit: number) => number;

export function seedDice(seed: number): Dice {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

export function generateRules(kind: RuleSetKind, count: number, seed: number): Rule[] {
  const dice = seedDice(seed);
  const networks = Array.from({ length: Math.max(4, count >> 4) }, () => dice(2 ** 32));
  return Array.from({ length: count }, (_, index) => ({
    action: dice(3) === 0 ? ("deny" as const) : ("permit" as const),
    ...makers[kind](dice, networks, index, count),
  }));
}

type Maker = (dice: Dice, networks: readonly number[], index: number, count: number) => Omit<Rule, "action">;

const makers: Readonly<Record<RuleSetKind, Maker>> = {
  acl: (dice, networks) => ({
    ...(dice(5) > 0 && { sources: [network(dice, networks, [32, 32, 28, 24, 24, 16])] }),
    destinations: [network(dice, networks, [32, 32, 32, 32, 28, 24, 21])],
    ...service(dice, 2),
  }),
  fw: (dice, networks) => ({
    ...(dice(2) > 0 && { sources: [network(dice, networks, [32, 24, 16, 8])] }),
    ...(dice(3) > 0 && { destinations: [network(dice, networks, [32, 32, 27, 24])] }),
    ...(dice(5) === 0 && { sourcePorts: [portRange(dice)] }),
    ...service(dice, 4),
  }),
  ipc: (dice, networks) => ({
    ...(dice(8) > 0 && { sources: [network(dice, networks, [32, 32, 30, 24, 20, 16, 12])] }),
    ...(dice(8) > 0 && { destinations: [network(dice, networks, [32, 30, 26, 24, 16, 8])] }),
    ...(dice(10) === 0 && { sourcePorts: [portRange(dice)] }),
    ...service(dice, 3),
  }),
  overlapping: (_dice, _networks, index, count) => ({
    sourcePorts: [`${index}-${65535 - ((index * 7) % count)}`],
    destinationPorts: [`${(index * 13) % 30000}-${65535 - index}`],
  }),
  crossing: (dice, _networks, index) => ({
    [index % 2 === 0 ? "sources" : "destinations"]: [`${dotted(dice(2 ** 32))}/32`],
  }),
  hosts: (dice) => ({
    sources: Array.from({ length: 1 + dice(4) }, () => host6(dice)),
    ...(dice(2) > 0 && { destinations: [`2001:db8:${dice(64).toString(16)}::/${48 + dice(2) * 16}`] }),
    ...service(dice, 2),
  }),
  fields: (dice, networks) => ({
    sources: [network(dice, networks, [8, 12, 16, 20, 24, 28, 32])],
    destinations: [network(dice, networks, [1, 2, 4, 8, 16, 32])],
    sourcePorts: [portRange(dice)],
    destinationPorts: [portRange(dice)],
    ipProtos: [6, 17, 132, dice(256)],
    vlans: Array.from({ length: 8 }, () => dice(4095)),
    dscps: Array.from({ length: 8 }, () => dice(64)),
    etherTypes: [0x0800, 0x600 + dice(60000)],
    laterFragments: false,
  }),
};

function network(dice: Dice, networks: readonly number[], lengths: readonly number[]): string {
  const length = lengths[dice(lengths.length)] as number;
  const near = (networks[dice(networks.length)] as number) ^ dice(2 ** (dice(3) * 8));
  const mask = length === 0 ? 0 : (0xffffffff << (32 - length)) >>> 0;
  return `${dotted((near & mask) >>> 0)}/${length}`;
}

function dotted(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join(".");
}

function host6(dice: Dice): string {
  return `2001:db8:${dice(64).toString(16)}:${dice(3)}::${(1 + dice(65535)).toString(16)}`;
}

const wellKnownPorts = [20, 21, 22, 23, 25, 53, 80, 110, 123, 143, 161, 389, 443, 445, 514, 587, 993, 1433, 1521];

/** `breadth`: how many kinds of conditions on the service, from exact ports only to anything. */
function service(dice: Dice, breadth: number): Omit<Rule, "action"> {
  const ipProtos = [["tcp", "tcp", "udp", "tcp", "udp", "icmp"][dice(6)] as string];
  if (ipProtos[0] === "icmp") return { ipProtos };
  const choice = dice(breadth + 1);
  if (choice === 0) return { ipProtos, destinationPorts: [portRange(dice)] };
  if (choice === 1) return { ipProtos, destinationPorts: [1024 + dice(64511)] };
  if (choice === 3) return { ipProtos };
  if (choice === 4) return {};
  return { ipProtos, destinationPorts: [wellKnownPorts[dice(wellKnownPorts.length)] as number] };
}

function portRange(dice: Dice): string {
  if (dice(2) === 0) return "1024-65535";
  const first = dice(65000);
  return `${first}-${first + dice(65535 - first)}`;
}

/** Most headers are taken from a rule, so that they hit it or one before it; the others are arbitrary. */
export function generateHeaders(rules: readonly Rule[], count: number, seed: number): Header[] {
  const dice = seedDice(seed);
  return Array.from({ length: count }, () =>
    dice(8) === 0 || rules.length === 0 ? anyHeader(dice) : headerFor(rules[dice(rules.length)] as Rule, dice),
  );
}

function anyHeader(dice: Dice): Header {
  return headerFor({ action: "deny", ...(dice(2) === 0 && { sources: ["::/0"] }) }, dice);
}

function headerFor(rule: Rule, dice: Dice): Header {
  const source = pick(rule.sources, dice);
  const destination = pick(rule.destinations, dice);
  const ipVersion = (source ?? destination ?? "").includes(":") ? 6 : 4;
  const proto = pick(rule.ipProtos, dice) ?? (dice(2) === 0 ? "tcp" : "udp");
  return {
    ipVersion,
    source: addressIn(source, ipVersion, dice),
    destination: addressIn(destination, ipVersion, dice),
    sourcePort: portIn(pick(rule.sourcePorts, dice), dice),
    destinationPort: portIn(pick(rule.destinationPorts, dice), dice),
    ipProto: protoNumbers[proto] ?? Number(proto),
    vlan: pick(rule.vlans, dice) ?? -1,
    dscp: Number(pick(rule.dscps, dice) ?? dice(64)),
    etherType: ipVersion === 4 ? 0x0800 : 0x86dd,
    fragmentOffset: rule.laterFragments === true ? 1480 : 0,
  };
}

const protoNumbers: Readonly<Record<string, number>> = { icmp: 1, tcp: 6, udp: 17, icmpv6: 58, sctp: 132 };

function pick<Value>(list: readonly Value[] | undefined, dice: Dice): Value | undefined {
  return list?.[dice(list.length)];
}

function portIn(range: string | number | undefined, dice: Dice): number {
  const [first = 0, last = first] = range === undefined ? [0, 65535] : String(range).split("-").map(Number);
  return first + dice(last - first + 1);
}

/** An address of the prefix; any address where there is none. */
function addressIn(prefix: string | undefined, ipVersion: 4 | 6, dice: Dice): bigint {
  const bits = ipVersion === 4 ? 32 : 128;
  let address = 0n;
  for (let i = 0; i < bits; i += 16) address = (address << 16n) | BigInt(dice(65536));
  if (prefix === undefined) return address;
  const { first, last } = parsePrefixRange(prefix);
  return first + (address & (last - first));
}

/** The first and the last address of a prefix. */
export function parsePrefixRange(prefix: string): {
  readonly bits: 32 | 128;
  readonly first: bigint;
  readonly last: bigint;
} {
  const [text = "", length] = prefix.split("/");
  const bits = text.includes(":") ? 128 : 32;
  const host = (1n << BigInt(bits - Number(length ?? bits))) - 1n;
  const first = (bits === 32 ? parseDotted(text) : parseColons(text)) & ~host;
  return { bits, first, last: first | host };
}

function parseDotted(text: string): bigint {
  return text.split(".").reduce((value, part) => (value << 8n) | BigInt(part), 0n);
}

function parseColons(text: string): bigint {
  const [head = "", tail] = text.split("::").map((half) => half.split(":").filter((group) => group !== ""));
  const zeros = tail === undefined ? [] : Array<string>(8 - head.length - tail.length).fill("0");
  return [...head, ...zeros, ...(tail ?? [])].reduce((value, group) => (value << 16n) | BigInt(`0x${group}`), 0n);
}
