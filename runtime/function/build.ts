// From a folder with index.ts and manifest.json to a function package.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { SluiceError } from "../errors.ts";
import { admit } from "./admission.ts";
import { compileFunction } from "./compile.ts";
import { type Manifest, validateManifest } from "./manifest.ts";

export interface BuiltFunction {
  readonly manifest: Manifest;
  /** The folder that holds function.wasm and manifest.json. */
  readonly folder: string;
  readonly wasm: Uint8Array;
  readonly warnings: readonly string[];
}

/**
 * Compiles, admits and writes a package. Throws file-unreadable, manifest-invalid, build-failed, or what admission finds;
 * `outFolder` then keeps what it had.
 */
export async function buildFunction(folder: string, outFolder: string): Promise<BuiltFunction> {
  const manifestFile = join(folder, "manifest.json");
  const text = readText(manifestFile);
  const manifest = validateManifest(text, manifestFile);
  const { wasm, warnings } = await compileFunction(folder);
  admit(wasm, manifest);
  mkdirSync(outFolder, { recursive: true });
  replaceFile(join(outFolder, "function.wasm"), wasm);
  replaceFile(join(outFolder, "manifest.json"), text);
  return { manifest, folder: resolve(outFolder), wasm, warnings };
}

/** Packs a built function as `name-version.tar` beside its files; the same package gives the same bytes. */
export function packFunction(outFolder: string): string {
  const manifestFile = join(outFolder, "manifest.json");
  const { name, version } = validateManifest(readText(manifestFile), manifestFile);
  const tar = join(resolve(outFolder), `${name}-${version}.tar`);
  const owner = ["--owner=0", "--group=0", "--numeric-owner", "--mode=0644", "--mtime=@0"];
  const members = ["function.wasm", "manifest.json"];
  const { status, stderr, error } = spawnSync(
    "tar",
    ["--create", "--format=ustar", ...owner, "--file", tar, "--directory", outFolder, ...members],
    { encoding: "utf8" },
  );
  if (status === 0) return tar;
  throw new SluiceError({
    code: "file-unwritable",
    where: tar,
    what: `tar failed: ${error?.message ?? stderr.trim()}`,
  });
}

/** All or nothing: who reads the file meanwhile sees the old one or the new one. */
function replaceFile(file: string, content: Uint8Array | string): void {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, content);
  renameSync(draft, file);
}

function readText(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new SluiceError({ code: "file-unreadable", where: file, what: (error as Error).message });
  }
}
