// Bundles of faults of one function, made on memory ports and replayed by the command line somewhere else.
import { cpSync, rmSync } from "node:fs";
import { basename, join } from "node:path";
import { BundleFolder } from "../../runtime/dataplane/faults/bundle-folder.ts";
import type { FaultEvidence } from "../../runtime/dataplane/faults/evidence.ts";
import type { Manifest } from "../../runtime/function/manifest.ts";
import { type FunctionTestOptions, type FunctionUnderTest, openFunction } from "../../runtime/testing/index.ts";
import { type Outcome, runSluice } from "./run-sluice.ts";
import { makeFolder } from "./temporary-folder.ts";

export interface FaultyFunction {
  /** Imports and globals. */
  readonly before?: string;
  /** nf_process; line 6 of its index.ts if `before` is one line. */
  readonly body: string;
  /** Other exports. */
  readonly after?: string;
  readonly manifest?: Partial<Manifest>;
}

export interface BundleMaker {
  readonly fn: FunctionUnderTest;
  readonly evidence: readonly FaultEvidence[];
  /** Closes the function, removes its sources, and returns the bundles in a folder of their own. */
  bundles(): Promise<string[]>;
}

const base = { name: "faulty", version: "1.0.0", abi: 1, description: "Misbehaves.", frames: "read", memoryPages: 16 };

export async function makeBundles(
  { before = 'import { Counter } from "sluice/sdk";', body, after = "", manifest }: FaultyFunction,
  options: FunctionTestOptions = {},
): Promise<BundleMaker> {
  const folder = makeFolder({
    "faulty/index.ts": [
      'import { batch } from "sluice/sdk";',
      'export { nf_abi } from "sluice/sdk/exports";',
      before,
      "export function nf_configure(json: string): bool { return json.length > 0; }",
      "export function nf_process(): void {",
      body,
      "}",
      after,
    ].join("\n"),
    "faulty/manifest.json": JSON.stringify({ ...base, ...manifest }),
  });
  const evidence: FaultEvidence[] = [];
  const fn = await openFunction(`${folder}/faulty`, { ...options, onEvidence: (each) => evidence.push(each) });
  const bundles = async () => {
    fn.close();
    const { plan, functions } = fn.lane;
    const chain = { generation: 1, plan, packages: functions.map((each) => each.package) };
    const made = makeFolder({});
    const kept = new BundleFolder(join(made, "faults"));
    for (const each of evidence) await kept.keep(each, chain);
    rmSync(folder, { recursive: true });
    const elsewhere = makeFolder({});
    return kept.list().map((file) => {
      const copy = join(elsewhere, basename(file));
      cpSync(file, copy);
      return copy;
    });
  };
  return { fn, evidence, bundles };
}

/** `sluice replay BUNDLE` in another folder. */
export function replayBundle(bundle: string, ...options: readonly string[]): Outcome {
  return runSluice(["replay", bundle, ...options], { cwd: makeFolder({}) });
}
