// One function on memory ports, run by the real host: what its author tests with, one packet per line.
import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { findSchemaFaults } from "../chain/schema-faults.ts";
import { turn } from "../dataplane/breathe.ts";
import type { FaultReport } from "../dataplane/faults/lane-faults.ts";
import type { Lane } from "../dataplane/lane.ts";
import type { LaneSetup } from "../dataplane/lane-setup.ts";
import { loadAddon } from "../dataplane/load-addon.ts";
import type { MemoryPort } from "../dataplane/native.ts";
import { openLane } from "../dataplane/open-lane.ts";
import { type Outcome, readOutcomes } from "../dataplane/outcomes.ts";
import { SluiceError } from "../errors.ts";
import { admit } from "../function/admission.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import { type Manifest, validateManifest } from "../function/manifest.ts";
import { type FunctionPlanOptions, planAlone } from "./function-plan.ts";
import { encodePacket, formatPacket } from "./packet-text.ts";

export interface FunctionTestOptions extends FunctionPlanOptions {
  /** The chain's ports, as the function sees them. Frames enter at the first unless said otherwise. */
  readonly ports?: readonly string[];
  /** Frames per batch, 1 … 256. */
  readonly batch?: number;
  readonly seed?: bigint;
  /** What there is of faults, for bundles. */
  readonly onEvidence?: LaneSetup["onEvidence"];
  readonly onLog?: LaneSetup["onLog"];
}

export interface Sent {
  /** The port where the packets enter. */
  readonly port?: string;
  /** Seconds since 1970; by default one millisecond after the packet before. */
  readonly time?: number;
}

const SLOTS = 1024;
const SLOT_BYTES = 1 << 17;
const NEXT = "next";
/** The number of frames that no port received. */
const EMITTED = 0;
const MILLISECOND_NS = 1_000_000n;

/** Compiles the function in `folder`, checks it as the host does, and configures it. Throws what the host would. */
export async function openFunction(folder: string, options: FunctionTestOptions = {}): Promise<FunctionUnderTest> {
  const directory = resolve(folder);
  const file = join(directory, "manifest.json");
  const manifest = validateManifest(readFileSync(file, "utf8"), file);
  // Only when it is needed: the compiler is large, and does not start with V8's flags of the data plane.
  const { compileFunction } = await import("../function/compile.ts");
  const { wasm } = await compileFunction(directory);
  return openPackage({ manifest, wasm, origin: directory }, options);
}

/** The same for a package that is built already. */
export function openPackage(functionPackage: FunctionPackage, options: FunctionTestOptions = {}): FunctionUnderTest {
  const { manifest, wasm } = functionPackage;
  admit(wasm, manifest);
  checkConfig(manifest, options.config ?? {});
  return new FunctionUnderTest(functionPackage, options);
}

function checkConfig(manifest: Manifest, config: unknown): void {
  const locate = (pointer: string) => `${manifest.name}.config${pointer}`;
  const [first, ...rest] = findSchemaFaults(
    config,
    manifest.config ?? { additionalProperties: false },
    "config-invalid",
    locate,
  );
  if (first !== undefined) throw new SluiceError(first, ...rest);
}

export class FunctionUnderTest {
  readonly #lane: Lane;
  readonly #names: readonly string[];
  #clock = 0n;

  constructor(functionPackage: FunctionPackage, options: FunctionTestOptions) {
    const ports = options.ports ?? ["in", "out"];
    const branches = options.branches ?? [];
    this.#names = [...ports, NEXT, ...branches.map((branch) => `branch ${branch}`)];
    this.#lane = openLane({
      native: loadAddon(),
      plan: planAlone(functionPackage.manifest, options, this.#names, ports.length),
      packages: [functionPackage],
      slots: SLOTS,
      slotBytes: SLOT_BYTES,
      batchLimit: options.batch ?? 256,
      keepOutcomes: true,
      virtualClock: true,
      seed: options.seed ?? 0n,
      openPort: (lane) => lane.openMemoryPort(),
      ...(options.onEvidence === undefined ? {} : { onEvidence: options.onEvidence }),
      ...(options.onLog === undefined ? {} : { onLog: options.onLog }),
    });
  }

  /** The lane itself, for what is not said in packet lines. */
  get lane(): Lane {
    return this.#lane;
  }

  /**
   * Sends packets (runtime/testing/packet-text.ts) and says what became of each, in their order: `next PACKET`,
   * `transmit PORT PACKET`, `branch NAME PACKET`, `drop REASON`, `host REASON` or `fault REASON`. Frames that the function
   * built itself stand before those of their batch: `emit PORT PACKET`.
   */
  process(lines: string | readonly string[], sent: Sent = {}): string[] {
    return this.processBytes([lines].flat().map(encodePacket), sent);
  }

  /** The same for frames given as bytes. */
  processBytes(frames: readonly Uint8Array[], { port, time }: Sent = {}): string[] {
    const entry = this.#port(port === undefined ? 0 : this.#names.indexOf(port));
    if (time !== undefined) this.#clock = BigInt(Math.round(time * 1e6)) * 1000n;
    for (const frame of frames) {
      this.#clock += MILLISECOND_NS;
      if (!entry.inject(frame, this.#clock)) throw new RangeError(`a frame of ${frame.length} bytes is too long`);
    }
    return this.#collect();
  }

  /** Values of the counters that the function declared, as `name` or `name{label=value}`. */
  counters(): Record<string, number> {
    const { state } = this.#lane.functions[0] as Lane["functions"][0];
    return Object.fromEntries(
      state.declaredCounters.map(({ name, labels }, index) => [
        labels === "" ? name : `${name}{${labels}}`,
        state.counter(index),
      ]),
    );
  }

  get faults(): readonly FaultReport[] {
    return this.#lane.faults;
  }

  close(): void {
    this.#lane.close();
  }

  #port(index: number): MemoryPort {
    const port = this.#lane.ports[index];
    if (port === undefined) throw new RangeError(`the ports are ${this.#names.join(", ")}`);
    return port as MemoryPort;
  }

  #collect(): string[] {
    const results: string[] = [];
    while (turn(this.#lane)) {
      const outcomes = readOutcomes(this.#lane);
      const sent = this.#names.map((_, index) => this.#port(index).drain().values());
      // Outcomes come in the order of their ends, and so do the frames of each port.
      const said = outcomes.map((outcome) => [outcome.number, this.#describe(outcome, sent)] as const);
      results.push(...said.toSorted(([a], [b]) => a - b).map(([, text]) => text));
    }
    return results;
  }

  #describe(outcome: Outcome, sent: readonly Iterator<{ readonly bytes: Uint8Array }>[]): string {
    if (outcome.kind !== "forward") return `${outcome.kind} ${outcome.reason}`;
    const frame = sent[outcome.to]?.next().value as { readonly bytes: Uint8Array };
    const name = this.#names[outcome.to] as string;
    if (outcome.number === EMITTED) return `emit ${name} ${formatPacket(frame.bytes)}`;
    const way = name === NEXT || name.startsWith("branch ") ? name : `transmit ${name}`;
    return `${way} ${formatPacket(frame.bytes)}`;
  }
}
