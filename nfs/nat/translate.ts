// IPv4: a flow's first packet finds a rule and gets a session, all others are rewritten as their session says.
import {
  Counter,
  EVENT_ICMP_ERROR,
  Flow,
  IP_PROTO_ICMP,
  IP_PROTO_TCP,
  IP_PROTO_UDP,
  Ipv4,
  OFFSET_NONE,
  outbox,
  Packet,
  Reason,
} from "../sdk";
import { holdOutward, takeInward, takeOutward } from "./expectations";
import { holdHost, releaseHost } from "./hosts";
import { translateError4 } from "./icmp64";
import { translateError } from "./icmp-errors";
import { findMapping, LEAST_REFERENCE, LIMIT, mappingOfOutside } from "./mappings";
import { follow4 } from "./nat64";
import { joinIpv6 } from "./open64";
import { protocolOf, rewritePayload } from "./protocols";
import {
  filtered,
  hairpinOff,
  ipProtoReason,
  lateFragment,
  limit,
  mismatch,
  noFlow,
  noMapping,
  noPort,
  noSession,
  refuse,
  strayError,
} from "./reasons";
import { renumber } from "./renumber";
import { rewrite } from "./rewrite";
import { findForward, findInward, findOutward, findSourceRule, isClaimed, outsidePorts, SourceRule } from "./rules";
import {
  dropUnused,
  isPermitted,
  leaveAlone,
  name,
  openSession,
  permit,
  sessionReferenceOf,
  sweep,
  UNTRANSLATED,
} from "./sessions";
import { icmpTimeoutMs, unclaimed, udpTimeoutMs, UNCLAIMED_DROP, UNCLAIMED_HOST } from "./settings";
import { hostAt, mappingAt, Session, sessionAt } from "./store";

const IP_PROTO_DCCP: u32 = 33;
const IP_PROTO_UDP_LITE: u32 = 136;

/** A failing search for a port may look at so many sessions whose flows may have ended. */
const SWEEP_FOR_PORT: u32 = 2048;

export function translate4(packet: Packet, ip: Ipv4): void {
  const flow = packet.flow;
  if (flow === null) return dropIfOurs(packet, ip, noFlow);
  let reference = sessionReferenceOf(flow);
  if (packet.has(EVENT_ICMP_ERROR)) return translateErrorOf(packet, ip, reference);
  if (reference == UNTRANSLATED) return;
  if (reference == 0) reference = begin(packet, ip, flow);
  if (reference <= UNTRANSLATED) return;
  const session = sessionAt(reference);
  if (session.families != 0) return follow4(packet, ip, session);
  follow(packet, ip, session);
}

function translateErrorOf(packet: Packet, ip: Ipv4, reference: u32): void {
  if (reference > UNTRANSLATED && sessionAt(reference).families != 0) {
    translateError4(packet, ip, sessionAt(reference));
  } else {
    translateError(packet, ip, reference);
  }
}

/** What would have to be translated and cannot be must not pass with an inside address. */
function dropIfOurs(packet: Packet, ip: Ipv4, reason: Reason, detail: u32 = 0): void {
  const isOurs = isClaimed(ip.destination) || findInward(ip.destination) !== null;
  if (isOurs || findSourceRule(ip.source) !== null || findOutward(ip.source) !== null) packet.drop(reason, detail);
}

// ---- packets of a session ----

@inline
function follow(packet: Packet, ip: Ipv4, session: Session): void {
  const forth = packet.direction == 0;
  const source = forth ? session.source : session.newDestination;
  const sourcePort: u32 = forth ? session.sourcePort : session.newDestinationPort;
  const destination = forth ? session.destination : session.newSource;
  const destinationPort: u32 = forth ? session.destinationPort : session.newSourcePort;
  const isPorted = hasPorts(packet);
  const isExpected = ip.source == source && ip.destination == destination;
  if (!isExpected || (isPorted && (innerPort(packet) != sourcePort || outerPort(packet) != destinationPort))) {
    return packet.drop(mismatch);
  }
  const l4: usize = packet.l4Offset == OFFSET_NONE ? 0 : packet.l4;
  if (session.control != 0 && l4 != 0 && !rewritePayload(packet, ip, session)) return;
  if (forth) {
    const ports = session.newDestinationPort;
    rewrite(ip, l4, 20, session.newSource, session.newSourcePort, session.newDestination, ports);
  } else {
    rewrite(ip, l4, 20, session.destination, session.destinationPort, session.source, session.sourcePort);
  }
  if (packet.isFragment && unchecked(outsidePorts[packet.port]) == 0) renumber(ip, session.flow);
  packet.rewritten();
  if (session.hairpins != 0) packet.transmit(forth ? session.exitPort : session.entryPort);
}

/** Whether the packet has what a session's ports stand for. */
@inline
function hasPorts(packet: Packet): bool {
  const proto = packet.ipProto;
  return packet.l4Offset != OFFSET_NONE && (proto == IP_PROTO_TCP || proto == IP_PROTO_UDP || isEcho(packet));
}

