// One word per thing, in all languages, and none about how the project is worked on.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { describe, expect, it } from "vitest";
import { projectRoot } from "../support/run-sluice.ts";

interface BannedWord {
  readonly pattern: RegExp;
  /** The project's own word, or why there is none. */
  readonly instead: string;
  /** Where the word means something else. */
  readonly except?: RegExp;
}

const bannedWords: readonly BannedWord[] = [
  { pattern: /\bplug-?ins?\b/i, instead: "function", except: /prettier/i },
  { pattern: /\b(vnfs?|middlebox(es)?|network element|packet handler)\b/i, instead: "function" },
  { pattern: /\bservice function (chain|path)/i, instead: "chain, path" },
  { pattern: /\b(processing|packet) pipeline\b/i, instead: "chain" },
  { pattern: /\b(packet|frame)[ -]?(burst|vector)s?\b/i, instead: "batch" },
  { pattern: /\b(mbufs?|packet descriptors?|frame metadata)\b/i, instead: "record" },
  { pattern: /\b(frame|packet|umem) chunks?\b/i, instead: "slot" },
  { pattern: /\b(flow entry|flow entries|conntrack entry)\b/i, instead: "flow" },
  { pattern: /\b\w*(Manager|Helper|Util)s?\b/, instead: "what it does", except: /\bASUtil\b/ },
  {
    pattern: /\b[a-z]\w*Handler\b|\b[A-Z]\w*Handler\b/,
    instead: "what it does",
    except: /TrapHandler|set(Error|NotFound)Handler/,
  },
  { pattern: /\b(TODO|FIXME|XXX|HACK)\b/, instead: "the work itself, or a sentence on what is not supported" },
  { pattern: /\b(milestones?|this (task|session|issue|ticket))\b/i, instead: "the project speaks of itself" },
  { pattern: /\b(issue|ticket|task) #?\d/i, instead: "the project speaks of itself" },
  { pattern: /\b(as an ai|language model|llms?)\b/i, instead: "the project speaks of itself" },
];

const bannedNames = /^(utils?|helpers?|misc|common|shared)(\.|$)/;

const listed = spawnSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: projectRoot,
  encoding: "utf8",
});
const skipped = listed.status === 0 ? "" : " (skipped: needs a git working tree)";
const files = String(listed.stdout ?? "")
  .split("\n")
  .filter((path) => path !== "" && !/(^package-lock\.json|^LICENSE|vocabulary\.test\.ts)$/.test(path))
  .filter((path) => existsSync(join(projectRoot, path)));
const texts = files.map((path) => ({ path, lines: readFileSync(join(projectRoot, path), "utf8").split("\n") }));

function findLines({ pattern, except }: BannedWord): string[] {
  return texts.flatMap(({ path, lines }) =>
    lines.flatMap((line, index) => {
      const isBanned = pattern.test(line) && except?.test(`${path} ${line}`) !== true;
      return isBanned ? [`${path}:${index + 1}: ${line.trim()}`] : [];
    }),
  );
}

describe.skipIf(listed.status !== 0)(`the words of the sources${skipped}`, () => {
  it("are looked for in all files", () => {
    expect(files).toEqual(expect.arrayContaining(["README.md", "runtime/errors.ts", "native/src/lane.cc"]));
    const known = { pattern: /\bverdicts?\b/i, instead: "" };
    expect(findLines(known).length).toBeGreaterThan(20);
  });

  it.each(bannedWords)("have $instead instead of $pattern", (word) => {
    expect(findLines(word)).toEqual([]);
  });

  it("name no file and no folder for what does not hang together", () => {
    const names = files.flatMap((path) => path.split("/").map((name) => ({ path, name })));
    const allowed = ["native/bpf/shared.h"];
    expect(names.filter(({ path, name }) => bannedNames.test(basename(name)) && !allowed.includes(path))).toEqual([]);
  });
});
