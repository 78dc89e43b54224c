import { describe, expect, it } from "vitest";
import { parseDocument } from "../../runtime/chain/document.ts";
import type { Plan, Target } from "../../runtime/chain/plan.ts";
import type { FunctionSource } from "../../runtime/chain/plan-functions.ts";
import { planChain } from "../../runtime/chain/planner.ts";
import { SluiceError } from "../../runtime/errors.ts";
import { collectFaults } from "../support/collect-faults.ts";
import { makeFunctionSource } from "../support/function-source.ts";

const functions = makeFunctionSource("acl@1.2.0", "acl@1.10.0", "acl@2.0.0", "ids@0.3.1", "nat@1.0.0", "scrub@1.0.0");

/** Ports lan and wan, functions fw, ids, nat and scrub; the rest is the test's. */
function write(rest: string): string {
  return `chain: edge
ports:
  lan: { device: lan0 }
  wan: { device: wan0 }
functions:
  fw: { use: acl@1 }
  ids: { use: ids@* }
  nat: { use: nat }
  scrub: { use: scrub@^1.0 }
${rest}`;
}

function plan(text: string, source: FunctionSource = functions) {
  return planChain(parseDocument(text, "edge.yaml"), source);
}

function planFaults(text: string, source: FunctionSource = functions): string[] {
  return collectFaults(() => plan(text, source)).map(({ code, where, what }) => `${code} ${where} ${what}`);
}

function nameTarget({ ports }: Plan, target: Target): string {
  if (target.kind === "hop") return `hop ${target.hop}`;
  return target.kind === "port" ? (ports[target.port]?.name ?? "?") : "none";
}

/** One line per hop: `0 fw → hop 1 [suspect → hop 4]`. */
function drawHops(planned: Plan): string[] {
  return planned.hops.map((hop, index) => {
    const { name, branches } = planned.functions[hop.function] as Plan["functions"][number];
    const aside = hop.branches.map((target, branch) => ` [${branches[branch]} → ${nameTarget(planned, target)}]`);
    return `${index} ${name} → ${nameTarget(planned, hop.next)}${aside.join("")}`;
  });
}

