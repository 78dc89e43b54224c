// "Your first network function in five minutes" is what nfs/README.md promises: its own text, built and run.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { newFunction } from "../../runtime/function/new-function.ts";
import { openFunction } from "../../runtime/testing/index.ts";
import { projectRoot } from "../support/run-sluice.ts";
import { makeFolder } from "../support/temporary-folder.ts";

it("the function of nfs/README.md does what nfs/README.md says", async () => {
  const readme = readFileSync(join(projectRoot, "nfs/README.md"), "utf8");
  const [source = "", config = "", test = ""] = [...readme.matchAll(/```(?:ts|json)\n(.*?)```/gs)].map(
    ([, text]) => text,
  );
  const folder = newFunction("my-filter", makeFolder());
  const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8"));
  writeFileSync(join(folder, "index.ts"), source);
  writeFileSync(
    join(folder, "manifest.json"),
    JSON.stringify({ ...manifest, frames: "read", ...JSON.parse(`{${config}}`) }),
  );

  const fn = await openFunction(folder, { config: { leastTtl: 5 } });
  const promises = [...test.matchAll(/process\("(.*?)"\)\)\.toEqual\(\["(.*?)"\]\)/g)];
  expect(promises).toHaveLength(2);
  for (const [, packet = "", result] of promises) expect(fn.process(packet)).toEqual([result]);
  expect(fn.counters()).toEqual({ passed: 1 });
  fn.close();
});
