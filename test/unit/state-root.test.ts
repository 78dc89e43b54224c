import { chmodSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { ensureStateRoot } from "../../runtime/dataplane/state-folder.ts";

describe("the folder of all state folders", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync("/dev/shm/sluice-test-root-");
  });

  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it("is made for its owner alone", () => {
    ensureStateRoot(join(folder, "new"));
    ensureStateRoot(join(folder, "new"));
  });

  it("is not taken if others may write into it, or could have put it there", () => {
    chmodSync(folder, 0o777);
    expect(() => ensureStateRoot(folder)).toThrow("error[not-permitted]");
    chmodSync(folder, 0o700);
    symlinkSync(folder, join(folder, "link"));
    expect(() => ensureStateRoot(join(folder, "link"))).toThrow("error[not-permitted]");
  });
});
