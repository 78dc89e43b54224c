// From a parsed chain document to a plan. Finds all that is wrong with it at once.

import type { Fault, WarningCode } from "../errors.ts";
import { type DocumentEntry, type ParsedDocument, readEntries } from "./document.ts";
import { type Report, throwFaults } from "./faults.ts";
import type { Plan, PlannedPort } from "./plan.ts";
import { type FunctionSource, planFunctions } from "./plan-functions.ts";
import { planPaths } from "./plan-paths.ts";
import { extendPointer } from "./pointer.ts";
import { parseKernelClass } from "./protocols.ts";
import { findReached } from "./routes.ts";
import type { PortDeclaration } from "./schema.ts";

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

/** Throws every fault of the document: of its shape, its references, its functions and their configuration. */
export function planChain(document: ParsedDocument, source: FunctionSource): PlannedChain {
  const faults: Fault[] = [...document.faults];
  const report: Report = (code, pointer, what, help) =>
    faults.push({ code, where: document.locate(pointer), what, help, pointer });

  const ports = readEntries<PortDeclaration>(document, "ports").map(planPort);
  const functions = planFunctions(document, source, report, (found) => faults.push(...found));
  const { paths, hops } = planPaths(document, report);
  throwFaults(faults);

  const { chain, description = "" } = document.value;
  const plan: Plan = { chain, description, ports, functions, hops, paths };
  return { plan, warnings: findUnused(document, plan) };
}

function planPort({ name, declaration }: DocumentEntry<PortDeclaration>): PlannedPort {
  const { driver = "afxdp", device = "", queues = [0], mode, ringSize, kernel = [] } = declaration;
  const classes = kernel.map(parseKernelClass).filter((kernelClass) => kernelClass !== undefined);
  return { name, driver, device, queues, mode, ringSize, kernel: classes };
}

function findUnused(document: ParsedDocument, plan: Plan): PlanWarning[] {
  const reached = findReached(plan.paths, plan.hops);
  const warn = (code: PlanWarning["code"], section: string, kind: string) => (name: string) => {
    const pointer = extendPointer("", section, name);
    return { code, where: document.locate(pointer, "key"), what: `no path uses the ${kind} "${name}"`, pointer };
  };
  const functions = plan.functions.filter((_, index) => !reached.functions.has(index)).map(({ name }) => name);
  const ports = plan.ports.filter((_, index) => !reached.ports.has(index)).map(({ name }) => name);
  return [
    ...ports.map(warn("unused-port", "ports", "port")),
    ...functions.map(warn("unused-function", "functions", "function")),
  ];
}
