// Changes of every kind to one chain, again and again: version, order, a function removed, one added, configuration.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { requestUpgrade } from "../../runtime/generation/upgrade-socket.ts";
import type { RunningEngine } from "./running-engine.ts";

export interface ChainChange {
  readonly kind: string;
  readonly file?: string;
  readonly use?: readonly string[];
  readonly set?: readonly string[];
}

export interface ChangeCost {
  /** Of the lane: nobody had it. */
  readonly pauseUs: number;
  /** Of building the generation beside the running one. */
  readonly loadMs: number;
}

export interface ChainSize {
  /** Descriptors in the ports' rings. */
  readonly ringSize?: number;
  /** What else the document says. */
  readonly rest?: string;
}

/** Two ports, and these functions in both directions. */
function chainThrough(functions: Readonly<Record<string, string>>, { ringSize = 2048, rest = "" }: ChainSize): string {
  const names = Object.keys(functions);
  return `chain: changing
ports: { lan: { device: lan0, ringSize: ${ringSize} }, wan: { device: wan0, ringSize: ${ringSize} } }
functions: {${names.map((name) => ` ${name}: ${functions[name]}`).join(",")} }
paths:
  - { from: lan, through: [${names.join(", ")}], to: wan }
  - { from: wan, through: [${names.toReversed().join(", ")}], to: lan }
${rest}`;
}

/**
 * Writes the documents into a folder: the chain to begin with, of `counting` (counting-function.ts, versions 1 and 2) and
 * an access list, and what it is changed to in turn.
 */
export function writeChanges(
  folder: string,
  size: ChainSize = {},
): { readonly first: string; readonly cycle: ChainChange[] } {
  const count = "{ use: counting@1 }";
  const deny = "{ action: deny, ipProtos: [tcp], destinationPorts: [9] }";
  const fw = `{ use: acl@1, config: { default: permit, rules: [${deny}] } }`;
  const write = (name: string, functions: Readonly<Record<string, string>>) => {
    const file = join(folder, `${name}.yaml`);
    writeFileSync(file, chainThrough(functions, size));
    return file;
  };
  const both = write("both", { count, fw });
  const cycle = [
    { kind: "version", file: both, use: ["count=counting@2"] },
    { kind: "order", file: write("reordered", { fw, count }) },
    { kind: "function removed", file: write("without", { count }) },
    { kind: "function added", file: write("more", { count, fw, hello: "{ use: hello@* }" }) },
    { kind: "configuration", file: both, set: ["fw.default=deny", "fw.rules=[{action: permit}]"] },
  ];
  return { first: both, cycle };
}

/** All three steps, without the command line. Throws what the engine says. */
export async function makeChange(engine: RunningEngine, change: ChainChange): Promise<ChangeCost> {
  const { file = null, use = [], set = [] } = change;
  const step = (request: Parameters<typeof requestUpgrade>[1]) => requestUpgrade(engine.chainFolder, request);
  const started = performance.now();
  const wanted = { file, use, set, functions: [], cold: false, dryRun: false };
  await step({ actor: "test", step: "load", change: wanted });
  const loadMs = performance.now() - started;
  const { pauseUs } = await step({ actor: "test", step: "switchover" });
  await step({ actor: "test", step: "commit" });
  return { pauseUs: pauseUs as number, loadMs };
}
