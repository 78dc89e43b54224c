// Proves from a compiled module that nothing is allocated on the packet path.
import { type DecodedModule, decodeModule, MEMORY_GROW, type ModuleFunction } from "./module.ts";

const packetPath = ["nf_process", "nf_tick", "nf_events", "nf_stream"];

/** An indirect call may reach every function of the table. */
const CALL_INDIRECT = 0x11;

/**
 * How each exported function of the packet path can come to memory.grow, which AssemblyScript's allocator contains:
 * `nf_process → Array#push → __new`. Empty: it cannot allocate.
 */
export function findAllocations(wasm: Uint8Array): string[] {
  const module = decodeModule(wasm);
  return module.exports
    .filter(({ name, kind }) => kind === "function" && packetPath.includes(name))
    .flatMap(({ name, index }) => {
      const path = findPath(module, index);
      return path === undefined ? [] : [[name, ...path.slice(1).map((body) => body.name)].join(" → ")];
    });
}

/** The shortest way from a function to one that grows the memory. */
function findPath(module: DecodedModule, from: number): ModuleFunction[] | undefined {
  const byIndex = new Map(module.functions.map((body) => [body.index, body]));
  const seen = new Set([from]);
  let paths = [byIndex.get(from)].filter((body) => body !== undefined).map((body) => [body]);
  while (paths.length > 0) {
    const found = paths.find((path) => path.at(-1)?.instructions.has(MEMORY_GROW));
    if (found !== undefined) return found;
    paths = paths.flatMap((path) =>
      callees(module, path.at(-1) as ModuleFunction)
        .filter((index) => !seen.has(index) && seen.add(index))
        .flatMap((index) => byIndex.get(index) ?? [])
        .map((body) => [...path, body]),
    );
  }
  return undefined;
}

function callees(module: DecodedModule, body: ModuleFunction): number[] {
  return [...body.calls, ...(body.instructions.has(CALL_INDIRECT) ? module.elements : [])];
}
