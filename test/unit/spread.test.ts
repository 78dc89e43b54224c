// `flows.spread` of a chain: what lanes have all of.
import { describe, expect, it } from "vitest";
import { parseDocument } from "../../runtime/chain/document.ts";
import type { PlannableManifest } from "../../runtime/chain/plan-functions.ts";
import { planChain } from "../../runtime/chain/planner.ts";
import { findStateFaults } from "../../runtime/chain/state-changes.ts";
import { collectFaults } from "../support/collect-faults.ts";
import { makeFunctionSource } from "../support/function-source.ts";

const nat: Partial<PlannableManifest> & { readonly name: string } = {
  name: "nat",
  spread: "hosts",
  segments: { table: { bytes: 64, layout: 1 } },
};

function plan(queues: string, spread = "") {
  const text = `chain: edge
ports: { lan: { device: a, queues: [${queues}] }, wan: { device: b, queues: [${queues}] } }
functions: { nat: { use: nat } }
paths: [{ from: lan, through: [nat], to: wan }]
flows: {${spread === "" ? "" : ` spread: ${spread} `}}
`;
  return planChain(parseDocument(text, "edge.yaml"), makeFunctionSource(nat));
}

const faultsOf = (spread: string) =>
  collectFaults(() => plan("0", spread)).map(({ code, where, what, help = "" }) => [code, where, what, help].join(" "));

describe("a plan", () => {
  it("has the hosts, the addresses and ports that they share, and 64 ports in turn unless the chain says more", () => {
    const { flows } = plan("0, 1", `{ hosts: [10.0.0.0/8, "fd00::/8"], shared: [203.0.113.1], sharedOf: [wan] }`).plan;
    expect(flows.spread).toEqual({
      hosts: [
        { address: Uint8Array.of(10, 0, 0, 0), prefixLength: 8 },
        { address: Uint8Array.of(0xfd, ...Array(15).fill(0)), prefixLength: 8 },
      ],
      shared: [{ address: Uint8Array.of(203, 0, 113, 1), prefixLength: 32 }],
      sharedOf: [1],
      portsInTurn: 64,
    });
    expect(plan("0", "{ hosts: [10.0.0.0/8], portsInTurn: 512 }").plan.flows.spread?.portsInTurn).toBe(512);
    expect(plan("0").plan.flows.spread).toBeUndefined();
  });

  it.each([
    ["{ hosts: [] }", /^document-schema edge\.yaml:5/],
    ["{ shared: [10.0.0.1] }", /document-schema .*hosts/],
    ["{ hosts: [lan] }", /document-schema .*prefix/],
    ["{ hosts: [10.0.0.0/8], portsInTurn: 100 }", /document-schema .*64/],
    [
      "{ hosts: [10.0.0.0/8], sharedOf: [wna] }",
      /^unknown-port edge\.yaml:5:\d+ there is no port "wna" did you mean "wan"/,
    ],
  ])("is refused with %s", (spread, fault) => {
    expect(faultsOf(spread)).toEqual([expect.stringMatching(fault)]);
  });

  it("warns of a function that needs all that a host has, where several lanes have parts of it", () => {
    const warningsOf = (queues: string, spread?: string) =>
      plan(queues, spread).warnings.filter(({ code }) => code === "spread-missing");
    expect(warningsOf("0, 1")).toEqual([
      expect.objectContaining({ pointer: "/functions/nat", what: expect.stringContaining("flows.spread") }),
    ]);
    expect(warningsOf("0")).toEqual([]);
    expect(warningsOf("0, 1", "{ hosts: [10.0.0.0/8] }")).toEqual([]);
  });
});

describe("a change of what flows are spread by", () => {
  const [one, other] = ["{ hosts: [10.0.0.0/8] }", "{ hosts: [10.0.0.0/9] }"];
  const lostWith = (queues: string, before: string, after: string) =>
    findStateFaults(plan(queues, before).plan, plan(queues, after).plan, "edge").map(({ code }) => code);

  it("loses segments, which are a lane's share, unless there is one lane", () => {
    expect(lostWith("0, 1", one, other)).toEqual(["state-lost"]);
    expect(lostWith("0, 1", "", one)).toEqual(["state-lost"]);
    expect(lostWith("0, 1", one, one)).toEqual([]);
    expect(lostWith("0", one, other)).toEqual([]);
  });
});
