// From a trap's place in the binary to a line of the function's source.
import { originalPositionFor, TraceMap } from "@jridgewell/trace-mapping";
import { readCustomSection } from "./custom-section.ts";

/** JSON of the module's source map (ECMA-426), within the module itself: a package stays one file and a manifest. */
export const SOURCE_MAP_SECTION = "sluice.sourcemap";

export interface ResolvedTrap {
  readonly message: string;
  /** `nfs/hello/index.ts:12:3`, the author's line if one is known; null without a source map. */
  readonly source: string | null;
}

/** What went wrong and where. `error` is what a call into `wasm` threw, whose code ran `shift` bytes further back. */
export function resolveTrap(error: Error, wasm: Uint8Array, shift = 0): ResolvedTrap {
  const { message, place } = splitMessage(error.message);
  const { own, nearest } = locateFrames(
    findOffsets(error.stack ?? "").map((offset) => offset - shift),
    wasm,
  );
  return { message, source: own ?? place ?? nearest };
}

/** The author's line, by the places in the binary of the calls under way, innermost first; null without a source map. */
export function resolveOffsets(offsets: readonly number[], wasm: Uint8Array): string | null {
  const { own, nearest } = locateFrames(offsets, wasm);
  return own ?? nearest;
}

function locateFrames(offsets: readonly number[], wasm: Uint8Array): { own: string | null; nearest: string | null } {
  const map = openMap(wasm);
  if (map === undefined) return { own: null, nearest: null };
  const sources = offsets.map((offset) => locate(map, offset)).filter((source) => source !== null);
  const callers = () => offsets.map((offset) => locateCaller(map, offset)).find((source) => source !== null);
  return { own: sources.find(isOwn) ?? callers() ?? null, nearest: sources[0] ?? null };
}

/** AssemblyScript's abort says `what at file:line:column` (instance.ts). */
function splitMessage(text: string): { readonly message: string; readonly place: string | null } {
  const [, message, place] = /^(.*) at (\S+:\d+:\d+)$/s.exec(text) ?? [];
  return message === undefined || place === undefined ? { message: text, place: null } : { message, place };
}

/** Byte offsets in the binary, innermost frame first: `wasm-function[12]:0x3f2`. */
function findOffsets(stack: string): number[] {
  return [...stack.matchAll(/wasm-function\[\d+\]:0x([0-9a-f]+)/g)].map(([, offset = ""]) =>
    Number.parseInt(offset, 16),
  );
}

const maps = new WeakMap<Uint8Array, TraceMap>();

function openMap(wasm: Uint8Array): TraceMap | undefined {
  const known = maps.get(wasm);
  if (known !== undefined) return known;
  const section = readCustomSection(wasm, SOURCE_MAP_SECTION);
  if (section === undefined) return undefined;
  const map = new TraceMap(Buffer.from(section).toString());
  maps.set(wasm, map);
  return map;
}

/** Source maps of binaries have one line, and the byte offset as its column. */
function locate(map: TraceMap, offset: number): string | null {
  const { source, line, column } = originalPositionFor(map, { line: 1, column: offset });
  return source === null ? null : `${source}:${line}:${column + 1}`;
}

/** How far back the code that called an inlined function can be. */
const INLINE_REACH = 400;

/** The nearest line of the author's before an offset that was inlined from the SDK or the standard library. */
function locateCaller(map: TraceMap, offset: number): string | null {
  for (let before = offset; before > Math.max(0, offset - INLINE_REACH); before--) {
    const source = locate(map, before);
    if (source !== null && isOwn(source)) return source;
  }
  return null;
}

function isOwn(source: string): boolean {
  return !source.startsWith("~lib/") && !source.startsWith("nfs/sdk/");
}
