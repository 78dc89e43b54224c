import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { onTestFinished } from "vitest";

const ofProcess = new Set<string>();

function removeAll(): void {
  for (const folder of ofProcess) rmSync(folder, { recursive: true, force: true });
}

/** A folder with these files (path → text), removed when the running test ends; in a bench, when the process does. */
export function makeFolder(files: Readonly<Record<string, string>> = {}): string {
  const folder = mkdtempSync(join(tmpdir(), "sluice-test-"));
  if (process.env.VITEST !== undefined) onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  else if (ofProcess.add(folder).size === 1) process.once("exit", removeAll);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
  return folder;
}
