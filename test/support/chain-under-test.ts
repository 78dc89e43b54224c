// Several functions of a test in one chain, on memory ports, run by the real host.
import { isDeepStrictEqual } from "node:util";
import { type CanaryRule, planCanary } from "../../runtime/chain/canary.ts";
import { type ParsedDocument, parseDocument } from "../../runtime/chain/document.ts";
import type { Plan } from "../../runtime/chain/plan.ts";
import { planChain } from "../../runtime/chain/planner.ts";
import { turn } from "../../runtime/dataplane/breathe.ts";
import type { Lane } from "../../runtime/dataplane/lane.ts";
import { functionCounters } from "../../runtime/dataplane/layout.ts";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import type { MemoryPort } from "../../runtime/dataplane/native.ts";
import { openLane } from "../../runtime/dataplane/open-lane.ts";
import { readOutcomes } from "../../runtime/dataplane/outcomes.ts";
import { admit } from "../../runtime/function/admission.ts";
import { Catalog, type FunctionPackage } from "../../runtime/function/catalog.ts";
import { compileFunction } from "../../runtime/function/compile.ts";
import { type Manifest, validateManifest } from "../../runtime/function/manifest.ts";
import { encodePacket, formatPacket } from "../../runtime/testing/packet-text.ts";
import { makeFolder } from "./temporary-folder.ts";

export interface ChainFunction {
  /** Its nf_process, for each `packet` of the batch. */
  readonly each?: string;
  /** What stands before: imports, globals, other exports. */
  readonly before?: string;
  readonly manifest?: Partial<Manifest>;
}

export interface ChainOptions {
  /** Paths, flows … of the chain document; by default from `in` through all functions to `out`. */
  readonly rest?: string;
  readonly onLog?: (functionName: string, message: string) => void;
}

const MILLISECOND_NS = 1_000_000n;
/** The number of frames that no port received. */
const EMITTED = 0;

/** Functions by name; the chain has the ports `in` and `out`. Throws what the host would. */
export async function openChain(
  functions: Readonly<Record<string, ChainFunction>>,
  options: ChainOptions = {},
): Promise<ChainUnderTest> {
  const names = Object.keys(functions);
  const packages = await Promise.all(names.map((name) => makePackage(name, functions[name] as ChainFunction)));
  const rest = options.rest ?? `paths: [{ from: in, through: [${names.join(", ")}], to: out }]`;
  return new ChainUnderTest(parseDocument(describeChain(packages, rest), "test.yaml"), packages, options);
}

function describeChain(packages: readonly FunctionPackage[], rest: string): string {
  return [
    "chain: test",
    "ports: { in: { driver: memory }, out: { driver: memory } }",
    "functions:",
    ...packages.map(({ manifest: { name } }) => `  ${name}: { use: ${name} }`),
    rest,
  ].join("\n");
}

/** Compiles a function. */
export async function makePackage(
  name: string,
  { each = "", before = "", manifest }: ChainFunction,
): Promise<FunctionPackage> {
  const folder = makeFolder({
    [`${name}/index.ts`]: `
      import { batch } from "sluice/sdk";
      export { nf_abi } from "sluice/sdk/exports";
      ${before}
      export function nf_configure(json: string): bool { return json.length > 0; }
      export function nf_process(): void {
        for (let i = 0; i < batch.count; i++) { const packet = batch.packet(i); ${each} }
      }`,
  });
  const { wasm } = await compileFunction(`${folder}/${name}`);
  const base = { name, version: "1.0.0", abi: 1, description: name, frames: "none", memoryPages: 16 };
  const checked = validateManifest(JSON.stringify({ ...base, ...manifest }), `${name}/manifest.json`);
  admit(wasm, checked);
  return { manifest: checked, wasm, origin: folder };
}

/** By index of the plan's functions. */
function inOrder(plan: Plan, packages: readonly FunctionPackage[]): FunctionPackage[] {
  return plan.functions.map(({ package: { name } }) => {
    return packages.find(({ manifest }) => manifest.name === name) as FunctionPackage;
  });
}

export class ChainUnderTest {
  plan: Plan;
  readonly lane: Lane;
  #document: ParsedDocument;
  #packages: readonly FunctionPackage[];
  #clock = 0n;

  constructor(document: ParsedDocument, packages: readonly FunctionPackage[], options: ChainOptions) {
    this.#document = document;
    this.#packages = packages;
    this.plan = planChain(document, new Catalog(packages)).plan;
    this.lane = openLane({
      native: loadAddon(),
      plan: this.plan,
      packages,
      ...{ slots: 1024, slotBytes: 2048, batchLimit: 256, keepOutcomes: true, virtualClock: true },
      openPort: (lane) => lane.openMemoryPort(),
      onLog: (_, functionName, message) => options.onLog?.(functionName, message),
    });
  }

