import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { parseDocument } from "../../runtime/chain/document.ts";
import { parseOverride } from "../../runtime/chain/override.ts";
import type { Plan, Target } from "../../runtime/chain/plan.ts";
import { planChain } from "../../runtime/chain/planner.ts";
import { SluiceError } from "../../runtime/errors.ts";
import { makeFunctionSource } from "../support/function-source.ts";

const functions = makeFunctionSource("acl@1.0.0", "nat@2.0.0");

/** Everything but a SluiceError is a failure of ours. */
function planOrRefuse(text: string): Plan | SluiceError {
  try {
    return planChain(parseDocument(text, "random.yaml"), functions).plan;
  } catch (error) {
    if (error instanceof SluiceError) return error;
    throw error;
  }
}

const ports = ["lan", "wan", "dmz"] as const;
const names = ["a", "b", "c", "d", "e"] as const;

const leg = { through: fc.array(fc.constantFrom(...names), { maxLength: 6 }), to: fc.constantFrom(...ports, "none") };

/** Sound but for cycles and unreachable paths, which branches and paths may have. */
const chain = fc.record({
  chain: fc.constant("random"),
  ports: fc.constant(Object.fromEntries(ports.map((name) => [name, { device: name }]))),
  functions: fc.constant(Object.fromEntries(names.map((name) => [name, { use: "acl@1" }]))),
  paths: fc.uniqueArray(fc.record({ from: fc.constantFrom(...ports), ...leg }), {
    minLength: 1,
    selector: (path) => path.from,
  }),
  branches: fc.dictionary(
    fc.constantFrom(...names),
    fc.dictionary(fc.constantFrom("x", "y"), fc.record(leg), { maxKeys: 2 }),
    { maxKeys: 3 },
  ),
});

/** The ways that frames may take from a path's start, each as the functions on it and its end. */
function listWays(plan: Plan, target: Target): string[] {
  if (target.kind === "none" || target.kind === "route") return [target.kind];
  if (target.kind === "port") return [plan.ports[target.port]?.name ?? "?"];
  const hop = plan.hops[target.hop] as Plan["hops"][number];
  const { name } = plan.functions[hop.function] as Plan["functions"][number];
  return [hop.next, ...hop.branches].flatMap((next) => listWays(plan, next).map((way) => `${name} ${way}`));
}

type Leg = { readonly through: readonly string[]; readonly to: string };
type Branches = Readonly<Record<string, Readonly<Record<string, Leg>>>>;

/** The same, read from the document. */
function listDeclaredWays({ through: [first, ...rest], to }: Leg, branches: Branches): string[] {
  if (first === undefined) return [to];
  const onward = [{ through: rest, to }, ...Object.values(branches[first] ?? {})];
  return onward.flatMap((leg) => listDeclaredWays(leg, branches).map((way) => `${first} ${way}`));
}

describe("a planned chain", () => {
  it("only ever moves frames to a higher hop, whatever its paths and branches", () => {
    const check = fc.property(chain, (document) => {
      const plan = planOrRefuse(JSON.stringify(document));
      if (plan instanceof SluiceError) {
        expect(plan.code).toBe("branch-cycle");
        return;
      }
      for (const [index, hop] of plan.hops.entries())
        for (const target of [hop.next, ...hop.branches])
          if (target.kind === "hop") expect(target.hop).toBeGreaterThan(index);
    });
    fc.assert(check, { numRuns: 500 });
  });

  it("lets frames take exactly the ways that the document declares", () => {
    let planned = 0;
    const check = fc.property(chain, (document) => {
      const plan = planOrRefuse(JSON.stringify(document));
      if (plan instanceof SluiceError) return;
      planned++;
      const ways = plan.paths.map((path) => listWays(plan, path.first));
      expect(ways).toEqual(document.paths.map((path) => listDeclaredWays(path, document.branches)));
    });
    fc.assert(check, { numRuns: 300 });
    expect(planned).toBeGreaterThan(100);
  });
});

const sound = `chain: edge
description: "x"
ports: { lan: { device: lan0, kernel: [arp] }, wan: { device: wan0 } }
functions:
  fw: { use: acl@1, config: { a: [1, "b", { c: true }] }, onFault: bypass }
paths:
  - { from: lan, match: { sources: [10.0.0.0/8], dscps: [ef] }, through: [fw], to: wan }
branches: { fw: { x: { through: [], to: none } } }
`;

/** The sound document after a few insertions and deletions. */
const damaged = fc
  .array(
    fc.tuple(fc.nat(sound.length), fc.nat(12), fc.oneof(fc.string(), fc.constantFrom(..."{}[]:,&*!|>'\"%@\n\t -"))),
    { maxLength: 6 },
  )
  .map((edits) =>
    edits.reduce((text, [at, deleted, inserted]) => text.slice(0, at) + inserted + text.slice(at + deleted), sound),
  );

describe("any text", () => {
  it.each([
    ["of random characters", fc.string({ unit: "binary" })],
    ["that was a chain before it was damaged", damaged],
    ["of random JSON", fc.json()],
    [
      "with the keys of a chain and any values",
      fc
        .dictionary(fc.constantFrom("chain", "ports", "functions", "paths", "branches", "__proto__"), fc.jsonValue())
        .map((document) => JSON.stringify(document)),
    ],
  ])("%s is planned or refused with places", (_, texts) => {
    const check = fc.property(texts, (text) => {
      const plan = planOrRefuse(text);
      if (!(plan instanceof SluiceError)) return;
      for (const fault of plan.faults) expect(fault.where).toMatch(/^random\.yaml:[1-9]\d*:[1-9]\d*$/);
    });
    fc.assert(check, { numRuns: 500 });
  });

  it("is an override or refused", () => {
    const check = fc.property(fc.string({ unit: "binary" }), fc.boolean(), (text, isValue) => {
      try {
        parseOverride(isValue ? `fw.a=${text}` : text, (path) => path);
      } catch (error) {
        expect(error).toBeInstanceOf(SluiceError);
      }
    });
    fc.assert(check, { numRuns: 500 });
  });
});
