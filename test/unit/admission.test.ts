// Modules that are no functions, and what the host says of them.
import asc from "assemblyscript/asc";
import { beforeAll, describe, expect, it } from "vitest";
import { admit } from "../../runtime/function/admission.ts";
import { compileFunction, compilerFlags } from "../../runtime/function/compile.ts";
import type { Manifest } from "../../runtime/function/manifest.ts";
import { collectFaults } from "../support/collect-faults.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const manifest: Manifest = { name: "x", version: "1.0.0", abi: 1, description: "x", frames: "none", memoryPages: 4 };

const sound = `
  export { nf_abi } from "sluice/sdk/exports";
  export function nf_configure(json: string): bool { return json.length > 0; }
  export function nf_process(): void {}`;

async function compile(source: string, flags: readonly string[] = compilerFlags): Promise<Uint8Array> {
  return (await compileFunction(makeFolder({ "index.ts": source }), flags)).wasm;
}

const faultsOf = (wasm: Uint8Array, pages = 4, parts: Partial<Manifest> = {}) =>
  collectFaults(() => admit(wasm, { ...manifest, memoryPages: pages, ...parts })).map(
    ({ code, what }) => `${code}: ${what}`,
  );

const without = (flag: string) => {
  const at = compilerFlags.indexOf(flag);
  return compilerFlags.filter((_, index) => index !== at && index !== at - 1);
};
const memoryBase = (base: number) => compilerFlags.map((flag) => (flag === "536870912" ? String(base) : flag));

