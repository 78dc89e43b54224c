// What the host compiles of a function's module: the same code, where every hidden access traps, and with its globals in
// sight.
import { type ExposedGlobal, exposeGlobals } from "./exposed-globals.ts";
import { dropMemoryMinimum } from "./memory-import.ts";
import { type ResolvedTrap, resolveTrap } from "./source-map.ts";

export interface HostModule {
  readonly module: WebAssembly.Module;
  /** Exports that are its mutable globals. */
  readonly globals: readonly ExposedGlobal[];
  /** What the offsets in V8's stacks are above those of the package's own binary. */
  readonly shift: number;
}

const compiled = new WeakMap<Uint8Array, HostModule>();

/** Compiled once for the same bytes in the same place. */
export function compileForHost(wasm: Uint8Array): HostModule {
  const known = compiled.get(wasm);
  if (known !== undefined) return known;
  const { binary, globals, shift } = exposeGlobals(dropMemoryMinimum(wasm));
  const made = { module: new WebAssembly.Module(binary as Uint8Array<ArrayBuffer>), globals, shift };
  compiled.set(wasm, made);
  return made;
}

/** What went wrong and where. `error` is what a call into the host's module of `wasm` threw. */
export function resolveFault(error: Error, wasm: Uint8Array): ResolvedTrap {
  return resolveTrap(error, wasm, compileForHost(wasm).shift);
}
