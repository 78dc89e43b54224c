// A chain of one function: every frame goes through it, and whatever it says has a port of its own.
import { columnBytes, FLOW_COLUMN, listReads } from "../chain/columns.ts";
import { planFlows } from "../chain/flows.ts";
import type { FlowsDeclaration } from "../chain/flows-schema.ts";
import type { ColumnType, Plan, PlannedColumn, Target } from "../chain/plan.ts";
import { planFunction } from "../chain/plan-functions.ts";
import { planCommon } from "../chain/planner.ts";
import type { Manifest } from "../function/manifest.ts";

export interface FunctionPlanOptions {
  readonly config?: unknown;
  /** Branches that the chain declares for the function. */
  readonly branches?: readonly string[];
  readonly onFault?: "drop" | "bypass";
  readonly keepBatches?: number;
  /** Types of the columns that it reads of other functions, where its manifest does not say them. */
  readonly columns?: Readonly<Record<string, ColumnType>>;
  /** As in a chain document. */
  readonly flows?: FlowsDeclaration;
}

/** `names` are the ports: first those that the function knows, then one for "next", then one per branch. */
export function planAlone(
  manifest: Manifest,
  options: FunctionPlanOptions,
  names: readonly string[],
  realPorts: number,
): Plan {
  const port = (index: number): Target => ({ kind: "port", port: index });
  const { config = {}, onFault = "drop", keepBatches = 0, branches = [] } = options;
  const settings = { onFault, keepBatches };
  const declaration = { use: manifest.name, config: config as Readonly<Record<string, unknown>>, ...settings };
  const alone = { name: manifest.name, pointer: "", declaration, manifest, branches };
  const { columns, events, labels } = planCommon([alone], () => {});
  const common = {
    columns: [...columns, ...planForeign(manifest, options.columns ?? {}, columns)],
    events: [...events, ...(manifest.events?.subscribes ?? []).filter((event) => !events.includes(event))],
    labels,
  };
  return {
    chain: "test",
    description: "",
    ports: names.map((name) => ({
      name,
      driver: "memory",
      device: "",
      queues: [0],
      forwarding: "bridge" as const,
      kernel: [],
      answersFor: [],
      zone: 0,
    })),
    functions: [planFunction(alone, common)],
    hops: [
      {
        function: 0,
        path: 0,
        next: port(realPorts),
        branches: branches.map((_, index) => port(realPorts + 1 + index)),
      },
    ],
    paths: names.map((_, from) => ({ from, match: null, first: { kind: "hop", hop: 0 } })),
    ...common,
    zones: [""],
    flows: planFlows(options.flows),
    whenDown: "pass",
  };
}

/** Columns that it reads and nobody writes here: all zero. */
function planForeign(
  manifest: Manifest,
  types: Readonly<Record<string, ColumnType>>,
  own: readonly PlannedColumn[],
): PlannedColumn[] {
  return listReads(manifest.columns)
    .filter(({ name }) => name !== FLOW_COLUMN && own.every((column) => column.name !== name))
    .map(({ name, type = types[name] }) => {
      if (type === undefined) throw new RangeError(`say the type of ${name}: { columns: { "${name}": "u32" } }`);
      return { name, type, bytes: columnBytes(type), owner: -1, export: false };
    });
}
