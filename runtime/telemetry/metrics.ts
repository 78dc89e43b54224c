// `/metrics`: all running engines in Prometheus's text format, read from their shared pages when it is asked for.
import { telemetryDefaults } from "../chain/telemetry-defaults.ts";
import type { NativeAddon } from "../dataplane/native.ts";
import type { FoundEngine } from "../dataplane/state-folder.ts";
import { addEngine, type EnginePages, type MetricGroups } from "./engine-metrics.ts";
import { FlowTables } from "./flow-tables.ts";
import { addLanes, attachLanes } from "./lane-pages.ts";
import { MetricText } from "./metric-text.ts";

/** What the shared pages do not say of a chain. */
export interface ChainState {
  readonly upgrade?: { readonly state: string; readonly states: readonly string[] };
  /** Groups that are left out; absent: none. */
  readonly metrics?: MetricGroups;
  /** More queues than the engine's own, by name: what they had no room for. */
  readonly overflows?: Readonly<Record<string, number>>;
}

type Native = Pick<NativeAddon, "attachSegment" | "flowStatesOffset">;

export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

export class Metrics {
  readonly #native: Native;
  readonly #version: string;
  /** By state folder. */
  #pages = new Map<string, AttachedPages>();

  constructor(native: Native, version: string) {
    this.#native = native;
    this.#version = version;
  }

  /** An engine that ends meanwhile is left out. */
  async render(
    engines: readonly FoundEngine[],
    stateOf: (chain: string) => ChainState | undefined = () => undefined,
  ): Promise<string> {
    const text = new MetricText();
    text.add("sluice_build_info", { version: this.#version }, 1);
    const pages = new Map<string, AttachedPages>();
    for (const found of engines) {
      const attached = this.#attach(found);
      if (attached === null) continue;
      pages.set(found.path, attached);
      const state = stateOf(found.engine.chain) ?? {};
      addEngine(text, attached, state.metrics ?? telemetryDefaults.metrics);
      addState(text, found.engine.chain, state);
    }
    this.#pages = pages;
    return text.render();
  }

  #attach(found: FoundEngine): AttachedPages | null {
    try {
      const known = this.#pages.get(found.path);
      if (known?.isOf(found)) return known.with(found.engine);
      return new AttachedPages(this.#native, found);
    } catch {
      return null;
    }
  }
}

function addState(text: MetricText, chain: string, { upgrade, overflows = {} }: ChainState): void {
  for (const state of upgrade?.states ?? []) {
    text.add("sluice_upgrade_state", { chain, state }, state === upgrade?.state ? 1 : 0);
  }
  for (const [queue, count] of Object.entries(overflows)) {
    text.add("sluice_queue_overflows_total", { chain, queue }, count);
  }
}

/** The pages of one process of an engine. */
class AttachedPages implements EnginePages {
  engine: FoundEngine["engine"];
  readonly lanes: readonly BigUint64Array[];
  counters: BigUint64Array;
  readonly #native: Native;
  readonly #path: string;
  readonly #declared = new Map<string, readonly BigUint64Array[]>();
  #flows: FlowTables | undefined;

  constructor(native: Native, { path, engine }: FoundEngine) {
    this.#native = native;
    this.#path = path;
    this.engine = engine;
    this.lanes = attachLanes(native, path, "counters", engine.lanes);
    this.counters = addLanes(this.lanes, engine.layout.count);
    for (const { stateName } of engine.functions) this.declared(stateName);
  }

  isOf({ engine }: FoundEngine): boolean {
    return engine.pid === this.engine.pid && engine.processStart === this.engine.processStart;
  }

  /** Perhaps another generation's functions. */
  with(engine: FoundEngine["engine"]): this {
    this.engine = engine;
    this.counters = addLanes(this.lanes, engine.layout.count);
    return this;
  }

  declared(stateName: string): readonly BigUint64Array[] {
    const known = this.#declared.get(stateName);
    if (known !== undefined) return known;
    const counters = attachLanes(this.#native, this.#path, `function-${stateName}`, this.engine.lanes);
    this.#declared.set(stateName, counters);
    return counters;
  }

  flowsByState(): Readonly<Record<string, number>> {
    this.#flows ??= FlowTables.attach(this.#native, this.#path, this.engine);
    return this.#flows.countByState();
  }
}
