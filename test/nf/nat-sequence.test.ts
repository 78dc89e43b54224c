// Numbers of a stream with edits (nfs/nat/sequence.ts), far beyond what packets of a test could say.
import { tmpdir } from "node:os";
import { join, relative } from "node:path";
import { beforeEach, expect, it } from "vitest";
import { type AssemblyModule, runAssembly, SCRATCH } from "../support/assembly-module.ts";
import { projectRoot } from "../support/run-sluice.ts";

const nat = relative(join(tmpdir(), "module"), join(projectRoot, "nfs/nat"));
const source = `
  import { addEdit, forgetFarBack, map, splice } from "${nat}/sequence";
  import { AGREED, READS_MESSAGES, Stream, textOf } from "${nat}/streams";

  const stream = changetype<Stream>(${SCRATCH});

  export function begin(): void {
    stream.isKnown = AGREED;
    stream.reads = READS_MESSAGES;
    stream.editCount = 0;
    stream.shift = 0;
  }
  export function edit(start: u32, old: u32, bytes: u32): bool {
    const made = addEdit(stream, start, old, bytes);
    if (made !== null) memory.fill(textOf(made), 0x6e, bytes);
    return made !== null;
  }
  export function goOn(expected: u32): void {
    stream.expected = expected;
    stream.acknowledged = expected;
    forgetFarBack(stream);
  }
  export function mapped(number: u32): u32 { return map(stream, number); }
  export function replace(to: u32, from: usize, target: usize, room: u32): u32 {
    return splice(stream, 0, to, from, target, room);
  }
`;

let module: AssemblyModule;
const call = (name: string, ...args: number[]) => Number(module.exports[name]?.(...args)) >>> 0;

beforeEach(async () => {
  module ??= await runAssembly(source);
  call("begin");
});

it("what was changed long ago is not taken for what is to come", () => {
  call("edit", 1000, 8, 11);
  for (let number = 1008; number < 5 * 2 ** 30; number += 2 ** 28) {
    call("goOn", number >>> 0);
    expect(call("mapped", number >>> 0)).toBe((number + 3) >>> 0);
  }
});

it("as much is replaced as there is room for, and no byte more", () => {
  const [from, target, old, bytes] = [SCRATCH + 0x8000, SCRATCH + 0x20000, 8, 64];
  const count = 128;
  for (let i = 0; i < count; i++) expect(call("edit", 2 * i * old, old, bytes)).toBe(1);
  module.bytes.fill(0x6f, from, from + 2 * count * old);
  const whole = `${"n".repeat(bytes)}${"o".repeat(old)}`.repeat(count);
  const text = (length: number) => Buffer.from(module.bytes.subarray(target, target + length)).toString("latin1");
  for (const room of [whole.length + 9, whole.length, whole.length - 1, 100, 65, 64, 1, 0]) {
    module.bytes.fill(0, target, target + whole.length + 16);
    const written = Math.min(room, whole.length);
    expect(call("replace", 2 * count * old, from, target, room)).toBe(written);
    expect(text(whole.length + 16)).toBe(whole.slice(0, written).padEnd(whole.length + 16, "\0"));
  }
});
