// The function, and where its state is: for its native twin (test/bench), which works on the very same.

import { log } from "../../sdk";
import { openColumn } from "../../sdk/imports";
import { nf_configure as configure } from "../index";
import { expectations } from "../protocol-store";
import { outsidePorts, sourceRules } from "../rules";
import { udpTimeoutMs } from "../settings";
import {
  base,
  header,
  hostBuckets,
  hosts,
  insideBuckets,
  mappings,
  outsideBuckets,
  permissionBuckets,
  permissions,
  places,
  portSets,
  sessions,
  Slab,
} from "../store";
export { nf_abi, nf_events, nf_process, nf_tick } from "../index";

/** u32 each, in the order of NatTables in test/bench/twin_nat.h. */
const tables: StaticArray<u32> = new StaticArray<u32>(48);
let count = 0;

export function nf_configure(json: string): bool {
  if (!configure(json)) return false;
  if (sourceRules.length != 1) throw new Error("the twin has one rule for sources");
  add(base);
  add(changetype<usize>(header));
  add(places);
  add(portSets);
  add(insideBuckets);
  add(outsideBuckets);
  add(permissionBuckets);
  add(hostBuckets);
  addSlab(mappings);
  addSlab(sessions);
  addSlab(permissions);
  addSlab(hosts);
  add(expectations.head);
  addColumns();
  addRule();
  log.info("tables at " + changetype<usize>(tables).toString());
  return true;
}

function add(word: usize): void {
  tables[count++] = <u32>word;
}

function addSlab(slab: Slab): void {
  add(slab.head);
  add(slab.first);
  add(slab.bytes);
  add(slab.capacity);
  add(changetype<usize>(slab.level));
}

function addColumns(): void {
  add(openColumn("nat.session", 4));
  add(openColumn("nat.inside_address", 4));
  add(openColumn("nat.inside_port", 2));
  add(openColumn("nat.outside_address", 4));
  add(openColumn("nat.outside_port", 2));
}

function addRule(): void {
  const rule = sourceRules[0];
  add(changetype<usize>(outsidePorts));
  add(<usize>rule.sources[0].low);
  add(<usize>rule.sources[0].lowMask);
  add(rule.pool.dataStart);
  add(rule.pool.length);
  add(rule.lowPort);
  add(rule.highPort);
  add(udpTimeoutMs);
  add(changetype<usize>(rule.translated));
}
