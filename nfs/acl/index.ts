// Permits or denies frames by an ordered list of rules; the first that matches decides. README.md has the semantics.

import { batch, Config, Counter, log } from "../sdk";
import { BATCH_INPUT } from "../sdk/abi";
import { batchAddress, recordsAddress } from "../sdk/context";
import { Classifier } from "../sdk/classifier/classifier";
import { Conditions } from "../sdk/classifier/conditions";
import { ROOT } from "../sdk/classifier/frame-rows";
import { MATCHES, matchBatch } from "../sdk/classifier/lookup";
import { Policy } from "./policy";
import { ACTIONS, DENY } from "./rules";
export { nf_abi } from "../sdk/exports";

const RULES_LIMIT = 20000;

let policy = new Policy(0);

export function nf_configure(json: string): bool {
  const config = Config.parse(json);
  const rules = config.list("rules");
  const isTooLong = rules.length > RULES_LIMIT;
  if (isTooLong) rules.fail("has " + rules.length.toString() + " rules; at most " + RULES_LIMIT.toString() + " can be");
  policy = new Policy(isTooLong ? 0 : rules.length);
  policy.defaultAction = config.choiceOr("default", DENY, ACTIONS);
  policy.malformedAction = config.choiceOr("malformed", DENY, ACTIONS);
  policy.permitsAddressResolution = config.flagOr("permitAddressResolution", true);
  readRules(rules);
  return config.accepted();
}

function readRules(rules: Config): void {
  const classifier = new Classifier(policy.ruleCount);
  const conditions = new Conditions(classifier);
  for (let i: u32 = 0; i < policy.ruleCount; i++) {
    const rule = rules.at(i);
    const label = "rule=" + (i + 1).toString();
    const hits = new Counter("hits", rule.has("name") ? label + ",name=" + rule.text("name") : label);
    policy.setRule(i, hits, rule.choice("action", ACTIONS));
    conditions.read(rule, i);
  }
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
  const size = policy.ruleCount.toString() + " rules in " + (classifier.tableBytes >> 10).toString() + " KiB of tables";
  const parts = classifier.rowCount.toString() + " rows, " + classifier.blockCount.toString() + " blocks";
  log.info(size + " (" + parts + "); a frame costs at most " + classifier.worstReads.toString() + " reads");
}

export function nf_process(): void {
  matchBatch(recordsAddress, batchAddress + BATCH_INPUT, batch.count);
  for (let i = 0; i < batch.count; i++) policy.apply(batch.packet(i), load<u32>(MATCHES + (i << 2)));
}