describe("a plan", () => {
  it("resolves names to indices, in the document's order", () => {
    const { plan: planned, warnings } = plan(
      write(`paths:
  - { from: lan, through: [fw, ids, nat], to: wan }
  - { from: wan, through: [nat, ids, fw, scrub], to: lan }
`),
    );
    expect(drawHops(planned)).toEqual([
      "0 fw → hop 1",
      "1 ids → hop 2",
      "2 nat → wan",
      "3 nat → hop 4",
      "4 ids → hop 5",
      "5 fw → hop 6",
      "6 scrub → lan",
    ]);
    expect(planned.hops.map((hop) => hop.path)).toEqual([0, 0, 0, 1, 1, 1, 1]);
    expect(planned.paths).toEqual([
      { from: 0, match: null, first: { kind: "hop", hop: 0 } },
      { from: 1, match: null, first: { kind: "hop", hop: 3 } },
    ]);
    expect(planned.functions.map(({ name }) => name)).toEqual(["fw", "ids", "nat", "scrub"]);
    expect(warnings).toEqual([]);
  });

  it("pins the highest version in each range", () => {
    const { plan: planned } = plan(write("paths: [{ from: lan, through: [fw, ids, nat, scrub], to: wan }]"));
    const pinned = planned.functions.map((planned) => `${planned.package.name}@${planned.package.version}`);
    expect(pinned).toEqual(["acl@1.10.0", "ids@0.3.1", "nat@1.0.0", "scrub@1.0.0"]);
  });

  it("gives ports their defaults and reads the classes that are left to the kernel", () => {
    const { plan: planned } = plan(`chain: tap
ports:
  tap: { device: eth1, kernel: [arp, 0x88cc, "tcp:22", icmp] }
  out: { device: eth2, queues: [1, 3], mode: copy, ringSize: 512 }
paths: [{ from: tap, to: out }]
`);
    expect(planned.ports).toEqual([
      {
        ...{
          name: "tap",
          driver: "afxdp",
          device: "eth1",
          queues: [0],
          mode: undefined,
          ringSize: undefined,
          forwarding: "bridge",
          answersFor: [],
          zone: 0,
        },
        kernel: [{ etherType: 0x0806 }, { etherType: 0x88cc }, { ipProto: 6, destinationPort: 22 }, { ipProto: 1 }],
      },
      {
        name: "out",
        driver: "afxdp",
        device: "eth2",
        queues: [1, 3],
        mode: "copy",
        ringSize: 512,
        kernel: [],
        forwarding: "bridge",
        answersFor: [],
        zone: 0,
      },
    ]);
  });

  it("sends frames straight to a port, back where they came from, or nowhere, without a function", () => {
    const { plan: planned } = plan(`chain: straight
ports: { a: { device: a }, b: { device: b }, c: { device: c } }
paths:
  - { from: a, through: [], to: b }
  - { from: b, to: b }
  - { from: c, through: [], to: none }
`);
    expect(planned.hops).toEqual([]);
    expect(planned.paths.map((path) => nameTarget(planned, path.first))).toEqual(["b", "b", "none"]);
  });

  it("turns a match into numbers", () => {
    const { plan: planned } = plan(`chain: match
ports: { a: { device: a } }
paths:
  - from: a
    match:
      sources: [10.1.2.3/8, "2001:db8::1"]
      sourcePorts: [53, "1000-2000"]
      ipProtos: [tcp, 47]
      vlans: [0, 4094]
      dscps: [ef, af41, 7]
      etherTypes: [ipv4, "0x86dd"]
    to: none
`);
    const ipv6 = Uint8Array.of(0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1);
    expect(planned.paths[0]?.match).toEqual({
      sources: [
        { address: Uint8Array.of(10, 0, 0, 0), prefixLength: 8 },
        { address: ipv6, prefixLength: 128 },
      ],
      destinations: [],
      sourcePorts: [
        [53, 53],
        [1000, 2000],
      ],
      destinationPorts: [],
      ipProtos: [6, 47],
      vlans: [0, 4094],
      dscps: [46, 34, 7],
      etherTypes: [0x0800, 0x86dd],
      labels: 0,
    });
  });

  it("warns of functions and ports that no path uses", () => {
    const { warnings } = plan(
      write("  spare: { use: nat }\npaths: [{ from: lan, through: [fw, ids, nat, scrub], to: none }]"),
    );
    expect(warnings.map(({ code, where }) => `${code} ${where}`)).toEqual([
      "unused-port edge.yaml:4:3",
      "unused-function edge.yaml:10:3",
    ]);
  });
});

describe("branches", () => {
  it("are laid out once per path, behind every hop that leads to them", () => {
    const { plan: planned } = plan(
      write(`paths:
  - { from: lan, through: [ids, fw, ids], to: wan }
  - { from: wan, through: [fw], to: lan }
branches:
  ids:
    suspect: { through: [scrub, nat], to: wan }
    hopeless: { to: none }
  scrub: { again: { through: [nat], to: lan } }
`),
    );
    expect(drawHops(planned)).toEqual([
      "0 ids → hop 1 [suspect → hop 3] [hopeless → none]",
      "1 fw → hop 2",
      "2 ids → wan [suspect → hop 3] [hopeless → none]",
      "3 scrub → hop 4 [again → hop 5]",
      "4 nat → wan",
      "5 nat → lan",
      "6 fw → lan",
    ]);
    expect(planned.functions[1]?.branches).toEqual(["suspect", "hopeless"]);
  });

  it("may meet in one that several functions lead to, which then stands behind them all", () => {
    const { plan: planned } = plan(
      write(`paths: [{ from: lan, through: [nat, ids], to: wan }]
branches:
  nat: { x: { through: [scrub], to: wan } }
  ids: { y: { through: [nat, fw], to: wan } }
`),
    );
    expect(drawHops(planned)).toEqual([
      "0 nat → hop 1 [x → hop 4]",
      "1 ids → wan [y → hop 2]",
      "2 nat → hop 3 [x → hop 4]",
      "3 fw → wan",
      "4 scrub → wan",
    ]);
  });

  it("must not lead back to where they came from", () => {
    const branches = `branches:
  ids: { again: { through: [scrub], to: wan } }
  scrub: { back: { through: [nat, ids], to: wan } }
  nat: { self: { through: [nat], to: wan } }
`;
    expect(planFaults(write(`paths: [{ from: lan, through: [fw], to: wan }]\n${branches}`))).toEqual([
      'branch-cycle edge.yaml:13:18 the branch leads back to "ids": ids.again → scrub.back → ids',
      'branch-cycle edge.yaml:14:16 the branch leads back to "nat": nat.self → nat',
    ]);
  });

  it("that double on every level do not make the plan explode", () => {
    const names = Array.from({ length: 40 }, (_, index) => `f${index}`);
    const branchLines = names.slice(0, -1).map((name, index) => {
      const below = `through: [f${index + 1}, f${index + 1}], to: none`;
      return `  ${name}: { left: { ${below} }, right: { ${below} } }`;
    });
    const text = `chain: deep
ports: { a: { device: a } }
functions:
${names.map((name) => `  ${name}: { use: nat }`).join("\n")}
paths: [{ from: a, through: [f0], to: none }]
branches:
${branchLines.join("\n")}
`;
    expect(plan(text).plan.hops).toHaveLength(1 + 39 * 4);
  });
});

