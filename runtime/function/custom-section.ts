// Custom sections of a WebAssembly binary (core specification, section 5.5.3): what a package carries beside its code.

const PREAMBLE_BYTES = 8;

/** The content of the section of that name; undefined if there is none. */
export function readCustomSection(wasm: Uint8Array, name: string): Uint8Array | undefined {
  return sections(wasm).find((section) => section.name === name)?.content;
}

/** The binary without the sections of that name, and with this one at its end: offsets of the code stay as they are. */
export function replaceCustomSection(wasm: Uint8Array, name: string, content: Uint8Array): Uint8Array {
  const label = Buffer.from(name);
  const body = Buffer.concat([encodeUnsigned(label.length), label, content]);
  return Buffer.concat([removeCustomSection(wasm, name), Buffer.from([0]), encodeUnsigned(body.length), body]);
}

/** Only from behind the code; a section before it stays, since offsets in the code count from the binary's start. */
export function removeCustomSection(wasm: Uint8Array, name: string): Uint8Array {
  const all = sections(wasm);
  const code = all.findIndex(({ id }) => id === 10);
  const kept = all.filter((section, index) => index <= code || section.name !== name);
  return Buffer.concat([wasm.subarray(0, PREAMBLE_BYTES), ...kept.map(({ start, end }) => wasm.subarray(start, end))]);
}

export interface Section {
  readonly id: number;
  /** Of custom sections. */
  readonly name: string | undefined;
  readonly start: number;
  readonly end: number;
  readonly content: Uint8Array;
}

export function sections(wasm: Uint8Array): Section[] {
  const found: Section[] = [];
  let at = PREAMBLE_BYTES;
  while (at < wasm.length) {
    const start = at;
    const id = wasm[at] as number;
    const [bytes, body] = decodeUnsigned(wasm, at + 1);
    at = body + bytes;
    if (id !== 0) {
      found.push({ id, name: undefined, start, end: at, content: wasm.subarray(body, at) });
      continue;
    }
    const [length, label] = decodeUnsigned(wasm, body);
    const name = Buffer.from(wasm.subarray(label, label + length)).toString();
    found.push({ id, name, start, end: at, content: wasm.subarray(label + length, at) });
  }
  return found;
}

/** LEB128: the value, and the offset behind it. */
export function decodeUnsigned(bytes: Uint8Array, offset: number): [value: number, next: number] {
  let value = 0;
  for (let scale = 1, at = offset; at < bytes.length; at++, scale *= 128) {
    const byte = bytes[at] as number;
    value += (byte & 127) * scale;
    if (byte < 128) return [value, at + 1];
  }
  throw new RangeError("a number of the binary is cut off");
}

/** LEB128. */
export function encodeUnsigned(value: number): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push((rest & 127) | (rest > 127 ? 128 : 0));
    rest = Math.floor(rest / 128);
  } while (rest > 0);
  return Uint8Array.from(bytes);
}
