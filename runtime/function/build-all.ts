// Builds every function under nfs/ into build/functions: `node runtime/function/build-all.ts`. Skips what is up to date.
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { SluiceError } from "../errors.ts";
import { buildFunction } from "./build.ts";
import { compilerFlags, projectRoot, readCompilerVersion } from "./compile.ts";

const sources = join(projectRoot, "nfs");
const outputs = join(projectRoot, "build/functions");

export interface BuiltIn {
  readonly name: string;
  readonly folder: string;
  /** False: it was up to date. */
  readonly built: boolean;
  readonly warnings: readonly string[];
}

/** Throws the faults of all functions that do not build; the others are built nevertheless. */
export async function buildAll(): Promise<BuiltIn[]> {
  const results: BuiltIn[] = [];
  const failures: SluiceError[] = [];
  for (const name of listFunctions()) {
    try {
      results.push(await buildOne(name));
    } catch (error) {
      if (!(error instanceof SluiceError)) throw error;
      failures.push(error);
    }
  }
  const [first, ...rest] = failures.flatMap(({ faults }) => faults);
  if (first !== undefined) throw new SluiceError(first, ...rest);
  return results;
}

export function listFunctions(): string[] {
  return readdirSync(sources)
    .filter((name) => existsSync(join(sources, name, "manifest.json")))
    .toSorted();
}

/** Throws what buildFunction does. */
export async function buildOne(name: string): Promise<BuiltIn> {
  const folder = join(outputs, name);
  const stamp = join(folder, "sources.sha256");
  const compiler = [readCompilerVersion(), compilerFlags.join(" ")];
  const hash = digest([...compiler, hashFolder(join(sources, "sdk")), hashFolder(join(sources, name))]);
  const current =
    existsSync(join(folder, "function.wasm")) && existsSync(stamp) && readFileSync(stamp, "utf8") === hash;
  if (current) return { name, folder, built: false, warnings: [] };
  const { warnings } = await buildFunction(join(sources, name), folder);
  writeFileSync(stamp, hash);
  return { name, folder, built: true, warnings };
}

/** Of everything that the compiler and the manifest's reader may look at. */
function hashFolder(folder: string): string {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => /\.(ts|json)$/.test(file) && !file.startsWith("test/"))
    .toSorted();
  return digest(files.flatMap((file) => [file, readFileSync(join(folder, file), "utf8")]));
}

function digest(parts: readonly string[]): string {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(`${part.length}:`).update(part);
  return hash.digest("hex");
}

if (import.meta.main) {
  try {
    for (const { name, built, warnings } of await buildAll()) {
      console.log(`${name}: ${built ? "built" : "up to date"}`);
      for (const warning of warnings) console.warn(warning);
    }
  } catch (error) {
    if (!(error instanceof SluiceError)) throw error;
    console.error(error.message);
    process.exitCode = error.exitStatus;
  }
}
