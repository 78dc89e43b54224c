// What functions of a chain have in common: columns, events, labels, the memory for them, and how flows are kept.
import { describe, expect, it } from "vitest";
import * as abi from "../../nfs/sdk/abi.ts";
import { parseDocument } from "../../runtime/chain/document.ts";
import { builtInEvents } from "../../runtime/chain/events.ts";
import type { PlannableManifest } from "../../runtime/chain/plan-functions.ts";
import { planChain } from "../../runtime/chain/planner.ts";
import { placeWindows } from "../../runtime/chain/windows.ts";
import { FRAMES_ADDRESS, PAGE_BYTES, WINDOWS_ADDRESS } from "../../runtime/dataplane/memory-map.ts";
import { collectFaults } from "../support/collect-faults.ts";
import { makeFunctionSource } from "../support/function-source.ts";

type Manifests = Readonly<Record<string, Partial<PlannableManifest>>>;

/** A chain of these functions, each of a package of the same name; `rest` has the paths. */
function write(functions: Manifests, rest: string): string {
  const declared = Object.keys(functions).map((name) => `  ${name}: { use: ${name} }`);
  return ["chain: edge", "ports: { lan: { device: a }, wan: { device: b } }", "functions:", ...declared, rest].join(
    "\n",
  );
}

const straight = (functions: Manifests) =>
  `paths: [{ from: lan, through: [${Object.keys(functions).join(", ")}], to: wan }]`;

function plan(functions: Manifests, rest = straight(functions)) {
  const source = makeFunctionSource(...Object.entries(functions).map(([name, parts]) => ({ name, ...parts })));
  return planChain(parseDocument(write(functions, rest), "edge.yaml"), source).plan;
}

const faultsOf = (functions: Manifests, rest?: string) =>
  collectFaults(() => plan(functions, rest)).map(({ code, where, what }) => `${code} ${where} ${what}`);

const writer: Partial<PlannableManifest> = { columns: { writes: { "nat.port": "u16" } } };
const reader: Partial<PlannableManifest> = { columns: { reads: ["nat.port"] } };

