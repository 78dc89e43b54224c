// The running plan with one of its functions as it was before.
import { FLOW_COLUMN } from "./columns.ts";
import type { Plan, PlannedFunction } from "./plan.ts";
import { checkWindows } from "./windows.ts";

/**
 * `before` is an earlier plan of the same chain. Null if the function of today cannot be exchanged for that of then:
 * another has come to depend on what only the newer one does.
 */
export function planPreviousFunction(running: Plan, before: Plan, name: string): Plan | null {
  const index = running.functions.findIndex((each) => each.name === name);
  const now = running.functions[index];
  const then = before.functions.find((each) => each.name === name);
  if (now === undefined || then === undefined || !isAlike(running, before, now, then)) return null;
  const owned = before.columns.filter(({ owner }) => before.functions[owner] === then);
  const columns = [
    ...running.columns.filter(({ owner }) => owner !== index),
    ...owned.map((column) => ({ ...column, owner: index })),
  ].toSorted((a, b) => a.owner - b.owner);
  const functions = running.functions.with(index, then);
  const plan = { ...running, functions, columns };
  return hasItsColumns(plan) && hasRoom(plan) ? plan : null;
}

/** It has the same branches, and its events and labels still have their numbers. */
function isAlike(running: Plan, before: Plan, now: PlannedFunction, then: PlannedFunction): boolean {
  const isKept = (mask: number, names: readonly string[], today: readonly string[]) =>
    names.every((name, bit) => ((mask >>> bit) & 1) === 0 || today[bit] === name);
  const { defines, subscribes } = then.events;
  return (
    now.branches.join() === then.branches.join() &&
    isKept(defines | subscribes, before.events, running.events) &&
    isKept(then.labels, before.labels, running.labels)
  );
}

function hasItsColumns({ functions, columns }: Plan): boolean {
  const names = columns.map(({ name }) => name);
  const isUnique = new Set(names).size === names.length;
  return (
    isUnique &&
    functions.every(({ columns: { reads } }) => reads.every((name) => name === FLOW_COLUMN || names.includes(name)))
  );
}

function hasRoom(plan: Plan): boolean {
  let fits = true;
  checkWindows(plan, () => {
    fits = false;
  });
  return fits;
}
