// The Wasm boundary: one function, instantiated over the lane's pages and configured.
import { instantiateSync } from "@assemblyscript/loader";
import { LOG_DEBUG, LOG_ERROR, LOG_INFO, LOG_WARN, MEMORY_BASE, WASM_PAGE_BYTES } from "../../nfs/sdk/abi.ts";
import type { PlannedFunction } from "../chain/plan.ts";
import { type Fault, SluiceError } from "../errors.ts";
import type { FunctionPackage } from "../function/catalog.ts";
import { compileForHost, resolveFault } from "../function/host-module.ts";
import type { FunctionWindows } from "./flow-memory.ts";
import type { FunctionState } from "./function-state.ts";
import type { LaneMemory } from "./lane-memory.ts";
import type { NativeAddon } from "./native.ts";

export type LogLevel = "debug" | "info" | "warn" | "error";
export const logLevels: Readonly<Record<number, LogLevel>> = {
  [LOG_DEBUG]: "debug",
  [LOG_INFO]: "info",
  [LOG_WARN]: "warn",
  [LOG_ERROR]: "error",
};

export interface InstanceSetup {
  readonly native: NativeAddon;
  readonly memory: LaneMemory;
  readonly state: FunctionState;
  readonly flows: FunctionWindows;
  readonly function: PlannedFunction;
  readonly package: FunctionPackage;
  readonly ports: readonly string[];
  readonly log: (level: LogLevel, message: string) => void;
}

interface FunctionExports extends Record<string, unknown> {
  readonly nf_configure: (json: number) => number;
  readonly nf_process: () => void;
  readonly nf_tick?: () => void;
  readonly nf_events?: () => void;
  readonly nf_stream?: () => void;
  readonly nf_migrate?: () => number;
  readonly nf_migrate_more?: () => number;
}

export interface FunctionInstance {
  /**
   * For each batch: nf_process, after nf_stream if the function takes streams. Throws a WebAssembly.RuntimeError or an
   * Error if the function traps.
   */
  readonly process: () => void;
  /** Absent if the function does not export it. */
  readonly tick: (() => void) | undefined;
  /** nf_events; absent likewise. */
  readonly events: (() => void) | undefined;
  /** nf_migrate; absent likewise. Imports may be called then. */
  readonly migrate: (() => number) | undefined;
  /** nf_migrate_more: how many entries are left; absent likewise. */
  readonly migrateMore: (() => number) | undefined;
  /** Takes all windows away: the function traps on the next thing that it reads. */
  readonly hideWindows: () => void;
  /** With its windows in it. */
  readonly memory: ArrayBuffer;
  /** Its mutable globals, of a number's type, in the module's order. */
  readonly globals: readonly WebAssembly.Global[];
  /** What lies in its windows already is reached without a page fault from now on. */
  readonly populate: () => void;
}

/** Instantiates and configures a function. Throws config-invalid with all faults, or function-fault if it traps. */
export function instantiate(setup: InstanceSetup): FunctionInstance {
  const { native, memory, state, flows } = setup;
  const pages = MEMORY_BASE / WASM_PAGE_BYTES + setup.function.memoryPages;
  const linear = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const buffer = linear.buffer;
  const windows = [...state.windows(memory, setup.function), ...flows.windows];
  native.overlay(buffer, windows);
  const host = new ColdImports(setup, linear);
  const { module, globals } = compileForHost(setup.package.wasm);
  const exports = host.instantiate(module);
  return {
    process: joinStream(exports),
    tick: exports.nf_tick,
    events: exports.nf_events,
    migrate: host.allowing(exports.nf_migrate),
    migrateMore: exports.nf_migrate_more,
    hideWindows: () => native.overlay(buffer, []),
    memory: buffer,
    globals: globals.map(({ name }) => exports[name] as WebAssembly.Global),
    populate: () => native.populate(buffer, windows),
  };
}

function joinStream({ nf_process, nf_stream }: FunctionExports): () => void {
  if (nf_stream === undefined) return nf_process;
  return () => {
    nf_stream();
    nf_process();
  };
}

/** V8 shares what it compiled between the threads of a process, as long as one of them holds a module of the same bytes. */
export function compileAhead(packages: readonly Pick<FunctionPackage, "wasm">[]): WebAssembly.Module[] {
  return packages.map(({ wasm }) => compileForHost(wasm).module);
}

/** What a function may call while it is configured, and only then. */
class ColdImports {
  readonly #setup: InstanceSetup;
  readonly #memory: WebAssembly.Memory;
  readonly #faults: Fault[] = [];
  #configuring = true;