describe("a document with semantic faults", () => {
  it("hears of all of them at once, together with those of its shape", () => {
    const text = `chain: edge
descrption: Edge
ports:
  lan: { device: lan0, mode: warp }
  wan: { device: wan0 }
functions:
  fw: { use: acl@9 }
  ids: { use: idz, config: 5 }
  nat: { use: nat, config: { pool: 7, pol: 8 } }
paths:
  - { from: lan, through: [fw, isd], to: wna }
  - { from: LAN, to: wan, match: { vlans: [9999] } }
branches:
  fw: { aside: { through: [nta], to: nowhere } }
  wf: { aside: { to: none } }
`;
    const strict = { type: "object", additionalProperties: false, properties: { pool: { type: "string" } } } as const;
    const source = makeFunctionSource("acl@1.2.0", "ids@1.0.0", { name: "nat", config: strict });
    const faults = collectFaults(() => plan(text, source));
    expect(faults.map(({ code, where, pointer }) => `${code} ${where} ${pointer}`)).toEqual([
      "unknown-key edge.yaml:2:1 /descrption",
      "document-schema edge.yaml:4:30 /ports/lan/mode",
      "function-not-found edge.yaml:7:14 /functions/fw/use",
      "function-not-found edge.yaml:8:15 /functions/ids/use",
      "document-schema edge.yaml:8:28 /functions/ids/config",
      "config-invalid edge.yaml:9:36 /functions/nat/config/pool",
      "unknown-key edge.yaml:9:39 /functions/nat/config/pol",
      "unknown-function edge.yaml:11:32 /paths/0/through/1",
      "unknown-port edge.yaml:11:42 /paths/0/to",
      "document-schema edge.yaml:12:44 /paths/1/match/vlans/0",
      "unknown-function edge.yaml:14:28 /branches/fw/aside/through/0",
      "unknown-port edge.yaml:14:38 /branches/fw/aside/to",
      "unknown-function edge.yaml:15:7 /branches/wf",
    ]);
    expect(faults.map(({ help }) => help ?? "").filter((help) => help !== "")).toEqual([
      expect.stringContaining('did you mean "description"?'),
      expect.stringContaining('did you mean "copy"?'),
      'versions of "acl": 1.2.0',
      'did you mean "ids"? known functions: acl, ids, nat',
      'did you mean "pool"? known keys: pool',
      'did you mean "ids"? known functions: fw, ids, nat',
      'did you mean "wan"? known ports: lan, wan',
      'did you mean "nat"? known functions: fw, ids, nat',
      'did you mean "wan"? known ports: lan, wan',
      'did you mean "fw"? known functions: fw, ids, nat',
    ]);
  });

  it.each([
    ["everything", "", "match: { vlans: [5] }, "],
    ["the same", "match: { vlans: [5] }, ", "match: { vlans: [5] }, "],
    ["a wider prefix", "match: { sources: [10.0.0.0/8] }, ", "match: { sources: [10.1.0.0/16, 10.2.3.4] }, "],
    ["a wider range", "match: { sourcePorts: [1-99] }, ", "match: { sourcePorts: [5, 7-8], ipProtos: [tcp] }, "],
  ])("hears of a path behind one from the same port that takes %s", (_, first, second) => {
    const paths = (one: string, two: string) =>
      write(`paths:\n  - { from: lan, ${one}to: wan }\n  - { from: lan, ${two}to: none }\n`);
    expect(planFaults(paths(first, second))).toEqual([
      expect.stringMatching(/^unreachable-path edge.yaml:12:5 .*the path at edge.yaml:11:5/),
    ]);
    if (first !== second) expect(planFaults(paths(second, first))).toEqual([]);
  });

  it("may have paths whose matches overlap only", () => {
    const text = `paths:
  - { from: lan, match: { sources: [10.0.0.0/8], vlans: [1] }, to: wan }
  - { from: lan, match: { sources: [10.0.0.0/8], vlans: [1, 2] }, to: wan }
  - { from: lan, match: { sources: ["::/0"] }, to: wan }
  - { from: wan, match: { sources: ["::/0"] }, to: lan }
`;
    expect(planFaults(write(text))).toEqual([]);
  });

  it("hears what a function without configuration was given", () => {
    const source = makeFunctionSource({ name: "nat", config: undefined as never });
    const text =
      "chain: c\nports: { a: { device: a } }\nfunctions: { n: { use: nat, config: { x: 1 } } }\npaths: [{ from: a, through: [n], to: none }]\n";
    expect(planFaults(text, source)).toEqual(['unknown-key edge.yaml:3:39 unknown key "x"']);
  });

  it("hears where a required configuration is missing altogether", () => {
    const config = { type: "object", required: ["rules"], properties: { rules: {} } } as const;
    const text =
      "chain: c\nports: { a: { device: a } }\nfunctions: { n: { use: nat } }\npaths: [{ from: a, through: [n], to: none }]\n";
    expect(planFaults(text, makeFunctionSource({ name: "nat", config }))).toEqual([
      'config-invalid edge.yaml:3:17 the key "rules" is missing',
    ]);
  });

  it("hears why none of several forms of a value fits", () => {
    const config = {
      properties: { to: { anyOf: [{ type: "string", format: "ip-prefix", title: "a prefix" }, { type: "array" }] } },
    };
    const text =
      "chain: c\nports: { a: { device: a } }\nfunctions: { n: { use: nat, config: { to: 5 } } }\npaths: [{ from: a, through: [n], to: none }]\n";
    const [fault, ...rest] = collectFaults(() => plan(text, makeFunctionSource({ name: "nat", config })));
    expect(fault).toMatchObject({
      ...{ code: "config-invalid", pointer: "/functions/n/config/to", what: "fits none of the allowed forms" },
      help: "must be a string, is 5; or must be a list, is 5",
    });
    expect(rest).toEqual([]);
  });

  it("hears of a damaged package as the package's fault", () => {
    const fault = { code: "manifest-invalid", where: "nat/manifest.json:1:1", what: "is empty" } as const;
    const source: FunctionSource = {
      known: [],
      find: () => {
        throw new SluiceError(fault);
      },
    };
    expect(planFaults(write("paths: [{ from: lan, to: wan }]"), source)).toEqual([
      "manifest-invalid nat/manifest.json:1:1 is empty",
    ]);
  });

  it("is refused if it has more hops than there are counters for", () => {
    const through = Array(600).fill("fw").join(", ");
    const text = `paths:\n  - { from: lan, through: [${through}], to: wan }\n  - { from: wan, through: [${through}], to: lan }\n`;
    expect(planFaults(write(text))).toEqual([expect.stringContaining("the chain has more than 1024 hops")]);
  });

  it("hears of at most a hundred faults, and how many there are more", () => {
    const ports = Array.from({ length: 150 }, (_, index) => `  p${index}: { divice: x }\n`).join("");
    const faults = planFaults(`chain: c\nports:\n${ports}paths: [{ from: p1, to: none }]\n`);
    expect(faults).toHaveLength(101);
    expect(faults.at(-1)).toMatch(/and 200 more faults$/);
  });
});
