import { describe, expect, it } from "vitest";
import { layOutCounters } from "../../runtime/dataplane/counter-layout.ts";
import { hopCounters, laneCounters, portCounters } from "../../runtime/dataplane/layout.ts";
import { nameCounters } from "../../runtime/telemetry/counter-names.ts";
import { takeSnapshot } from "../../runtime/telemetry/snapshot.ts";

const counter = (labels: string) => ({ name: "packets", labels, kind: "counter" }) as const;
const ports = [{ name: "lan" }, { name: "wan" }];
const functions = [
  { name: "fw", reasons: ["unspecified", "default"], counters: [counter("family=ipv4"), counter("family=ipv6")] },
];
const hops = [
  { function: 0, path: 0 },
  { function: 0, path: 1 },
];

describe("the names of counters", () => {
  it("are owner and name; labels are summed up where none is given, and so are a function's hops", () => {
    const layout = layOutCounters({ ports, functions, hops: hops as never });
    const counters = new BigUint64Array(layout.count);
    const set = (first: number | undefined, names: readonly string[], name: string, value: bigint) => {
      counters[(first ?? 0) + names.indexOf(name)] = value;
    };
    set(layout.ports[1], portCounters, "transmit_frames", 7n);
    for (const first of layout.hops) set(first, hopCounters, "frames", 20n);
    set(layout.lane, laneCounters, "dropped", 3n);
    const snapshot = takeSnapshot({ ports, functions, hops, layout }, counters, (_, index) => index + 1);
    const named = nameCounters(snapshot);
    const expected = {
      ...{ "wan.transmit_frames": 7, "fw.frames": 40, "engine.dropped": 3, "engine.no-path": 0, "flows.live": 0 },
      ...{ "fw.packets": 3, "fw.packets{family=ipv4}": 1, "fw.packets{family=ipv6}": 2, "fw.fault_frames": 0 },
    };
    expect(Object.fromEntries(Object.keys(expected).map((name) => [name, named.get(name)]))).toEqual(expected);
  });
});