  constructor(setup: InstanceSetup, memory: WebAssembly.Memory) {
    this.#setup = setup;
    this.#memory = memory;
  }

  imports(): WebAssembly.Imports {
    const { state, ports, flows } = this.#setup;
    const branches = this.#setup.function.branches;
    const text = (pointer: number) => readString(this.#memory, pointer);
    return {
      env: { memory: this.#memory, abort: (...at: number[]) => this.#abort(at) },
      sluice: {
        declare_counter: this.#cold((name, labels, kind) => state.declareCounter(text(name), text(labels), kind)),
        declare_reason: this.#cold((name) => state.declareReason(text(name))),
        port: this.#cold((name) => ports.indexOf(text(name))),
        branch: this.#cold((name) => branches.indexOf(text(name))),
        column: this.#cold((name, bytes) => flows.column(text(name), bytes)),
        segment: this.#cold((name) => flows.segment(text(name))),
        segment_bytes: this.#cold((name) => flows.segmentBytes(text(name))),
        previous: this.#cold((name) => flows.previous(text(name)).address),
        previous_bytes: this.#cold((name) => flows.previous(text(name)).bytes),
        previous_layout: this.#cold((name) => flows.previous(text(name)).layout),
        event: this.#cold((name) => flows.event(text(name))),
        label: this.#cold((name) => flows.label(text(name))),
        config_error: this.#cold((path, message) => this.#refuse(text(path), text(message))),
        log: this.#cold((level, message) => this.#setup.log(logLevels[level] ?? "info", text(message))),
      },
    };
  }

  /** Instantiates and configures. The loader is for strings; the functions returned are the module's own. */
  instantiate(module: WebAssembly.Module): FunctionExports {
    let raw: FunctionExports;
    let accepted: number;
    try {
      const { instance, exports } = instantiateSync<FunctionExports>(module, this.imports());
      raw = instance.exports as FunctionExports;
      accepted = raw.nf_configure(exports.__newString(JSON.stringify(this.#setup.function.config ?? {})));
    } catch (trap) {
      throw this.#configurationTrap(trap as Error);
    }
    this.#configuring = false;
    if (accepted === 0) this.#refuse("", "the function refused its configuration");
    const [first, ...rest] = this.#faults;
    if (first !== undefined) throw new SluiceError(first, ...rest);
    return raw;
  }

  /** The call, during which the function may ask the host as it may while it is configured. */
  allowing(call: (() => number) | undefined): (() => number) | undefined {
    if (call === undefined) return undefined;
    return () => {
      this.#configuring = true;
      try {
        return call() >>> 0;
      } finally {
        this.#configuring = false;
      }
    };
  }

  #refuse(pointer: string, what: string): void {
    if (pointer === "" && this.#faults.length > 0) return;
    const name = this.#setup.function.name;
    this.#faults.push({ code: "config-invalid", where: `${name}.config${pointer}`, what, pointer });
  }

  #configurationTrap(trap: Error): SluiceError {
    const { message, source } = resolveFault(trap, this.#setup.package.wasm);
    const { name, package: from } = this.#setup.function;
    return new SluiceError({
      code: "function-fault",
      where: source ?? `${name} (${from.name}@${from.version})`,
      what: `${name} trapped while it was configured: ${message}`,
      help: `if it ran out of memory, raise memoryPages in its manifest (now ${this.#setup.function.memoryPages})`,
    });
  }

  #cold(call: (...args: number[]) => unknown): (...args: number[]) => unknown {
    return (...args) => {
      if (!this.#configuring) throw new Error("a host import was called on the packet path");
      return call(...args);
    };
  }

  #abort([message = 0, file = 0, line = 0, column = 0]: number[]): never {
    const what = message === 0 ? "abort" : readString(this.#memory, message);
    const where = file === 0 ? "" : ` at ${readString(this.#memory, file)}:${line}:${column}`;
    throw new Error(`${what}${where}`);
  }
}

/** An AssemblyScript string: UTF-16LE, its length in bytes 4 bytes before it. Empty if it is not in the heap. */
function readString(memory: WebAssembly.Memory, pointer: number): string {
  const start = pointer >>> 0;
  if (start < MEMORY_BASE + 4 || start > memory.buffer.byteLength) return "";
  const bytes = new DataView(memory.buffer).getUint32(start - 4, true);
  if (start + bytes > memory.buffer.byteLength) return "";
  return Buffer.from(memory.buffer, start, bytes).toString("utf16le");
}
