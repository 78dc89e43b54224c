// The rules of the configuration: conditions into the classifier, the rest into outcomes. Cold.
import { Config, Reason, TCP_ACK, TCP_FIN, TCP_PSH, TCP_RST, TCP_SYN, TCP_URG, TCP_CWR, TCP_ECE } from "../sdk";
import { listOf } from "../sdk/classifier/conditions";
import { parseDecimal } from "../sdk/address";
import { FIELD_CONTEXT, FIELD_FLOW_LABEL, FIELD_ICMP, FIELD_TCP_FLAGS, ICMPV6_TYPES } from "../sdk/classifier/tables";
import { COUNT, Outcome, Rate, REJECTIONS, RESET, RULE_ACTIONS } from "./outcomes";
import { readSchedule } from "./schedules";
import { SetConditions } from "./sets";
import { RELATED, STATES, UNTRACKED } from "./states";
import { readZoneName } from "./zones";

// What the function says of a frame.
export const FIELD_FROM = FIELD_CONTEXT;
export const FIELD_TO = FIELD_CONTEXT + 1;
export const FIELD_STATE = FIELD_CONTEXT + 2;
export const FIELD_MINUTE = FIELD_CONTEXT + 3;
/** How many rules that only count it has passed. */
export const FIELD_PASSED = FIELD_CONTEXT + 4;

const SECOND_NS: f64 = 1_000_000_000;

const ICMP_NAMES = "echo-reply=0 unreachable=3 redirect=5 echo-request=8 time-exceeded=11 parameter-problem=12";
const ICMPV6_NAMES =
  "unreachable=1 too-big=2 time-exceeded=3 parameter-problem=4 echo-request=128 echo-reply=129 router-solicitation=133 " +
  "router-advertisement=134 neighbour-solicitation=135 neighbour-advertisement=136 redirect=137";
const FLAG_NAMES = ["fin", "syn", "rst", "psh", "ack", "urg", "ece", "cwr"];
const FLAGS: StaticArray<u32> = [TCP_FIN, TCP_SYN, TCP_RST, TCP_PSH, TCP_ACK, TCP_URG, TCP_ECE, TCP_CWR];

const ruleReason = new Reason("rule");

/** A rule names `related`: errors about flows have to be classified. */
export let asksForRelated = false;
/** A rule challenges sources. */
export let hasChallenges = false;
let countingRules: u32 = 0;

export function beginRules(): void {
  asksForRelated = false;
  hasChallenges = false;
  countingRules = 0;
}

export function readRule(config: Config, rule: u32, conditions: SetConditions): Outcome {
  conditions.read(config, rule);
  readZoneConditions(config, "from", rule, FIELD_FROM, conditions);
  readZoneConditions(config, "to", rule, FIELD_TO, conditions);
  readIcmpTypes(config, "icmpTypes", rule, conditions);
  readIcmpTypes(config, "icmpv6Types", rule, conditions);
  readTcpFlags(config, rule, conditions);
  readFlowLabels(config, rule, conditions);
  readStates(config, rule, conditions);
  readSchedules(config, rule, conditions);
  const number = "rule=" + (rule + 1).toString();
  const name = config.has("name") ? config.text("name") : "";
  const outcome = new Outcome(name == "" ? number : number + ",name=" + name, ruleReason, rule + 1);
  outcome.isRule = true;
  readAction(config, outcome, RULE_ACTIONS);
  if (outcome.action == COUNT) readCounting(config, rule, outcome, conditions);
  else readLimits(config, outcome);
  outcome.logs = config.flagOr("log", false);
  if (outcome.logs) outcome.text = (name == "" ? number : number + " " + name) + ": " + RULE_ACTIONS[outcome.action];
  return outcome;
}

export function readAction(config: Config, outcome: Outcome, actions: string[]): void {
  outcome.action = config.choice("action", actions);
  outcome.rejection = config.choiceOr("rejectWith", RESET, REJECTIONS);
}

/** It does not match again those that it has counted: all that come to a later one of its kind have passed it. */
function readCounting(config: Config, rule: u32, outcome: Outcome, conditions: SetConditions): void {
  conditions.classifier.addRange(rule, FIELD_PASSED, 0, countingRules);
  countingRules++;
  outcome.passed = countingRules;
  const limits = ["rateLimit", "connectionsPerSource", "synCookies", "rejectWith"];
  for (let i = 0; i < limits.length; i++) {
    if (config.has(limits[i])) config.get(limits[i]).fail("means nothing where a rule only counts");
  }
}

function readLimits(config: Config, outcome: Outcome): void {
  if (config.has("rateLimit")) {
    const limit = config.object("rateLimit");
    outcome.rate = readRate(limit);
    outcome.ratesConnections = limit.choiceOr("of", 0, ["packets", "connections"]) == 1;
    outcome.ratesSources = limit.choiceOr("per", 0, ["rule", "source"]) == 1;
  }
  outcome.connectionLimit = <u32>config.integerOr("connectionsPerSource", 0, 1, 1_000_000);
  if (!config.has("synCookies")) return;
  outcome.challenge = readRate(config.object("synCookies"));
  hasChallenges = true;
}

