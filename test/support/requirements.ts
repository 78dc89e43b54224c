// Requirements of a document, each shown by a test that has its name, or said not to be met; and the README's table of them.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { projectRoot } from "./run-sluice.ts";

export interface Requirement {
  readonly id: string;
  /** What is required, in our words. */
  readonly says: string;
  /** Shows that it holds. */
  readonly holds?: () => Promise<void>;
  /** Why it does not; beside `holds`, what of it. */
  readonly but?: string;
  /** It is of IPv4 alone. */
  readonly of?: 4;
}

function renderRow({ id, says, holds, but }: Requirement): string {
  const answer = holds === undefined ? `**no**: ${but}` : but === undefined ? "yes" : `yes, but ${but}`;
  return `| ${id} | ${says} | ${answer} |`;
}

/** How tests are registered: once, or for both families. */
type Registers = (title: string, tests: () => void) => void;

/** Registers the tests. With WRITE_TABLES=1, the README's table is written instead of compared. */
export function describeRequirements(
  document: string,
  readme: string,
  requirements: readonly Requirement[],
  registers: Registers = describe,
): void {
  const register = (of: readonly Requirement[]) => {
    for (const { id, says, holds } of of) if (holds !== undefined) it(`${id}: ${says}`, holds);
  };
  registers(document, () => register(requirements.filter(({ of }) => of === undefined)));
  describe(document, () => {
    register(requirements.filter(({ of }) => of !== undefined));

    it(`is answered in ${readme} as these tests show`, () => {
      const path = join(projectRoot, readme);
      const text = readFileSync(path, "utf8");
      const [begin, end] = [`<!-- ${document} -->`, "<!-- end -->"];
      const start = text.indexOf(begin) + begin.length;
      const stop = text.indexOf(end, start);
      const heads = ["| requirement | says | holds |", "| --- | --- | --- |"];
      const table = ["", ...heads, ...requirements.map(renderRow), ""].join("\n");
      if (process.env.WRITE_TABLES === "1") writeFileSync(path, text.slice(0, start) + table + text.slice(stop));
      else expect(text.slice(start, stop)).toBe(table);
    });
  });
}