describe("admission", () => {
  let wasm: Uint8Array;

  beforeAll(async () => {
    const { binary } = await asc.compileString("export function f(): i32 { return 1; }", { runtime: "stub" });
    wasm = binary as Uint8Array;
  });

  it("lets a function in", async () => {
    expect(faultsOf(await compile(sound))).toEqual([]);
  });

  it("lets the optional nf_tick and SIMD in", async () => {
    const tick = "export function nf_tick(): void { v128.store(0x30000, i8x16.splat(0)); }";
    expect(faultsOf(await compile(`${sound}\n${tick}`, [...compilerFlags, "--enable", "simd"]))).toEqual([]);
  });

  it("lets nf_events and nf_stream in where the manifest asks for what they are called with", async () => {
    const both = await compile(`${sound}\nexport function nf_events(): void {}\nexport function nf_stream(): void {}`);
    expect(faultsOf(both, 4, { stream: true, events: { subscribes: ["start"] } })).toEqual([]);
    expect(faultsOf(both, 4, { events: { defines: ["x.y"] } })).toEqual([
      "module-not-function: it exports nf_stream, and its manifest asks for no stream",
      "module-not-function: it exports nf_events, and its manifest subscribes to no event",
    ]);
    const neither = await compile(sound);
    expect(faultsOf(neither, 4, { events: { subscribes: ["start"] } })).toEqual([]);
    expect(faultsOf(neither, 4, { stream: true })).toEqual([
      'module-not-function: its manifest says "stream": true, and it does not export nf_stream',
    ]);
  });

  it("lets nf_migrate in exactly where a segment migrates", async () => {
    const migrates = { segments: { y: { bytes: 8, layout: 2, migratesFrom: [1] } } };
    const both = await compile(`${sound}\nexport function nf_migrate(): u32 { return 0; }`);
    expect(faultsOf(both, 4, migrates)).toEqual([]);
    expect(faultsOf(both)).toEqual([
      'module-not-function: it exports nf_migrate, and no segment of its manifest has "migratesFrom"',
    ]);
    const more = await compile(`${sound}\nexport function nf_migrate_more(): u32 { return 0; }`);
    expect(faultsOf(more)).toEqual([
      "module-not-function: it exports nf_migrate_more, and not nf_migrate, which comes before it",
    ]);
    expect(faultsOf(await compile(sound), 4, migrates)).toEqual([
      'module-not-function: a segment of its manifest has "migratesFrom", and it does not export nf_migrate',
    ]);
  });

  it("lets every import of the SDK in", async () => {
    const source = `
      import { Column, CustomEvent, Flow, Label, PreviousSegment, Segment } from "sluice/sdk";
      const x = new Column<u16>("x.y");
      const y = new Segment("y");
      const before = new PreviousSegment("y");
      const z = new Label("z");
      const w = new CustomEvent("x.w");
      ${sound.replace("nf_process(): void {}", "nf_process(): void { use(changetype<Flow>(<usize>load<u32>(0x30000))); }")}
      function use(flow: Flow): void {
        x.set(flow, <u16>(flow.state + y.bytes + before.layout + <u32>y.address));
        z.set(flow);
        w.raise(flow);
      }`;
    expect(faultsOf(await compile(source))).toEqual([]);
  });

  it.each([
    ["nothing", Buffer.alloc(0)],
    ["text", Buffer.from("not wasm at all")],
    ["a cut module", Buffer.from("0061736d01000000010401", "hex")],
  ])("refuses %s as invalid", (_, bytes) => {
    expect(faultsOf(bytes)).toEqual([expect.stringMatching(/^module-invalid: /)]);
  });

  it("refuses a module that is no function, naming all that is missing", () => {
    const found = faultsOf(wasm);
    expect(found).toContain("module-not-function: it exports f, which is no export of the ABI");
    expect(found).toContain("module-not-function: it does not export nf_process");
    expect(found).toContain("module-not-function: it must have exactly one memory, imported as env.memory");
    expect(found.every((fault) => fault.startsWith("module-not-function"))).toBe(true);
  });

  it("refuses other imports than the ABI's", async () => {
    const source = `@external("env", "now") declare function now(): i32;
      @external("sluice", "log") declare function log(level: i32): void;
      ${sound.replace("{}", "{ log(now()); }")}`;
    expect(faultsOf(await compile(source))).toEqual([
      "module-not-function: it imports env.now, which is no import of the ABI",
      "module-not-function: its import sluice.log is function (i32) -> (), not function (i32, i32) -> ()",
    ]);
  });

  it("refuses exports of another type, and others", async () => {
    const source = sound.replace(
      "nf_process(): void {}",
      "nf_process(count: i32): i32 { return count; }\nexport const extra = 1;",
    );
    expect(faultsOf(await compile(source))).toEqual([
      "module-not-function: its export nf_process is function (i32) -> i32, not function () -> ()",
      "module-not-function: it exports extra, which is no export of the ABI",
    ]);
  });

  it.each([
    ["return 2;", "abi-version: it was built for ABI version 2; this host speaks version 1"],
    ["return load<i32>(0x10000);", "abi-version: its nf_abi does more than return a constant"],
  ])("reads the ABI version without running anything: %s", async (body, expected) => {
    const source = sound.replace(/export \{ nf_abi.*/, `export function nf_abi(): i32 { ${body} }`);
    expect(faultsOf(await compile(source))).toEqual([expected]);
  });

  it.each([
    ["memory.copy", "memory.copy(0x20000000, 0x20000100, load<i32>(0x20000));", "bulk-memory", []],
    ["memory.fill", "memory.fill(0x20000000, 0, load<i32>(0x20000));", "bulk-memory", []],
    ["i32.atomic.load", "store<i32>(0x30000, atomic.load<i32>(0x20000));", "", ["--enable", "threads"]],
    [
      "f32x4.relaxed_madd",
      "v128.store(0x30000, f32x4.relaxed_madd(v128.load(0x30000), v128.load(0x30010), v128.load(0x30020)));",
      "",
      ["--enable", "simd", "--enable", "relaxed-simd"],
    ],
  ])("refuses %s", async (instruction, statement, disabled, enabled) => {
    const flags = [...(disabled === "" ? compilerFlags : without(disabled)), ...enabled];
    const found = faultsOf(await compile(sound.replace("void {}", `void { ${statement} }`), flags));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(/^module-forbidden: .*nf_process \(offset 0x[0-9a-f]+\) uses /);
    expect(found[0]?.replaceAll("_", ".")).toContain(instruction.replaceAll("_", "."));
  });

  it("refuses data that would be written into a window", async () => {
    const source = sound.replace("nf_process(): void {}", "nf_process(): void { throw new Error('here'); }");
    const found = faultsOf(await compile(source, memoryBase(0x10000)));
    expect(found).not.toEqual([]);
    for (const fault of found)
      expect(fault).toMatch(/^module-forbidden: a data segment of \d+ bytes is not at a constant/);
  });

  it("refuses a module whose data is larger than its memory", async () => {
    const table = `export function nf_process(): void { store<i32>(memory.data<u8>([${"1,".repeat(140_000)}]), 1); }`;
    const found = faultsOf(await compile(sound.replace("export function nf_process(): void {}", table)), 1);
    expect(found[0]).toBe("memory-limit: its data alone needs 3 pages; its manifest's memoryPages is 1");
    expect(faultsOf(await compile(sound.replace("export function nf_process(): void {}", table)), 3)).toEqual([]);
  });

  it("refuses a memory with 64-bit addresses", () => {
    // (module (import "env" "memory" (memory i64 8193)))
    const wide = Buffer.from("0061736d0100000002100103656e76066d656d6f727902048140", "hex");
    expect(faultsOf(wide)).toContain("module-forbidden: its memory has 64-bit addresses");
  });

  it("refuses a memory that ends too early or is shared", async () => {
    const small = await compile(sound, [...compilerFlags, "--maximumMemory", "8193"]);
    expect(faultsOf(small)).toEqual([
      "module-not-function: its memory must not end at 8193 pages: the host gives it 8196",
    ]);
    const shared = await compile(sound, [
      ...compilerFlags,
      "--enable",
      "threads",
      "--sharedMemory",
      "--maximumMemory",
      "8196",
    ]);
    expect(faultsOf(shared)).toEqual(["module-forbidden: its memory is shared between threads"]);
  });
});
