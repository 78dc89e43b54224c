// Tests that need the machine for themselves have it: a file that sends at a rate is in the group that runs alone.
import { globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { projectRoot } from "../support/run-sluice.ts";
import { everyTest, testsAlone } from "../support/test-groups.ts";

const list = (patterns: readonly string[]) => globSync([...patterns], { cwd: projectRoot });
const rates = /support\/(numbered-traffic|background-traffic)\.ts"/;

describe("the groups of tests", () => {
  it("have each test once, and those alone that send at a rate", () => {
    const every = list(everyTest);
    const alone = list(testsAlone);
    expect(alone.length).toBeGreaterThan(5);
    expect(alone.filter((file) => !every.includes(file))).toEqual([]);
    const own = "test/unit/test-groups.test.ts";
    const beside = every.filter((file) => !alone.includes(file) && file !== own);
    expect(beside.filter((file) => rates.test(readFileSync(join(projectRoot, file), "utf8")))).toEqual([]);
  });
});
