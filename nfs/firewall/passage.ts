// A batch on its way through the firewall: what was decided holds, what was not is classified.
import {
  batch,
  Config,
  ETHER_TYPE_ARP,
  EVENT_ICMP_ERROR,
  Flow,
  ICMPV6_NEIGHBOUR_ADVERTISEMENT,
  ICMPV6_NEIGHBOUR_SOLICITATION,
  IP_PROTO_ICMPV6,
  IP_PROTO_TCP,
  OFFSET_NONE,
  outbox,
  Packet,
  Reason,
  TCP_RST,
} from "../sdk";

import { answersChallenge } from "./challenge";
import { refuse } from "./checks";
import { decide, decisionOf, fromZone, isCurrent, outcomeIn, toZone, wasAccepted } from "./decisions";
import { ACCEPT, COUNT } from "./outcomes";
import * as pending from "./pending";
import { defaultOutcome, keptOutcome, outcomeOfZones, outcomes, resolutionOutcome } from "./policies";
import { asksForRelated, hasChallenges } from "./rules";
import { minuteOfWeek } from "./schedules";
import { verify } from "./sources";
import { ESTABLISHED, INVALID, NEW, OUT_OF_THE_WAY, RELATED, stateOf } from "./states";
import { admit, beginVerdicts, carryOut, logOnce, pass } from "./verdicts";
import { addressHigh, addressLow, egressZone, ingressZone, isSpoofed, zoneOfSource } from "./zones";

const spoofed = new Reason("spoofed");
const invalid = new Reason("invalid");
const challenge = new Reason("challenge");
const reopened = new Reason("reopened");

let ruleCount: u32 = 0;
let keepsAccepted = true;
let checksSources = true;
let takesMidstream = false;
let resolvesAddresses = true;
let minute: u32 = 0;

export function readPassage(config: Config, rules: u32): void {
  ruleCount = rules;
  keepsAccepted = config.choiceOr("onChange", 0, ["keep", "reevaluate"]) == 0;
  checksSources = config.flagOr("antiSpoofing", true);
  takesMidstream = config.choiceOr("midstream", 0, ["invalid", "accept"]) == 1;
  resolvesAddresses = config.flagOr("addressResolution", true);
}

export function processBatch(): void {
  beginVerdicts();
  minute = minuteOfWeek(batch.time);
  pending.clear();
  for (let i = 0; i < batch.count; i++) judge(batch.packet(i), i);
  if (pending.count == 0) return;
  pending.classify();
  for (let i: u32 = 0; i < pending.count; i++) settle(pending.packetAt(i), i);
}

function judge(packet: Packet, place: u32): void {
  if (refuse(packet)) return;
  const flow = packet.flow;
  if (flow !== null && !packet.has(OUT_OF_THE_WAY)) {
    const decision = decisionOf(flow);
    if (isCurrent(decision) && !isOpposed(packet, decision)) return follow(packet, decision);
  }
  judgeAnew(packet, place, flow);
}

/**
 * What was dropped began no conversation: who calls from the other side does not answer it, and must not suffer from what
 * a stranger sent in his name.
 */
@inline
function isOpposed(packet: Packet, decision: u64): bool {
  return packet.direction == 1 && !wasAccepted(decision);
}

/** The flow's decision, if the packet came in where packets of its direction do. */
@inline
function follow(packet: Packet, decision: u64): void {
  if (checksSources) {
    const expected = packet.direction == 0 ? fromZone(decision) : toZone(decision);
    const ingress = ingressZone(packet);
    if (expected != ingress && expected != 0 && ingress != 0) return packet.drop(spoofed, ingress);
  }
  carryOut(packet, unchecked(outcomes[outcomeIn(decision)]));
}

function judgeAnew(packet: Packet, place: u32, flow: Flow | null): void {
  const ingress = ingressZone(packet);
  if (checksSources && isSpoofed(packet, ingress)) return packet.drop(spoofed, ingress);
  if (hasChallenges && isAnswer(packet)) return packet.drop(challenge);
  const isOpposite = flow !== null && isCurrent(decisionOf(flow)) && isOpposed(packet, decisionOf(flow));
  const state = expectedOr(stateOf(packet, flow, takesMidstream, isOpposite), flow);
  if (state == RELATED && !asksForRelated) return relate(packet, flow);
  const from = ingress != 0 ? ingress : zoneOfSource(packet);
  const to = egressZone(packet);
  const isReply = flow !== null && packet.direction == 1 && !isOpposite && state <= ESTABLISHED;
  if (flow !== null && state <= ESTABLISHED && isKept(packet, flow)) return;
  if (isReply) pending.add(packet, place, true, to, from, state, minute);
  else pending.add(packet, place, false, from, to, state, minute);
}

/** A flow that a function expected is related, where a rule asks for that, and new otherwise. */
@inline
function expectedOr(state: u32, flow: Flow | null): u32 {
  return state == NEW && asksForRelated && flow !== null && flow.isRelated ? RELATED : state;
}

