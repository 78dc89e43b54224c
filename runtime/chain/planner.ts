// From a parsed chain document to a plan. Finds all that is wrong with it at once.

import type { Fault, WarningCode } from "../errors.ts";
import { checkAnswers } from "./answers.ts";
import { checkReaders, planColumns } from "./columns.ts";
import { type DocumentEntry, type ParsedDocument, readEntries, readNames } from "./document.ts";
import { planEvents } from "./events.ts";
import { type Report, throwFaults } from "./faults.ts";
import { planFlows } from "./flows.ts";
import { planLabels } from "./labels.ts";
import type { Plan, PlannedPort } from "./plan.ts";
import { type FunctionSource, planFunction, type ResolvedFunction, resolveFunctions } from "./plan-functions.ts";
import { planPaths } from "./plan-paths.ts";
import { extendPointer } from "./pointer.ts";
import { parseKernelClass, parsePrefix } from "./protocols.ts";
import { findReached } from "./routes.ts";
import type { PortDeclaration } from "./schema.ts";
import { checkSpread, findUnspread } from "./spread.ts";
import { checkWindows } from "./windows.ts";

/** Something that is allowed and hardly meant. */
export interface PlanWarning {
  readonly code: WarningCode;
  readonly where: string;
  readonly what: string;
  /** JSON pointer (RFC 6901) into the document. */
  readonly pointer: string;
}

export interface PlannedChain {
  readonly plan: Plan;
  readonly warnings: readonly PlanWarning[];
}

/**
 * Throws every fault of the document: of its shape, its references, its functions and their configuration. A plan that
 * may follow the plan `before` while traffic flows gives labels, events, zones and ports the numbers that they have there.
 */
export function planChain(document: ParsedDocument, source: FunctionSource, before?: Plan): PlannedChain {
  const faults: Fault[] = [...document.faults];
  const report: Report = (code, pointer, what, help) =>
    faults.push({ code, where: document.locate(pointer), what, help, pointer });

  const declaredPorts = readEntries<PortDeclaration>(document, "ports");
  checkAnswers(document, report);
  checkSpread(document, report);
  const zones = listZones(declaredPorts, before?.zones);
  const resolved = resolveFunctions(document, source, report, (found) => faults.push(...found));
  // What functions have in common is judged when all of them are known.
  const isComplete = resolved.length === readNames(document, "functions").length;
  const reportCommon: Report = isComplete ? report : () => {};
  const common = planCommon(resolved, reportCommon, before);
  const labels = isComplete ? common.labels : listMatchedLabels(document);
  const { paths, hops } = planPaths(document, orderPorts(readNames(document, "ports"), before), labels, report);
  checkReaders(resolved, common.columns, hops, reportCommon);
  throwFaults(faults);

  const { chain, description = "", flows, whenDown = "pass" } = document.value;
  const order = orderPorts(
    declaredPorts.map(({ name }) => name),
    before,
  );
  const ports = order.map((name) =>
    planPort(declaredPorts.find((port) => port.name === name) as (typeof declaredPorts)[number], zones),
  );
  const functions = resolved.map((each) => planFunction(each, common));
  const shape = { chain, description, ports, functions, hops, paths };
  const plan: Plan = { ...shape, ...common, zones, flows: planFlows(flows, order), whenDown };
  checkWindows(plan, (index, what, help) =>
    report("chain-limit", (resolved[index] as ResolvedFunction).pointer, what, help),
  );
  throwFaults(faults);
  return { plan, warnings: [...findUnused(document, plan), ...findUnspread(document, plan, resolved)] };
}

/** What functions have in common: each column, event and label of the chain once. */
export function planCommon(
  functions: readonly ResolvedFunction[],
  report: Report,
  before?: Pick<Plan, "events" | "labels">,
): Pick<Plan, "columns" | "events" | "labels"> {
  return {
    columns: planColumns(functions, report),
    events: planEvents(functions, report, before?.events),
    labels: planLabels(functions, report, before?.labels),
  };
}

/** In the order of their appearance; ports that name none are in zone 0. */
function listZones(ports: readonly DocumentEntry<PortDeclaration>[], before: readonly string[] = []): string[] {
  const named = ports.map(({ declaration }) => declaration.zone).filter((zone) => zone !== undefined);
  return [...new Set(["", ...before, ...named])];
}

/** Those that the plan before has keep their numbers; the others come behind them. */
function orderPorts(names: readonly string[], before?: Plan): string[] {
  const known = (before?.ports ?? []).map(({ name }) => name).filter((name) => names.includes(name));
  return [...known, ...names.filter((name) => !known.includes(name))];
}

/** With functions missing, every label that a path asks for counts as known. */
function listMatchedLabels({ value }: ParsedDocument): string[] {
  return [value.paths].flat().flatMap((path) => path?.match?.labels ?? []);
}

function planPort({ name, declaration }: DocumentEntry<PortDeclaration>, zones: readonly string[]): PlannedPort {
  const {
    driver = "afxdp",
    device = "",
    queues = [0],
    mode,
    ringSize,
    forwarding = "bridge",
    kernel = [],
    zone = "",
  } = declaration;
  const classes = kernel.map(parseKernelClass).filter((kernelClass) => kernelClass !== undefined);
  const answersFor = (declaration.answersFor ?? []).map(parsePrefix).filter((prefix) => prefix !== undefined);
  const place = { driver, device, queues, mode, ringSize };
  return { name, ...place, forwarding, kernel: classes, answersFor, zone: zones.indexOf(zone) };
}

function findUnused(document: ParsedDocument, plan: Plan): PlanWarning[] {
  const reached = findReached(plan.paths, plan.hops);
  const warn = (code: PlanWarning["code"], section: string, kind: string) => (name: string) => {
    const pointer = extendPointer("", section, name);
    return { code, where: document.locate(pointer, "key"), what: `no path uses the ${kind} "${name}"`, pointer };
  };
  const functions = plan.functions.filter((_, index) => !reached.functions.has(index)).map(({ name }) => name);
  const ports = plan.ports
    .filter(({ forwarding }, index) => !reached.ports.has(index) && !(reached.isRouted && forwarding === "routed"))
    .map(({ name }) => name);
  return [
    ...ports.map(warn("unused-port", "ports", "port")),
    ...functions.map(warn("unused-function", "functions", "function")),
  ];
}
