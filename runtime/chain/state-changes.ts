// What becomes of the functions' state when one plan follows another while traffic flows.
import type { ErrorCode, Fault } from "../errors.ts";
import { isSame } from "./document-changes.ts";
import { countLanes, type Plan, type PlannedFunction } from "./plan.ts";

/** One segment or column of the plan before. */
export interface StateChange {
  readonly function: string;
  readonly kind: "segment" | "column";
  readonly name: string;
  /**
   * kept: the next generation has the very pages. migrated: its nf_migrate makes its own of them, at the switchover.
   * new: it begins with zeros. lost: it is no longer there, or in another layout, which begins with zeros.
   */
  readonly outcome: "kept" | "migrated" | "new" | "lost";
  /** Of lost state: why. */
  readonly why?: string;
}

/** In the order of the plans' functions. */
export function listStateChanges(before: Plan, after: Plan): StateChange[] {
  return [...listSegmentChanges(before, after), ...listColumnChanges(before, after)];
}

function listSegmentChanges(before: Plan, after: Plan): StateChange[] {
  const old = before.functions.flatMap((owner) => owner.segments.map((segment) => ({ owner, segment })));
  const changes = old.map(({ owner, segment }): StateChange => {
    const change = { function: owner.name, kind: "segment", name: segment.name } as const;
    const why = whyNotShared(before, after);
    if (why !== null) return { ...change, outcome: "lost", why };
    const heir = after.functions.find(({ name }) => name === owner.name);
    if (heir !== undefined && findMigration(owner, heir, segment.name) !== undefined) {
      return { ...change, outcome: "migrated" };
    }
    const loss = heir === undefined ? "its function is removed" : whyNotKept(owner, heir, segment);
    return loss === null ? { ...change, outcome: "kept" } : { ...change, outcome: "lost", why: loss };
  });
  const added = after.functions.flatMap((owner) =>
    owner.segments
      .filter(({ name }) => !old.some((each) => each.owner.name === owner.name && each.segment.name === name))
      .map(({ name }): StateChange => ({ function: owner.name, kind: "segment", name, outcome: "new" })),
  );
  return [...changes, ...added];
}

/** The segment of `owner` that the next version of it makes another layout of; undefined if there is none. */
export function findMigration(
  owner: Pick<PlannedFunction, "package" | "segments">,
  heir: PlannedFunction,
  name: string,
): PlannedFunction["segments"][number] | undefined {
  const before = owner.segments.find((segment) => segment.name === name);
  const after = heir.segments.find((segment) => segment.name === name);
  const isSame = owner.package.name === heir.package.name && after?.layout !== before?.layout;
  return isSame && before !== undefined && after?.migratesFrom.includes(before.layout) ? before : undefined;
}

/** Null: each lane's goes on to be what its flows need. */
function whyNotShared(before: Plan, after: Plan): string | null {
  if (countLanes(before) === countLanes(after)) {
    if (countLanes(before) === 1 || isSame(before.flows.spread, after.flows.spread)) return null;
    return "each lane has its own, and flows are now spread over lanes in another way";
  }
  return `each lane has its own; there was a share for each of ${countLanes(before)}, and now is for each of ${countLanes(after)}`;
}

function whyNotKept(
  owner: PlannedFunction,
  heir: PlannedFunction,
  { name, layout, bytes }: PlannedFunction["segments"][number],
): string | null {
  const next = heir.segments.find((segment) => segment.name === name);
  if (next === undefined) return "the next version has none of that name";
  if (heir.package.name !== owner.package.name)
    return `it was ${owner.package.name}'s, and now is ${heir.package.name}'s`;
  if (next.layout !== layout) return `its layout was ${layout}, and now is ${next.layout}`;
  return next.bytes === bytes ? null : `it had ${bytes} bytes, and now has ${next.bytes}`;
}

function listColumnChanges(before: Plan, after: Plan): StateChange[] {
  const nameOf = (plan: Plan, owner: number) => plan.functions[owner]?.name ?? "";
  const changes = before.columns.map(({ name, type, owner }): StateChange => {
    const next = after.columns.find((column) => column.name === name);
    const change = { function: nameOf(before, owner), kind: "column", name } as const;
    if (next?.type === type) return { ...change, outcome: "kept" };
    const why = next === undefined ? "no function writes it any more" : `it was ${type}, and now is ${next.type}`;
    return { ...change, outcome: "lost", why };
  });
  const added = after.columns
    .filter(({ name }) => !before.columns.some((column) => column.name === name))
    .map(({ name, owner }): StateChange => {
      return { function: nameOf(after, owner), kind: "column", name, outcome: "new" };
    });
  return [...changes, ...added];
}

/** State that would be lost without anybody having said so: what goes with a removed function is meant. */
export function findStateFaults(before: Plan, after: Plan, where: string): Fault[] {
  return listStateChanges(before, after)
    .filter(({ outcome, function: owner }) => outcome === "lost" && after.functions.some(({ name }) => name === owner))
    .map(({ function: owner, kind, name, why }) => {
      const code: ErrorCode = "state-lost";
      return { code, where: `${where}: ${owner}`, what: `the ${kind} "${name}" would be lost: ${why}` };
    });
}
