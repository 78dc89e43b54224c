// The file of all upgrades' transitions, also one that an earlier version made.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { DatabaseSync } from "node:sqlite";
import { text } from "node:stream/consumers";
import { describe, expect, it } from "vitest";
import { History, type Transition } from "../../runtime/generation/history.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const transition: Omit<Transition, "plan" | "step" | "attempt"> = {
  ...{ chain: "office", upgrade: 1, state: "init", at: "2026-01-01T00:00:00.000Z", actor: "root" },
  ...{ before: "fw=acl@1.0.0", after: "fw=acl@1.0.1", durationMs: 1.5, outcome: "ok" },
};

describe("the history", () => {
  it("keeps transitions of single changes and of a plan's steps", () => {
    const history = new History(makeFolder());
    const ofPlan = { plan: "spring", step: "filter/deny", attempt: 2 };
    history.add(transition);
    history.add({ ...transition, upgrade: 2, state: "undone", ...ofPlan });
    expect(history.list("office")).toEqual([
      { ...transition, plan: null, step: null, attempt: null },
      { ...transition, upgrade: 2, state: "undone", ...ofPlan },
    ]);
    expect(history.last("office")?.upgrade).toBe(2);
    history.close();
  });

  it("goes on in a file that knows no plans, with what is in it", () => {
    const folder = makeFolder();
    const database = new DatabaseSync(`${folder}/history.db`);
    database.exec(`
      CREATE TABLE transitions (
        id INTEGER PRIMARY KEY, chain TEXT NOT NULL, upgrade INTEGER NOT NULL, state TEXT NOT NULL, at TEXT NOT NULL,
        actor TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, durationMs REAL NOT NULL, outcome TEXT NOT NULL
      ) STRICT;
      INSERT INTO transitions VALUES (1, 'office', 7, 'committed', '2025', 'root', 'a', 'b', 2.0, 'ok');
    `);
    database.close();
    for (const round of [1, 2]) {
      const history = new History(folder);
      expect(history.list("office").length).toBe(round);
      expect(history.list("office")[0]).toMatchObject({ upgrade: 7, state: "committed", plan: null, attempt: null });
      history.add({ ...transition, upgrade: 8, plan: "spring" });
      history.close();
    }
  });
});

it("is opened for the first time by several processes at once", async () => {
  const folder = makeFolder();
  const module = new URL("../../runtime/generation/history.ts", import.meta.url);
  const program = `const { History } = await import(${JSON.stringify(module.href)}); new History(${JSON.stringify(folder)}).close();`;
  const flags = ["--disable-warning=ExperimentalWarning", "--input-type=module", "-e", program];
  const ends = await Promise.all(
    Array.from({ length: 6 }, async () => {
      const child = spawn(process.execPath, flags, { stdio: ["ignore", "ignore", "pipe"] });
      const [stderr, [status]] = await Promise.all([text(child.stderr), once(child, "close")]);
      return `${status} ${stderr}`;
    }),
  );
  expect(ends).toEqual(ends.map(() => "0 "));
});
