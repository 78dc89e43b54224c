// A flow's first packet, of either family: which rule it finds, and the session that it gets. Addresses are words of
// addresses.ts. NAT64 differs in two places: what is called is within the destination, and an IPv4 caller gets an address
// by which an IPv6 host knows it.
import {
  Counter,
  Flow,
  IP_PROTO_ICMP,
  IP_PROTO_ICMPV6,
  IP_PROTO_UDP,
  laneCount,
  lanePorts,
  OFFSET_NONE,
  outbox,
  Packet,
  Reason,
} from "../sdk";
import { addressAt, isIpv6, keep6 } from "./addresses";
import { holdOutward, takeInward, takeOutward } from "./expectations";
import { protoIn } from "./headers";
import { holdHost, releaseHost } from "./hosts";
import { isOfOtherLane } from "./lane-share";
import { findMapping, LEAST_REFERENCE, LIMIT, mappingOfOutside, NO_ADDRESS } from "./mappings";
import { hasPorts6, innerPort6, isIcmp } from "./flow-ports";
import { protocolOf } from "./protocols";
import {
  filtered,
  hairpinOff,
  ipProtoReason,
  lateFragment,
  limit,
  noAddress,
  noMapping,
  noPort,
  noSession,
  refuse,
  strayError,
} from "./reasons";
import {
  ADDRESS_AND_PORT_DEPENDENT,
  findForward,
  findGiver,
  findInward,
  findOutward,
  findSourceRule,
  isClaimed,
  outsidePorts,
  SourceRule,
} from "./rules";
import { findRuleOfPool, Nat64Rule } from "./rules64";
import {
  dropPermission,
  dropUnused,
  isPermitted,
  leaveAlone,
  name,
  openSession,
  permit,
  setTuples,
  sweep,
  UNTRANSLATED,
} from "./sessions";
import { icmpTimeoutMs, mayBeOwn, unclaimedOf, udpTimeoutMs, UNCLAIMED_DROP, UNCLAIMED_HOST } from "./settings";
import { CROSSES, ENTERS_IPV6, hostAt, LEAVES_IPV6, mappingAt, Session, sessionAt } from "./store";

const IP_PROTO_DCCP: u32 = 33;
const IP_PROTO_UDP_LITE: u32 = 136;
/** ICMPv6 types below are errors. */
const ICMPV6_INFORMATIONAL: u32 = 128;

/** A failing search for a port may look at so many sessions whose flows may have ended. */
const SWEEP_FOR_PORT: u32 = 2048;

// The session to be: the tuple that enters, the one that leaves, and what it keeps alive.
let source: u32 = 0;
let destination: u32 = 0;
/** The address that is called, in the family of those that hosts are called by: NAT64's is within the destination. */
let called: u32 = 0;
/** As IPv4 calls it. */
let ipProto: u32 = 0;
let newSource: u32 = 0;
let newSourcePort: u32 = 0;
let newDestination: u32 = 0;
let newDestinationPort: u32 = 0;
let mapping: u32 = 0;
let target: u32 = 0;
let sessionLimit: u32 = 0;
let exitPort: u32 = 0;
/** It comes from inside and goes inside: not the way that the path says. */
let turns = false;
let translated: Counter | null = null;
let refused: Counter | null = null;

/**
 * Reference of the flow's session; 0 if it gets none and the packet's verdict is given, UNTRANSLATED if no rule is for it. `from` and `to` are
 * its addresses; with a rule of NAT64 it calls an IPv4 host by the latter.
 */