/** A client that was challenged is where it says. */
function isAnswer(packet: Packet): bool {
  if (packet.ipProto != IP_PROTO_TCP || (packet.tcpFlags & TCP_RST) == 0) return false;
  zoneOfSource(packet);
  const high = addressHigh;
  const low = addressLow;
  if (!answersChallenge(packet, high, low)) return false;
  verify(high, low, batch.time);
  return true;
}

/** An earlier configuration accepted the flow, and that is to hold. */
function isKept(packet: Packet, flow: Flow): bool {
  const decision = decisionOf(flow);
  if (!keepsAccepted || decision == 0 || !wasAccepted(decision)) return false;
  decide(flow, keptOutcome, true, fromZone(decision), toZone(decision));
  carryOut(packet, unchecked(outcomes[keptOutcome]));
  return true;
}

/** An ICMP error goes the way of what it is about; of a flow without a decision there is nothing to tell. */
function relate(packet: Packet, flow: Flow | null): void {
  const decision = flow === null ? 0 : decisionOf(flow);
  const holds = isCurrent(decision) || (keepsAccepted && wasAccepted(decision));
  if (!holds) return packet.drop(invalid);
  carryOut(packet, unchecked(outcomes[isCurrent(decision) ? outcomeIn(decision) : keptOutcome]));
}

function settle(packet: Packet, index: u32): void {
  const flow = packet.flow;
  const state = pending.stateAt(index);
  const isExpected = state == RELATED && !packet.has(EVENT_ICMP_ERROR);
  const isOfFlow = flow !== null && (state <= ESTABLISHED || isExpected);
  // An earlier packet of this batch began the flow.
  const decision = isOfFlow ? decisionOf(flow!) : 0;
  if (isOfFlow && isCurrent(decision) && !isOpposed(packet, decision)) return follow(packet, decision);
  const match = decidingRule(packet, index, flow);
  if (match == ruleCount) {
    if (state == INVALID) return packet.drop(invalid);
    if (state == RELATED && !isExpected) return relate(packet, flow);
  }
  const from = pending.fromAt(index);
  const to = pending.toAt(index);
  const number = match < ruleCount ? match : outcomeOfNone(packet, from, to);
  const outcome = unchecked(outcomes[number]);
  if (isOfFlow && isCurrent(decision) && outcome.action == ACCEPT && packet.ipProto == IP_PROTO_TCP) {
    return reopen(packet, flow!);
  }
  if (state == NEW && !admit(packet, outcome, flow)) return;
  if (isOfFlow) remember(packet, flow!, number, from, to);
  logOnce(outcome, flow);
  carryOut(packet, outcome);
}

/** The first rule that matches and does more than to count, or `ruleCount`. */
function decidingRule(packet: Packet, index: u32, flow: Flow | null): u32 {
  let match = pending.matchAt(index);
  while (match < ruleCount && unchecked(outcomes[match]).action == COUNT) {
    const outcome = unchecked(outcomes[match]);
    pass(packet, outcome, flow);
    match = pending.matchAfter(index, outcome.passed);
  }
  return match;
}

/**
 * The flow has the numbers of the segment that was dropped, and functions before this one have decided about it: only the
 * call's repetition begins a flow of its own.
 */
function reopen(packet: Packet, flow: Flow): void {
  outbox.close(flow);
  packet.drop(reopened);
}

/** Zones are kept by the flow's first sender. What the other side is refused, it may ask again. */
function remember(packet: Packet, flow: Flow, number: u32, from: u32, to: u32): void {
  const isAccepted = unchecked(outcomes[number]).action == ACCEPT;
  if (!isCurrent(decisionOf(flow))) decide(flow, number, isAccepted, from, to);
  else if (isAccepted) decide(flow, number, isAccepted, to, from);
}

function outcomeOfNone(packet: Packet, from: u32, to: u32): u32 {
  if (resolvesAddresses && isAddressResolution(packet)) return resolutionOutcome;
  return from == 0 || to == 0 ? defaultOutcome : outcomeOfZones(from, to);
}

/** ARP, or an IPv6 neighbour solicitation or advertisement that comes from this link (RFC 4861, section 7.1). */
function isAddressResolution(packet: Packet): bool {
  if (packet.etherType == ETHER_TYPE_ARP) return true;
  if (packet.ipProto != IP_PROTO_ICMPV6 || packet.l4Offset == OFFSET_NONE) return false;
  const ipv6 = packet.ipv6;
  const type = packet.sourcePort >> 8;
  const isNeighbour = type == ICMPV6_NEIGHBOUR_SOLICITATION || type == ICMPV6_NEIGHBOUR_ADVERTISEMENT;
  return ipv6 !== null && ipv6.hopLimit == 255 && isNeighbour;
}
