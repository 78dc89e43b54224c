// A stateful firewall: zones, rules and limits. README.md has the semantics; passage.ts is a batch's way through.

import { batch, Config, EVENT_CLOSED, EVENT_EVICTED, EVENT_RESET, EVENT_TIMEOUT, events, log } from "../sdk";
import { Classifier } from "../sdk/classifier/classifier";
import { ROOT } from "../sdk/classifier/frame-rows";
import { readChecks } from "./checks";
import { readClamp } from "./clamp";
import { beginGeneration } from "./decisions";
import { Outcome } from "./outcomes";
import { processBatch, readPassage } from "./passage";
import { buildPolicies } from "./policies";
import { beginRules, readRule } from "./rules";
import { readSchedules } from "./schedules";
import { SetConditions } from "./sets";
import { closeConnection, recount, recountIfDoubtful } from "./sources";
import { readVerdicts } from "./verdicts";
import { readZones } from "./zones";
export { nf_abi } from "../sdk/exports";

const RULES_LIMIT = 10000;

export function nf_configure(json: string): bool {
  const config = Config.parse(json);
  readZones(config);
  readSchedules(config);
  readChecks(config);
  readClamp(config);
  readVerdicts(config);
  readRules(config);
  if (!config.accepted()) return false;
  beginGeneration(json);
  return true;
}

function readRules(config: Config): void {
  const rules = config.list("rules");
  const isTooLong = rules.length > RULES_LIMIT;
  if (isTooLong) rules.fail("has " + rules.length.toString() + " rules; at most " + RULES_LIMIT.toString() + " can be");
  const count: u32 = isTooLong ? 0 : rules.length;
  const classifier = new Classifier(count);
  const conditions = new SetConditions(classifier, config.has("sets") ? config.object("sets") : null);
  const outcomes: Outcome[] = [];
  beginRules();
  for (let i: u32 = 0; i < count; i++) outcomes.push(readRule(rules.at(i), i, conditions));
  buildPolicies(config, outcomes);
  readPassage(config, count);
  buildTables(classifier, rules);
}

function buildTables(classifier: Classifier, rules: Config): void {
  const free = ((<u64>memory.size()) << 16) - <u64>heap.alloc(0);
  const needed = classifier.bytesNeeded;
  if (needed > free) {
    rules.fail("may need " + (needed >> 20).toString() + " MiB of tables; there are " + (free >> 20).toString());
    return;
  }
  classifier.build(ROOT);
  const size = classifier.ruleCount.toString() + " rules in " + (classifier.tableBytes >> 10).toString();
  log.info(size + " KiB of tables; a new flow costs at most " + classifier.worstReads.toString() + " reads");
}

export function nf_process(): void {
  processBatch();
}

export function nf_events(): void {
  const ends: u32 = EVENT_CLOSED | EVENT_RESET | EVENT_TIMEOUT | EVENT_EVICTED;
  for (let i = 0; i < events.count; i++) {
    if (events.at(i).kind & ends) closeConnection(events.at(i).flow);
  }
  if (events.missed != 0) recount();
}

export function nf_tick(): void {
  recountIfDoubtful(batch.time);
}
