// Two plans in one: some flows go through the functions as they are, the others through those that are to come.
import { type Fault, SluiceError } from "../errors.ts";
import type { Plan, PlannedColumn, PlannedFunction, PlannedHop, PlannedPath, Target } from "./plan.ts";
import { listStateChanges } from "./state-changes.ts";
import { checkWindows } from "./windows.ts";

/** Which flows take the new way: those that `match` takes, or a share of all, 0 … 1, by the hash of their tuple. */
export type CanaryRule = NonNullable<Plan["canary"]>;

export interface CanaryPlan {
  readonly plan: Plan;
  /** By index of its functions: where each comes from. */
  readonly origins: readonly { readonly plan: "before" | "after"; readonly index: number }[];
}

/** How the new version of a function is called beside the one that runs. */
export function nameNext(name: string): string {
  return `${name}:next`;
}

/** The function whose counters and segments a function has. */
export function stateNameOf({ name, canaryOf }: Pick<PlannedFunction, "name" | "canaryOf">): string {
  return canaryOf ?? name;
}

/**
 * `after` is planned as what may follow `before`. `isSame` says of two functions of one name (by their indices) that
 * nothing about them changes: they are one function then, for all flows. Throws change-refused.
 */
export function planCanary(
  before: Plan,
  after: Plan,
  rule: CanaryRule,
  isSame: (before: number, after: number) => boolean,
): CanaryPlan {
  const faults = findCanaryFaults(before, after);
  if (faults.length > 0) throw new SluiceError(...(faults as [Fault, ...Fault[]]));
  const origins: CanaryPlan["origins"][number][] = before.functions.map((_, index) => ({ plan: "before", index }));
  const places = after.functions.map(({ name }, index) => {
    const twin = before.functions.findIndex((each) => each.name === name);
    if (twin >= 0 && isSame(twin, index)) return twin;
    return origins.push({ plan: "after", index }) - 1;
  });
  const functions = origins.map(({ plan, index }) => {
    const planned = (plan === "before" ? before : after).functions[index] as PlannedFunction;
    return plan === "before" ? planNow(planned, places.includes(index)) : planNext(planned, before);
  });
  const plan: Plan = {
    ...after,
    ...{ ports: before.ports, zones: before.zones, flows: before.flows },
    functions,
    columns: mergeColumns(before, after, places),
    hops: [...before.hops, ...shiftHops(after.hops, before, places)],
    paths: [
      ...before.paths.map((path): PlannedPath => ({ ...path, side: "stays" })),
      ...after.paths.map((path): PlannedPath => {
        return { ...path, first: shift(path.first, before.hops.length), side: "canary" };
      }),
    ],
    canary: rule,
  };
  requireRoom(plan);
  return { plan, origins };
}

function planNow(planned: PlannedFunction, isShared: boolean): PlannedFunction {
  return isShared ? planned : { ...planned, side: "stays" };
}

function planNext(planned: PlannedFunction, before: Plan): PlannedFunction {
  const isNew = !before.functions.some(({ name }) => name === planned.name);
  if (isNew) return planned;
  return { ...planned, name: nameNext(planned.name), canaryOf: planned.name, side: "canary" };
}

function mergeColumns(before: Plan, after: Plan, places: readonly number[]): PlannedColumn[] {
  const added = after.columns.filter(({ name }) => !before.columns.some((column) => column.name === name));
  return [...before.columns, ...added.map((column) => ({ ...column, owner: places[column.owner] as number }))];
}

function shiftHops(hops: readonly PlannedHop[], before: Plan, places: readonly number[]): PlannedHop[] {
  return hops.map((hop) => ({
    function: places[hop.function] as number,
    path: hop.path + before.paths.length,
    next: shift(hop.next, before.hops.length),
    branches: hop.branches.map((branch) => shift(branch, before.hops.length)),
  }));
}

function shift(target: Target, hops: number): Target {
  return target.kind === "hop" ? { kind: "hop", hop: target.hop + hops } : target;
}

/** Both versions of a function work on the same state at the same time. */
function findCanaryFaults(before: Plan, after: Plan): Fault[] {
  const states = listStateChanges(before, after)
    .filter(({ outcome, kind }) => outcome === "migrated" || (outcome === "lost" && kind === "column"))
    .filter(({ function: owner }) => after.functions.some(({ name }) => name === owner))
    .map(({ function: owner, kind, name, outcome }): Fault => {
      const what = `a canary shares the state with what runs, and the ${kind} "${name}" would be ${outcome}`;
      return { code: "change-refused", where: owner, what, help: "switch over without a canary" };
    });
  const commonOf = ({ ports, zones, flows }: Plan) => {
    return JSON.stringify([ports.map(({ name, zone, answersFor }) => [name, zones[zone], answersFor]), flows]);
  };
  if (commonOf(before) === commonOf(after)) return states;
  const what = "ports, zones and flows are those of all traffic; a canary cannot have others";
  return [...states, { code: "change-refused", where: "flows", what, help: "switch over without a canary" }];
}

function requireRoom(plan: Plan): void {
  checkWindows(plan, (_, what) => {
    throw new SluiceError({ code: "change-refused", where: plan.chain, what: `with a canary, ${what}` });
  });
}
