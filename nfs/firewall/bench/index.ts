// The function, and where its tables are: for its native twin (test/bench), which works on the very same ones.

import { log } from "../../sdk";
import { FLOW_BYTES } from "../../sdk/abi";
import { ROOT } from "../../sdk/classifier/frame-rows";
import { openColumn, openSegment } from "../../sdk/imports";
import { nf_configure as configure } from "../index";
import { ACCEPT, COUNT, Outcome } from "../outcomes";
import { defaultOutcome, outcomes } from "../policies";
export { nf_abi, nf_events, nf_process, nf_tick } from "../index";

/** u32 each, in the order of FirewallTables in test/bench/twin_firewall.h. */
const tables: StaticArray<u32> = new StaticArray<u32>(6);
const OUTCOME_BYTES: usize = 20;

export function nf_configure(json: string): bool {
  if (!configure(json)) return false;
  tables[0] = <u32>ROOT;
  tables[1] = defaultOutcome;
  tables[2] = <u32>flatten();
  tables[3] = <u32>openColumn("firewall.decision", sizeof<u64>());
  tables[4] = <u32>openColumn("flow", FLOW_BYTES);
  tables[5] = <u32>openSegment("configuration");
  log.info("tables at " + changetype<usize>(tables).toString());
  return true;
}

/** u32 each, by number: the action, addresses of three counters, and whether it is no more than that. */
function flatten(): usize {
  const all = heap.alloc(<usize>outcomes.length * OUTCOME_BYTES);
  for (let i = 0; i < outcomes.length; i++) {
    const outcome = outcomes[i];
    const address = changetype<usize>(outcome);
    const at = all + <usize>i * OUTCOME_BYTES;
    store<u32>(at, u32(outcome.action == ACCEPT));
    store<u32>(at, load<u32>(address, offsetof<Outcome>("packets")), 4);
    store<u32>(at, load<u32>(address, offsetof<Outcome>("bytes")), 8);
    store<u32>(at, load<u32>(address, offsetof<Outcome>("lastHit")), 12);
    store<u32>(at, u32(isPlain(outcome)), 16);
  }
  return all;
}

function isPlain(outcome: Outcome): bool {
  const limits = outcome.rate !== null || outcome.challenge !== null || outcome.connectionLimit != 0;
  return !limits && !outcome.logs && outcome.action != COUNT;
}
