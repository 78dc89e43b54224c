// sluice replay BUNDLE: makes a recorded fault happen again.

import { type Bundle, readBundle } from "../dataplane/faults/bundle.ts";
import type { RecordedFrame } from "../dataplane/faults/call-log.ts";
import { type Reproduction, reproduce } from "../dataplane/faults/reproduce.ts";
import { SluiceError } from "../errors.ts";
import { admit } from "../function/admission.ts";
import { formatPacket } from "../testing/packet-text.ts";
import { printJson, printLine } from "./output.ts";

/** Calls that have not come back by then are taken for an endless loop. */
const LIMIT_MS = 2000;

/** Throws bundle-damaged, or not-reproduced after it has said what happened instead. */
export async function replayBundle(file: string, json: boolean): Promise<void> {
  const bundle = readBundle(file);
  admit(bundle.package.wasm, bundle.package.manifest);
  const found = await reproduce(bundle, LIMIT_MS);
  if (json) printJson(describeReproduction(bundle, found));
  else printReproduction(bundle, found);
  if (!found.isReproduced) throw notReproduced(file, bundle, found);
}

function describeReproduction(
  { description, calls }: Bundle,
  { isReproduced, from, fault, calls: made }: Reproduction,
) {
  const { chain, generation, at, function: name, package: from_, kind, call, message, source, isExact } = description;
  return {
    ...{ reproduced: isReproduced, chain, generation, at, function: name, package: from_, kind, call, exact: isExact },
    recorded: { message, source },
    found: fault === null ? null : { message: fault.message, source: fault.source, result: fault.result },
    ...{ from, calls: made },
    frames: lastFrames(calls).map((frame, position) => {
      return { position, text: describeFrame(frame), bad: position === fault?.position };
    }),
  };
}

function lastFrames(calls: Bundle["calls"]): readonly RecordedFrame[] {
  return calls.at(-1)?.frames ?? [];
}

function describeFrame({ bytes }: RecordedFrame): string {
  return bytes.length === 0 ? "not kept" : formatPacket(bytes);
}

function printReproduction({ description, calls }: Bundle, { from, fault }: Reproduction): void {
  const { chain, generation, at, function: name, package: of, call, isExact } = description;
  printLine(`bundle: ${name} (${of}) of chain ${chain}, generation ${generation}, ${at}`);
  const start = isExact ? "the state before the first of them" : describeStart(from);
  printLine(`  ${calls.length} ${calls.length === 1 ? "call" : "calls"}, the last of ${call}, from ${start}`);
  const missing = listMissing(description);
  if (missing.length > 0) printLine(`  too large to be kept: ${missing.join(", ")}`);
  printLine(fault === null ? "no fault" : `fault ${name} (${of}) ${describeFault(fault)}`);
  for (const [position, frame] of lastFrames(calls).entries()) {
    printLine(`  ${position === fault?.position ? ">" : " "} ${position + 1} ${describeFrame(frame)}`);
  }
}

function listMissing({ kind, memoryKept, segments }: Bundle["description"]): string[] {
  const memory = memoryKept || kind === "time" ? [] : ["its own memory"];
  return [...memory, ...segments.filter(({ kept }) => !kept).map(({ name }) => `segment ${name}, zeros instead`)];
}

function describeStart(from: Reproduction["from"]): string {
  return from === "kept state"
    ? "the state that the fault left"
    : "a new instance and what the fault left of its segments";
}

function describeFault({ message, source, position, result }: NonNullable<Reproduction["fault"]>): string {
  const where = source === null ? "" : `${source}: `;
  return position === null ? `${where}${message}` : `frame ${position + 1}: ${message} (result ${result})`;
}

function notReproduced(file: string, { description }: Bundle, { fault }: Reproduction): SluiceError {
  const { message, source, isExact } = description;
  const happened = fault === null ? "nothing failed" : `instead: ${describeFault(fault)}`;
  const what = `the recorded fault (${message}${source === null ? "" : ` at ${source}`}) did not happen again; ${happened}`;
  const help = isExact ? undefined : "it may depend on calls before; give the function `keepBatches` in its chain";
  return new SluiceError({ code: "not-reproduced", where: file, what, help });
}
