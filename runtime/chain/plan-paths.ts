// Resolves the paths and branches of a chain to indices and lays out their hops.

import { type ParsedDocument, readEntries, readMap, readNames } from "./document.ts";
import type { Report } from "./faults.ts";
import { coversMatch, planMatch } from "./match.ts";
import { suggest } from "./nearest.ts";
import type { Match, PlannedHop, PlannedPath, Target } from "./plan.ts";
import { extendPointer } from "./pointer.ts";
import { type Branches, type Leg, planRoute } from "./routes.ts";
import type { BranchDeclaration, PathDeclaration, PortDeclaration } from "./schema.ts";

/** Each hop has its own counters, one per reason that its function may give. */
const hopsLimit = 1024;

interface DeclaredBranch {
  readonly functionName: string;
  readonly name: string;
  readonly pointer: string;
  readonly declaration: BranchDeclaration;
}

/**
 * Reports every wrong reference, cycle and unreachable path; the result is empty if the document has any fault.
 * `labels` are those that the chain's functions set, by bit; `ports` all ports of the document, by index.
 */
export function planPaths(
  document: ParsedDocument,
  ports: readonly string[],
  labels: readonly string[],
  report: Report,
): { readonly paths: readonly PlannedPath[]; readonly hops: readonly PlannedHop[] } {
  let isSound = document.faults.length === 0;
  const reportPath: Report = (...fault) => {
    isSound = false;
    report(...fault);
  };
  const routedPorts = readEntries<PortDeclaration>(document, "ports").filter(
    ({ declaration }) => declaration.forwarding === "routed",
  ).length;
  const names = { ports, functions: readNames(document, "functions"), routedPorts };
  const paths = readPaths(document, labels);
  const branches = readBranches(document);
  for (const { declaration, pointer } of paths) {
    checkPort(declaration.from, `${pointer}/from`, names.ports, reportPath);
    checkLeg(declaration, pointer, names, reportPath);
    checkLabels(labelsOf(declaration), `${pointer}/match/labels`, labels, reportPath);
  }
  for (const branch of branches) checkBranch(branch, names, reportPath);
  findCycles(branches, reportPath);
  const isKnown = ({ declaration }: DeclaredPath) => labelsOf(declaration).every((label) => labels.includes(label));
  findUnreachable(paths.filter(isKnown), document, reportPath);
  return isSound ? layOut(paths, branches, names, report) : { paths: [], hops: [] };
}

interface DeclaredPath {
  readonly pointer: string;
  readonly declaration: PathDeclaration;
  readonly match: Match | null;
}

function readPaths(document: ParsedDocument, labels: readonly string[]): DeclaredPath[] {
  const declarations: readonly PathDeclaration[] = document.value?.paths;
  if (!Array.isArray(declarations)) return [];
  return declarations
    .map((declaration, index) => ({ declaration, pointer: `/paths/${index}` }))
    .filter(({ pointer }) => document.isSound(pointer))
    .map((path) => ({ ...path, match: planMatch(path.declaration.match, labels) }));
}

function readBranches(document: ParsedDocument): DeclaredBranch[] {
  const declared = readMap(document.value, "branches");
  return Object.keys(declared).flatMap((functionName) =>
    Object.entries(readMap(declared, functionName))
      .map(([name, declaration]) => {
        const pointer = extendPointer("/branches", functionName, name);
        return { functionName, name, pointer, declaration: declaration as BranchDeclaration };
      })
      .filter(({ pointer }) => document.isSound(pointer)),
  );
}

interface Names {
  readonly ports: readonly string[];
  readonly functions: readonly string[];
  /** How many of the ports are routed. */
  readonly routedPorts: number;
}

function checkPort(name: string, pointer: string, ports: readonly string[], report: Report): void {
  if (!ports.includes(name))
    report("unknown-port", pointer, `there is no port "${name}"`, suggest(name, ports, "ports"));
}

function checkFunction(name: string, pointer: string, functions: readonly string[], report: Report): void {
  if (functions.includes(name)) return;
  report("unknown-function", pointer, `there is no function "${name}"`, suggest(name, functions, "functions"));
}

