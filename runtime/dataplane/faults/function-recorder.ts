// Keeps the last calls of one function and its state before them, while its chain asks for that (keepBatches).
import { COUNTER_BYTES, MEMORY_BASE } from "../../../nfs/sdk/abi.ts";
import { compileForHost } from "../../function/host-module.ts";
import type { FunctionWindows } from "../flow-memory.ts";
import type { FunctionState } from "../function-state.ts";
import type { FunctionInstance } from "../instance.ts";
import type { NativeAddon, NativeRecorder, NativeRecording } from "../native.ts";
import type { StateCopy } from "./evidence.ts";

export interface RecordedFunction {
  readonly instance: Pick<FunctionInstance, "memory" | "globals">;
  readonly state: FunctionState;
  readonly windows: FunctionWindows;
}

export class FunctionRecorder {
  /** For the lane's program. */
  readonly native: NativeRecorder;
  readonly #due: Uint32Array;
  readonly #globals: DataView;
  readonly #onTooLarge: () => void;
  #values: readonly WebAssembly.Global[] = [];

  /** `onTooLarge`: its state cannot be kept, and so nothing is from now on. */
  constructor(native: NativeAddon, batches: number, globals: number, onTooLarge: () => void) {
    this.native = native.makeRecorder(batches, globals);
    this.#due = new Uint32Array(this.native.due);
    this.#globals = new DataView(this.native.globals);
    this.#onTooLarge = onTooLarge;
  }

  /** From now on it is this instance; what was kept of another one is forgotten. */
  watch({ instance, state, windows }: RecordedFunction): void {
    this.#values = instance.globals;
    const segments = windows.segments.map(({ segment }) => segment);
    const counters = state.declaredCounters.length * COUNTER_BYTES;
    this.native.watch(instance.memory, MEMORY_BASE, state.counterSegment, counters, segments);
  }

  /** A call into the instance, with the state taken before it where that is due. */
  recorded(call: () => void): () => void {
    return () => {
      if (this.#due[0] !== 0) this.#takeState();
      call();
    };
  }

  #takeState(): void {
    for (let i = 0; i < this.#values.length; i++) {
      const value = (this.#values[i] as WebAssembly.Global).value as number | bigint;
      if (typeof value === "bigint") this.#globals.setBigInt64(i * 8, value, true);
      else this.#globals.setFloat64(i * 8, value, true);
    }
    if (!this.native.takeState()) this.#onTooLarge();
  }
}

/** Of the function with this module, whose segments have these names. */
export function readRecordedState(
  { globals, parts }: NativeRecording,
  wasm: Uint8Array,
  segments: readonly string[],
): StateCopy {
  const values = new DataView(globals);
  const [memory, counters, ...pages] = parts as [ArrayBuffer, ArrayBuffer, ...ArrayBuffer[]];
  return {
    memory,
    counters,
    globals: compileForHost(wasm).globals.map(({ isWide }, index) => {
      return isWide ? values.getBigInt64(index * 8, true) : values.getFloat64(index * 8, true);
    }),
    segments: segments.map((name, index) => ({ name, pages: pages[index] ?? null })),
  };
}
