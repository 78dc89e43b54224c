// The process in which a function is tried: takes a package on stdin, prints a CheckMessage per line.
import { buffer } from "node:stream/consumers";
import { setFlagsFromString } from "node:v8";
import { type Fault, SluiceError } from "../errors.ts";
import { validateManifest } from "../function/manifest.ts";
import { readPackage } from "../function/package-archive.ts";
import { checkFunction, type FunctionCheck } from "./function-check.ts";

export type CheckMessage =
  | { readonly step: string }
  | { readonly check: FunctionCheck }
  | { readonly faults: readonly Fault[] };

function say(message: CheckMessage): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

function check(tar: Buffer): CheckMessage {
  try {
    const { manifestText, wasm } = readPackage(tar, "stdin");
    const manifest = validateManifest(manifestText, "manifest.json");
    return { check: checkFunction({ manifest, wasm, origin: "stdin" }, (step) => say({ step })) };
  } catch (error) {
    if (error instanceof SluiceError) return { faults: error.faults };
    throw error;
  }
}

// Not for Node's own modules, which are compiled by then.
setFlagsFromString("--no-wasm-lazy-compilation");
say(check(await buffer(process.stdin)));
