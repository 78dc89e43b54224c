// Outside endpoints that are given for what a payload names, not for a packet that leaves.
import { IP_PROTO_UDP } from "../sdk";
import { isIpv6 } from "./addresses";
import { isOwnWord } from "./lane-share";
import { findMapping, LEAST_REFERENCE, mappingOfInside, placeMapping } from "./mappings";
import { ANY, findPlace, findPort, isTaken, portSetOf, sameParity } from "./ports";
import { reservedSetOf, SourceRule, findSourceRule } from "./rules";
import { findRuleOfPool } from "./rules64";
import { dropUnused } from "./sessions";
import { mappingAt, random } from "./store";

/** Of rules that give none. */
const LOW_PORT: u32 = 1024;
const HIGH_PORT: u32 = 65535;
/** A pair of ports is looked for so often. */
const PAIR_TRIES: u32 = 64;

/** Whether no mapping and no forward has that outside endpoint, and what is sent there comes to this lane. */
export function isFree(address: u32, port: u32, ipProto: u32): bool {
  if (!isOwnWord(port >> 6)) return false;
  const place: i32 = findPlace(address);
  if (place < 0 || isTaken(portSetOf(place, ipProto), port)) return false;
  const reserved = reservedSetOf(address, ipProto);
  return reserved == 0 || !isTaken(reserved, port);
}

/** A free port of the outside address, of those that the rule has, in the parity of `like`; -1 if there is none. */
export function freePort(address: u32, ipProto: u32, rule: SourceRule | null, like: u32, pairs: bool): i32 {
  const place: i32 = findPlace(address);
  if (place < 0) return -1;
  const low = rule === null ? LOW_PORT : rule.lowPort;
  const high = rule === null ? HIGH_PORT : rule.highPort;
  const set = portSetOf(place, ipProto);
  const wanted = pairs || rule === null || rule.parity ? sameParity(like) : ANY;
  const reserved = reservedSetOf(address, ipProto);
  const tries = pairs ? PAIR_TRIES : 1;
  for (let i: u32 = 0; i < tries; i++) {
    const start = low + random(high - low + 1);
    const port: i32 = findPort(set, reserved, low, high, start, wanted);
    if (port < 0) return -1;
    if (!pairs || (<u32>port < HIGH_PORT && isFree(address, <u32>port + 1, ipProto))) return port;
  }
  return -1;
}

/**
 * Reference of the mapping by which an inside endpoint is called at that outside address, made if there is none; 0 if
 * there is no port or no room. Whoever asks keeps it: without a session or an expectation it is to be dropped.
 */
export function holdEndpoint(address: u32, port: u32, ipProto: u32, outside: u32): u32 {
  const known = mappingOfInside(address, port, ipProto, outside);
  if (known != 0) return mappingAt(known).outsideAddress == outside ? known : 0;
  const crosses = isIpv6(address) && !isIpv6(outside);
  const rule: SourceRule | null = crosses ? findRuleOfPool(outside) : findSourceRule(address);
  if (rule !== null && rule.blockSize > 0) return holdOfBlocks(rule, address, port, ipProto, outside);
  const own = (rule === null || rule.preserves) && port >= LOW_PORT && isFree(outside, port, ipProto);
  const chosen: i32 = own ? port : freePort(outside, ipProto, rule, port, false);
  return chosen < 0 ? 0 : placeMapping(address, port, ipProto, outside, chosen);
}

/** A host that has blocks of ports gets no other port than one of those. */
function holdOfBlocks(rule: SourceRule, address: u32, port: u32, ipProto: u32, outside: u32): u32 {
  const found = findMapping(rule, ipProto, address, port, 0, 0);
  if (found < LEAST_REFERENCE) return 0;
  if (mappingAt(found).outsideAddress == outside) return found;
  dropUnused(found);
  return 0;
}

/** The same for a UDP port and the next one, as RTP and RTCP use them: the mapping of the first. The second is at the next port. */
export function holdPair(address: u32, port: u32, outside: u32): u32 {
  const first = mappingOfInside(address, port, IP_PROTO_UDP, outside);
  const second = mappingOfInside(address, port + 1, IP_PROTO_UDP, outside);
  if (first != 0 && second != 0) {
    const isPair =
      mappingAt(first).outsideAddress == outside &&
      mappingAt(second).outsideAddress == outside &&
      mappingAt(second).outsidePort == mappingAt(first).outsidePort + 1;
    return isPair ? first : 0;
  }
  if (first != 0 || second != 0) return 0;
  return placePair(address, port, outside);
}

function placePair(address: u32, port: u32, outside: u32): u32 {
  const rule = findSourceRule(address);
  if (rule !== null && rule.blockSize > 0) return holdOfBlocks(rule, address, port, IP_PROTO_UDP, outside);
  const isOwnFree = isFree(outside, port, IP_PROTO_UDP) && isFree(outside, port + 1, IP_PROTO_UDP);
  const own = (rule === null || rule.preserves) && port >= LOW_PORT && isOwnFree;
  const chosen: i32 = own ? port : freePort(outside, IP_PROTO_UDP, rule, port, true);
  if (chosen < 0) return 0;
  const first = placeMapping(address, port, IP_PROTO_UDP, outside, chosen);
  // A second one that finds no room leaves the first alone: RTP without RTCP is better than neither.
  if (first != 0) placeMapping(address, port + 1, IP_PROTO_UDP, outside, chosen + 1);
  return first;
}
