// The files of a function package, in a folder or in a tar file.

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { SluiceError } from "../errors.ts";
import { readMember } from "./archive.ts";
import type { FunctionPackage } from "./catalog.ts";
import { type Manifest, validateManifest } from "./manifest.ts";

export function isPackageFolder(folder: string): boolean {
  return existsSync(join(folder, "manifest.json"));
}

/**
 * `folder` holds manifest.json; function.wasm is in the first of `built` that has one. Throws what is wrong with the
 * manifest.
 */
export function openFolder(folder: string, built: readonly string[]): FunctionPackage {
  const place = built.find((candidate) => existsSync(join(candidate, "function.wasm")));
  // The manifest that was built with the module is the one that holds for it.
  const manifestFile = join(place !== undefined && isPackageFolder(place) ? place : folder, "manifest.json");
  const text = readFile(manifestFile).toString("utf8");
  const manifest = validateManifest(text, manifestFile);
  return new LazyPackage(manifest, text, folder, () => {
    if (place === undefined) throw describeUnbuilt(manifest, folder);
    return readFile(join(place, "function.wasm"));
  });
}

/** `name-version.tar`, as `sluice function build` packs it. Throws what is wrong with the archive or the manifest. */
export function openTar(file: string): FunctionPackage {
  const text = readMember(file, "manifest.json").toString("utf8");
  return new LazyPackage(validateManifest(text, `${file}/manifest.json`), text, file, () =>
    readMember(file, "function.wasm"),
  );
}

class LazyPackage implements FunctionPackage {
  readonly manifest: Manifest;
  readonly manifestText: string;
  readonly origin: string;
  readonly #read: () => Buffer;
  #wasm: Uint8Array | undefined;

  constructor(manifest: Manifest, manifestText: string, origin: string, read: () => Buffer) {
    this.manifest = manifest;
    this.manifestText = manifestText;
    this.origin = origin;
    this.#read = read;
  }

  get wasm(): Uint8Array {
    this.#wasm ??= new Uint8Array(this.#read());
    return this.#wasm;
  }
}

function describeUnbuilt({ name, version }: Manifest, folder: string): SluiceError {
  const what = `${name}@${version} is not built`;
  return new SluiceError({ code: "file-unreadable", where: folder, what, help: `sluice function build ${folder}` });
}

function readFile(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new SluiceError({ code: "file-unreadable", where: file, what: (error as Error).message });
  }
}
