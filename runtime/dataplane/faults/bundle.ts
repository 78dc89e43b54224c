// The bundle of a fault: one compressed tar with all that `sluice replay` needs to make the fault happen again on any
// machine. bundle.json describes it and says what the other members' bytes must be.
import { createHash } from "node:crypto";
import { closeSync, openSync, readSync } from "node:fs";
import { ABI_VERSION } from "../../../nfs/sdk/abi.ts";
import type { Plan } from "../../chain/plan.ts";
import { SluiceError } from "../../errors.ts";
import { readMember } from "../../function/archive.ts";
import type { FunctionPackage } from "../../function/catalog.ts";
import { validateManifest } from "../../function/manifest.ts";
import { formatPcap } from "./bundle-pcap.ts";
import { type RecordedCall, readCalls } from "./call-log.ts";
import type { FaultEvidence, FaultKind, StateCopy } from "./evidence.ts";

export const BUNDLE_VERSION = 1;

/** bundle.json. */
export interface BundleDescription {
  readonly format: "sluice-fault";
  readonly version: typeof BUNDLE_VERSION;
  readonly abi: number;
  readonly chain: string;
  readonly generation: number;
  /** In the chain. */
  readonly function: string;
  /** `name@version` */
  readonly package: string;
  readonly kind: FaultKind;
  readonly call: FaultEvidence["call"];
  readonly message: string;
  readonly source: string | null;
  /** ISO 8601. */
  readonly at: string;
  readonly lane: number;
  readonly laneCount: number;
  /** Decimal. */
  readonly seed: string;
  readonly slotBytes: number;
  readonly umemBytes: number;
  readonly ports: readonly string[];
  readonly bad: { readonly position: number; readonly reason: string; readonly result: string } | null;
  readonly isExact: boolean;
  /** Decimal, with an `n` behind those of 64 bits; null: not kept. */
  readonly globals: readonly string[] | null;
  readonly declared: FaultEvidence["declared"];
  /** The function's segments; those of which nothing is kept begin as zeros. */
  readonly segments: readonly { readonly name: string; readonly kept: boolean }[];
  readonly memoryKept: boolean;
  /** Of the other functions no configuration, of the paths nothing. */
  readonly plan: Plan;
  /** SHA-256 of each other member. */
  readonly digests: Readonly<Record<string, string>>;
}

export interface Bundle {
  readonly description: BundleDescription;
  readonly package: FunctionPackage;
  readonly calls: readonly RecordedCall[];
  readonly state: StateCopy;
}

const GZIP_MAGIC = Buffer.from([0x1f, 0x8b]);
const DESCRIPTION = "bundle.json";
const segmentMember = (name: string) => `segment-${name}.pages`;

/** The members of a bundle, in their order in the archive. */
export function describeBundle(
  evidence: FaultEvidence,
  chain: { readonly generation: number; readonly plan: Plan; readonly packages: readonly FunctionPackage[] },
): ReadonlyMap<string, Uint8Array> {
  const { manifest, wasm } = chain.packages[evidence.function] as FunctionPackage;
  const { state, calls } = evidence;
  const planned = chain.plan.functions[evidence.function] as Plan["functions"][number];
  const members = new Map<string, Uint8Array>([
    ["manifest.json", encodeJson(manifest)],
    ["function.wasm", wasm],
    ["configuration.json", encodeJson(planned.config ?? {})],
    ["calls.bin", new Uint8Array(calls)],
    ["frames.pcap", formatPcap(readCalls(new Uint8Array(calls)))],
    ["counters.bin", new Uint8Array(state.counters)],
  ]);
  if (state.memory !== null) members.set("memory.pages", new Uint8Array(state.memory));
  for (const { name, pages } of state.segments) {
    if (pages !== null) members.set(segmentMember(name), new Uint8Array(pages));
  }
  const digests = Object.fromEntries([...members].map(([name, bytes]) => [name, digest(bytes)]));
  const description = describe(evidence, chain, digests);
  return new Map([[DESCRIPTION, encodeJson(description)], ...members]);
}