  /** What became of each packet (packet-text.ts), all of one batch: `forward out`, `drop fw reason:detail`, `fault …`. */
  process(...lines: readonly string[]): string[] {
    return this.processAt(this.#clock + MILLISECOND_NS, ...lines);
  }

  /** The same, at that time in ns. */
  processAt(time: bigint, ...lines: readonly string[]): string[] {
    this.#clock = time;
    const port = this.lane.ports[0] as MemoryPort;
    for (const line of lines) port.inject(encodePacket(line), time);
    const found: string[] = [];
    while (this.#turn())
      found.push(
        ...readOutcomes(this.lane)
          .filter(({ number }) => number !== EMITTED)
          .toSorted((a, b) => a.number - b.number)
          .map(({ kind, to, reason }) =>
            kind === "forward" ? `forward ${this.plan.ports[to]?.name}` : `${kind} ${reason}`,
          ),
      );
    return found;
  }

  /**
   * The next generation takes over: with another version of a function, or another document's text (of the functions
   * that the chain was opened with, and of those given here).
   */
  async change(functions: Readonly<Record<string, ChainFunction>>, rest?: string): Promise<void> {
    const { plan, packages } = await this.#planChange(functions, rest);
    this.plan = plan;
    this.#packages = packages;
    this.lane.change(plan, inOrder(plan, packages));
  }

  /** The next generation takes over some flows; a `change` to the same functions takes the others. */
  async canary(functions: Readonly<Record<string, ChainFunction>>, rule: CanaryRule, rest?: string): Promise<void> {
    const next = await this.#planChange(functions, rest);
    const byPlan = { before: inOrder(this.plan, this.#packages), after: inOrder(next.plan, next.packages) };
    const isSame = (before: number, after: number) =>
      isDeepStrictEqual(byPlan.before[before]?.wasm, byPlan.after[after]?.wasm);
    const { plan, origins } = planCanary(this.plan, next.plan, rule, isSame);
    this.lane.change(
      plan,
      origins.map(({ plan: from, index }) => byPlan[from][index] as FunctionPackage),
    );
  }

  async #planChange(
    functions: Readonly<Record<string, ChainFunction>>,
    rest?: string,
  ): Promise<{ plan: Plan; packages: readonly FunctionPackage[] }> {
    const made = await Promise.all(Object.entries(functions).map(([name, each]) => makePackage(name, each)));
    const isReplaced = (name: string) => made.some(({ manifest }) => manifest.name === name);
    const packages = [...this.#packages.filter(({ manifest }) => !isReplaced(manifest.name)), ...made];
    if (rest !== undefined) this.#document = parseDocument(describeChain(packages, rest), "changed.yaml");
    return { plan: planChain(this.#document, new Catalog(packages), this.plan).plan, packages };
  }

  /** A turn in which nothing comes: what waits is done. */
  idle(): void {
    this.#turn();
  }

  #turn(): boolean {
    const busy = turn(this.lane);
    this.lane.takeLog();
    return busy;
  }

  /** Values of the counters that a function declared, by name. */
  counters(functionName: string): Record<string, number> {
    const { state } = this.#function(functionName);
    return Object.fromEntries(state.declaredCounters.map(({ name }, index) => [name, state.counter(index)]));
  }

  /** What the host counts of the function's outbox: those that are not 0. */
  outboxCounters(functionName: string): Record<string, number> {
    const first = this.lane.counterLayout.functions[
      this.lane.functions.indexOf(this.#function(functionName))
    ] as number;
    const values = functionCounters.map((name, index) => [name, Number(this.lane.counters[first + index])] as const);
    return Object.fromEntries(values.filter(([, value]) => value > 0));
  }

  #function(name: string): Lane["functions"][number] {
    const found = this.lane.functions.find(({ planned }) => planned.name === name);
    if (found === undefined) throw new RangeError(`there is no function ${name}`);
    return found;
  }

  /** Packets that left on a port since the last call. */
  drain(port: "in" | "out"): string[] {
    const index = this.plan.ports.findIndex(({ name }) => name === port);
    return (this.lane.ports[index] as MemoryPort).drain().map(({ bytes }) => formatPacket(bytes));
  }

  /** `function: message` of every kind of fault so far. */
  get faults(): string[] {
    return this.lane.faults.map((fault) => `${fault.function}: ${fault.message}`);
  }

  close(): void {
    this.lane.close();
  }
}