describe("columns", () => {
  it("have one owner, a type and a size, whichever way the manifest writes them", () => {
    const nat: Partial<PlannableManifest> = {
      columns: { writes: { "nat.port": "u16", "nat.address": { type: "u32", export: true } }, reads: ["flow"] },
    };
    const ids: Partial<PlannableManifest> = {
      columns: { writes: { "ids.score": { type: "f64" } }, reads: ["nat.port", { name: "nat.address", type: "u32" }] },
    };
    const { columns, functions } = plan({ nat, ids });
    expect(columns).toEqual([
      { name: "nat.port", type: "u16", bytes: 2, owner: 0, export: false },
      { name: "nat.address", type: "u32", bytes: 4, owner: 0, export: true },
      { name: "ids.score", type: "f64", bytes: 8, owner: 1, export: false },
    ]);
    expect(functions.map((planned) => planned.columns.reads)).toEqual([["flow"], ["nat.port", "nat.address"]]);
  });

  it("are refused if two functions write them", () => {
    expect(faultsOf({ nat: writer, fw: {}, ids: writer })).toEqual([
      'column-conflict edge.yaml:6:8 "nat" and "ids" both write the column nat.port',
    ]);
  });

  it("are refused if nobody writes them, and the nearest name is offered", () => {
    const ids: Partial<PlannableManifest> = { columns: { reads: ["nat.prot"] } };
    const [fault] = collectFaults(() => plan({ nat: writer, ids }));
    expect(fault).toMatchObject({
      code: "column-unwritten",
      what: '"ids" reads the column nat.prot, which no function of the chain writes',
      help: 'did you mean "nat.port"? known columns: nat.port',
    });
  });

  it("that are optional are read where somebody writes them, before or after", () => {
    const reads = [{ name: "nat.port", type: "u16", optional: true }] as const;
    const ids: Partial<PlannableManifest> = { columns: { reads } };
    expect(faultsOf({ ids })).toEqual([]);
    expect(faultsOf({ ids, nat: writer })).toEqual([]);
    expect(faultsOf({ nat: writer, ids: { columns: { reads: [{ ...reads[0], type: "u8" }] } } })).toEqual([
      expect.stringMatching(/^column-type /),
    ]);
  });

  it("are refused if their writer comes after their reader", () => {
    expect(faultsOf({ ids: reader, nat: writer })).toEqual([
      'column-unwritten edge.yaml:4:8 "ids" reads the column nat.port, but on no path does "nat", its writer, come before it',
    ]);
  });

  it("may have their writer first on one path only: flows are the same on the way back", () => {
    const rest = `paths:
  - { from: lan, through: [ids, nat], to: wan }
  - { from: wan, through: [nat, ids], to: lan }`;
    expect(faultsOf({ nat: writer, ids: reader }, rest)).toEqual([]);
  });

  it("may have their writer before a branch that leads to the reader, but not behind it", () => {
    const branches = "branches: { fw: { suspect: { through: [ids], to: wan } } }";
    const before = `paths: [{ from: lan, through: [nat, fw], to: wan }]\n${branches}`;
    const behind = `paths: [{ from: lan, through: [fw, nat], to: wan }]\n${branches}`;
    expect(faultsOf({ nat: writer, fw: {}, ids: reader }, before)).toEqual([]);
    expect(faultsOf({ nat: writer, fw: {}, ids: reader }, behind)).toHaveLength(1);
  });

  it("may be read by their owner, and by a function that no path uses", () => {
    const both: Partial<PlannableManifest> = { columns: { writes: { "nat.port": "u16" }, reads: ["nat.port"] } };
    expect(faultsOf({ nat: both })).toEqual([]);
    expect(faultsOf({ ids: reader, nat: writer }, "paths: [{ from: lan, through: [nat], to: wan }]")).toEqual([]);
  });

  it("are refused if reader and writer mean different types", () => {
    const ids: Partial<PlannableManifest> = { columns: { reads: [{ name: "nat.port", type: "u32" }] } };
    expect(faultsOf({ nat: writer, ids })).toEqual([
      'column-type edge.yaml:5:8 "ids" reads the column nat.port as u32, "nat" writes it as u16',
    ]);
  });

  it("are not judged while a function of the chain is not known", () => {
    const rest = `  nat: { use: nut }\npaths: [{ from: lan, match: { labels: [suspect] }, through: [ids, nat], to: wan }]`;
    expect(faultsOf({ ids: { ...reader, events: { subscribes: ["nat.full"] } } }, rest)).toEqual([
      'function-not-found edge.yaml:5:15 no function "nut" is known',
    ]);
  });
});

describe("events", () => {
  it("have the host's bits, and from EVENT_CUSTOM on those of functions", () => {
    const { events, functions } = plan({
      ids: { events: { defines: ["ids.scan", "ids.flood"] } },
      log: { events: { defines: ["log.full"], subscribes: ["start", "ids.flood"] } },
    });
    expect(Math.log2(abi.EVENT_CUSTOM)).toBe(16);
    expect(events.slice(0, builtInEvents.length)).toEqual(builtInEvents);
    expect(events.slice(16)).toEqual(["ids.scan", "ids.flood", "log.full"]);
    expect(functions.map((planned) => planned.events)).toEqual([
      { defines: 0x30000, subscribes: 0 },
      { defines: 0x40000, subscribes: abi.EVENT_START | 0x20000 },
    ]);
  });

  it("of the host are the constants of the ABI, in the order of their bits", () => {
    const numbers: Readonly<Record<string, number>> = { ...abi };
    const constants = builtInEvents.map((name) => numbers[`EVENT_${name.toUpperCase().replaceAll("-", "_")}`]);
    expect(constants).toEqual(builtInEvents.map((_, bit) => 1 << bit));
  });

  it("are refused if two functions define them, or nobody", () => {
    const scan: Partial<PlannableManifest> = { events: { defines: ["ids.scan"] } };
    expect(faultsOf({ ids: scan, ips: scan, log: { events: { subscribes: ["ids.scam", "ids.scan"] } } })).toEqual([
      'event-conflict edge.yaml:5:8 "ids" and "ips" both define the event ids.scan',
      'unknown-event edge.yaml:6:8 "log" subscribes to the event ids.scam, which no function of the chain defines',
    ]);
  });

  it("of functions are 16 at the most", () => {
    const names = (first: number, count: number) => Array.from({ length: count }, (_, i) => `x.e${first + i}`);
    const x: Partial<PlannableManifest> = { events: { defines: names(0, 10) } };
    expect(faultsOf({ x, y: { events: { defines: names(10, 6) } } })).toEqual([]);
    expect(faultsOf({ x, y: { events: { defines: names(10, 7) } } })).toEqual([
      'chain-limit edge.yaml:5:6 "y" defines x.e16: more than 16 events in the chain',
    ]);
  });
});

