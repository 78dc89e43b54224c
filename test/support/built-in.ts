// The project's own functions, as `sluice` has them: compiled when their sources have changed, and only then.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { buildOne } from "../../runtime/function/build-all.ts";
import type { FunctionPackage } from "../../runtime/function/catalog.ts";
import { validateManifest } from "../../runtime/function/manifest.ts";

const loading = new Map<string, Promise<FunctionPackage>>();

/** The same for all tests of a file. */
export function loadBuiltIn(name: string): Promise<FunctionPackage> {
  const known = loading.get(name) ?? load(name);
  loading.set(name, known);
  return known;
}

async function load(name: string): Promise<FunctionPackage> {
  const { folder } = await buildOne(name);
  const file = join(folder, "manifest.json");
  const manifest = validateManifest(readFileSync(file, "utf8"), file);
  return { manifest, wasm: readFileSync(join(folder, "function.wasm")), origin: folder };
}