export function begin(packet: Packet, flow: Flow, from: u32, to: u32, rule64: Nat64Rule | null): u32 {
  const isOutside = unchecked(outsidePorts[packet.port]) != 0;
  if (packet.isFragment && packet.l4Offset == OFFSET_NONE) {
    return dropIfOurs(packet, from, to, lateFragment) ? 0 : UNTRANSLATED;
  }
  if (!isTranslatable(packet)) {
    const reason = isIcmp(packet) ? strayError : ipProtoReason;
    return dropIfOurs(packet, from, to, reason, packet.ipProto) ? 0 : UNTRANSLATED;
  }
  source = from;
  destination = to;
  called = rule64 === null ? to : rule64.addressIn(addressAt(to).high, addressAt(to).low);
  ipProto = protoIn(false, packet.ipProto);
  newSource = from;
  newDestination = called;
  newSourcePort = hasPorts6(packet) ? innerPort6(packet) : 0;
  newDestinationPort = hasPorts6(packet) ? packet.destinationPort : 0;
  mapping = 0;
  target = 0;
  sessionLimit = 0;
  exitPort = packet.port;
  turns = false;
  translated = null;
  refused = null;
  const decided =
    isOutside && rule64 === null ? findTarget(packet, flow, from, newSourcePort) : leave(packet, flow, rule64);
  if (!decided) return 0;
  if (newSource == from && newDestination == to && mapping == 0 && target == 0) {
    leaveAlone(flow);
    return UNTRANSLATED;
  }
  return open(packet, flow, isOutside && rule64 === null);
}

/** What would have to be translated and cannot be must not pass with an inside address. */
export function dropIfOurs(packet: Packet, from: u32, to: u32, reason: Reason, detail: u32 = 0): bool {
  if (mayBeOwn(to)) return false;
  const isOurs = isClaimed(to) || findInward(to) !== null;
  if (!isOurs && findSourceRule(from) === null && findOutward(from) === null) return false;
  packet.drop(reason, detail);
  return true;
}

/**
 * Errors about a flow that is not known quote what nobody can translate; UDP-Lite and DCCP have checksums over addresses
 * that this function does not mend.
 */
function isTranslatable(packet: Packet): bool {
  const proto = packet.ipProto;
  if (proto == IP_PROTO_UDP_LITE || proto == IP_PROTO_DCCP) return false;
  const type = packet.sourcePort >> 8;
  if (proto == IP_PROTO_ICMPV6) return type >= ICMPV6_INFORMATIONAL;
  return proto != IP_PROTO_ICMP || (type != 3 && type != 4 && type != 5 && type != 11 && type != 12);
}

/** From inside: finds the outside endpoint of the sender; and, if it calls an outside address, who is meant. */
function leave(packet: Packet, flow: Flow, rule64: Nat64Rule | null): bool {
  const outward = rule64 === null ? findOutward(source) : null;
  const rule = rule64 !== null ? rule64 : outward === null ? findSourceRule(source) : null;
  const isExpectable = hasPorts6(packet) && outward === null && rule64 === null;
  const expected = isExpectable ? takeOutward(packet, source, destination) : 0;
  if (outward !== null) {
    newSource = outward.outward(source);
    if (newSource == 0) return refuseFull(packet);
    translated = outward.translated;
  } else if (expected != 0) {
    if (!leaveAsExpected(packet, rule, expected)) return false;
  } else if (rule !== null && !leaveByPool(packet, rule)) {
    return false;
  }
  const isHairpin = isClaimed(called) || findInward(called) !== null;
  if (!isHairpin) return true;
  if (findTarget(packet, flow, newSource, newSourcePort)) return true;
  dropUnused(mapping);
  return false;
}

function refuseFull(packet: Packet): bool {
  refuse(packet, noSession);
  return false;
}

/** As the outside address that the other side of its control connection knows. */
function leaveAsExpected(packet: Packet, rule: SourceRule | null, address: u32): bool {
  mapping = holdOutward(source, newSourcePort, ipProto, address, rule);
  if (mapping == 0) {
    refuse(packet, noPort);
    return false;
  }
  if (rule !== null) translated = rule.translated;
  mappingAt(mapping).port = <u8>packet.port;
  newSource = address;
  newSourcePort = mappingAt(mapping).outsidePort;
  return true;
}

