// The upgrade plan as a document: what it says, and what is wrong with it, with its place in the text.
import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { parsePlan } from "../../runtime/generation/plan-document.ts";
import { encodePacket, formatPacket } from "../../runtime/testing/packet-text.ts";
import { collectFaults } from "../support/collect-faults.ts";
import { projectRoot } from "../support/run-sluice.ts";

const packets = { encode: encodePacket, format: formatPacket };
const parse = (text: string) => parsePlan(text, "/plans/plan.yaml", packets);

const head = "plan: p\nchain: office\nexpected: 1m\n";
const withStep = (step: string) => `${head}groups:\n  - name: g\n    steps:\n      - ${step}\n`;

describe("an upgrade plan", () => {
  it("is groups of steps, everything with a default", () => {
    const plan = parse(withStep("{ name: s, change: { use: { fw: acl@2 } }, expected: 2s }"));
    expect(plan).toMatchObject({ name: "p", chain: "office", expectedMs: 60_000, commit: "automatic" });
    expect(plan).toMatchObject({ commitWithinMs: 600_000, conditions: [], description: "" });
    const change = { file: null, use: ["fw=acl@2"], set: [], functions: [], cold: false, dryRun: false };
    expect(plan.steps).toEqual([
      {
        ...{ name: "g/s", where: "/plans/plan.yaml:7:9", change, expectedMs: 2000, retries: 0, waitMs: 1000 },
        ...{ undo: { change: null, conditions: [] }, conditions: [] },
      },
    ]);
  });

  it("names files relative to itself, and values as --set does", () => {
    const step = `{ name: s, expected: 2s, change: { document: ../chains/a.yaml, functions: [more],
        set: { fw.rules: [1, "@r.txt"], fw.default: deny, fw.at: "@@x" } } }`;
    expect(parse(withStep(step)).steps[0]?.change).toMatchObject({
      file: "/chains/a.yaml",
      functions: ["/plans/more"],
      set: ['fw.rules=[1,"@/plans/r.txt"]', 'fw.default="deny"', 'fw.at="@@x"'],
    });
  });

  it("has conditions of the plan, the group, the step and the undo", () => {
    const plan = parse(`${head}conditions: [{ faults: 0 }]
groups:
  - name: g
    conditions: [{ counter: fw.frames, rate: { min: 10, max: 20 }, over: 2s }]
    steps:
      - name: s
        change: { cold: true }
        expected: 5s
        undo: { set: { fw.default: deny }, conditions: [{ faults: 3, over: 500ms }] }
        conditions: [{ probe: { from: lan, frame: "udp 10.0.0.1:1 > 10.0.0.2:2", to: none, within: 300ms } }]
`);
    expect(plan.conditions).toEqual([{ kind: "faults", text: "faults at most 0 over 1s", max: 0, overMs: 1000 }]);
    expect(plan.steps[0]?.conditions).toMatchObject([
      {
        kind: "rate",
        text: "fw.frames at least 10 and at most 20 per second over 2s",
        counter: "fw.frames",
        overMs: 2000,
      },
      { kind: "probe", from: "lan", to: null, expect: null, withinMs: 300 },
    ]);
    expect(plan.steps[0]?.undo).toMatchObject({ change: { set: ['fw.default="deny"'] }, conditions: [{ max: 3 }] });
  });

  const wrong: Readonly<Record<string, readonly [text: string, code: string, place: string, what: string]>> = {
    "a key that does not exist": [
      withStep("{ name: s, change: { usee: {} }, expected: 2s }"),
      ...(["unknown-key", "7:30", 'unknown key "usee"'] as const),
    ],
    "a time without its unit": [
      withStep("{ name: s, change: { cold: true }, expected: 20 }"),
      ...(["document-schema", "7:54", "must be a string, is 20"] as const),
    ],
    "a time of another form": [
      withStep("{ name: s, change: { cold: true }, expected: 2 s }"),
      ...(["document-schema", "7:54", '"2 s" is not a time such as 500ms, 2s or 10m'] as const),
    ],
    "a step that changes nothing": [
      withStep("{ name: s, change: {}, expected: 2s }"),
      ...(["document-schema", "7:28", "must not have fewer than 1 properties"] as const),
    ],
    "steps that add up to more than the plan": [
      withStep("{ name: s, change: { cold: true }, expected: 2m }"),
      ...(["document-schema", "3:11", "the steps add up to 2m, more than the 1m of the plan"] as const),
    ],
    "a step that is shorter than its condition": [
      withStep("{ name: s, change: { cold: true }, expected: 2s, conditions: [{ faults: 0, over: 3s }] }"),
      ...(["document-schema", "7:54", "2s is not longer than its condition takes: faults at most 0 over 3s"] as const),
    ],
    "a condition of no kind": [
      withStep("{ name: s, change: { cold: true }, expected: 2s, conditions: [{ over: 1s }] }"),
      ...([
        "document-schema",
        "7:71",
        "a condition has one of counter, faults and probe; this has none of them",
      ] as const),
    ],
    "a condition of two kinds": [
      withStep("{ name: s, change: { cold: true }, expected: 2s, conditions: [{ faults: 1, counter: a.b }] }"),
      ...([
        "document-schema",
        "7:71",
        "a condition has one of counter, faults and probe; this has counter and faults",
      ] as const),
    ],
    "a counter without a rate": [
      withStep("{ name: s, change: { cold: true }, expected: 2s, conditions: [{ counter: a.b }] }"),
      ...(["document-schema", "7:71", '"counter" and "rate" stand together'] as const),
    ],
    "a rate that nothing fits": [
      withStep(
        "{ name: s, change: { cold: true }, expected: 2s, conditions: [{ counter: a.b, rate: { min: 2, max: 1 } }] }",
      ),
      ...(["document-schema", "7:93", "the minimum 2 is above 1"] as const),
    ],
    "a probe that is no packet": [
      withStep(
        "{ name: s, change: { cold: true }, expected: 2s, conditions: [{ probe: { from: a, frame: udp x, to: b } }] }",
      ),
      ...(["packet-text", "7:98", 'column 5: "x" is not an address and port'] as const),
    ],
    "two steps of one name": [
      `${withStep("{ name: s, change: { cold: true }, expected: 2s }")}      - { name: s, change: { cold: true }, expected: 2s }\n`,
      ...(["document-schema", "8:17", 'two steps of one group have the name "s"'] as const),
    ],
    "a time that is too long": [
      `${withStep("{ name: s, change: { cold: true }, expected: 2s }")}commitWithin: 25h\n`,
      ...(["document-schema", "8:15", '"25h" is longer than 24h'] as const),
    ],
  };
  it.each(Object.entries(wrong))("is refused with %s", (_, [text, code, place, what]) => {
    const faults = collectFaults(() => parse(text));
    expect(faults.map((fault) => `${fault.code} ${fault.where}: ${fault.what}`)).toContainEqual(
      expect.stringContaining(`${code} /plans/plan.yaml:${place}: ${what}`),
    );
  });

  it("says all that is wrong at once", () => {
    const faults = collectFaults(() => parse("plan: 7\nchain: office\nexpected: 1d\ngroups: []\n"));
    expect(faults.map(({ where }) => where)).toEqual([
      "/plans/plan.yaml:1:7",
      "/plans/plan.yaml:3:11",
      "/plans/plan.yaml:4:9",
    ]);
  });

  it("is as README.md shows it", () => {
    const readme = readFileSync(`${projectRoot}/README.md`, "utf8");
    const shown = /^```yaml\n(plan: .*?)^```$/ms.exec(readme)?.[1] ?? "";
    expect(parse(shown).steps.map(({ name, conditions }) => [name, conditions.length])).toEqual([
      ["filter/deny-telnet", 3],
    ]);
  });

  it("is not read where it is no YAML", () => {
    expect(collectFaults(() => parse("plan: [\n"))[0]).toMatchObject({ code: "document-syntax" });
  });
});
