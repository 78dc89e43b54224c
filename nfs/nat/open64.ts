// What a NAT64 flow's first packet makes: the mapping of an inside endpoint, and a session with two tuples.
import { Flow, IP_PROTO_UDP, Ipv4, Ipv6, OFFSET_NONE, outbox, Packet, Reason } from "../sdk";
import { protoIn } from "./headers64";
import { holdHost6 } from "./hosts";
import { findMapping, LEAST_REFERENCE, LIMIT, mappingOfOutside } from "./mappings";
import { hasPorts6, innerPort6, isIcmp } from "./ports64";
import {
  badDestination,
  badSource,
  filtered,
  hairpinOff,
  ipProtoReason,
  lateFragment,
  limit,
  noMapping,
  noPort,
  noSession,
  refuse,
  strayError,
} from "./reasons";
import { findForward, isClaimed } from "./rules";
import { findRule64, findRuleOfPool, hasPrefix64, isLocal4, Nat64Rule } from "./rules64";
import {
  dropSession,
  dropUnused,
  isPermitted,
  name,
  name6,
  openSession,
  permit,
  sweep,
  UNTRANSLATED,
} from "./sessions";
import { icmpTimeoutMs, udpTimeoutMs } from "./settings";
import { ENTERS_IPV6, hostAt, LEAVES_IPV6, mappingAt, pairAt, pairs, Session, sessionAt } from "./store";

/** A failing search for a port may look at so many sessions whose flows may have ended. */
const SWEEP_FOR_PORT: u32 = 2048;

// The session to be: the tuple that leaves, in IPv4's words, and what it keeps alive.
let newSource: u32 = 0;
let newSourcePort: u32 = 0;
let newDestination: u32 = 0;
let newDestinationPort: u32 = 0;
let mapping: u32 = 0;
let target: u32 = 0;
let exitPort: u32 = 0;

// ---- from IPv6 ----

/** Reference of the flow's session; UNTRANSLATED if it is none of ours, 0 if the packet's verdict is given. */
export function begin6(packet: Packet, ip: Ipv6, flow: Flow): u32 {
  const rule = findRule64(ip);
  if (rule === null) return UNTRANSLATED;
  if (!isAcceptable(packet, ip, rule)) return 0;
  const address = rule.addressIn(ip.destinationHigh, ip.destinationLow);
  newDestination = address;
  newDestinationPort = packet.destinationPort;
  mapping = 0;
  target = 0;
  exitPort = packet.port;
  const found = mapHost(rule, packet, ip);
  if (found < LEAST_REFERENCE) {
    rule.refused.add();
    refuse(packet, found == LIMIT ? limit : noPort);
    return 0;
  }
  mapping = found;
  mappingAt(found).port = <u8>packet.port;
  newSource = mappingAt(found).outsideAddress;
  newSourcePort = mappingAt(found).outsidePort;
  if (isIcmp(packet)) newDestinationPort = newSourcePort;
  if (isClaimed(address) && !findTarget6(packet, flow, address)) {
    dropUnused(mapping);
    return 0;
  }
  return open6(packet, ip, flow, rule, address);
}

/** RFC 6146, section 3.5: what comes from the prefix itself would go round for ever. */
function isAcceptable(packet: Packet, ip: Ipv6, rule: Nat64Rule): bool {
  if (hasPrefix64(ip.sourceHigh, ip.sourceLow)) packet.drop(badSource);
  else if (packet.isFragment && packet.l4Offset == OFFSET_NONE) packet.drop(lateFragment);
  else if (!hasPorts6(packet)) packet.drop(isIcmp(packet) ? strayError : ipProtoReason, packet.ipProto);
  else if (rule.isWellKnown && isLocal4(rule.addressIn(ip.destinationHigh, ip.destinationLow))) {
    packet.drop(badDestination);
  } else return true;
  return false;
}

function mapHost(rule: Nat64Rule, packet: Packet, ip: Ipv6): u32 {
  const found = mapOnce(rule, packet, ip);
  if (found > LIMIT) return found;
  sweep(SWEEP_FOR_PORT);
  return mapOnce(rule, packet, ip);
}

function mapOnce(rule: Nat64Rule, packet: Packet, ip: Ipv6): u32 {
  const host = holdHost6(ip.sourceHigh, ip.sourceLow);
  if (host == 0) return 0;
  const proto = protoIn(false, packet.ipProto);
  return findMapping(rule, proto, host, innerPort6(packet), newDestination, newDestinationPort, true);
}

/** Who is meant by an outside address (RFC 6146, section 3.8). */
function findTarget6(packet: Packet, flow: Flow, address: u32): bool {
  const proto = protoIn(false, packet.ipProto);
  const forward = findForward(address, proto, newDestinationPort);
  if (forward !== null) {
    newDestination = forward.to;
    newDestinationPort = forward.portOf(newDestinationPort);
    return true;
  }
  const found = isIcmp(packet) ? 0 : mappingOfOutside(address, newDestinationPort, proto);
  const isRefused = isIcmp(packet) || (found != 0 && mappingAt(found).hairpins == 0);
  if (found == 0 || isRefused || !isPermitted(found, newSource, newSourcePort)) {
    refuse(packet, isRefused ? hairpinOff : found == 0 ? noMapping : filtered);
    outbox.close(flow);
    return false;
  }
  const called = mappingAt(found);
  target = found;
  newDestination = called.insideAddress;
  newDestinationPort = called.insidePort;
  exitPort = called.port;
  return true;
}