@inline
function isEcho(packet: Packet): bool {
  const type = packet.sourcePort >> 8;
  return packet.ipProto == IP_PROTO_ICMP && (type == 8 || type == 0);
}

/** The port of the packet's sender; of an ICMP echo its identifier. */
@inline
function innerPort(packet: Packet): u32 {
  return packet.ipProto == IP_PROTO_ICMP ? packet.destinationPort : packet.sourcePort;
}

@inline
function outerPort(packet: Packet): u32 {
  return packet.destinationPort;
}

// ---- a flow's first packet ----

// The session to be: the tuple that leaves, and what it keeps alive.
let newSource: u32 = 0;
let newSourcePort: u32 = 0;
let newDestination: u32 = 0;
let newDestinationPort: u32 = 0;
let mapping: u32 = 0;
let target: u32 = 0;
let insideHost: u32 = 0;
let sessionLimit: u32 = 0;
let exitPort: u32 = 0;
let translated: Counter | null = null;
let refused: Counter | null = null;

/** Reference of the flow's session; 0 or UNTRANSLATED if it gets none: then the packet's verdict is given. */
function begin(packet: Packet, ip: Ipv4, flow: Flow): u32 {
  const isOutside = unchecked(outsidePorts[packet.port]) != 0;
  if (packet.isFragment && packet.l4Offset == OFFSET_NONE) {
    dropIfOurs(packet, ip, lateFragment);
    return 0;
  }
  if (!isTranslatable(packet)) {
    dropIfOurs(packet, ip, packet.ipProto == IP_PROTO_ICMP ? strayError : ipProtoReason, packet.ipProto);
    return 0;
  }
  newSource = ip.source;
  newDestination = ip.destination;
  newSourcePort = hasPorts(packet) ? innerPort(packet) : 0;
  newDestinationPort = hasPorts(packet) ? outerPort(packet) : 0;
  mapping = 0;
  target = 0;
  insideHost = 0;
  sessionLimit = 0;
  exitPort = packet.port;
  translated = null;
  refused = null;
  const decided = isOutside ? findTarget(packet, flow, ip, ip.source, newSourcePort) : leave(packet, flow, ip);
  if (!decided) return 0;
  if (newSource == ip.source && newDestination == ip.destination && mapping == 0 && target == 0) {
    leaveAlone(flow);
    return UNTRANSLATED;
  }
  return open(packet, flow, ip, isOutside);
}

/**
 * Errors about a flow that is not known quote what nobody can translate; UDP-Lite and DCCP have checksums over addresses
 * that this function does not mend.
 */
function isTranslatable(packet: Packet): bool {
  const proto = packet.ipProto;
  if (proto == IP_PROTO_UDP_LITE || proto == IP_PROTO_DCCP) return false;
  if (proto != IP_PROTO_ICMP) return true;
  const type = packet.sourcePort >> 8;
  return type != 3 && type != 4 && type != 5 && type != 11 && type != 12;
}

/** From inside: finds the outside endpoint of the sender; and, if it calls an outside address, who is meant. */
function leave(packet: Packet, flow: Flow, ip: Ipv4): bool {
  const outward = findOutward(ip.source);
  const rule = outward === null ? findSourceRule(ip.source) : null;
  insideHost = ip.source;
  const expected = hasPorts(packet) && outward === null ? takeOutward(packet, ip) : 0;
  if (outward !== null) {
    newSource = outward.outward(ip.source);
    translated = outward.translated;
  } else if (expected != 0) {
    if (!leaveAsExpected(packet, ip, rule, expected)) return false;
  } else if (rule !== null && !leaveByPool(packet, ip, rule)) {
    return false;
  }
  const isHairpin = isClaimed(ip.destination) || findInward(ip.destination) !== null;
  if (!isHairpin) return true;
  if (findTarget(packet, flow, ip, newSource, newSourcePort)) return true;
  dropUnused(mapping);
  return false;
}