/** `perSecond`, and `burst` at once. */
export function readRate(limit: Config): Rate {
  const perSecond = limit.number("perSecond");
  if (!(perSecond >= 0.01 && perSecond <= 10_000_000)) limit.get("perSecond").fail("must be from 0.01 to 10000000");
  const interval = <u64>(SECOND_NS / max(perSecond, 0.01));
  const burst = limit.integerOr("burst", max<i64>(<i64>perSecond, 1), 1, 1_000_000);
  return new Rate(interval, interval * <u64>burst);
}

function readZoneConditions(config: Config, key: string, rule: u32, field: i32, conditions: SetConditions): void {
  const list = listOf(config, key);
  if (list === null) return;
  for (let i = 0; i < list.length; i++) {
    const zone = readZoneName(list.at(i));
    conditions.classifier.addRange(rule, field, zone, zone);
  }
}

function readIcmpTypes(config: Config, key: string, rule: u32, conditions: SetConditions): void {
  const list = listOf(config, key);
  if (list === null) return;
  const isVersion6 = key == "icmpv6Types";
  const base: u32 = isVersion6 ? ICMPV6_TYPES : 0;
  for (let i = 0; i < list.length; i++) {
    const value = list.at(i);
    const parts = value.isNumber ? [value.asInteger(0, 255).toString()] : value.asText().split("/");
    const named = findNamed(isVersion6 ? ICMPV6_NAMES : ICMP_NAMES, parts[0]);
    const type = named >= 0 ? named : parseDecimal(parts[0], 255);
    const code = parts.length == 2 ? parseDecimal(parts[1], 255) : 0;
    if (type < 0 || code < 0 || parts.length > 2) {
      if (value.isText) value.fail("must be a type, or type/code, such as echo-request, 3 or 3/4");
      continue;
    }
    const first = base | ((<u32>type) << 8) | (<u32>code);
    conditions.classifier.addRange(rule, FIELD_ICMP, first, parts.length == 2 ? first : first | 0xff);
  }
}

function findNamed(names: string, name: string): i64 {
  const all = names.split(" ");
  for (let i = 0; i < all.length; i++) {
    const parts = all[i].split("=");
    if (parts[0] == name) return I64.parseInt(parts[1]);
  }
  return -1;
}

/** "syn !ack": what has to be set, and what must not. */
function readTcpFlags(config: Config, rule: u32, conditions: SetConditions): void {
  const list = listOf(config, "tcpFlags");
  if (list === null) return;
  for (let i = 0; i < list.length; i++) {
    const words = list.at(i).asText().split(" ");
    let mask: u32 = 0;
    let wanted: u32 = 0;
    for (let w = 0; w < words.length; w++) {
      const isClear = words[w].startsWith("!");
      const index = FLAG_NAMES.indexOf(isClear ? words[w].substring(1) : words[w]);
      if (index < 0) {
        if (list.at(i).isText) list.at(i).fail("must be flags such as 'syn !ack'; they are " + FLAG_NAMES.join(", "));
        break;
      }
      mask |= FLAGS[index];
      if (!isClear) wanted |= FLAGS[index];
    }
    for (let flags: u32 = 0; flags < 256; flags++) {
      if ((flags & mask) == wanted) conditions.classifier.addRange(rule, FIELD_TCP_FLAGS, flags, flags);
    }
  }
}

function readFlowLabels(config: Config, rule: u32, conditions: SetConditions): void {
  const list = listOf(config, "flowLabels");
  if (list === null) return;
  for (let i = 0; i < list.length; i++) {
    const range = list.at(i).asRange(0, 0xfffff);
    conditions.classifier.addRange(rule, FIELD_FLOW_LABEL, range.low, range.high);
  }
}

function readStates(config: Config, rule: u32, conditions: SetConditions): void {
  const list = listOf(config, "states");
  if (list === null) {
    conditions.classifier.addRange(rule, FIELD_STATE, 0, UNTRACKED);
    return;
  }
  for (let i = 0; i < list.length; i++) {
    const state = list.at(i).asChoice(STATES);
    if (state == RELATED) asksForRelated = true;
    conditions.classifier.addRange(rule, FIELD_STATE, state, state);
  }
}

function readSchedules(config: Config, rule: u32, conditions: SetConditions): void {
  const list = listOf(config, "schedules");
  if (list === null) return;
  for (let i = 0; i < list.length; i++) {
    const spans = readSchedule(list.at(i));
    for (let s = 0; s < spans.length; s++) {
      conditions.classifier.addRange(rule, FIELD_MINUTE, spans[s].first, spans[s].last);
    }
  }
}