function describe(
  evidence: FaultEvidence,
  { generation, plan }: { readonly generation: number; readonly plan: Plan },
  digests: BundleDescription["digests"],
): BundleDescription {
  const { kind, call, message, source, at, lane, laneCount, slotBytes, umemBytes, isExact, declared, state } = evidence;
  const { name, package: from } = plan.functions[evidence.function] as Plan["functions"][number];
  const bad = evidence.bad && { ...evidence.bad, result: Buffer.from(evidence.bad.result).toString("hex") };
  return {
    ...{ format: "sluice-fault", version: BUNDLE_VERSION, abi: ABI_VERSION, chain: plan.chain, generation },
    ...{ function: name, package: `${from.name}@${from.version}`, kind, call, message, source, at, lane, laneCount },
    ...{ seed: evidence.seed.toString(), slotBytes, umemBytes, ports: plan.ports.map((port) => port.name), bad },
    ...{ isExact, globals: state.globals?.map(formatGlobal) ?? null, declared },
    segments: state.segments.map((segment) => ({ name: segment.name, kept: segment.pages !== null })),
    memoryKept: state.memory !== null,
    plan: {
      ...plan,
      description: "",
      paths: [],
      functions: plan.functions.map((each, index) => (index === evidence.function ? each : { ...each, config: {} })),
    },
    digests,
  };
}

/** Compressed, or a plain tar: not a chain document, in any case. */
export function looksLikeBundle(file: string): boolean {
  if (/\.(tar|tgz|tar\.gz)$/.test(file)) return true;
  const head = Buffer.alloc(GZIP_MAGIC.length);
  let descriptor: number | undefined;
  try {
    descriptor = openSync(file, "r");
    readSync(descriptor, head, 0, head.length, 0);
  } catch {
    // What it is shows when it is read as a document.
  } finally {
    if (descriptor !== undefined) closeSync(descriptor);
  }
  return head.equals(GZIP_MAGIC);
}

/** Throws bundle-damaged, or abi-version. Nothing of it has been run then. */
export function readBundle(file: string): Bundle {
  const description = readDescription(file);
  const read = (name: string) => readChecked(file, description, name);
  try {
    const manifest = validateManifest(read("manifest.json").toString(), `${file}/manifest.json`);
    const wasm = new Uint8Array(read("function.wasm"));
    const index = description.plan.functions.findIndex(({ name }) => name === description.function);
    if (index < 0) throw new RangeError("its chain does not have the function");
    return {
      description,
      package: { manifest, wasm, origin: file },
      calls: readCalls(new Uint8Array(read("calls.bin"))),
      state: {
        memory: description.memoryKept ? toBuffer(read("memory.pages")) : null,
        globals: description.globals?.map(parseGlobal) ?? null,
        counters: toBuffer(read("counters.bin")),
        segments: description.segments.map(({ name, kept }) => {
          return { name, pages: kept ? toBuffer(read(segmentMember(name))) : null };
        }),
      },
    };
  } catch (error) {
    if (error instanceof SluiceError) throw error;
    throw damaged(file, (error as Error).message);
  }
}

function readDescription(file: string): BundleDescription {
  const text = readMember(file, DESCRIPTION, "bundle-damaged").toString();
  let description: Partial<BundleDescription>;
  try {
    description = JSON.parse(text) as Partial<BundleDescription>;
  } catch (error) {
    throw damaged(file, `${DESCRIPTION}: ${(error as Error).message}`);
  }
  const { format, version, abi } = description;
  if (format !== "sluice-fault") throw damaged(file, `its ${DESCRIPTION} describes something else`);
  if (version !== BUNDLE_VERSION) throw damaged(file, `it is of version ${version}; this one reads ${BUNDLE_VERSION}`);
  if (abi !== ABI_VERSION) {
    const what = `its function speaks ABI version ${abi}; this host speaks version ${ABI_VERSION}`;
    throw new SluiceError({ code: "abi-version", where: file, what });
  }
  return description as BundleDescription;
}

function readChecked(file: string, { digests }: BundleDescription, name: string): Buffer {
  const bytes = readMember(file, name, "bundle-damaged");
  if (digests[name] !== digest(bytes)) throw damaged(file, `${name} is not what it was when the bundle was made`);
  return bytes;
}

function damaged(file: string, what: string): SluiceError {
  return new SluiceError({ code: "bundle-damaged", where: file, what });
}

function digest(bytes: Uint8Array): string {
  return createHash("sha256").update(bytes).digest("hex");
}

function encodeJson(value: unknown): Uint8Array {
  return Buffer.from(`${JSON.stringify(value, null, 2)}\n`);
}

/** JSON has neither 64 bits nor NaN. */
function formatGlobal(value: number | bigint): string {
  if (typeof value === "bigint") return `${value}n`;
  return Object.is(value, -0) ? "-0" : String(value);
}

function parseGlobal(text: string): number | bigint {
  return text.endsWith("n") ? BigInt(text.slice(0, -1)) : Number(text);
}

function toBuffer(bytes: Buffer): ArrayBuffer {
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
}
