// From a folder with index.ts and manifest.json to a function package.
import type { KeyObject } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { SluiceError } from "../errors.ts";
import { admit } from "./admission.ts";
import { compileFunction } from "./compile.ts";
import { type Manifest, validateManifest } from "./manifest.ts";
import { readPackage, writePackage } from "./package-archive.ts";
import { signPackage } from "./signature.ts";

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

/**
 * Packs a built function as `name-version.tar` beside its files, signed if there is a key to do it with; the same package
 * gives the same bytes.
 */
export function packFunction(outFolder: string, key?: KeyObject): string {
  const manifestFile = join(outFolder, "manifest.json");
  const manifestText = readText(manifestFile);
  const { name, version } = validateManifest(manifestText, manifestFile);
  const contents = { manifestText, wasm: readBytes(join(outFolder, "function.wasm")) };
  const tar = join(resolve(outFolder), `${name}-${version}.tar`);
  writeWhole(tar, writePackage({ ...contents, signature: key && signPackage(contents, key) }));
  return tar;
}

/** Adds a signature to a package, or replaces the one that it has. */
export function signTar(tar: string, key: KeyObject): void {
  const { manifestText, wasm } = readPackage(readBytes(tar), tar);
  writeWhole(tar, writePackage({ manifestText, wasm, signature: signPackage({ manifestText, wasm }, key) }));
}

function writeWhole(file: string, content: Uint8Array): void {
  try {
    replaceFile(file, content);
  } catch (error) {
    throw new SluiceError({ code: "file-unwritable", where: file, what: (error as Error).message });
  }
}

/** All or nothing: who reads the file meanwhile sees the old one or the new one. */
function replaceFile(file: string, content: Uint8Array | string): void {
  const draft = `${file}.${process.pid}`;
  writeFileSync(draft, content);
  renameSync(draft, file);
}

function readText(file: string): string {
  return readBytes(file).toString("utf8");
}

function readBytes(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new SluiceError({ code: "file-unreadable", where: file, what: (error as Error).message });
  }
}