function open6(packet: Packet, ip: Ipv6, flow: Flow, rule: Nat64Rule, called: u32): u32 {
  const host = holdHost6(ip.sourceHigh, ip.sourceLow);
  const isOver = rule.sessionsPerHost > 0 && hostAt(host).sessions >= rule.sessionsPerHost;
  const permission = isOver ? 0 : permit(mapping, called, isIcmp(packet) ? newSourcePort : packet.destinationPort);
  const reference = isOver ? 0 : openSession(flow, mapping, target, permission, host);
  if (reference == 0 || !pairUp(sessionAt(reference), ENTERS_IPV6 | (targetIsIpv6() ? LEAVES_IPV6 : 0))) {
    return giveUp(packet, flow, rule, reference, isOver);
  }
  const session = sessionAt(reference);
  const pair = pairAt(session.source);
  pair.sourceHigh = ip.sourceHigh;
  pair.sourceLow = ip.sourceLow;
  pair.destinationHigh = ip.destinationHigh;
  pair.destinationLow = ip.destinationLow;
  fillLeaving(session, rule);
  fillPorts(packet, session, called != newDestination || target != 0);
  bind(packet, flow, session);
  name6(flow, ip.sourceHigh, ip.sourceLow, innerPort6(packet), newSource, newSourcePort);
  rule.translated.add();
  return reference;
}

@inline
function targetIsIpv6(): bool {
  return target != 0 && mappingAt(target).isIpv6 != 0;
}

// ---- from IPv4 ----

/** Gives a session that was opened for an IPv4 packet its side towards the IPv6 host that it is for. */
export function joinIpv6(
  packet: Packet,
  ip: Ipv4,
  flow: Flow,
  reference: u32,
  caller: u32,
  callerPort: u32,
  leavesBy: u32,
): bool {
  const session = sessionAt(reference);
  const called = mappingAt(session.target);
  const rule = findRuleOfPool(called.outsideAddress);
  if (rule === null || !pairUp(session, LEAVES_IPV6)) {
    abandon(packet, flow, reference, rule === null ? noMapping : noSession);
    return false;
  }
  newSource = caller;
  newSourcePort = callerPort;
  newDestination = called.insideAddress;
  newDestinationPort = called.insidePort;
  exitPort = leavesBy;
  session.source = ip.source;
  session.destination = ip.destination;
  fillLeaving(session, rule);
  fillPorts(packet, session, session.mapping != 0);
  bind(packet, flow, session);
  const host = hostAt(called.insideAddress);
  if (session.mapping == 0) name6(flow, host.high, host.low, called.insidePort, ip.destination, packet.destinationPort);
  else name(flow, ip.source, innerPort6(packet), caller, callerPort);
  rule.translated.add();
  return true;
}

// ---- both ----

/** Takes what an IPv6 tuple needs, for each that the session has. */
function pairUp(session: Session, families: u32): bool {
  if (families & ENTERS_IPV6) {
    session.source = pairs.take();
    if (session.source == 0) return false;
    session.families |= <u8>ENTERS_IPV6;
  }
  if (families & LEAVES_IPV6) {
    session.newSource = pairs.take();
    if (session.newSource == 0) return false;
    session.families |= <u8>LEAVES_IPV6;
  }
  return true;
}

function fillLeaving(session: Session, rule: Nat64Rule): void {
  if ((session.families & LEAVES_IPV6) == 0) {
    session.newSource = newSource;
    session.newDestination = newDestination;
    return;
  }
  const pair = pairAt(session.newSource);
  const host = hostAt(newDestination);
  pair.sourceHigh = rule.highOf(newSource);
  pair.sourceLow = rule.lowOf(newSource);
  pair.destinationHigh = host.high;
  pair.destinationLow = host.low;
}

function fillPorts(packet: Packet, session: Session, hairpins: bool): void {
  session.sourcePort = <u16>innerPort6(packet);
  session.destinationPort = <u16>packet.destinationPort;
  session.newSourcePort = <u16>newSourcePort;
  session.newDestinationPort = <u16>newDestinationPort;
  session.entryPort = <u8>packet.port;
  session.exitPort = <u8>exitPort;
  session.hairpins = u8(hairpins);
}

function bind(packet: Packet, flow: Flow, session: Session): void {
  if (session.families & LEAVES_IPV6) {
    const pair = pairAt(session.newSource);
    const toHigh = pair.destinationHigh;
    const toLow = pair.destinationLow;
    outbox.bind6(flow, toHigh, toLow, newDestinationPort, pair.sourceHigh, pair.sourceLow, newSourcePort);
  } else {
    outbox.bind4(flow, newDestination, newDestinationPort, newSource, newSourcePort);
  }
  if (packet.ipProto == IP_PROTO_UDP) outbox.timeout(flow, udpTimeoutMs);
  else if (isIcmp(packet)) outbox.timeout(flow, icmpTimeoutMs);
}

function abandon(packet: Packet, flow: Flow, reference: u32, reason: Reason): void {
  dropSession(flow, reference);
  packet.drop(reason);
}

function giveUp(packet: Packet, flow: Flow, rule: Nat64Rule, reference: u32, isOver: bool): u32 {
  if (reference != 0) dropSession(flow, reference);
  else dropUnused(mapping);
  rule.refused.add();
  refuse(packet, isOver ? limit : noSession);
  return 0;
}
