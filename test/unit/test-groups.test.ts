// Tests that need the machine for themselves have it: a file that uses namespaces is in the group that runs alone.
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { projectRoot } from "../support/run-sluice.ts";
import { everyTest, testsAlone } from "../support/test-groups.ts";

const list = (patterns: readonly string[]) => globSync([...patterns], { cwd: projectRoot });
const devices = /support\/(box-between|two-sides|afxdp|running-engine)\.ts"|testing\/network\.ts"/;

describe("the groups of tests", () => {
  it("have each test once, and those alone that use devices", () => {
    const every = list(everyTest);
    const alone = list(testsAlone);
    expect(alone.length).toBeGreaterThan(20);
    expect(alone.filter((file) => !every.includes(file))).toEqual([]);
    const own = "test/unit/test-groups.test.ts";
    const beside = every.filter((file) => !alone.includes(file) && file !== own);
    expect(beside.filter((file) => devices.test(readFileSync(join(projectRoot, file), "utf8")))).toEqual([]);
  });
});