function leaveByPool(packet: Packet, rule: SourceRule): bool {
  if (!hasPorts6(packet)) {
    packet.drop(ipProtoReason, packet.ipProto);
    return false;
  }
  refused = rule.refused;
  translated = rule.translated;
  sessionLimit = rule.sessionsPerHost;
  let found = findMapping(rule, ipProto, source, newSourcePort, called, newDestinationPort);
  if (found < LIMIT) {
    sweep(SWEEP_FOR_PORT);
    found = findMapping(rule, ipProto, source, newSourcePort, called, newDestinationPort);
  }
  if (found < LEAST_REFERENCE) {
    rule.refused.add();
    refuse(packet, found == LIMIT ? limit : found == NO_ADDRESS ? noAddress : noPort);
    return false;
  }
  mapping = found;
  mappingAt(mapping).port = <u8>packet.port;
  newSource = mappingAt(mapping).outsideAddress;
  newSourcePort = mappingAt(mapping).outsidePort;
  if (isIcmp(packet)) newDestinationPort = newSourcePort;
  return true;
}

/** To an outside address: finds the inside endpoint that is meant. The caller is the remote endpoint as it sees it. */
function findTarget(packet: Packet, flow: Flow, caller: u32, callerPort: u32): bool {
  const port: u32 = hasPorts6(packet) ? packet.destinationPort : 0;
  const forward = hasPorts6(packet) ? findForward(called, ipProto, port) : null;
  if (forward !== null) {
    newDestination = forward.to;
    newDestinationPort = forward.portOf(port);
    translated = forward.translated;
    return true;
  }
  const inward = findInward(called);
  if (inward !== null) {
    newDestination = inward.inward(called);
    if (newDestination == 0) return refuseFull(packet);
    translated = inward.translated;
    return true;
  }
  if (!isClaimed(called)) return true;
  const isInside = unchecked(outsidePorts[packet.port]) == 0;
  const giver = isInside && hasPorts6(packet) && isOfOtherLane(port) ? findGiver(called, port) : null;
  if (giver !== null) return callOtherLane(packet, flow, giver);
  const found = hasPorts6(packet) ? mappingOfOutside(called, port, ipProto) : 0;
  if (found == 0) return refuseUnclaimed(packet, flow, called);
  return callMapping(packet, flow, found, caller, callerPort);
}

/** The packet leaves as if for a host outside, and comes in from there where the mapping is: each lane has its half. */
function callOtherLane(packet: Packet, flow: Flow, giver: SourceRule): bool {
  // An echo has one identifier; two mappings would need two.
  if (isIcmp(packet)) {
    refuse(packet, hairpinOff);
    outbox.close(flow);
    return false;
  }
  if (newSource == source && !leaveAsCalled(packet, giver)) return false;
  exitPort = giver.ownPort >= 0 ? <u32>giver.ownPort : <u32>outsidePorts.indexOf(1);
  turns = true;
  return true;
}

/** No rule translates the caller; by an outside address the other lane knows it as a host inside, and sends its answers here. */
function leaveAsCalled(packet: Packet, giver: SourceRule): bool {
  if (!leaveByPool(packet, giver)) return false;
  // Nobody else may call it.
  mappingAt(mapping).filtering = <u8>ADDRESS_AND_PORT_DEPENDENT;
  return true;
}

/** Whether an inside host has it, whose lane sent the packet here. */
function isOfHairpin(caller: u32): bool {
  return lanePorts != 0 && laneCount > 1 && (isClaimed(caller) || findInward(caller) !== null);
}

function callMapping(packet: Packet, flow: Flow, found: u32, caller: u32, callerPort: u32): bool {
  const meant = mappingAt(found);
  const isInside = unchecked(outsidePorts[packet.port]) == 0;
  const isTurned = !isInside && isOfHairpin(caller);
  // An echo has one identifier; two mappings would need two.
  const isRefused = (isInside || isTurned) && (meant.hairpins == 0 || isIcmp(packet));
  const isExpected = !isRefused && takeInward(found, caller);
  if (isRefused || (!isExpected && !isPermitted(found, caller, callerPort))) {
    // Where it is the machine's own address, a caller whom the mapping does not let in may mean the machine.
    if (mayBeOwn(meant.outsideAddress)) return refuseUnclaimed(packet, flow, meant.outsideAddress);
    refuse(packet, isRefused ? hairpinOff : filtered);
    outbox.close(flow);
    return false;
  }
  target = found;
  turns = isInside || isTurned;
  newDestination = meant.insideAddress;
  newDestinationPort = meant.insidePort;
  if (isIcmp(packet)) newSourcePort = newDestinationPort;
  exitPort = meant.port;
  return true;
}

