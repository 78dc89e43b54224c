import { describe, expect, it } from "vitest";
import { parseDocument } from "../../runtime/chain/document.ts";
import type { Plan } from "../../runtime/chain/plan.ts";
import type { PlannableManifest } from "../../runtime/chain/plan-functions.ts";
import { planChain } from "../../runtime/chain/planner.ts";
import { planPreviousFunction } from "../../runtime/chain/previous-function.ts";
import { makeFunctionSource } from "../support/function-source.ts";

type Manifest = Partial<PlannableManifest> & { readonly name: string };

/** nat, then ids, which may read a column of nat's. */
const plan = (nat: Partial<Manifest>, ids: Partial<Manifest> = {}, before?: Plan, rest = "") => {
  const text = `chain: edge
ports: { lan: { device: a }, wan: { device: b } }
functions: { nat: { use: nat }, ids: { use: ids } }
paths: [{ from: lan, through: [nat, ids], to: wan }]
${rest}`;
  const source = makeFunctionSource({ name: "nat", ...nat }, { name: "ids", ...ids });
  return planChain(parseDocument(text, "edge.yaml"), source, before).plan;
};

describe("the plan with one function as it was before", () => {
  const then: Partial<Manifest> = {
    version: "1.0.0",
    columns: { writes: { "nat.port": "u16" } },
    events: { defines: ["nat.full"] },
  };
  const before = plan(then);

  it("has that function's version, columns and events, and the others as they are", () => {
    const columns = { writes: { "nat.port": "u16", "nat.address": "u32" } } as const;
    const running = plan({ ...then, version: "2.0.0", columns }, { version: "3.0.0" }, before);
    const back = planPreviousFunction(running, before, "nat") as Plan;
    expect(back.functions.map(({ package: { name, version } }) => `${name}@${version}`)).toEqual([
      "nat@1.0.0",
      "ids@3.0.0",
    ]);
    expect(back.columns.map(({ name, owner }) => [name, owner])).toEqual([["nat.port", 0]]);
    expect(back.hops).toEqual(running.hops);
  });

  it.each([
    [
      "a column that only the newer version writes is read",
      plan({ version: "2.0.0", columns: { writes: { "nat.new": "u8" } } }, { columns: { reads: ["nat.new"] } }, before),
    ],
    ["the branches are others", plan({ version: "2.0.0" }, {}, before, "branches: { nat: { full: { to: none } } }")],
    ["it is not there any more", { ...before, functions: before.functions.slice(1) }],
  ])("is none if %s", (_, running) => {
    expect(planPreviousFunction(running, before, "nat")).toBeNull();
  });
});
