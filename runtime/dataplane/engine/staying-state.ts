// What of a dead engine's state stays for the next one of the chain.
import { countLanes, type Plan } from "../../chain/plan.ts";
import { listStateSegments } from "../flow-memory.ts";
import { nameInLanes } from "../lane-files.ts";
import { REPORT_NAMES_FILE } from "../report-names.ts";
import { EXPORTED_FLOWS, REPORTS, REPORTS_READ } from "../reports.ts";
import { COMMITTED, COMMITTING, DESCRIPTION, type EngineDescription } from "../state-folder.ts";
import type { EngineSetup } from "./setup.ts";

/** Files: columns and segments stay for the plan that had them; an engine that is not a dead one's successor has to be alike. */
export function listStaying({ plan, resume }: EngineSetup, dead: EngineDescription | null): string[] {
  if (resume === undefined && dead?.stateKey !== stateKeyOf(plan)) return [];
  const counted = (resume ?? dead)?.functions.map(({ name }) => `function-${name}`) ?? [];
  const lanes = Math.max(countLanes(plan), dead?.lanes ?? 1);
  const segments = ["flows", ...listStateSegments(plan), "counters", ...counted, REPORTS, REPORTS_READ];
  const files = segments.flatMap((name) => nameInLanes(name, lanes));
  const state = [DESCRIPTION, ...files, REPORT_NAMES_FILE, EXPORTED_FLOWS];
  return resume === undefined ? state : [...state, COMMITTED, COMMITTING];
}

/** Segments hold what a function's code left there: only the same version of it takes them over. */
export function stateKeyOf({ flows, columns, functions, labels, zones, ports }: Plan): string {
  const packages = functions.map(({ name, package: from, segments }) => [name, from.name, from.version, segments]);
  return JSON.stringify([
    countLanes({ ports }),
    flows.capacity,
    columns,
    packages,
    labels,
    zones,
    ports.map((port) => port.zone),
  ]);
}
