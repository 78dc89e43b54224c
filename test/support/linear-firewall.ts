// What nfs/firewall should say, by the plainest reading of its README: one rule after the other, for a flow's first packet.
import { parseIpProto, parsePortRange } from "../../runtime/chain/protocols.ts";
import { parsePrefixRange } from "./rule-sets.ts";

export interface FirewallRule {
  readonly action: "accept" | "drop";
  readonly from?: readonly string[];
  readonly to?: readonly string[];
  readonly sources?: readonly string[];
  readonly destinations?: readonly string[];
  readonly destinationPorts?: readonly (string | number)[];
  readonly ipProtos?: readonly string[];
  readonly tcpFlags?: readonly string[];
  readonly icmpTypes?: readonly (string | number)[];
  readonly icmpv6Types?: readonly (string | number)[];
  readonly flowLabels?: readonly (string | number)[];
  readonly states?: readonly string[];
}

export interface ModelConfig {
  readonly zones: Readonly<Record<string, { readonly prefixes: readonly string[] }>>;
  readonly sets: Readonly<
    Record<string, { readonly addresses?: readonly string[]; readonly ports?: readonly (string | number)[] }>
  >;
  readonly rules: readonly FirewallRule[];
  readonly pairs: readonly { readonly from: string; readonly to: string; readonly action: "accept" | "drop" }[];
}

/** A packet, and the line that says the same. */
export interface ModelPacket {
  readonly ipProto: "udp" | "tcp" | "icmp";
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
  readonly flowLabel: number;
}

export const isVersion6 = ({ source }: ModelPacket) => source.includes(":");

/** TCP packets are SYNs, ICMP packets echo requests whose identifier is the source port. */
export function lineOf(packet: ModelPacket): string {
  const { ipProto, source, sourcePort, destination, destinationPort, flowLabel } = packet;
  const label = isVersion6(packet) && flowLabel > 0 ? ` flow-label ${flowLabel}` : "";
  if (ipProto === "icmp") {
    return `icmp${isVersion6(packet) ? "6" : ""} ${source} > ${destination} echo id ${sourcePort} seq 1${label}`;
  }
  const end = (address: string, port: number) => (isVersion6(packet) ? `[${address}]:${port}` : `${address}:${port}`);
  const flags = ipProto === "tcp" ? " syn" : "";
  return `${ipProto} ${end(source, sourcePort)} > ${end(destination, destinationPort)}${flags}${label}`;
}

export class LinearFirewall {
  readonly #config: ModelConfig;
  /** What was said of the first packet, by flow. */
  readonly #flows = new Map<string, string>();

  constructor(config: ModelConfig) {
    this.#config = config;
  }

  judge(packet: ModelPacket): string {
    const key = keyOf(packet);
    const known = this.#flows.get(key);
    if (known !== undefined) return known;
    const said = this.#classify(packet);
    this.#flows.set(key, said);
    return said;
  }

  #classify(packet: ModelPacket): string {
    const { rules, pairs } = this.#config;
    const from = this.#zoneOf(packet.source);
    const to = this.#zoneOf(packet.destination);
    const index = rules.findIndex((rule) => this.#matches(rule, packet, from, to));
    if (index >= 0) return rules[index]?.action === "accept" ? "accept" : `drop rule:${index + 1}`;
    const pair = pairs.findIndex((each) => each.from === from && each.to === to);
    if (pair >= 0) return pairs[pair]?.action === "accept" ? "accept" : `drop pair:${pair + 1}`;
    return "drop default";
  }

  #zoneOf(address: string): string | undefined {
    const { bits, first: value } = parsePrefixRange(`${address}/${address.includes(":") ? 128 : 32}`);
    const found = Object.entries(this.#config.zones)
      .flatMap(([name, { prefixes }]) => prefixes.map((prefix) => ({ name, ...parsePrefixRange(prefix) })))
      .filter((range) => range.bits === bits && range.first <= value && value <= range.last)
      .toSorted((a, b) => (a.last - a.first < b.last - b.first ? -1 : 1));
    return found[0]?.name;
  }

  #matches(rule: FirewallRule, packet: ModelPacket, from?: string, to?: string): boolean {
    const version6 = isVersion6(packet);
    const proto = packet.ipProto === "icmp" && version6 ? "icmpv6" : packet.ipProto;
    const isEcho = proto.startsWith("icmp");
    const hasIcmp = rule.icmpTypes !== undefined || rule.icmpv6Types !== undefined;
    const types = version6 ? rule.icmpv6Types : rule.icmpTypes;
    return (
      some(rule.from, (zone) => zone === from) &&
      some(rule.to, (zone) => zone === to) &&
      some(rule.sources, (entry) => this.#covers(entry, packet.source)) &&
      some(rule.destinations, (entry) => this.#covers(entry, packet.destination)) &&
      some(rule.destinationPorts, (entry) => !isEcho && this.#within(entry, packet.destinationPort)) &&
      some(rule.ipProtos, (name) => parseIpProto(name) === parseIpProto(proto)) &&
      some(
        rule.tcpFlags,
        (flags) =>
          proto === "tcp" &&
          flags.split(" ").every((flag) => flag === "syn" || (flag.startsWith("!") && flag !== "!syn")),
      ) &&
      (!hasIcmp ||
        (isEcho && (types ?? []).some((type) => type === "echo-request" || type === (version6 ? 128 : 8)))) &&
      some(rule.flowLabels, (entry) => version6 && inRange(entry, packet.flowLabel)) &&
      (rule.states ?? ["new"]).includes("new")
    );
  }

  #covers(entry: string, address: string): boolean {
    if (entry.startsWith("set:"))
      return (this.#config.sets[entry.slice(4)]?.addresses ?? []).some((each) => this.#covers(each, address));
    const range = parsePrefixRange(entry);
    const { bits, first } = parsePrefixRange(`${address}/${address.includes(":") ? 128 : 32}`);
    return range.bits === bits && range.first <= first && first <= range.last;
  }

  #within(entry: string | number, port: number): boolean {
    if (String(entry).startsWith("set:"))
      return (this.#config.sets[String(entry).slice(4)]?.ports ?? []).some((each) => this.#within(each, port));
    const [first, last] = parsePortRange(entry) as readonly [number, number];
    return first <= port && port <= last;
  }
}

function some<Value>(list: readonly Value[] | undefined, holds: (value: Value) => boolean): boolean {
  return list === undefined || list.some(holds);
}

function inRange(entry: string | number, value: number): boolean {
  const [first = 0, last = first] = String(entry).split("-").map(Number);
  return first <= value && value <= last;
}

/** The same for both directions. */
function keyOf({ ipProto, source, sourcePort, destination, destinationPort }: ModelPacket): string {
  if (ipProto === "icmp") return [ipProto, sourcePort, ...[source, destination].toSorted()].join(" ");
  return [ipProto, ...[`${source} ${sourcePort}`, `${destination} ${destinationPort}`].toSorted()].join(" ");
}
