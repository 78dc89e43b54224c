// Which window each function gets on the memory of flows, and what it is told while it is configured.
import { describe, expect, it } from "vitest";
import { FLOW_BYTES } from "../../nfs/sdk/abi.ts";
import { parseDocument } from "../../runtime/chain/document.ts";
import type { Plan } from "../../runtime/chain/plan.ts";
import { planChain } from "../../runtime/chain/planner.ts";
import { type FlowMemory, openFlowMemory } from "../../runtime/dataplane/flow-memory.ts";
import type { NativeAddon, Segment } from "../../runtime/dataplane/native.ts";
import { SegmentStore } from "../../runtime/dataplane/segment-store.ts";
import { makeFunctionSource } from "../support/function-source.ts";

const CAPACITY = 1000;
const STATES_OFFSET = 0x40000;

const plan: Plan = planChain(
  parseDocument(
    `chain: edge
ports: { lan: { device: a, zone: inside }, wan: { device: b } }
functions: { nat: { use: nat }, ids: { use: ids }, fw: { use: fw } }
paths: [{ from: lan, through: [nat, ids, fw], to: wan }]
flows: { capacity: ${CAPACITY}, overlap: last, streams: { bytes: 100000 } }`,
    "edge.yaml",
  ),
  makeFunctionSource(
    {
      name: "nat",
      columns: { writes: { "nat.port": "u16", "nat.address": { type: "u32", export: true } }, reads: ["flow"] },
      segments: { table: { bytes: 5000, layout: 1 } },
      events: { defines: ["nat.full"], subscribes: ["timeout"] },
    },
    {
      name: "ids",
      columns: { reads: ["nat.port"] },
      segments: { table: { bytes: 4096, layout: 1 } },
      events: { subscribes: ["nat.full"] },
      stream: true,
      labels: ["suspect"],
    },
    { name: "fw" },
  ),
).plan;

/** Opens segments that are nothing but their names and sizes. */
function open(): { readonly memory: FlowMemory; readonly opened: Readonly<Record<string, number>> } {
  const opened: Record<string, number> = {};
  const native = {
    openSegment(bytes: number, path = ""): Segment {
      opened[path] = bytes;
      return { bytes, buffer: new ArrayBuffer(0) };
    },
    flowTableBytes: () => 0x90000,
    flowStatesOffset: () => STATES_OFFSET,
  } as unknown as NativeAddon;
  return { memory: openFlowMemory(native, plan, new SegmentStore(native, (segment) => segment)), opened };
}

describe("the memory of flows", () => {
  const { memory, opened } = open();
  const [nat, ids, fw] = memory.functions as [
    FlowMemory["functions"][0],
    FlowMemory["functions"][0],
    FlowMemory["functions"][0],
  ];

  it("is one file per table, column, stream buffer and segment, in whole pages", () => {
    expect(opened).toEqual({
      flows: 0x90000,
      "column-nat.port-u16": 4096,
      "column-nat.address-u32": 4096,
      streams: 102_400,
      "segment-nat-nat-table-1-5000": 8192,
      "segment-ids-ids-table-1-4096": 4096,
    });
  });

  it("is writable for owners, read-only for readers, and not there for all others", () => {
    const [port, address] = memory.columns as [Segment, Segment];
    const see = (segment: Segment) =>
      memory.functions.map(({ windows }) => windows.find((window) => window.segment === segment)?.writable);
    expect(see(port)).toEqual([true, false, undefined]);
    expect(see(address)).toEqual([true, undefined, undefined]);
    expect(see(memory.table)).toEqual([false, undefined, undefined]);
    expect(see(memory.streams as Segment)).toEqual([undefined, false, undefined]);
    expect(memory.functions.map(({ windows }) => windows.length)).toEqual([4, 3, 0]);
  });

  it("shows of the table the records of flows only", () => {
    const window = nat.windows.find(({ segment }) => segment === memory.table);
    expect(window).toMatchObject({ segmentOffset: STATES_OFFSET, bytes: Math.ceil((1001 * FLOW_BYTES) / 4096) * 4096 });
    expect(nat.column("flow", FLOW_BYTES)).toBe(window?.address);
  });

  it("has a column at the same address in all functions that see it", () => {
    const address = nat.column("nat.port", 2);
    expect(address).toBeGreaterThan(0);
    expect(ids.column("nat.port", 2)).toBe(address);
    expect(ids.windows.find((window) => window.segment === memory.columns[0])?.address).toBe(address);
  });

  it("is not told of to functions that did not ask, or ask for something else", () => {
    expect([fw.column("nat.port", 2), ids.column("nat.address", 4), ids.column("flow", FLOW_BYTES)]).toEqual([0, 0, 0]);
    expect([nat.column("nat.port", 4), nat.column("flow", 8), nat.column("nat.prot", 2), nat.column("", 2)]).toEqual([
      0, 0, 0, 0,
    ]);
    expect([fw.segment("table"), fw.segmentBytes("table"), nat.segment("tables")]).toEqual([0, 0, 0]);
  });

  it("has each function's segments behind what they share", () => {
    expect(nat.segment("table")).toBe(ids.segment("table"));
    expect(nat.segment("table")).toBeGreaterThan(nat.column("nat.address", 4));
    expect([nat.segmentBytes("table"), ids.segmentBytes("table")]).toEqual([5000, 4096]);
    const own = (functions: typeof nat) => functions.windows.find(({ address }) => address === nat.segment("table"));
    expect(own(nat)).toMatchObject({ bytes: 8192, writable: true });
    expect(own(nat)?.segment).not.toBe(own(ids)?.segment);
  });

  it("comes with the bits of events and labels, for those that the manifest names", () => {
    expect([nat.event("nat.full"), nat.event("timeout"), nat.event("start"), nat.event("")]).toEqual([16, 8, -1, -1]);
    expect([ids.event("nat.full"), fw.event("nat.full")]).toEqual([16, -1]);
    expect([ids.label("suspect"), nat.label("suspect"), ids.label("bulk")]).toEqual([1, 0, 0]);
  });

  it("is described to the lane with all that the chain says of flows", () => {
    const described = memory.describe(7n, true);
    expect(described).toMatchObject({ segment: memory.table, capacity: CAPACITY, seed: 7n, zones: [1, 0] });
    expect(described).toMatchObject({ lastOverlapWins: true, keepReports: true, timeouts: plan.flows.timeouts });
    expect(described.columns.map(({ bytes, exported }) => [bytes, exported])).toEqual([
      [2, false],
      [4, true],
    ]);
    const buffer = ids.windows.find(({ segment }) => segment === memory.streams);
    expect(described).toMatchObject({ streamBuffer: memory.streams, streamBufferAddress: buffer?.address });
  });
});
