// From what an operator declares to a revision: planned, with exact versions, and compared with what runs.
import { detachDocument, parseDocument } from "../chain/document.ts";
import { type DocumentChanges, isSame, isSameForLanes, listDocumentChanges } from "../chain/document-changes.ts";
import { type Tuple, Ways } from "../chain/flow-ways.ts";
import type { Plan } from "../chain/plan.ts";
import { type PlanWarning, planChain } from "../chain/planner.ts";
import type { ChainDocument } from "../chain/schema.ts";
import { listStateChanges, type StateChange } from "../chain/state-changes.ts";
import { requireChangeable, requireDevices } from "../dataplane/changeable.ts";
import { loadAddon } from "../dataplane/load-addon.ts";
import type { FoundEngine } from "../dataplane/state-folder.ts";
import { type Fault, SluiceError } from "../errors.ts";
import { admit } from "../function/admission.ts";
import type { Catalog, FunctionPackage } from "../function/catalog.ts";
import { pinDocument } from "../function/load-chain.ts";
import { FlowTables } from "../telemetry/flow-tables.ts";

export interface PlannedDocument {
  readonly declared: ChainDocument;
  readonly pinned: ChainDocument;
  readonly plan: Plan;
  /** By index of the plan's functions. */
  readonly packages: readonly FunctionPackage[];
  readonly warnings: readonly PlanWarning[];
}

/** Throws all that is wrong with the document. `before` is the plan of what runs. */
export function planDocument(text: string, name: string, catalog: Catalog, before?: Plan): PlannedDocument {
  const parsed = parseDocument(text, name);
  const { plan, warnings } = planChain(parsed, catalog, before);
  requireDevices(plan.ports);
  const packages = plan.functions.map(({ package: used }) => requirePackage(catalog, used.name, used.version));
  for (const { wasm, manifest } of packages) admit(wasm, manifest);
  return { declared: detachDocument(parsed), pinned: pinDocument(parsed, plan), plan, packages, warnings };
}

function requirePackage(catalog: Catalog, name: string, version: string): FunctionPackage {
  const found = catalog.find(name, version);
  if (found !== undefined) return found;
  throw new SluiceError({ code: "function-not-found", where: `${name}@${version}`, what: "the package is gone" });
}

/**
 * none: it is as it was; settings: nothing that the lanes see; generation: a change while traffic flows; start: it does
 * not run yet; restart: it has to be stopped and started, which is done only if the request says so.
 */
export type Way = "none" | "settings" | "generation" | "start" | "restart";

export interface AffectedFlows {
  readonly live: number;
  /** Those that take another way, or one through a function that is another one then. */
  readonly affected: number;
}

export interface ChangePlan extends DocumentChanges {
  readonly chain: string;
  readonly way: Way;
  /** Why it has to be stopped for that. */
  readonly restartFor: readonly string[];
  readonly state: readonly StateChange[];
  /** Null if it does not run. */
  readonly flows: AffectedFlows | null;
  readonly warnings: readonly PlanWarning[];
}

export interface Running {
  readonly document: ChainDocument;
  readonly plan: Plan;
  readonly engine: FoundEngine;
}

export function compareWithRunning(planned: PlannedDocument, running: Running | null): ChangePlan {
  const { pinned, plan, warnings } = planned;
  const changes = listDocumentChanges(running?.document ?? null, pinned);
  const reasons = running === null ? [] : findRestartReasons(running.plan, plan);
  const way = findWay(pinned, running, reasons);
  return {
    ...{ chain: plan.chain, way, ...changes },
    restartFor: way === "restart" ? reasons : [],
    state: running === null ? [] : listStateChanges(running.plan, plan),
    flows: running === null ? null : countAffected(running, plan),
    warnings,
  };
}

function findWay(pinned: ChainDocument, running: Running | null, reasons: readonly string[]): Way {
  if (running === null) return "start";
  if (isSame(running.document, pinned)) return "none";
  if (isSameForLanes(running.document, pinned)) return "settings";
  return reasons.length > 0 ? "restart" : "generation";
}

function findRestartReasons(before: Plan, after: Plan): string[] {
  try {
    requireChangeable(before, after);
    return [];
  } catch (error) {
    if (error instanceof SluiceError) return error.faults.map(({ where, what }: Fault) => `${where}: ${what}`);
    throw error;
  }
}

/** On the live flow table, from each port in either direction. */
function countAffected({ engine: { path, engine }, plan }: Running, next: Plan): AffectedFlows {
  const native = loadAddon();
  const [before, after] = [new Ways(plan), new Ways(next)];
  const ports = [...before.ports];
  const isSameWay = (tuple: Tuple) => ports.every((port) => before.find(port, tuple) === after.find(port, tuple));
  let [live, affected] = [0, 0];
  for (const flow of FlowTables.attach(native, path, engine).flows()) {
    live += 1;
    const { ipProto, source, destination, vlan, labels } = flow;
    const there = { ipProto, source, destination, vlan, labels };
    const back = { ...there, source: destination, destination: source };
    if (!isSameWay(there) || !isSameWay(back)) affected += 1;
  }
  return { live, affected };
}
