import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type ErrorCode, errorKinds, formatFault, SluiceError, warningCodes } from "../../runtime/errors.ts";
import { projectRoot } from "../support/run-sluice.ts";

const codes = Object.keys(errorKinds) as ErrorCode[];
const known: readonly string[] = [...codes, ...warningCodes];

/** Everything that may report an error, except the table itself. */
function readSources(): string[] {
  const folders = ["runtime", "native/src", "setup"];
  const files = folders.flatMap((folder) =>
    readdirSync(join(projectRoot, folder), { recursive: true, encoding: "utf8" })
      .filter((file) => /\.(ts|mjs|cc|h|sh)$/.test(file))
      .map((file) => join(folder, file)),
  );
  const reporting = [...files, "sluice"].filter((file) => file !== "runtime/errors.ts");
  return reporting.map((file) => readFileSync(join(projectRoot, file), "utf8"));
}

describe("the table of errors", () => {
  const sources = readSources();

  it("has every code that the sources report", () => {
    const reported = sources.flatMap((source) => [
      ...source.matchAll(/\bcode: "([a-z-]+)"(?=\s*[,}])/g),
      ...source.matchAll(/error\[([a-z-]+)\]/g),
    ]);
    const used = new Set(reported.map(([, code]) => code));
    expect(used.size).toBeGreaterThan(10);
    expect([...used].filter((code) => !known.includes(code ?? ""))).toEqual([]);
  });

  it.each(known)("has no code that nothing reports: %s", (code) => {
    expect(sources.some((source) => source.includes(`"${code}"`) || source.includes(`error[${code}]`))).toBe(true);
  });

  it.each(codes)("says in one sentence what happened: %s", (code) => {
    const { summary, exit, http } = errorKinds[code];
    expect(summary).toMatch(/^[A-Z].*[^.]\.$/);
    expect([1, 2]).toContain(exit);
    expect(http).toBeGreaterThanOrEqual(400);
    expect(http).toBeLessThan(600);
  });
});

describe("a fault", () => {
  const fault = { code: "unknown-port", where: "edge.yaml:3:5", what: 'there is no port "wna"' } as const;

  it("is one line, and a second one that helps", () => {
    expect(formatFault(fault)).toBe('error[unknown-port] edge.yaml:3:5: there is no port "wna"');
    expect(formatFault({ ...fault, help: 'did you mean "wan"?' })).toBe(
      'error[unknown-port] edge.yaml:3:5: there is no port "wna"\nhelp: did you mean "wan"?',
    );
  });

  it("is thrown with all others, and the first of them decides code and exit status", () => {
    const error = new SluiceError(fault, { code: "internal", where: "sluice", what: "broken" });
    expect(error).toMatchObject({ name: "SluiceError", code: "unknown-port", exitStatus: 2 });
    expect(error.faults).toHaveLength(2);
    expect(error.message).toBe(`${formatFault(fault)}\nerror[internal] sluice: broken`);
  });
});