function checkLeg({ through = [], to }: BranchDeclaration, pointer: string, names: Names, report: Report): void {
  for (const [index, name] of through.entries())
    checkFunction(name, `${pointer}/through/${index}`, names.functions, report);
  if (to === "route") checkRoute(`${pointer}/to`, names, report);
  else if (to !== "none") checkPort(to, `${pointer}/to`, names.ports, report);
}

function checkRoute(pointer: string, { routedPorts }: Names, report: Report): void {
  if (routedPorts > 0) return;
  const help = "say `forwarding: routed` at the ports that have addresses";
  report("unknown-port", pointer, "no port of the chain is routed", help);
}

function labelsOf({ match }: PathDeclaration): readonly string[] {
  return match?.labels ?? [];
}

function checkLabels(wanted: readonly string[], pointer: string, labels: readonly string[], report: Report): void {
  for (const [index, label] of wanted.entries()) {
    if (labels.includes(label)) continue;
    const what = `no function of the chain sets the label "${label}"`;
    report("unknown-label", `${pointer}/${index}`, what, suggest(label, labels, "labels"));
  }
}

function checkBranch({ functionName, pointer, declaration }: DeclaredBranch, names: Names, report: Report): void {
  checkFunction(functionName, extendPointer("/branches", functionName), names.functions, report);
  checkLeg(declaration, pointer, names, report);
}

/** A frame that took a branch must not meet, further on, a function that can send it there again. */
function findCycles(branches: readonly DeclaredBranch[], report: Report): void {
  const byFunction = Map.groupBy(branches, (branch) => branch.functionName);
  const finished = new Set<string>();
  const follow = (branch: DeclaredBranch, trail: readonly DeclaredBranch[]) => {
    for (const name of new Set(branch.declaration.through)) {
      const start = trail.findIndex((step) => step.functionName === name);
      if (start < 0) visit(name, trail);
      else report("branch-cycle", branch.pointer, `the branch leads back to "${name}": ${drawCycle(trail, start)}`);
    }
  };
  const visit = (name: string, trail: readonly DeclaredBranch[]) => {
    if (finished.has(name)) return;
    for (const branch of byFunction.get(name) ?? []) follow(branch, [...trail, branch]);
    finished.add(name);
  };
  for (const name of byFunction.keys()) visit(name, []);
}

function drawCycle(trail: readonly DeclaredBranch[], start: number): string {
  const steps = trail.slice(start).map((branch) => `${branch.functionName}.${branch.name}`);
  return [...steps, trail[start]?.functionName].join(" → ");
}

function findUnreachable(paths: readonly DeclaredPath[], document: ParsedDocument, report: Report): void {
  for (const [index, { declaration, pointer, match }] of paths.entries()) {
    const takesAll = paths
      .slice(0, index)
      .find((earlier) => earlier.declaration.from === declaration.from && coversMatch(earlier.match, match));
    if (takesAll === undefined) continue;
    const what = `no frame gets here: the path at ${document.locate(takesAll.pointer)} takes all that this one would`;
    report("unreachable-path", pointer, what, "put the path with the narrower match first");
  }
}

function layOut(paths: readonly DeclaredPath[], branches: readonly DeclaredBranch[], names: Names, report: Report) {
  const toTarget = (to: string): Target =>
    to === "none" || to === "route" ? { kind: to } : { kind: "port", port: names.ports.indexOf(to) };
  const toLeg = ({ through = [], to }: BranchDeclaration): Leg => ({
    through: through.map((name) => names.functions.indexOf(name)),
    to: toTarget(to),
  });
  const branchLegs: Branches = names.functions.map((name) =>
    branches.filter(({ functionName }) => functionName === name).map(({ declaration }) => toLeg(declaration)),
  );
  const hops: PlannedHop[] = [];
  const planned: PlannedPath[] = [];
  for (const [index, { declaration, pointer, match }] of paths.entries()) {
    const route = planRoute(index, toLeg(declaration), branchLegs, hops.length);
    hops.push(...route.hops);
    if (hops.length > hopsLimit) {
      report(
        "document-schema",
        pointer,
        `the chain has more than ${hopsLimit} hops`,
        "each function counts once per path",
      );
      return { paths: [], hops: [] };
    }
    planned.push({ from: names.ports.indexOf(declaration.from), match, first: route.first });
  }
  return { paths: planned, hops };
}