describe("labels", () => {
  const ids: Partial<PlannableManifest> = { labels: ["suspect", "bulk"] };
  const dpi: Partial<PlannableManifest> = { labels: ["voip", "bulk"] };

  it("are the chain's: functions that name the same one mean the same bit", () => {
    const { labels, functions } = plan({ ids, dpi });
    expect(labels).toEqual(["suspect", "bulk", "voip"]);
    expect(functions.map((planned) => planned.labels)).toEqual([0b011, 0b110]);
  });

  it("can be asked for by a path, and all that it names must be there", () => {
    const { paths } = plan(
      { ids, dpi },
      `paths:
  - { from: lan, match: { labels: [suspect, voip] }, through: [dpi], to: wan }
  - { from: lan, match: { labels: [voip] }, to: wan }
  - { from: lan, through: [ids, dpi], to: wan }`,
    );
    expect(paths.map(({ match }) => match?.labels)).toEqual([0b101, 0b100, undefined]);
  });

  it("make an earlier path with fewer of them take all that a later one would", () => {
    const rest = (first: string, second: string) => `paths:
  - { from: lan, match: { labels: [${first}] }, through: [ids, dpi], to: wan }
  - { from: lan, match: { labels: [${second}] }, to: wan }`;
    const [fault] = faultsOf({ ids, dpi }, rest("voip", "voip, bulk"));
    expect(fault).toMatch(/^unreachable-path /);
    expect(faultsOf({ ids, dpi }, rest("voip, bulk", "voip"))).toEqual([]);
    expect(faultsOf({ ids, dpi }, rest("suspect", "voip"))).toEqual([]);
  });

  it("are refused in a path if no function sets them", () => {
    const rest = "paths: [{ from: lan, match: { labels: [voip, suspcet] }, through: [ids, dpi], to: wan }]";
    const [fault] = collectFaults(() => plan({ ids, dpi }, rest));
    expect(fault).toMatchObject({
      code: "unknown-label",
      what: 'no function of the chain sets the label "suspcet"',
      pointer: "/paths/0/match/labels/1",
    });
    expect(fault?.help).toContain('"suspect"');
  });

  it("are 32 at the most", () => {
    const names = Array.from({ length: 33 }, (_, i) => `l${i}`);
    expect(plan({ a: { labels: names.slice(0, 32) } }).functions[0]?.labels).toBe(0xffffffff);
    expect(faultsOf({ a: { labels: names } })).toEqual([
      'chain-limit edge.yaml:4:6 "a" declares l32: more than 32 labels in the chain',
    ]);
  });
});

describe("windows", () => {
  it("of a column have the same address everywhere, of segments each function its own", () => {
    const planned = plan({
      nat: {
        columns: { writes: { "nat.port": "u16", "nat.address": "u32" }, reads: ["flow"] },
        segments: { table: { bytes: 100_000, layout: 1 }, pool: { bytes: 1, layout: 1 } },
      },
      ids: { columns: { reads: ["nat.port"] }, segments: { rules: { bytes: 4096, layout: 1 } }, stream: true },
    });
    const layout = placeWindows(planned);
    const { flow, columns, streams, segments } = layout;
    const common = [flow, ...columns, streams].filter((placed) => placed !== null);
    expect(common.map(({ bytes }) => bytes)).toEqual([
      ...[65_537 * abi.FLOW_BYTES, 65_537 * 2, 65_537 * 4].map((bytes) => Math.ceil(bytes / 4096) * 4096),
      1 << 24,
    ]);
    expect(segments.map((own) => own.map(({ bytes }) => bytes))).toEqual([[102_400, 4096], [4096]]);
    expect(segments[0]?.[0]?.address).toBe(segments[1]?.[0]?.address);
    for (const own of segments) {
      const all = [...common, ...own];
      expect(all[0]?.address).toBe(WINDOWS_ADDRESS);
      all.forEach(({ address, bytes }, index) => {
        expect(address % PAGE_BYTES).toBe(0);
        expect(address + bytes).toBeLessThan(all[index + 1]?.address ?? FRAMES_ADDRESS);
      });
    }
  });

  it("are not there for what nobody uses", () => {
    expect(placeWindows(plan({ fw: {} }))).toEqual({ flow: null, columns: [], streams: null, segments: [[]] });
  });

  it("are refused if they do not fit, in the function that sees them", () => {
    const columns = { columns: { reads: ["flow"] } };
    const many = (functions: Manifests) => `${straight(functions)}\nflows: { capacity: 2000000 }`;
    expect(faultsOf({ fw: {}, ids: columns }, many({ fw: {}, ids: columns }))).toEqual([
      'chain-limit edge.yaml:5:8 the memory of "ids" would need 367 MiB for all flows and 0 MiB for its segments; ' +
        "it has room for 254 MiB",
    ]);
    expect(faultsOf({ fw: {} }, many({ fw: {} }))).toEqual([]);
  });
});

