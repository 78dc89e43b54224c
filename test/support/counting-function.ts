// A function that counts the packets of each flow and of all, one by one or two by two; in versions, for upgrades.
import { join } from "node:path";
import { buildFunction } from "../../runtime/function/build.ts";
import type { Manifest } from "../../runtime/function/manifest.ts";
import { makeFolder } from "./temporary-folder.ts";

export interface CountingVersion {
  readonly version: string;
  /** What a packet counts. */
  readonly step: number;
  /** What else it does with each packet. */
  readonly each?: string;
  /** Globals. */
  readonly before?: string;
  /** What it does when it is configured; false refuses. */
  readonly configure?: string;
  readonly manifest?: Partial<Manifest>;
}

/** A folder for `--functions` with these versions of `counting`. */
export async function makeCountingFunctions(...versions: readonly CountingVersion[]): Promise<string> {
  const files = versions.flatMap(({ version, step, each = "", before = "", configure = "", manifest }) => [
    [`source-${version}/counting/manifest.json`, JSON.stringify({ ...base, version, ...manifest })],
    [`source-${version}/counting/index.ts`, source(step, each, before, configure)],
  ]);
  const folder = makeFolder(Object.fromEntries(files));
  for (const { version } of versions) {
    await buildFunction(`${folder}/source-${version}/counting`, join(folder, "packages", `counting-${version}`));
  }
  return join(folder, "packages");
}

/** Where the state folder has the sum of all that was counted (u64). */
export const totalSegment = (name: string) => `segment-${name}-counting-total-1-8`;

const base = {
  name: "counting",
  abi: 1,
  description: "Counts packets.",
  frames: "read",
  memoryPages: 16,
  columns: { writes: { "counting.count": { type: "u64", export: true } }, reads: ["flow"] },
  segments: { total: { bytes: 8, layout: 1 } },
};

const source = (step: number, each: string, before: string, configure: string) => `
import { batch, Column, Counter, Segment } from "sluice/sdk";
export { nf_abi } from "sluice/sdk/exports";
const count = new Column<u64>("counting.count");
const total = new Segment("total");
const counted = new Counter("counted");${before}
export function nf_configure(json: string): bool { ${configure} return json.length > 0; }
export function nf_process(): void {
  for (let i = 0; i < batch.count; i++) {
    const packet = batch.packet(i);
    ${each}
    const flow = packet.flow;
    if (flow !== null) count.set(flow, count.get(flow) + ${step});
    store<u64>(total.address, load<u64>(total.address) + ${step});
    counted.add(${step});
  }
}
`;
