// All outcomes of a configuration by number: rules, pairs of zones, and what there is besides.
import { Config, Reason } from "../sdk";
import { ACCEPT, ACTIONS, DROP, Outcome } from "./outcomes";
import { readAction } from "./rules";
import { nameOfZone, readZoneName, ZONES_LIMIT } from "./zones";

const PAIRS_LIMIT = 4096;

const pairReason = new Reason("pair");
const defaultReason = new Reason("default");
const keptReason = new Reason("kept");

/** Rules first, in the document's order. */
export let outcomes: StaticArray<Outcome> = new StaticArray<Outcome>(0);
export let defaultOutcome: u32 = 0;
export let resolutionOutcome: u32 = 0;
/** Of flows that an earlier configuration accepted. */
export let keptOutcome: u32 = 0;

/** u16 per pair of zones: its outcome. */
const SIDE: usize = ZONES_LIMIT + 1;
const outcomeOfPair = heap.alloc(SIDE * SIDE * 2);

export function buildPolicies(config: Config, rules: Outcome[]): void {
  const all = rules;
  defaultOutcome = all.length;
  const others = new Outcome("policy=default", defaultReason, 0);
  others.action = config.choiceOr("default", DROP, ACTIONS);
  all.push(others);
  resolutionOutcome = add(all, "policy=address-resolution", defaultReason);
  keptOutcome = add(all, "policy=kept", keptReason);
  for (let i: usize = 0; i < SIDE * SIDE; i++) store<u16>(outcomeOfPair + (i << 1), <u16>defaultOutcome);
  if (config.has("pairs")) readPairs(config.list("pairs"), all);
  outcomes = StaticArray.fromArray<Outcome>(all);
}

function add(all: Outcome[], label: string, reason: Reason): u32 {
  const outcome = new Outcome(label, reason, 0);
  outcome.action = ACCEPT;
  return all.push(outcome) - 1;
}

function readPairs(pairs: Config, all: Outcome[]): void {
  if (pairs.length > PAIRS_LIMIT) return pairs.fail("has more than " + PAIRS_LIMIT.toString() + " pairs");
  for (let i = 0; i < pairs.length; i++) {
    const pair = pairs.at(i);
    const from = readZoneName(pair.get("from"));
    const to = readZoneName(pair.get("to"));
    if (from == 0 || to == 0) continue;
    const place = placeOf(from, to);
    if (load<u16>(place) != defaultOutcome) pair.fail("this pair of zones is there twice");
    const outcome = new Outcome("pair=" + nameOfZone(from) + "-" + nameOfZone(to), pairReason, i + 1);
    readAction(pair, outcome, ACTIONS);
    store<u16>(place, <u16>(all.push(outcome) - 1));
  }
}

@inline
function placeOf(from: u32, to: u32): usize {
  return outcomeOfPair + ((<usize>from * SIDE + to) << 1);
}

@inline
export function outcomeOfZones(from: u32, to: u32): u32 {
  return load<u16>(placeOf(from, to));
}
