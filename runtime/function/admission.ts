// What a module must be before it may become a function (nfs/sdk/ABI.md, section 8). Nothing of it is run for that.
import { createHash } from "node:crypto";
import { ABI_VERSION, MEMORY_BASE, WASM_PAGE_BYTES } from "../../nfs/sdk/abi.ts";
import { type ErrorCode, type Fault, SluiceError } from "../errors.ts";
import type { Manifest } from "./manifest.ts";
import { type DecodedModule, decodeModule, type Instruction, instructionName, type ModuleFunction } from "./module.ts";

const WINDOW_PAGES = MEMORY_BASE / WASM_PAGE_BYTES;
const TABLE_ENTRIES_MAX = 65536;

/** `module.name` → signature. */
const allowedImports: Readonly<Record<string, string>> = {
  "env.abort": "(i32, i32, i32, i32) -> ()",
  "sluice.declare_counter": "(i32, i32, i32) -> i32",
  "sluice.declare_reason": "(i32) -> i32",
  "sluice.config_error": "(i32, i32) -> ()",
  "sluice.port": "(i32) -> i32",
  "sluice.branch": "(i32) -> i32",
  "sluice.column": "(i32, i32) -> i32",
  "sluice.segment": "(i32) -> i32",
  "sluice.segment_bytes": "(i32) -> i32",
  "sluice.previous": "(i32) -> i32",
  "sluice.previous_bytes": "(i32) -> i32",
  "sluice.previous_layout": "(i32) -> i32",
  "sluice.event": "(i32) -> i32",
  "sluice.label": "(i32) -> i32",
  "sluice.log": "(i32, i32) -> ()",
};

interface AllowedExport {
  /** Of functions; other kinds have none. */
  readonly signature?: string;
  readonly required: boolean;
}

const allowedExports: Readonly<Record<string, AllowedExport>> = {
  nf_abi: { signature: "() -> i32", required: true },
  nf_configure: { signature: "(i32) -> i32", required: true },
  nf_process: { signature: "() -> ()", required: true },
  nf_tick: { signature: "() -> ()", required: false },
  nf_events: { signature: "() -> ()", required: false },
  nf_stream: { signature: "() -> ()", required: false },
  nf_migrate: { signature: "() -> i32", required: false },
  nf_migrate_more: { signature: "() -> i32", required: false },
  __new: { signature: "(i32, i32) -> i32", required: true },
  __pin: { signature: "(i32) -> i32", required: true },
  __unpin: { signature: "(i32) -> ()", required: true },
  __collect: { signature: "() -> ()", required: true },
  __rtti_base: { required: true },
  memory: { required: false },
};

/** Inclusive ranges of opcodes: MVP, multi-value, sign extension, saturating conversion, 128-bit SIMD. */
const allowedInstructions: readonly (readonly [Instruction, Instruction])[] = [
  [0x00, 0x05],
  [0x0b, 0x11],
  [0x1a, 0x1b],
  [0x20, 0x24],
  [0x28, 0xc4],
  [0xfc00, 0xfc07],
  [0xfd000, 0xfd0ff],
];

/** Throws module-invalid, module-not-function, module-forbidden, abi-version or memory-limit, with all faults. */
export function admit(wasm: Uint8Array, manifest: Manifest): void {
  const digest = createHash("sha256").update(wasm).digest("base64");
  if (admitted.get(manifest) === digest) return;
  examine(wasm, manifest);
  admitted.set(manifest, digest);
}

/** The module with which a manifest was admitted last. */
const admitted = new WeakMap<Manifest, string>();

function examine(wasm: Uint8Array, manifest: Manifest): void {
  const where = `${manifest.name}@${manifest.version}`;
  const faults: Fault[] = [];
  const report = (code: ErrorCode, what: string, help?: string) => void faults.push({ code, where, what, help });
  const module = decode(wasm, where);
  checkImports(module, report);
  checkExports(module, report);
  checkPurpose(module, manifest, report);
  checkAbi(module, report);
  checkMemory(module, manifest, report);
  for (const body of module.functions) checkInstructions(body, report);
  const [first, ...rest] = faults;
  if (first !== undefined) throw new SluiceError(first, ...rest);
}

type Report = (code: ErrorCode, what: string, help?: string) => void;

function decode(wasm: Uint8Array, where: string): DecodedModule {
  try {
    new WebAssembly.Module(wasm as Uint8Array<ArrayBuffer>);
    return decodeModule(wasm);
  } catch (error) {
    const what = (error as Error).message.replace(/^WebAssembly\.Module\(\): /, "");
    throw new SluiceError({ code: "module-invalid", where, what });
  }
}

function checkImports(module: DecodedModule, report: Report): void {
  for (const { module: from, name, kind, signature } of module.imports) {
    const full = `${from}.${name}`;
    if (full === "env.memory" && kind === "memory") continue;
    const allowed = Object.hasOwn(allowedImports, full) ? allowedImports[full] : undefined;
    if (allowed === undefined) report("module-not-function", `it imports ${full}, which is no import of the ABI`);
    else if (kind !== "function" || signature !== allowed)
      report("module-not-function", `its import ${full} is ${describe(kind, signature)}, not function ${allowed}`);
  }
}

