import { describe, expect, it } from "vitest";
import { parseDocument } from "../../runtime/chain/document.ts";
import type { PlannableManifest } from "../../runtime/chain/plan-functions.ts";
import { planChain } from "../../runtime/chain/planner.ts";
import { findStateFaults, listStateChanges } from "../../runtime/chain/state-changes.ts";
import { layOutCounters } from "../../runtime/dataplane/counter-layout.ts";
import { makeFunctionSource } from "../support/function-source.ts";

type Manifest = Partial<PlannableManifest> & { readonly name: string };

const plan = (manifests: readonly Manifest[], before?: ReturnType<typeof planChain>["plan"]) => {
  const names = manifests.map(({ name }) => name);
  const text = `chain: edge
ports: { lan: { device: a }, wan: { device: b } }
functions: { ${names.map((name) => `${name}: { use: ${name} }`).join(", ")} }
paths: [{ from: lan, through: [${names.join(", ")}], to: wan }]`;
  return planChain(parseDocument(text, "edge.yaml"), makeFunctionSource(...manifests), before).plan;
};

const table = (layout: number, bytes = 64, migratesFrom?: number[]) => ({
  segments: { table: { bytes, layout, ...(migratesFrom === undefined ? {} : { migratesFrom }) } },
});

describe("what becomes of state when one plan follows another", () => {
  const before = plan([{ name: "nat", ...table(1), columns: { writes: { "nat.port": "u16" } } }, { name: "ids" }]);
  const outcomes = (manifest: Manifest, others: readonly Manifest[] = []) => {
    const after = plan([manifest, ...others], before);
    const changes = listStateChanges(before, after);
    return changes.map(
      ({ kind, name, outcome, why }) => `${kind} ${name}: ${outcome}${why === undefined ? "" : `, ${why}`}`,
    );
  };

  it.each([
    [
      "keeps what has the same layout",
      { name: "nat", ...table(1), columns: { writes: { "nat.port": "u16" } } },
      ["segment table: kept", "column nat.port: kept"],
    ],
    [
      "loses another layout",
      { name: "nat", ...table(2), columns: { writes: { "nat.port": "u16" } } },
      ["segment table: lost, its layout was 1, and now is 2", "column nat.port: kept"],
    ],
    [
      "migrates a layout that the next version says it can",
      { name: "nat", ...table(2, 128, [1]), columns: { writes: { "nat.port": "u16" } } },
      ["segment table: migrated", "column nat.port: kept"],
    ],
    [
      "loses what is smaller, and a column of another type",
      { name: "nat", ...table(1, 32), columns: { writes: { "nat.port": "u32" } } },
      ["segment table: lost, it had 64 bytes, and now has 32", "column nat.port: lost, it was u16, and now is u32"],
    ],
    [
      "begins what is new with zeros",
      { name: "nat", ...table(1), columns: { writes: { "nat.port": "u16", "nat.late": "u8" } } },
      ["segment table: kept", "column nat.port: kept", "column nat.late: new"],
    ],
  ] as const)("%s", (_, manifest, expected) => {
    expect(outcomes(manifest as Manifest)).toEqual(expected);
  });

  it("takes it that what goes with a removed function is meant to go, and nothing else", () => {
    expect(findStateFaults(before, plan([{ name: "ids" }], before), "load")).toEqual([]);
    const faults = findStateFaults(before, plan([{ name: "nat" }, { name: "ids" }], before), "load");
    expect(faults.map(({ code, where, what }) => `${code} ${where}: ${what}`)).toEqual([
      'state-lost load: nat: the segment "table" would be lost: the next version has none of that name',
      'state-lost load: nat: the column "nat.port" would be lost: no function writes it any more',
    ]);
  });
});

describe("a plan that follows another", () => {
  const define = (name: string, event: string, label: string): Manifest => {
    return { name, events: { defines: [event] }, labels: [label] };
  };

  it("gives labels and events the numbers that flows know them by", () => {
    const before = plan([define("a", "a.x", "one"), define("b", "b.x", "two")]);
    const after = plan([define("c", "c.x", "three"), define("b", "b.x", "two")], before);
    expect(after.labels).toEqual(["one", "two", "three"]);
    expect(after.events.indexOf("b.x")).toBe(before.events.indexOf("b.x"));
    expect(after.events.indexOf("c.x")).toBe(before.events.indexOf("a.x"));
  });

  it("counts on where its ports, functions and hops were counted before", () => {
    const before = plan([{ name: "a" }, { name: "b" }]);
    const first = layOutCounters(before);
    const second = layOutCounters(plan([{ name: "c" }, { name: "b" }], before), first);
    expect(second.ports).toEqual(first.ports);
    expect(second.functions[1]).toBe(first.functions[1]);
    expect(second.hops[1]).toBe(first.hops[1]);
    expect(second.hops[0]).toBeGreaterThanOrEqual(first.count);
    expect(new Set([...first.hops, ...second.hops]).size).toBe(3);
  });
});
