// What nfs/acl should say, by the plainest reading of its README: try one rule after the other.
import { parseDscp, parseEtherType, parseIpProto, parsePortRange } from "../../runtime/chain/protocols.ts";
import { type Header, parsePrefixRange, type Rule } from "./rule-sets.ts";

/** Index of the first rule that matches, or -1. */
export function findRule(rules: readonly Rule[], header: Header): number {
  return rules.findIndex((rule) => matches(rule, header));
}

function matches(rule: Rule, header: Header): boolean {
  const isIp = header.ipVersion !== 0;
  const hasPorts = isIp && header.fragmentOffset === 0 && [6, 17, 132].includes(header.ipProto);
  return (
    some(rule.sources, (prefix) => covers(prefix, header.ipVersion, header.source)) &&
    some(rule.destinations, (prefix) => covers(prefix, header.ipVersion, header.destination)) &&
    some(rule.sourcePorts, (range) => hasPorts && within(range, header.sourcePort)) &&
    some(rule.destinationPorts, (range) => hasPorts && within(range, header.destinationPort)) &&
    some(rule.ipProtos, (name) => isIp && parseIpProto(name) === header.ipProto) &&
    some(rule.vlans, (vlan) => vlan === header.vlan) &&
    some(rule.dscps, (name) => isIp && parseDscp(name) === header.dscp) &&
    some(rule.etherTypes, (name) => parseEtherType(name) === header.etherType) &&
    (rule.laterFragments === undefined || rule.laterFragments === header.fragmentOffset > 0)
  );
}

function some<Value>(list: readonly Value[] | undefined, holds: (value: Value) => boolean): boolean {
  return list === undefined || list.some(holds);
}

const ranges = new Map<string, ReturnType<typeof parsePrefixRange>>();

function covers(prefix: string, ipVersion: number, address: bigint): boolean {
  const range = ranges.get(prefix) ?? parsePrefixRange(prefix);
  ranges.set(prefix, range);
  return (range.bits === 32 ? 4 : 6) === ipVersion && range.first <= address && address <= range.last;
}

function within(range: string | number, port: number): boolean {
  const [first, last] = parsePortRange(range) as readonly [number, number];
  return first <= port && port <= last;
}