describe("flows", () => {
  it("are kept as nf_conntrack does by default", () => {
    expect(plan({ fw: {} }).flows).toEqual({
      capacity: 65_536,
      midstream: true,
      liberal: false,
      overlap: "first",
      timeouts: {
        tcp: [10, 10, 432_000, 120, 60, 120, 60, 30, 120, 10, 120],
        udp: [30, 30, 120],
        icmp: [30, 30, 30],
        sctp: [30, 30, 210, 3, 3, 3, 3, 3, 10, 10, 3],
        other: [600, 600, 600],
        tcpUnacknowledged: 300,
        tcpRetransmissions: 3,
      },
      streams: { bytes: 1 << 24, flowBytes: 1 << 18, holdMs: 2000 },
      fragments: { packets: 4096, fragments: 64, held: 1024, heldPerPacket: 16, timeoutMs: 30_000 },
    });
  });

  it("are kept as the chain says", () => {
    const { flows } = plan(
      { fw: {} },
      `paths: [{ from: lan, through: [fw], to: wan }]
flows:
  capacity: 1000
  midstream: false
  liberal: true
  overlap: last
  retransmissions: 5
  timeouts: { tcp: { established: 3600, unacknowledged: 60 }, udp: { replied: 180 }, sctp: { closed: 1 } }
  streams: { holdMs: 500 }
  fragments: { held: 0 }`,
    );
    expect(flows).toMatchObject({ capacity: 1000, midstream: false, liberal: true, overlap: "last" });
    expect(flows.timeouts.tcp[abi.FLOW_STATE_ESTABLISHED]).toBe(3600);
    expect(flows.timeouts.tcp[abi.FLOW_STATE_SYN_SENT]).toBe(120);
    expect(flows.timeouts.udp).toEqual([30, 30, 180]);
    expect(flows.timeouts.sctp[abi.FLOW_STATE_CLOSED]).toBe(1);
    expect(flows.timeouts).toMatchObject({ tcpUnacknowledged: 60, tcpRetransmissions: 5 });
    expect(flows.streams).toEqual({ bytes: 1 << 24, flowBytes: 1 << 18, holdMs: 500 });
    expect(flows.fragments.held).toBe(0);
  });

  it.each([
    ["capacity: 0", "document-schema", "0 is not between 1 and 16777216"],
    ["timeouts: { tcp: { established: -1 } }", "document-schema", "-1 is not between 1 and 31536000"],
    ["timeouts: { tcp: { stablished: 1 } }", "unknown-key", 'unknown key "stablished"'],
    ["overlap: both", "document-schema", '"both" is not one of first, last'],
    ["midstream: maybe", "document-schema", 'must be true or false, is "maybe"'],
  ])("are refused otherwise: %s", (text, code, what) => {
    const rest = `paths: [{ from: lan, through: [fw], to: wan }]\nflows: { ${text} }`;
    expect(collectFaults(() => plan({ fw: {} }, rest))).toEqual([expect.objectContaining({ code, what })]);
  });

  it("of ports in different zones are kept apart; zones are numbered as they appear", () => {
    const { plan: planned } = planChain(
      parseDocument(
        `chain: zones
ports: { a: { device: a, zone: red }, b: { device: b }, c: { device: c, zone: blue }, d: { device: d, zone: red } }
paths: [{ from: a, to: b }, { from: c, to: d }]`,
        "zones.yaml",
      ),
      makeFunctionSource(),
    );
    expect(planned.ports.map(({ zone }) => zone)).toEqual([1, 0, 2, 1]);
    expect(planned.zones).toEqual(["", "red", "blue"]);
  });
});
