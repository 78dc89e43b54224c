import { execFileSync } from "node:child_process";

/** Why a test that needs them is skipped, or null. */
export function missingProgram(...programs: readonly string[]): string | null {
  for (const program of programs) {
    try {
      execFileSync("which", [program]);
    } catch {
      return `needs ${program}`;
    }
  }
  return null;
}
