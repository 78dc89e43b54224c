// `flows.spread` of a chain document: which lane has what, where that is not said by pairs of addresses.
import { type ParsedDocument, readMap, readNames } from "./document.ts";
import type { Report } from "./faults.ts";
import type { FlowsDeclaration } from "./flows-schema.ts";
import { suggest } from "./nearest.ts";
import { countLanes, type Plan, type PlannedSpread } from "./plan.ts";
import type { ResolvedFunction } from "./plan-functions.ts";
import { parsePrefix } from "./protocols.ts";

type SpreadDeclaration = NonNullable<FlowsDeclaration["spread"]>;

/** What nfs/nat gives a lane where the chain says nothing. */
const PORTS_IN_TURN = 64;

/** `ports`: their names by index. */
export function planSpread(
  { hosts, shared = [], sharedOf = [], portsInTurn = PORTS_IN_TURN }: SpreadDeclaration,
  ports: readonly string[],
): PlannedSpread {
  const parse = (texts: readonly string[]) => texts.map(parsePrefix).filter((prefix) => prefix !== undefined);
  return {
    hosts: parse(hosts),
    shared: parse(shared),
    sharedOf: sharedOf.map((name) => ports.indexOf(name)),
    portsInTurn,
  };
}

/** Functions that do on several lanes not what they do on one, where the chain does not say what each lane has all of. */
export function findUnspread(
  { locate }: ParsedDocument,
  plan: Plan,
  functions: readonly ResolvedFunction[],
): {
  readonly code: "spread-missing";
  readonly where: string;
  readonly what: string;
  readonly pointer: string;
}[] {
  const lanes = countLanes(plan);
  if (lanes === 1 || plan.flows.spread !== undefined) return [];
  const affected = functions.filter(({ manifest }) => manifest.spread === "hosts");
  return affected.map(({ name, pointer }) => {
    const what = `the function "${name}" has on each of ${lanes} lanes another part of what a host has: see flows.spread`;
    return { code: "spread-missing" as const, where: locate(pointer, "key"), what, pointer };
  });
}

/** The document may have faults of its shape. */
export function checkSpread(document: ParsedDocument, report: Report): void {
  const { sharedOf }: { sharedOf?: unknown } = readMap(readMap(document.value, "flows"), "spread");
  const ports = readNames(document, "ports");
  for (const [index, name] of (Array.isArray(sharedOf) ? sharedOf : []).map(String).entries()) {
    if (ports.includes(name)) continue;
    report(
      "unknown-port",
      `/flows/spread/sharedOf/${index}`,
      `there is no port "${name}"`,
      suggest(name, ports, "ports"),
    );
  }
}
