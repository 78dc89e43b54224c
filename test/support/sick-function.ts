// A function that does what a datagram's destination port asks for: it traps, loops, writes where it may not, or leaves results
// that do not hold.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CONTEXT_ADDRESS, RESULT_BYTES } from "../../nfs/sdk/abi.ts";
import { FRAMES_ADDRESS, RECORDS_ADDRESS, RESULTS_ADDRESS } from "../../runtime/dataplane/memory-map.ts";
import { buildFunction } from "../../runtime/function/build.ts";

/** By what it is asked for: ports, each another way to do that. */
export const sickPorts = {
  none: [7100],
  trap: [7101],
  loop: [7102],
  window: [7103, 7104, 7105, 7106],
  result: [7107, 7108, 7109, 7110],
} as const;

/** All of these, and one that asks for nothing either, for a stream. */
export const SICK_PORTS = "7100-7199";
export const SOUND_PORT = 7199;

const cases: Readonly<Record<number, string>> = {
  7101: "unreachable();",
  7102: "while (true) {}",
  7103: `store<u32>(${RECORDS_ADDRESS}, 1);`,
  7104: `store<u32>(${CONTEXT_ADDRESS}, 1);`,
  7105: `store<u32>(${FRAMES_ADDRESS}, 1);`,
  7106: "store<u32>(0, 1);",
  7107: "store<u8>(result, 5);",
  7108: "store<u8>(result, 2); store<u16>(result, 9, 4);",
  7109: "store<u8>(result, 1); store<u16>(result, 3, 2);",
  7110: "store<u8>(result, 1, 1); store<u32>(result, 0x7fffffff, 8);",
};

const manifest = {
  name: "sick",
  version: "1.0.0",
  abi: 1,
  description: "Misbehaves when it is asked to.",
  frames: "read",
  memoryPages: 16,
};

const source = `
import { batch } from "sluice/sdk";
export { nf_abi } from "sluice/sdk/exports";
export function nf_configure(json: string): bool { return json.length > 0; }
export function nf_process(): void {
  for (let i = 0; i < batch.count; i++) {
    const result: usize = ${RESULTS_ADDRESS} + <usize>i * ${RESULT_BYTES};
    const port = batch.record(i).destinationPort;
${Object.entries(cases)
  .map(([port, body]) => `    if (port == ${port}) { ${body} }`)
  .join("\n")}
  }
}
`;

/** Builds the package `sick` in a folder; returns the folder for `--functions`. */
export async function makeSickFunction(folder: string): Promise<string> {
  const from = join(folder, "source", "sick");
  mkdirSync(from, { recursive: true });
  writeFileSync(join(from, "manifest.json"), JSON.stringify(manifest));
  writeFileSync(join(from, "index.ts"), source);
  await buildFunction(from, join(folder, "packages", "sick-1.0.0"));
  return join(folder, "packages");
}
