// Lays the hops of a path and of its branches out so that a frame only ever moves to a higher index.
//
//   through: [a, b], to: wan          hop 0: a ──next──▶ hop 1: b ──next──▶ wan
//   branches: a.suspect: [c] → none            └─suspect─▶ hop 2: c ──next──▶ none
//
// A branch is laid out once per path, however many hops of that path lead to it.

import type { PlannedHop, PlannedPath, Target } from "./plan.ts";

/** A straight run of functions (by index) and where it ends. */
export interface Leg {
  readonly through: readonly number[];
  readonly to: Target;
}

/** By function index, in the order of their branch indices. They must not form a cycle. */
export type Branches = readonly (readonly Leg[])[];

export interface Route {
  readonly first: Target;
  readonly hops: readonly PlannedHop[];
}

/** Plans one path. `start` is the index that its first hop gets. */
export function planRoute(path: number, main: Leg, branches: Branches, start: number): Route {
  const legs = orderLegs(main, branches);
  const entries = new Map<Leg, Target>();
  let index = start;
  for (const leg of legs) {
    entries.set(leg, leg.through.length === 0 ? leg.to : { kind: "hop", hop: index });
    index += leg.through.length;
  }
  const entryOf = (leg: Leg) => entries.get(leg) as Target;

  const hops: PlannedHop[] = [];
  for (const leg of legs)
    for (const [place, functionIndex] of leg.through.entries()) {
      const isLast = place === leg.through.length - 1;
      const next: Target = isLast ? leg.to : { kind: "hop", hop: start + hops.length + 1 };
      hops.push({ function: functionIndex, path, next, branches: (branches[functionIndex] ?? []).map(entryOf) });
    }
  return { first: entryOf(main), hops };
}

/** Topological: every leg stands before the branches that its functions may take. */
function orderLegs(main: Leg, branches: Branches): Leg[] {
  const finished = new Set<Leg>();
  const visit = (leg: Leg) => {
    if (finished.has(leg)) return;
    for (const functionIndex of leg.through.toReversed())
      for (const branch of (branches[functionIndex] ?? []).toReversed()) visit(branch);
    finished.add(leg);
  };
  visit(main);
  return [...finished].reverse();
}

/** The functions and ports that frames of these paths can reach. */
export function findReached(paths: readonly PlannedPath[], hops: readonly PlannedHop[]) {
  const functions = new Set(hops.map((hop) => hop.function));
  const targets = [...paths.map((path) => path.first), ...hops.flatMap((hop) => [hop.next, ...hop.branches])];
  const ports = new Set(paths.map((path) => path.from));
  for (const target of targets) if (target.kind === "port") ports.add(target.port);
  return { functions, ports, isRouted: targets.some(({ kind }) => kind === "route") };
}
