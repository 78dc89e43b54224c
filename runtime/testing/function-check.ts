// A function tried before any chain may have it: with each configuration that it is known to take, it is given frames that
// nobody should send; then it is measured.

import { FLOW_COLUMN, listReads } from "../chain/columns.ts";
import type { ColumnType } from "../chain/plan.ts";
import { findSchemaFaults } from "../chain/schema-faults.ts";
import type { JsonSchema } from "../chain/validator.ts";
import { turn } from "../dataplane/breathe.ts";
import type { MemoryPort } from "../dataplane/native.ts";
import { SluiceError } from "../errors.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import { type CostResult, measureCost } from "./function-cost.ts";
import { type FunctionTestOptions, type FunctionUnderTest, openPackage } from "./function-under-test.ts";
import { type FrameKind, listMalformedFrames } from "./malformed-frames.ts";
import { encodePacket } from "./packet-text.ts";

export interface FunctionCheck {
  /** `passed`, or `skipped: WHY`. */
  readonly smoke: string;
  /** How many configurations were tried. */
  readonly configurations: number;
  /** Sent to each of them. */
  readonly frames: number;
  /** With the first of them, on UDP frames of 64 bytes; null if it was not tried. */
  readonly cost: (CostResult & { readonly frameBytes: number }) | null;
}

/** Says what comes next: whoever waits knows then what it was that did not end. */
export type OnStep = (step: string) => void;

const BATCH = 256;
const CHUNK = 256;
/** On the wire: with the frame check sequence, which no frame here has. */
const FRAME_BYTES = 64;
const FRAME_CHECK_BYTES = 4;
const FLOWS = 1024;
const EXAMPLES_MAX = 8;
const NAMES_MAX = 12;
const MILLISECOND_NS = 1_000_000n;
/** Longer than any flow lives. */
const LONG_NS = 7n * 86_400_000n * MILLISECOND_NS;

/** Throws what admission finds, function-unsound, or config-invalid for an example that does not hold. */
export function checkFunction(functionPackage: FunctionPackage, onStep: OnStep): FunctionCheck {
  const { manifest } = functionPackage;
  const name = `${manifest.name}@${manifest.version}`;
  const kinds = listMalformedFrames();
  const frames = kinds.reduce((sum, kind) => sum + kind.frames.length, 0);
  const configurations = listConfigurations(manifest.config);
  const tried: FunctionTestOptions[] = [];
  for (const { config, what, isExample } of configurations) {
    const options = { config, ...namesOf(config), columns: widestColumns(functionPackage), batch: BATCH };
    onStep(`configuring it with ${what}`);
    if (!trySmoke({ functionPackage, name, what, options, isExample }, kinds, onStep)) continue;
    tried.push(options);
  }
  const [first] = tried;
  if (first === undefined) {
    const smoke = 'skipped: it does not take {}, and its manifest\'s "config" has no "examples"';
    return { smoke, configurations: 0, frames: 0, cost: null };
  }
  onStep("measuring it");
  const cost = measureCost(functionPackage, { ...first, batch: BATCH }, listSmallFrames());
  return { smoke: "passed", configurations: tried.length, frames, cost: { ...cost, frameBytes: FRAME_BYTES } };
}

interface Configuration {
  readonly config: unknown;
  readonly what: string;
  readonly isExample: boolean;
}

/** What the author says is one, and the empty one. */
function listConfigurations(schema: JsonSchema | undefined): Configuration[] {
  const { examples } = (typeof schema === "object" ? schema : {}) as { examples?: unknown };
  const listed = (Array.isArray(examples) ? examples : []).slice(0, EXAMPLES_MAX);
  const empty = { config: {}, what: "the configuration {}", isExample: false };
  const takesEmpty = schema === undefined || findSchemaFaults({}, schema, "config-invalid", () => "").length === 0;
  return [
    ...listed.map((config, index) => ({ config, what: `example ${index + 1} of its manifest`, isExample: true })),
    ...(takesEmpty ? [empty] : []),
  ];
}

interface Smoke extends Omit<Configuration, "config"> {
  readonly functionPackage: FunctionPackage;
  readonly name: string;
  readonly options: FunctionTestOptions;
}