function checkExports(module: DecodedModule, report: Report): void {
  for (const { name, kind, index } of module.exports) {
    const allowed = Object.hasOwn(allowedExports, name) ? allowedExports[name] : undefined;
    if (allowed === undefined) {
      report("module-not-function", `it exports ${name}, which is no export of the ABI`, "take away its `export`");
      continue;
    }
    const { signature } = allowed;
    const found = kind === "function" ? (findFunction(module, index)?.signature ?? "imported") : "";
    if (signature !== undefined && found !== signature)
      report("module-not-function", `its export ${name} is ${describe(kind, found)}, not function ${signature}`);
  }
  const names = new Set(module.exports.map(({ name }) => name));
  for (const [name, { required }] of Object.entries(allowedExports)) {
    if (!required || names.has(name)) continue;
    const help = name.startsWith("__") ? "build it with `sluice function build`" : undefined;
    report("module-not-function", `it does not export ${name}`, help);
  }
}

/** What is exported and would never be called, or declared and could not be. */
function checkPurpose(module: DecodedModule, manifest: Manifest, report: Report): void {
  const { stream = false, events = {}, segments = {} } = manifest;
  const exports = (name: string) => module.exports.some((found) => found.name === name);
  if (stream && !exports("nf_stream"))
    report("module-not-function", 'its manifest says "stream": true, and it does not export nf_stream');
  if (!stream && exports("nf_stream"))
    report("module-not-function", "it exports nf_stream, and its manifest asks for no stream", 'add "stream": true');
  if ((events.subscribes ?? []).length === 0 && exports("nf_events"))
    report("module-not-function", "it exports nf_events, and its manifest subscribes to no event");
  const migrates = Object.values(segments).some(({ migratesFrom = [] }) => migratesFrom.length > 0);
  if (migrates && !exports("nf_migrate"))
    report("module-not-function", 'a segment of its manifest has "migratesFrom", and it does not export nf_migrate');
  if (!migrates && exports("nf_migrate"))
    report("module-not-function", 'it exports nf_migrate, and no segment of its manifest has "migratesFrom"');
  if (exports("nf_migrate_more") && !exports("nf_migrate"))
    report("module-not-function", "it exports nf_migrate_more, and not nf_migrate, which comes before it");
}

/** Read from the code, so that a module for another host, or no function at all, is never run. */
function checkAbi(module: DecodedModule, report: Report): void {
  const exported = module.exports.find(({ name, kind }) => name === "nf_abi" && kind === "function");
  if (exported === undefined) return;
  const version = findFunction(module, exported.index)?.constant;
  if (version === undefined) report("abi-version", "its nf_abi does more than return a constant");
  else if (version !== ABI_VERSION)
    report("abi-version", `it was built for ABI version ${version}; this host speaks version ${ABI_VERSION}`);
}

function checkMemory(module: DecodedModule, manifest: Manifest, report: Report): void {
  const imported = module.imports.filter(({ kind }) => kind === "memory");
  const [memory] = imported;
  if (module.memories.length > 0 || imported.length !== 1 || memory?.module !== "env" || memory.name !== "memory")
    report("module-not-function", "it must have exactly one memory, imported as env.memory");
  if (memory?.memory?.shared === true) report("module-forbidden", "its memory is shared between threads");
  if (memory?.memory?.wide === true) report("module-forbidden", "its memory has 64-bit addresses");
  const available = WINDOW_PAGES + manifest.memoryPages;
  const { initial = 0, maximum } = memory?.memory ?? {};
  if (initial > available) {
    const needed = initial - WINDOW_PAGES;
    report(
      "memory-limit",
      `its data alone needs ${needed} pages; its manifest's memoryPages is ${manifest.memoryPages}`,
    );
  }
  if (maximum !== undefined && maximum < available)
    report("module-not-function", `its memory must not end at ${maximum} pages: the host gives it ${available}`);
  // The engine copies data segments in native code, where a window's page protection is no trap but the end.
  for (const { address, bytes } of module.data) {
    if (address === undefined || address < MEMORY_BASE)
      report("module-forbidden", `a data segment of ${bytes} bytes is not at a constant address above the windows`);
    else if (address + bytes > available * WASM_PAGE_BYTES)
      report("memory-limit", `a data segment ends beyond the memory that memoryPages ${manifest.memoryPages} gives`);
  }
  for (const table of module.tables) {
    if (table.initial > TABLE_ENTRIES_MAX)
      report("memory-limit", `a table has ${table.initial} entries; at most ${TABLE_ENTRIES_MAX} are allowed`);
  }
}

function checkInstructions(body: ModuleFunction, report: Report): void {
  for (const [instruction, offset] of body.instructions) {
    if (allowedInstructions.some(([first, last]) => instruction >= first && instruction <= last)) continue;
    const at = `${body.name} (offset 0x${offset.toString(16)})`;
    report("module-forbidden", `${at} uses ${instructionName(instruction)}, which a function may not use`);
  }
}

function findFunction(module: DecodedModule, index: number): ModuleFunction | undefined {
  return module.functions.find((candidate) => candidate.index === index);
}

function describe(kind: string, signature: string): string {
  return kind === "function" ? `function ${signature}` : `a ${kind}`;
}
