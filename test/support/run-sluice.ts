import { spawnSync } from "node:child_process";
import { resolve } from "node:path";

export const projectRoot = resolve(import.meta.dirname, "../..");
export const sluicePath = resolve(projectRoot, "sluice");

export interface Outcome {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the command line to its end. */
export function runSluice(args: readonly string[], options: { cwd?: string; command?: string } = {}): Outcome {
  const { cwd = projectRoot, command = sluicePath } = options;
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: "utf8", timeout: 30_000 });
  if (error !== undefined) throw error;
  return { status, stdout, stderr };
}