/** As the outside address that the other side of its control connection knows. */
function leaveAsExpected(packet: Packet, ip: Ipv4, rule: SourceRule | null, address: u32): bool {
  mapping = holdOutward(ip.source, newSourcePort, packet.ipProto, address, rule);
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

function leaveByPool(packet: Packet, ip: Ipv4, rule: SourceRule): bool {
  if (!hasPorts(packet)) {
    packet.drop(ipProtoReason, packet.ipProto);
    return false;
  }
  refused = rule.refused;
  translated = rule.translated;
  sessionLimit = rule.sessionsPerHost;
  const proto = packet.ipProto;
  let found = findMapping(rule, proto, ip.source, newSourcePort, ip.destination, newDestinationPort);
  if (found < LIMIT) {
    sweep(SWEEP_FOR_PORT);
    found = findMapping(rule, proto, ip.source, newSourcePort, ip.destination, newDestinationPort);
  }
  if (found < LEAST_REFERENCE) {
    rule.refused.add();
    refuse(packet, found == LIMIT ? limit : noPort);
    return false;
  }
  mapping = found;
  mappingAt(mapping).port = <u8>packet.port;
  newSource = mappingAt(mapping).outsideAddress;
  newSourcePort = mappingAt(mapping).outsidePort;
  if (proto == IP_PROTO_ICMP) newDestinationPort = newSourcePort;
  return true;
}

/** To an outside address: finds the inside endpoint that is meant. The caller is the remote endpoint as it sees it. */
function findTarget(packet: Packet, flow: Flow, ip: Ipv4, caller: u32, callerPort: u32): bool {
  const proto = packet.ipProto;
  const port = hasPorts(packet) ? outerPort(packet) : 0;
  const forward = hasPorts(packet) ? findForward(ip.destination, proto, port) : null;
  if (forward !== null) {
    newDestination = forward.to;
    newDestinationPort = forward.portOf(port);
    translated = forward.translated;
    return true;
  }
  const inward = findInward(ip.destination);
  if (inward !== null) {
    newDestination = inward.inward(ip.destination);
    translated = inward.translated;
    return true;
  }
  if (!isClaimed(ip.destination)) return true;
  const found = hasPorts(packet) ? mappingOfOutside(ip.destination, port, proto) : 0;
  if (found == 0) return refuseUnclaimed(packet, flow);
  return callMapping(packet, flow, found, caller, callerPort);
}

function callMapping(packet: Packet, flow: Flow, found: u32, caller: u32, callerPort: u32): bool {
  const called = mappingAt(found);
  const isInside = unchecked(outsidePorts[packet.port]) == 0;
  // An echo has one identifier; two mappings would need two.
  const isRefused = isInside && (called.hairpins == 0 || packet.ipProto == IP_PROTO_ICMP);
  const isExpected = !isRefused && takeInward(found, caller);
  if (isRefused || (!isExpected && !isPermitted(found, caller, callerPort))) {
    refuse(packet, isRefused ? hairpinOff : filtered);
    outbox.close(flow);
    return false;
  }
  target = found;
  newDestination = called.insideAddress;
  newDestinationPort = called.insidePort;
  if (packet.ipProto == IP_PROTO_ICMP) newSourcePort = newDestinationPort;
  exitPort = called.port;
  return true;
}

/** What nobody waits for must not hold a flow whose tuple a new mapping may need. */
function refuseUnclaimed(packet: Packet, flow: Flow): bool {
  if (unclaimed == UNCLAIMED_DROP) packet.drop(noMapping);
  if (unclaimed == UNCLAIMED_HOST) packet.host(noMapping);
  outbox.close(flow);
  return false;
}

function open(packet: Packet, flow: Flow, ip: Ipv4, isOutside: bool): u32 {
  const owner = isOutside ? newDestination : insideHost;
  const leavesIpv6 = target != 0 && mappingAt(target).isIpv6 != 0;
  const host = leavesIpv6 && isOutside ? newDestination : holdHost(owner);
  const isOver = host != 0 && sessionLimit > 0 && hostAt(host).sessions >= sessionLimit;
  const permission = mapping == 0 || isOver ? 0 : permit(mapping, ip.destination, remotePort(packet));
  const reference = host == 0 || isOver ? 0 : openSession(flow, mapping, target, permission, host);
  if (reference == 0) {
    if (host != 0) releaseHost(host);
    dropUnused(mapping);
    const counter = refused;
    if (counter !== null) counter.add();
    refuse(packet, isOver ? limit : noSession);
    return 0;
  }
  if (leavesIpv6) return joinIpv6(packet, ip, flow, reference, newSource, newSourcePort, exitPort) ? reference : 0;
  fillSession(packet, ip, sessionAt(reference), isOutside);
  bind(flow, packet);
  if (isOutside) name(flow, newDestination, newDestinationPort, ip.destination, outerPort(packet));
  else name(flow, ip.source, hasPorts(packet) ? innerPort(packet) : 0, newSource, newSourcePort);
  const counter = translated;
  if (counter !== null) counter.add();
  return reference;
}

/** The port that a permission is for: an echo's replies have no port of their own, only the identifier. */
@inline
function remotePort(packet: Packet): u32 {
  return packet.ipProto == IP_PROTO_ICMP ? newSourcePort : outerPort(packet);
}

function fillSession(packet: Packet, ip: Ipv4, session: Session, isOutside: bool): void {
  session.source = ip.source;
  session.destination = ip.destination;
  session.newSource = newSource;
  session.newDestination = newDestination;
  if (hasPorts(packet)) {
    session.sourcePort = <u16>innerPort(packet);
    session.destinationPort = <u16>outerPort(packet);
    session.newSourcePort = <u16>newSourcePort;
    session.newDestinationPort = <u16>newDestinationPort;
  }
  session.entryPort = <u8>packet.port;
  session.exitPort = <u8>exitPort;
  session.hairpins = u8(!isOutside && newDestination != ip.destination);
  session.control = protocolOf(packet.ipProto, session);
}

function bind(flow: Flow, packet: Packet): void {
  const proto = packet.ipProto;
  outbox.bind4(flow, newDestination, newDestinationPort, newSource, newSourcePort);
  if (proto == IP_PROTO_UDP) outbox.timeout(flow, udpTimeoutMs);
  else if (proto == IP_PROTO_ICMP) outbox.timeout(flow, icmpTimeoutMs);
}
