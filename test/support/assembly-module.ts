// AssemblyScript text, compiled as functions are and run without the host: for tests of the SDK itself.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as abi from "../../nfs/sdk/abi.ts";
import { compileFunction } from "../../runtime/function/compile.ts";

/** Where a test may put whatever it likes. */
export const SCRATCH = 0x400000;
export const BATCH = 0x20000;
export const RESULTS = 0x30000;
export const RECORDS = 0x40000;
export const EVENTS = 0x60000;
export const CHUNKS = 0x70000;
export const OUTBOX = 0x80000;
export const COUNTERS = 0x100000;
export const FRAMES = 0x200000;
export const SLOT_BYTES = 2048;
export const SLOTS = 8;
export const PORTS = ["lan", "wan"];
export const BRANCHES = ["suspect"];
export const FLOW_CAPACITY = 100;
/** Columns that a module finds, with the bytes of their values. */
export const COLUMNS = {
  flow: { address: 0x500000, bytes: abi.FLOW_BYTES },
  "nat.port": { address: 0x510000, bytes: 2 },
  "nat.address": { address: 0x511000, bytes: 4 },
  "ids.score": { address: 0x512000, bytes: 8 },
} as const;
export const SEGMENTS = { table: { address: 0x600000, bytes: 12_345 } } as const;
/** Events with the numbers of their bits, and labels with their bits. */
export const EVENT_NUMBERS = { start: 0, "ids.scan": 16, "ids.flood": 31 } as const;
export const LABELS = { suspect: 1, bulk: 0x80000000 } as const;

type Call = (...args: (number | bigint)[]) => number | bigint | undefined;

export interface AssemblyModule {
  readonly exports: Readonly<Record<string, Call>>;
  readonly wasm: Uint8Array;
  readonly memory: DataView;
  readonly bytes: Uint8Array;
  /** `pointer: what` of every config_error. */
  readonly faults: string[];
  readonly counters: string[];
  readonly reasons: string[];
  readonly logged: string[];
  /** The address of an AssemblyScript string with this text. */
  newString(text: string): number;
  readString(address: number): string;
}

/** Compiles `source`, whose imports of `sluice/sdk` find the SDK, and instantiates it over ordinary memory. */
export async function runAssembly(source: string, memoryPages = 64): Promise<AssemblyModule> {
  const wasm = await compileText(source);
  const pages = abi.MEMORY_BASE / abi.WASM_PAGE_BYTES + memoryPages;
  const linear = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const memory = new DataView(linear.buffer);
  writeContext(memory);
  const faults: string[] = [];
  const counters: string[] = [];
  const reasons = ["unspecified"];
  const logged: string[] = [];
  const readString = (address: number) =>
    Buffer.from(linear.buffer, address, memory.getUint32(address - 4, true)).toString("utf16le");
  const { exports } = new WebAssembly.Instance(new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>), {
    env: {
      memory: linear,
      abort: (what: number, file: number, line: number, column: number) => {
        throw new Error(`${readString(what)} at ${readString(file)}:${line}:${column}`);
      },
    },
    sluice: {
      declare_counter: (name: number, labels: number) =>
        counters.push(`${readString(name)}{${readString(labels)}}`) - 1,
      declare_reason: (name: number) => reasons.push(readString(name)) - 1,
      config_error: (path: number, what: number) => void faults.push(`${readString(path)}: ${readString(what)}`),
      port: (name: number) => PORTS.indexOf(readString(name)),
      branch: (name: number) => BRANCHES.indexOf(readString(name)),
      column: (name: number, bytes: number) => {
        const column = find(COLUMNS, readString(name));
        return column?.bytes === bytes ? column.address : 0;
      },
      segment: (name: number) => find(SEGMENTS, readString(name))?.address ?? 0,
      segment_bytes: (name: number) => find(SEGMENTS, readString(name))?.bytes ?? 0,
      event: (name: number) => find(EVENT_NUMBERS, readString(name)) ?? -1,
      label: (name: number) => find(LABELS, readString(name)) ?? 0,
      log: (level: number, message: number) => void logged.push(`${level} ${readString(message)}`),
    },
  });
  const calls = exports as Record<string, Call>;
  const newString = (text: string) => {
    const address = calls.__new?.(text.length * 2, 2) as number;
    Buffer.from(linear.buffer, address, text.length * 2).write(text, "utf16le");
    return address;
  };
  return {
    ...{ wasm, exports: calls, memory, bytes: new Uint8Array(linear.buffer), newString, readString },
    ...{ faults, counters, reasons, logged },
  };
}

function find<Value>(known: Readonly<Record<string, Value>>, name: string): Value | undefined {
  return Object.hasOwn(known, name) ? known[name] : undefined;
}

async function compileText(source: string): Promise<Uint8Array> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-assembly-"));
  try {
    writeFileSync(join(folder, "index.ts"), source);
    return (await compileFunction(folder)).wasm;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function writeContext(memory: DataView): void {
  const set = (offset: number, value: number) => memory.setUint32(abi.CONTEXT_ADDRESS + offset, value, true);
  set(abi.CONTEXT_ABI_VERSION, abi.ABI_VERSION);
  set(abi.CONTEXT_FRAMES_ADDRESS, FRAMES);
  set(abi.CONTEXT_FRAMES_BYTES, SLOTS * SLOT_BYTES);
  set(abi.CONTEXT_SLOT_BYTES, SLOT_BYTES);
  set(abi.CONTEXT_RECORDS_ADDRESS, RECORDS);
  set(abi.CONTEXT_BATCH_ADDRESS, BATCH);
  set(abi.CONTEXT_RESULTS_ADDRESS, RESULTS);
  set(abi.CONTEXT_COUNTERS_ADDRESS, COUNTERS);
  set(abi.CONTEXT_FLOW_CAPACITY, FLOW_CAPACITY);
  set(abi.CONTEXT_OUTBOX_ADDRESS, OUTBOX);
  set(abi.CONTEXT_EVENTS_ADDRESS, EVENTS);
  set(abi.CONTEXT_CHUNKS_ADDRESS, CHUNKS);
  set(abi.CONTEXT_LANE, 1);
  set(abi.CONTEXT_LANE_COUNT, 2);
  set(abi.CONTEXT_PORT_COUNT, PORTS.length);
  memory.setBigUint64(abi.CONTEXT_ADDRESS + abi.CONTEXT_SEED, 0x0123456789abcdefn, true);
}
