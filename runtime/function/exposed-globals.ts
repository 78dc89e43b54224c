// A module that exports its mutable globals besides what it exports anyway: what a function keeps there, outside of its
// memory, is part of its state when a fault is written down and made again.
import { decodeUnsigned, encodeUnsigned, sections } from "./custom-section.ts";

const GLOBAL_SECTION = 6;
const EXPORT_SECTION = 7;
const GLOBAL_KIND = 3;
const I64 = 0x7e;
const V128 = 0x7b;
const END = 0x0b;

export interface ExposedGlobal {
  /** Of the export. */
  readonly name: string;
  /** An i64: a bigint to JavaScript. */
  readonly isWide: boolean;
}

export interface ExposedModule {
  readonly binary: Uint8Array;
  /** The additional exports, in the order of the globals. Those of type v128 are left out: nobody could read them. */
  readonly globals: readonly ExposedGlobal[];
  /** By how many bytes the code lies further back than in the module as it was. */
  readonly shift: number;
}

export function exposeGlobals(wasm: Uint8Array): ExposedModule {
  const exported = sections(wasm).find(({ id }) => id === EXPORT_SECTION);
  const mutable = listMutable(wasm);
  if (exported === undefined || mutable.length === 0) return { binary: wasm, globals: [], shift: 0 };
  const [count, entries] = decodeUnsigned(exported.content, 0);
  const body = Buffer.concat([
    encodeUnsigned(count + mutable.length),
    exported.content.subarray(entries),
    ...mutable.map(({ index }) => encodeExport(nameExport(index), index)),
  ]);
  const section = Buffer.concat([Buffer.from([EXPORT_SECTION]), encodeUnsigned(body.length), body]);
  const binary = Buffer.concat([wasm.subarray(0, exported.start), section, wasm.subarray(exported.end)]);
  const globals = mutable.map(({ index, type }) => ({ name: nameExport(index), isWide: type === I64 }));
  return { binary, globals, shift: binary.length - wasm.length };
}

/** No function exports anything of such a name: admission knows all that it may. */
function nameExport(index: number): string {
  return `global ${index}`;
}

function encodeExport(name: string, index: number): Uint8Array {
  const label = Buffer.from(name);
  return Buffer.concat([encodeUnsigned(label.length), label, Buffer.from([GLOBAL_KIND]), encodeUnsigned(index)]);
}

/** None is imported: admission refuses that. */
function listMutable(wasm: Uint8Array): { readonly index: number; readonly type: number }[] {
  const content = sections(wasm).find(({ id }) => id === GLOBAL_SECTION)?.content;
  if (content === undefined) return [];
  const found: { index: number; type: number }[] = [];
  const [count, first] = decodeUnsigned(content, 0);
  for (let index = 0, at = first; index < count; index++) {
    const type = content[at] as number;
    if (content[at + 1] === 1 && type !== V128) found.push({ index, type });
    at = passConstant(content, at + 2);
  }
  return found;
}

/** Bytes of the immediates of what may stand in a constant expression; the others have one LEB128 number, or none. */
const immediates: Readonly<Record<number, number>> = { 67: 4, 68: 8, 208: 1 };
const numbered = [0x23, 0x41, 0x42, 0xd2];
const SIMD = 0xfd;

function passConstant(content: Uint8Array, start: number): number {
  let at = start;
  for (let instruction = content[at++]; instruction !== END; instruction = content[at++]) {
    if (instruction === undefined) throw new RangeError("a constant of the binary is cut off");
    if (numbered.includes(instruction)) [, at] = decodeUnsigned(content, at);
    else if (instruction === SIMD) at = decodeUnsigned(content, at)[1] + 16;
    else at += immediates[instruction] ?? 0;
  }
  return at;
}
