// Makes every access of a module trap where the host shows it no pages.
//
// V8 leaves out both the bounds check and the entry for its trap handler where an address is a constant below the
// memory's declared minimum: such an access to a hidden page would end the process instead of trapping. So the host
// compiles modules as if their memory import declared no minimum at all; what it imports is as large as ever.
import { decodeUnsigned, sections } from "./custom-section.ts";

const IMPORT_SECTION = 2;
const KIND = { function: 0, table: 1, memory: 2, global: 3 } as const;

/** A copy of the binary, of the same length, whose imported memory has the minimum 0. */
export function dropMemoryMinimum(wasm: Uint8Array): Uint8Array {
  const copy = Uint8Array.from(wasm);
  for (const section of sections(copy)) {
    if (section.id === IMPORT_SECTION) dropInImports(copy, section.end - section.content.length);
  }
  return copy;
}

function dropInImports(wasm: Uint8Array, start: number): void {
  let [count, at] = decodeUnsigned(wasm, start);
  for (; count > 0; count--) {
    at = skipName(wasm, skipName(wasm, at));
    at = passDescription(wasm, wasm[at] as number, at + 1);
  }
}

function skipName(wasm: Uint8Array, at: number): number {
  const [length, name] = decodeUnsigned(wasm, at);
  return name + length;
}

function passDescription(wasm: Uint8Array, kind: number, at: number): number {
  if (kind === KIND.function) return decodeUnsigned(wasm, at)[1];
  if (kind === KIND.table) return passLimits(wasm, at + 1, false);
  if (kind === KIND.memory) return passLimits(wasm, at, true);
  if (kind === KIND.global) return at + 2;
  return decodeUnsigned(wasm, at + 1)[1];
}

const HAS_MAXIMUM = 1;

function passLimits(wasm: Uint8Array, at: number, drop: boolean): number {
  const flags = wasm[at] as number;
  const [, behind] = decodeUnsigned(wasm, at + 1);
  if (drop) {
    // LEB128 allows 0 to be written in as many bytes as the number had: offsets in the code stay what they are.
    wasm.fill(0x80, at + 1, behind - 1);
    wasm[behind - 1] = 0;
  }
  return (flags & HAS_MAXIMUM) === 0 ? behind : decodeUnsigned(wasm, behind)[1];
}
