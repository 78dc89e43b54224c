// A chain whose engine is started again when it dies, between two sides.
import { readFileSync } from "node:fs";
import { makeCountingFunctions, totalSegment } from "./counting-function.ts";
import { type EngineOptions, RunningEngine } from "./running-engine.ts";
import { makeFolder } from "./temporary-folder.ts";
import type { TwoSides } from "./two-sides.ts";

export const restartingChain = (rest = "") => `chain: restarting
ports: { lan: { device: lan0 }, wan: { device: wan0 } }
functions: { count: { use: counting@1 } }
paths:
  - { from: lan, through: [count], to: wan }
  - { from: wan, through: [count], to: lan }
${rest}`;

export interface RestartingChain {
  readonly running: RunningEngine;
  readonly file: string;
  /** With versions 1 and 2 of `counting`. */
  readonly functions: string;
}

export async function startRestarting(
  { box }: TwoSides,
  document: string,
  options: EngineOptions = {},
): Promise<RestartingChain> {
  const functions = await makeCountingFunctions({ version: "1.0.0", step: 1 }, { version: "2.0.0", step: 2 });
  const file = `${makeFolder({ "chain.yaml": document })}/chain.yaml`;
  return {
    running: await RunningEngine.start(box, file, { functions, supervised: true, ...options }),
    file,
    functions,
  };
}

/** Packets that the function has counted in its segment. */
export function totalOf(running: RunningEngine): number {
  return Number(readFileSync(`${running.chainFolder}/${totalSegment("count")}`).readBigUInt64LE());
}
