import { describe, expect, it } from "vitest";
import { compileFunction } from "../../runtime/function/compile.ts";
import { exposeGlobals } from "../../runtime/function/exposed-globals.ts";
import { makeFolder } from "../support/temporary-folder.ts";

/** Sections of a module: no imports, the globals, an exported function that returns the first one. */
function moduleWith(globals: readonly (readonly number[])[]): Uint8Array<ArrayBuffer> {
  const section = (id: number, content: readonly number[]) => [id, content.length, ...content];
  return Uint8Array.from([
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...section(1, [1, 0x60, 0, 0]),
    ...section(3, [1, 0]),
    ...section(6, [globals.length, ...globals.flat()]),
    ...section(7, [1, 1, 0x66, 0, 0]),
    ...section(10, [1, 3, 0, 0x00, 0x0b]),
  ]);
}

const I32 = 0x7f;
const I64 = 0x7e;
const F32 = 0x7d;
const F64 = 0x7c;
const V128 = 0x7b;
const FUNCREF = 0x70;
const [CONSTANT, MUTABLE] = [0, 1];
const END = 0x0b;

describe("a module's mutable globals", () => {
  it("are exported, whatever bytes their first values have; constants and v128 are not", () => {
    const wasm = moduleWith([
      [I32, MUTABLE, 0x41, 0x0b, END],
      [I32, CONSTANT, 0x41, 1, END],
      [I64, MUTABLE, 0x42, 0x8b, 0x0b, END],
      [F32, MUTABLE, 0x43, 0x0b, 0x0b, 0x0b, 0x0b, END],
      [F64, MUTABLE, 0x44, 0x0b, 0, 0, 0, 0, 0, 0, 0x0b, END],
      [V128, MUTABLE, 0xfd, 12, ...Array<number>(16).fill(0x0b), END],
      [FUNCREF, CONSTANT, 0xd0, FUNCREF, END],
      [I32, MUTABLE, 0x23, 1, END],
      [I32, MUTABLE, 0x41, 2, 0x41, 3, 0x6a, END],
    ]);
    const { binary, globals, shift } = exposeGlobals(wasm);
    expect(globals.map(({ name }) => name)).toEqual([0, 2, 3, 4, 7, 8].map((index) => `global ${index}`));
    expect(globals.map(({ isWide }) => isWide)).toEqual([false, true, false, false, false, false]);
    expect(shift).toBe(binary.length - wasm.length);
    const { exports } = new WebAssembly.Instance(new WebAssembly.Module(binary as Uint8Array<ArrayBuffer>));
    const values = globals.map(({ name }) => (exports[name] as WebAssembly.Global).value);
    expect(values).toMatchObject([11, 1419n, expect.any(Number), expect.any(Number), 1, 5]);
    expect(() => (exports.f as () => void)()).toThrow(/unreachable/);
  });

  it("are those of a compiled function, too, and its code is what it was", async () => {
    const source = `
      let seen: u64 = 7;
      export function nf_process(): void { seen++; if (seen == 9) unreachable(); }`;
    const { wasm } = await compileFunction(makeFolder({ "index.ts": source }));
    const { binary, globals, shift } = exposeGlobals(wasm);
    expect(globals.some(({ isWide }) => isWide)).toBe(true);
    const code = (bytes: Uint8Array, from: number) => Buffer.from(bytes.subarray(bytes.length - from)).toString("hex");
    expect(code(binary, 200)).toBe(code(wasm, 200));
    expect(shift).toBeGreaterThan(0);
  });

  it("are none where there are none", () => {
    const wasm = moduleWith([[I32, CONSTANT, 0x41, 1, END]]);
    expect(exposeGlobals(wasm)).toEqual({ binary: wasm, globals: [], shift: 0 });
  });
});
