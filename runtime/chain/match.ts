// What a path takes: from the document's words to numbers, and which path takes more.

import { maskOf } from "./events.ts";
import type { Match } from "./plan.ts";
import {
  maskAddress,
  type Prefix,
  parseDscp,
  parseEtherType,
  parseIpProto,
  parsePortRange,
  parsePrefix,
} from "./protocols.ts";
import type { MatchDeclaration } from "./schema.ts";

/** Of a declaration whose shape is sound. Null if it takes everything. `labels` are the chain's, by bit. */
export function planMatch(declaration: MatchDeclaration = {}, labels: readonly string[] = []): Match | null {
  const match: Match = {
    sources: parseEach(declaration.sources, parsePrefix),
    destinations: parseEach(declaration.destinations, parsePrefix),
    sourcePorts: parseEach(declaration.sourcePorts, parsePortRange),
    destinationPorts: parseEach(declaration.destinationPorts, parsePortRange),
    ipProtos: parseEach(declaration.ipProtos, parseIpProto),
    vlans: declaration.vlans ?? [],
    dscps: parseEach(declaration.dscps, parseDscp),
    etherTypes: parseEach(declaration.etherTypes, parseEtherType),
    labels: maskOf(declaration.labels ?? [], labels),
  };
  return Object.values(match).every((part) => part === 0 || part.length === 0) ? null : match;
}

function parseEach<Word, Value>(words: readonly Word[] = [], parse: (word: Word) => Value | undefined): Value[] {
  return words.map((word) => parse(word)).filter((value) => value !== undefined);
}

/** Every frame that `inner` takes is one that `outer` takes. False also where nobody can tell from the lists alone. */
export function coversMatch(outer: Match | null, inner: Match | null): boolean {
  if (outer === null) return true;
  if (inner === null) return false;
  const isEqual = (a: number, b: number) => a === b;
  return (
    coversList(outer.sources, inner.sources, coversPrefix) &&
    coversList(outer.destinations, inner.destinations, coversPrefix) &&
    coversList(outer.sourcePorts, inner.sourcePorts, coversRange) &&
    coversList(outer.destinationPorts, inner.destinationPorts, coversRange) &&
    coversList(outer.ipProtos, inner.ipProtos, isEqual) &&
    coversList(outer.vlans, inner.vlans, isEqual) &&
    coversList(outer.dscps, inner.dscps, isEqual) &&
    coversList(outer.etherTypes, inner.etherTypes, isEqual) &&
    (outer.labels & ~inner.labels) === 0
  );
}

function coversList<Value>(
  outer: readonly Value[],
  inner: readonly Value[],
  covers: (outer: Value, inner: Value) => boolean,
): boolean {
  if (outer.length === 0) return true;
  return inner.length > 0 && inner.every((value) => outer.some((wider) => covers(wider, value)));
}

function coversRange(outer: readonly [number, number], inner: readonly [number, number]): boolean {
  return outer[0] <= inner[0] && inner[1] <= outer[1];
}

function coversPrefix(outer: Prefix, inner: Prefix): boolean {
  if (outer.address.length !== inner.address.length || outer.prefixLength > inner.prefixLength) return false;
  const masked = maskAddress(inner.address, outer.prefixLength);
  return outer.address.every((byte, index) => byte === masked[index]);
}
