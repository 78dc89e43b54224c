// Matches and classes of traffic as a chain document writes them.

import ipaddr from "ipaddr.js";
import type { KernelClass, Match } from "../chain/plan.ts";
import { dscpNames, etherTypeNames, ipProtoNames, type Prefix } from "../chain/protocols.ts";

/** Only the lists that restrict anything. `labels` are the chain's, by bit. */
export function formatMatch(match: Match | null, labels: readonly string[]): Record<string, string[]> {
  if (match === null) return {};
  const texts = {
    sources: match.sources.map(formatPrefix),
    destinations: match.destinations.map(formatPrefix),
    sourcePorts: match.sourcePorts.map(formatRange),
    destinationPorts: match.destinationPorts.map(formatRange),
    ipProtos: match.ipProtos.map((proto) => nameOf(ipProtoNames, proto) ?? String(proto)),
    vlans: match.vlans.map(String),
    dscps: match.dscps.map((dscp) => nameOf(dscpNames, dscp) ?? String(dscp)),
    etherTypes: match.etherTypes.map(formatEtherType),
    labels: namesOf(match.labels, labels),
  };
  return Object.fromEntries(Object.entries(texts).filter(([, values]) => values.length > 0));
}

/** The names of the bits that are set. */
export function namesOf(mask: number, names: readonly string[]): string[] {
  return names.filter((_, bit) => ((mask >>> bit) & 1) === 1);
}

export function kernelClassName(kernelClass: KernelClass): string {
  if ("etherType" in kernelClass) return formatEtherType(kernelClass.etherType);
  const proto = nameOf(ipProtoNames, kernelClass.ipProto) ?? `ip:${kernelClass.ipProto}`;
  return kernelClass.destinationPort === undefined ? proto : `${proto}:${kernelClass.destinationPort}`;
}

export function formatPrefix({ address, prefixLength }: Prefix): string {
  return `${ipaddr.fromByteArray([...address]).toString()}/${prefixLength}`;
}

function formatRange([first, last]: readonly [number, number]): string {
  return first === last ? String(first) : `${first}-${last}`;
}

function formatEtherType(etherType: number): string {
  return nameOf(etherTypeNames, etherType) ?? `0x${etherType.toString(16).padStart(4, "0")}`;
}

function nameOf(names: ReadonlyMap<string, number>, value: number): string | undefined {
  return [...names].find(([, number]) => number === value)?.[0];
}
