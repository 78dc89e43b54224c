// Carries an outcome out: limits, counters, logs and what becomes of the packet.
import { batch, Config, Counter, Flow, IP_PROTO_TCP, LOG_INFO, outbox, Packet, Reason, reply } from "../sdk";

import { restoreCalled } from "./called";
import { challengeSource } from "./challenge";
import { clamp } from "./clamp";
import { ACCEPT, Outcome, Rate, REJECT, RESET } from "./outcomes";
import { readRate } from "./rules";
import { isVerified, openConnection, takeOfSource } from "./sources";
import { addressHigh, addressLow, zoneOfSource } from "./zones";

const rateReason = new Reason("rule-rate");
const connectionsReason = new Reason("rule-connections");
const challengeReason = new Reason("rule-challenge");
const unansweredRejects = new Counter("rejects_silent");
const lostLogs = new Counter("logs_left_out");

// ICMP codes by REJECTIONS, where a reset is not possible.
const CODES_4: StaticArray<u8> = [3, 3, 1, 13];
const CODES_6: StaticArray<u8> = [4, 4, 3, 1];

const DEFAULT_REJECTS: f64 = 1000;
const DEFAULT_LOGS: f64 = 10;

let rejects: Rate = new Rate(0, 0);
let logs: Rate = new Rate(0, 0);
let seconds: u64 = 0;

export function readVerdicts(config: Config): void {
  rejects = config.has("rejectLimit") ? readRate(config.object("rejectLimit")) : rateOf(DEFAULT_REJECTS);
  logs = config.has("logLimit") ? readRate(config.object("logLimit")) : rateOf(DEFAULT_LOGS);
}

function rateOf(perSecond: f64): Rate {
  const interval = <u64>(<f64>1_000_000_000 / perSecond);
  return new Rate(interval, interval * <u64>perSecond);
}

export function beginVerdicts(): void {
  seconds = batch.time / 1_000_000_000;
}

/** What a rule has to say to a new connection before it counts as one. False if the packet was dropped. */
export function admit(packet: Packet, outcome: Outcome, flow: Flow | null): bool {
  if (outcome.action != ACCEPT) return true;
  const rate = outcome.rate;
  if (rate !== null && outcome.ratesConnections && !take(packet, outcome, rate)) {
    return refuse(packet, outcome, rateReason);
  }
  if (flow === null) return true;
  if (mustProve(packet, outcome)) {
    restoreCalled(packet);
    challengeSource(packet, addressHigh, addressLow);
    // The flood shall not fill the flow table.
    outbox.close(flow);
    return refuse(packet, outcome, challengeReason);
  }
  if (outcome.connectionLimit == 0) return true;
  zoneOfSource(packet);
  const limit = outcome.connectionLimit;
  if (openConnection(addressHigh, addressLow, outcome.detail, limit, flow, batch.time)) return true;
  return refuse(packet, outcome, connectionsReason);
}

function mustProve(packet: Packet, outcome: Outcome): bool {
  const challenge = outcome.challenge;
  if (challenge === null || packet.ipProto != IP_PROTO_TCP) return false;
  zoneOfSource(packet);
  if (isVerified(addressHigh, addressLow, batch.time)) return false;
  return !challenge.take(batch.time);
}

function take(packet: Packet, outcome: Outcome, rate: Rate): bool {
  if (!outcome.ratesSources) return rate.take(batch.time);
  zoneOfSource(packet);
  return takeOfSource(addressHigh, addressLow, outcome.detail, rate, batch.time);
}

function refuse(packet: Packet, outcome: Outcome, reason: Reason): bool {
  outcome.count(packet, seconds);
  packet.drop(reason, outcome.detail);
  return false;
}

/** For every packet of the outcome. */
@inline
export function carryOut(packet: Packet, outcome: Outcome): void {
  const rate = outcome.rate;
  if (rate !== null && !outcome.ratesConnections && outcome.action == ACCEPT && !take(packet, outcome, rate)) {
    refuse(packet, outcome, rateReason);
    return;
  }
  outcome.count(packet, seconds);
  if (outcome.action == ACCEPT) return clamp(packet);
  if (outcome.action == REJECT) reject(packet, outcome);
  packet.drop(outcome.reason, outcome.detail);
}

function reject(packet: Packet, outcome: Outcome): void {
  if (!rejects.take(batch.time) || !answer(packet, outcome.rejection)) unansweredRejects.add();
}

function answer(packet: Packet, rejection: i32): bool {
  restoreCalled(packet);
  if (rejection == RESET && packet.ipProto == IP_PROTO_TCP) return reply.tcpReset(packet);
  return reply.unreachable(packet, unchecked(CODES_4[rejection]), unchecked(CODES_6[rejection]));
}

/** What a rule says that only counts. */
export function pass(packet: Packet, outcome: Outcome, flow: Flow | null): void {
  outcome.count(packet, seconds);
  logOnce(outcome, flow);
}

/** Once per flow. */
export function logOnce(outcome: Outcome, flow: Flow | null): void {
  if (!outcome.logs) return;
  if (!logs.take(batch.time) || !outbox.log(LOG_INFO, outcome.text, flow)) lostLogs.add();
}