/** What nobody waits for must not hold a flow whose tuple a new mapping may need. */
function refuseUnclaimed(packet: Packet, flow: Flow, address: u32): bool {
  const unclaimed = unclaimedOf(address);
  if (unclaimed == UNCLAIMED_DROP) packet.drop(noMapping);
  if (unclaimed == UNCLAIMED_HOST) packet.host(noMapping);
  outbox.close(flow);
  return false;
}

/** The address by which an IPv6 host knows an IPv4 one; kept for the packet, 0 if there is none. */
function embed(address: u32): u32 {
  const rule = findRuleOfPool(mappingAt(target).outsideAddress);
  if (rule === null) return 0;
  translated = rule.translated;
  return keep6(rule.highOf(address), rule.lowOf(address));
}

function open(packet: Packet, flow: Flow, isOutside: bool): u32 {
  const outside = newSource;
  if (isIpv6(newDestination) && !isIpv6(newSource)) {
    newSource = target == 0 ? 0 : embed(newSource);
    if (newSource == 0) return giveUp(packet, 0, noMapping);
  }
  const host = holdHost(isOutside ? newDestination : source);
  const isOver = host != 0 && sessionLimit > 0 && hostAt(host).sessions >= sessionLimit;
  const permission = mapping == 0 || isOver ? 0 : permit(mapping, called, remotePort(packet));
  const reference = host == 0 || isOver ? 0 : openSession(flow, mapping, target, permission, host);
  if (reference == 0) {
    dropPermission(permission);
    return giveUp(packet, host, isOver ? limit : noSession);
  }
  fillSession(packet, sessionAt(reference), isOutside);
  bind(flow, packet);
  if (isOutside) name(flow, newDestination, newDestinationPort, called, packet.destinationPort);
  else name(flow, source, hasPorts6(packet) ? innerPort6(packet) : 0, outside, newSourcePort);
  const counter = translated;
  if (counter !== null) counter.add();
  return reference;
}

function giveUp(packet: Packet, host: u32, reason: Reason): u32 {
  if (host != 0) releaseHost(host);
  dropUnused(mapping);
  const counter = refused;
  if (counter !== null) counter.add();
  refuse(packet, reason);
  return 0;
}

/** The port that a permission is for: an echo's replies have no port of their own, only the identifier. */
@inline
function remotePort(packet: Packet): u32 {
  return isIcmp(packet) ? newSourcePort : packet.destinationPort;
}

function fillSession(packet: Packet, session: Session, isOutside: bool): void {
  const enters = isIpv6(source);
  const leaves = isIpv6(newSource);
  session.families = u8((enters ? ENTERS_IPV6 : 0) | (leaves ? LEAVES_IPV6 : 0) | (crosses() ? CROSSES : 0));
  setTuples(session, source, destination, newSource, newDestination);
  if (hasPorts6(packet)) {
    session.sourcePort = <u16>innerPort6(packet);
    session.destinationPort = <u16>packet.destinationPort;
    session.newSourcePort = <u16>newSourcePort;
    session.newDestinationPort = <u16>newDestinationPort;
  }
  session.entryPort = <u8>packet.port;
  session.exitPort = <u8>exitPort;
  session.hairpins = u8(turns || (!isOutside && newDestination != called));
  session.control = protocolOf(packet.ipProto, session);
}

/** Whether an IPv4 address stands for an IPv6 host anywhere in it. */
@inline
function crosses(): bool {
  return destination != called || isIpv6(source) != isIpv6(newSource);
}

function bind(flow: Flow, packet: Packet): void {
  if (isIpv6(newDestination)) {
    const from = addressAt(newDestination);
    const to = addressAt(newSource);
    outbox.bind6(flow, from.high, from.low, newDestinationPort, to.high, to.low, newSourcePort);
  } else {
    outbox.bind4(flow, newDestination, newDestinationPort, newSource, newSourcePort);
  }
  if (packet.ipProto == IP_PROTO_UDP) outbox.timeout(flow, udpTimeoutMs);
  else if (isIcmp(packet)) outbox.timeout(flow, icmpTimeoutMs);
}
