// One change to a running chain as data: what it is made from, what it is called, and others that follow from it.
import { isDeepStrictEqual } from "node:util";
import { type CanaryRule, planCanary } from "../chain/canary.ts";
import type { Plan } from "../chain/plan.ts";
import { planPreviousFunction } from "../chain/previous-function.ts";
import type { ChainDocument } from "../chain/schema.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import type { ChainSource } from "./committed.ts";

export interface Change {
  readonly source: ChainSource;
  readonly plan: Plan;
  readonly packages: readonly FunctionPackage[];
}

/** Plan and packages of the chain as it is and as it is to be in one, for a canary. Throws change-refused. */
export function joinForCanary(
  { running, change }: { readonly running: Change; readonly change: Change },
  rule: CanaryRule,
): [plan: Plan, packages: readonly FunctionPackage[]] {
  const isSame = (before: number, after: number) =>
    isDeepStrictEqual(running.plan.functions[before], change.plan.functions[after]) &&
    isDeepStrictEqual(running.packages[before]?.wasm, change.packages[after]?.wasm);
  const { plan, origins } = planCanary(running.plan, change.plan, rule, isSame);
  const packages = origins.map(({ plan: from, index }) => {
    return (from === "before" ? running : change).packages[index] as FunctionPackage;
  });
  return [plan, packages];
}

/** What runs, with one function as it was in `before`; null if that cannot take its place. */
export function changeBack(running: Change, before: Change, name: string): Change | null {
  const plan = planPreviousFunction(running.plan, before.plan, name);
  if (plan === null) return null;
  const index = plan.functions.findIndex((each) => each.name === name);
  const then = before.packages[before.plan.functions.findIndex((each) => each.name === name)] as FunctionPackage;
  const use = [...running.source.use.filter((text) => !text.startsWith(`${name}=`)), nameUse(plan, index)];
  const document = withFunction(running.source.document, before.source.document, name);
  return { source: { ...running.source, use, document }, plan, packages: running.packages.with(index, then) };
}

function withFunction(
  document: ChainDocument | undefined,
  before: ChainDocument | undefined,
  name: string,
): ChainDocument | undefined {
  const declaration = before?.functions?.[name];
  if (document === undefined || declaration === undefined) return undefined;
  return { ...document, functions: { ...document.functions, [name]: declaration } };
}

/** For the history. */
export function describeCanary(rule: CanaryRule | null): string {
  if (rule === null) return "ok";
  return rule.match === null ? `canary ${rule.share * 100} %` : "canary of the flows that match";
}

function nameUse({ functions }: Plan, index: number): string {
  const { name, package: from } = functions[index] as Plan["functions"][number];
  return `${name}=${from.name}@${from.version}`;
}

/** Names of functions that have another version or configuration in `after`. */
export function listChanged(before: Change, after: Change): string[] {
  return before.plan.functions.flatMap(({ name, package: from, config }) => {
    const next = after.plan.functions.find((each) => each.name === name);
    const isSame = next === undefined || isDeepStrictEqual([from, config], [next.package, next.config]);
    return isSame ? [] : [name];
  });
}

/** `fw=acl@1.0.0 count=hello@1.0.0`, in the order of the chain. */
export function describeVersions({ functions }: Plan): string {
  return functions.map(({ name, package: from }) => `${name}=${from.name}@${from.version}`).join(" ");
}
