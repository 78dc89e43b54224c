// Puts copied pages back (NativeAddon.copyPages).
import { MEMORY_BASE } from "../../../nfs/sdk/abi.ts";
import type { FunctionInstance } from "../instance.ts";
import { PAGE_BYTES } from "../memory-map.ts";
import type { NativeAddon } from "../native.ts";
import type { StateCopy } from "./evidence.ts";

const NUMBER_BYTES = 8;
const ENTRY_BYTES = NUMBER_BYTES + PAGE_BYTES;

/** `start`: of the part that was copied. Throws RangeError for pages that are not within `to`. */
export function restorePages(to: ArrayBuffer, start: number, pages: ArrayBuffer | null): void {
  if (pages === null) return;
  for (const [number, bytes] of readPages(pages)) new Uint8Array(to).set(bytes, start + number * PAGE_BYTES);
}

function* readPages(pages: ArrayBuffer): Generator<[number: number, bytes: Uint8Array]> {
  const view = new DataView(pages);
  for (let at = 0; at < pages.byteLength; at += ENTRY_BYTES) {
    yield [Number(view.getBigUint64(at, true)), new Uint8Array(pages, at + NUMBER_BYTES, PAGE_BYTES)];
  }
}

/** An instance's own memory and globals, as they were copied; unless they were not. */
export function restoreMemory(native: NativeAddon, { memory, globals }: FunctionInstance, state: StateCopy): void {
  if (state.memory === null || state.globals === null) return;
  const bytes = memory.byteLength - MEMORY_BASE;
  // What it has written since it was configured may have been zero again by then.
  const present = native.copyPages(memory, MEMORY_BASE, bytes, Number.MAX_SAFE_INTEGER);
  if (present !== null) {
    for (const [number] of readPages(present))
      new Uint8Array(memory, MEMORY_BASE + number * PAGE_BYTES, PAGE_BYTES).fill(0);
  }
  restorePages(memory, MEMORY_BASE, state.memory);
  for (const [index, value] of state.globals.entries()) (globals[index] as WebAssembly.Global).value = value;
}
