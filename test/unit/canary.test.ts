import { describe, expect, it } from "vitest";
import { planCanary } from "../../runtime/chain/canary.ts";
import { parseDocument } from "../../runtime/chain/document.ts";
import { parseMatch } from "../../runtime/chain/match-source.ts";
import type { Plan } from "../../runtime/chain/plan.ts";
import { planChain } from "../../runtime/chain/planner.ts";
import { makeFunctionSource } from "../support/function-source.ts";

const source = makeFunctionSource(
  { name: "fw", version: "1.0.0", columns: { writes: { "fw.seen": "u8" } } },
  { name: "ids", version: "1.0.0" },
  { name: "nat", version: "1.0.0", columns: { writes: { "nat.port": "u16" }, reads: ["fw.seen"] } },
);

const plan = (functions: readonly string[], before?: Plan, more = "") => {
  const text = `chain: edge
ports: { lan: { device: a }, wan: { device: b } }
functions: { ${functions.map((name) => `${name}: { use: ${name} }`).join(", ")} }
paths:
  - { from: lan, through: [${functions.join(", ")}], to: wan }
  - { from: wan, through: [${functions
    .toReversed()
    .filter((name) => name !== "nat")
    .join(", ")}], to: lan }
${more}`;
  return planChain(parseDocument(text, "edge.yaml"), source, before).plan;
};

/** The way of a frame through the plan: names of its functions, then where it leaves. */
const wayOf = ({ functions, hops, paths, ports }: Plan, path: number): string => {
  const names: string[] = [];
  let at = (paths[path] as Plan["paths"][number]).first;
  while (at.kind === "hop") {
    const hop = hops[at.hop] as Plan["hops"][number];
    names.push(functions[hop.function]?.name ?? "?");
    at = hop.next;
  }
  return [...names, at.kind === "port" ? ports[at.port]?.name : at.kind].join(" → ");
};
const half = { share: 0.5, match: null };
const waysOf = (both: Plan) => both.paths.map(({ side }, index) => `${side}: ${wayOf(both, index)}`);

describe("the plan of a canary", () => {
  const before = plan(["fw", "ids"]);

  it("has what changes twice, what stays once, and what is new on the canary's side only", () => {
    const after = plan(["fw", "nat", "ids"], before);
    const { plan: both, origins } = planCanary(
      before,
      after,
      half,
      (_, index) => after.functions[index]?.name === "ids",
    );
    expect(waysOf(both)).toEqual([
      "stays: fw → ids → wan",
      "stays: ids → fw → lan",
      "canary: fw:next → nat → ids → wan",
      "canary: ids → fw:next → lan",
    ]);
    expect(both.functions.map(({ name, canaryOf, side }) => [name, canaryOf, side])).toEqual([
      ["fw", undefined, "stays"],
      ["ids", undefined, undefined],
      ["fw:next", "fw", "canary"],
      ["nat", undefined, undefined],
    ]);
    expect(origins.map(({ plan: from, index }) => `${from} ${index}`)).toEqual([
      "before 0",
      "before 1",
      "after 0",
      "after 1",
    ]);
    expect(both.columns.map(({ name, owner }) => [name, owner])).toEqual([
      ["fw.seen", 0],
      ["nat.port", 3],
    ]);
  });

  it("leaves out on the canary's side what is removed, and has the functions in their new order", () => {
    const isSame = () => true;
    expect(waysOf(planCanary(before, plan(["ids"], before), half, isSame).plan).slice(2)).toEqual([
      "canary: ids → wan",
      "canary: ids → lan",
    ]);
    expect(waysOf(planCanary(before, plan(["ids", "fw"], before), half, isSame).plan).slice(2)).toEqual([
      "canary: ids → fw → wan",
      "canary: fw → ids → lan",
    ]);
  });

  it.each([
    ["other timeouts", plan(["fw", "ids"], before, "flows: { midstream: false }"), "cannot have others"],
    ["a column of another owner that is lost", plan(["ids"], before), null],
  ])("says of %s whether it can be", (_, after, why) => {
    const make = () => planCanary(before, after, half, () => true);
    if (why === null) expect(make).not.toThrow();
    else expect(make).toThrow(why);
  });
});

describe("a match that stands alone", () => {
  it("is read as that of a path", () => {
    expect(parseMatch("{ ipProtos: [udp], destinationPorts: [53] }", "--canary-match", [])).toMatchObject({
      ipProtos: [17],
      destinationPorts: [[53, 53]],
    });
    expect(parseMatch("{}", "--canary-match", [])).toBeNull();
  });

  it.each([
    ["{ source: [10.0.0.0/8] }", "unknown-key"],
    ["{ sources: [10] }", "document-schema"],
    ["{ labels: [suspect] }", "unknown-label"],
    ["{ sources: [", "document-syntax"],
  ])("is refused where it is none: %s", (text, code) => {
    expect(() => parseMatch(text, "--canary-match", ["other"])).toThrow(
      expect.objectContaining({
        faults: [expect.objectContaining({ code, where: expect.stringContaining("--canary-match") })],
      }),
    );
  });
});