/** False if it refuses a configuration that nobody said it takes. */
function trySmoke(smoke: Smoke, kinds: readonly FrameKind[], onStep: OnStep): boolean {
  const { functionPackage, name, what } = smoke;
  const bad: string[] = [];
  const options: FunctionTestOptions = {
    ...smoke.options,
    onEvidence: ({ kind, message, call }) => {
      if (kind === "result") bad.push(`a result of ${call} does not hold: ${message}`);
    },
  };
  const fn = openSmoke(functionPackage, options, smoke);
  if (fn === undefined) return false;
  const clock = { now: 0n };
  for (const kind of kinds) {
    onStep(`${kind.name}, with ${what}`);
    for (let from = 0; from < kind.frames.length; from += CHUNK) {
      send(fn, kind.frames.slice(from, from + CHUNK), clock);
      requireSound(fn, bad, `${kind.name}, with ${what}`, name);
    }
  }
  onStep(`the end of all flows, with ${what}`);
  clock.now += LONG_NS;
  send(
    fn,
    kinds.flatMap(({ frames }) => frames.slice(0, 1)),
    clock,
  );
  requireSound(fn, bad, `the end of all flows, with ${what}`, name);
  fn.close();
  return true;
}

function openSmoke(
  functionPackage: FunctionPackage,
  options: FunctionTestOptions,
  { name, what, isExample }: Smoke,
): FunctionUnderTest | undefined {
  try {
    return openPackage(functionPackage, options);
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    const [{ where, what: why, help }] = error.faults as [(typeof error.faults)[number]];
    if (error.code === "function-fault") throw unsound(where, why, help);
    const isRefusal = error.code === "config-invalid" || error.code === "unknown-key";
    if (!isRefusal) throw error;
    if (!isExample) return undefined;
    throw new SluiceError({ code: "config-invalid", where: name, what: `it refuses ${what}: ${where}: ${why}` });
  }
}

/** In turn at both ports, a millisecond apart. */
function send({ lane }: FunctionUnderTest, frames: readonly Uint8Array[], clock: { now: bigint }): void {
  const ports = lane.ports as readonly MemoryPort[];
  frames.forEach((frame, index) => {
    clock.now += MILLISECOND_NS;
    (ports[index & 1] as MemoryPort).inject(frame, clock.now);
  });
  while (turn(lane));
  for (const port of ports) port.drain();
}

function requireSound(fn: FunctionUnderTest, bad: readonly string[], during: string, name: string): void {
  const [fault] = fn.faults;
  if (fault !== undefined) throw unsound(fault.source ?? name, `it trapped on ${during}: ${fault.message}`);
  if (bad[0] !== undefined) throw unsound(name, `on ${during}: ${bad[0]}`);
}

function unsound(where: string, what: string, help?: string): SluiceError {
  return new SluiceError({ code: "function-unsound", where, what, help });
}

/** A configuration names ports and branches of its chain: here, all names that stand in it are some. */
function namesOf(config: unknown): Pick<FunctionTestOptions, "ports" | "branches"> {
  const found = new Set<string>();
  const visit = (value: unknown): void => {
    if (typeof value === "string" && /^[A-Za-z][\w.-]{0,62}$/.test(value)) found.add(value);
    else if (typeof value === "object" && value !== null) Object.values(value).forEach(visit);
  };
  visit(config);
  const names = [...found].filter((name) => !["in", "out", "next"].includes(name)).slice(0, NAMES_MAX);
  return { ports: ["in", "out", ...names], branches: names };
}

/** Nobody writes them here. Wide enough for whatever it takes them for. */
function widestColumns({ manifest }: FunctionPackage): Record<string, ColumnType> {
  const reads = listReads(manifest.columns).filter(({ name, type }) => name !== FLOW_COLUMN && type === undefined);
  return Object.fromEntries(reads.map(({ name }) => [name, "u64"]));
}

function listSmallFrames(): Uint8Array[] {
  const length = FRAME_BYTES - FRAME_CHECK_BYTES;
  return Array.from({ length: FLOWS }, (_, i) =>
    encodePacket(`udp 10.0.${i >> 8}.${i & 255}:${1024 + ((i * 7919) % 60000)} > 192.0.2.53:53 pad ${length}`),
  );
}
