import { describe, expect, it } from "vitest";
import { type DocumentOptions, parseDocument } from "../../runtime/chain/document.ts";
import { parseOverride } from "../../runtime/chain/override.ts";
import { parseSource } from "../../runtime/chain/source-text.ts";
import { listFaults } from "../support/collect-faults.ts";

const sound = `chain: edge
ports:
  lan: { device: lan0 }
  wan: { device: wan0 }
functions:
  fw: { use: acl@1, config: { rules: "@rules.txt", list: [1, "@@literal"] } }
paths:
  - { from: lan, through: [fw], to: wan }
`;

const files: Record<string, string> = { "rules.txt": "permit all\n" };
const readText = (path: string) => {
  if (files[path] === undefined) throw new Error("there is no such file");
  return files[path];
};

function parse(text: string, options: DocumentOptions = {}) {
  return parseDocument(text, "edge.yaml", { readText, ...options });
}

function parseFaults(text: string, options: DocumentOptions = {}): string[] {
  return parse(text, options).faults.map(({ code, where, what }) => `${code} ${where} ${what}`);
}

/** The sound document with one piece of text replaced. */
function change(from: string, to: string): string {
  expect(sound).toContain(from);
  return sound.replace(from, to);
}

describe("a chain document", () => {
  it("is read from YAML and from JSON alike", () => {
    const yaml = parse(change(', config: { rules: "@rules.txt", list: [1, "@@literal"] }', ""));
    const json = parseDocument(JSON.stringify(yaml.value, null, "\t"), "edge.json");
    expect([yaml.faults, json.faults]).toEqual([[], []]);
    expect(json.value).toEqual(yaml.value);
  });

  it("has text of files where its configuration says @path, and only there", () => {
    const { value } = parse(change("chain: edge", 'chain: edge\ndescription: "@rules.txt"'));
    expect(value.functions?.fw?.config).toEqual({ rules: "permit all\n", list: [1, "@literal"] });
    expect(value.description).toBe("@rules.txt");
  });

  it("reports a file that is missing at the place that names it", () => {
    const faults = parseFaults(change("@rules.txt", "@lost.txt"));
    expect(faults).toEqual(['file-unreadable edge.yaml:6:38 "@lost.txt" cannot be read: there is no such file']);
  });

  it("cannot name files where none may be read", () => {
    expect(parseDocument(sound, "edge.yaml").faults[0]).toMatchObject({
      code: "file-unreadable",
      pointer: "/functions/fw/config/rules",
    });
  });

  it("knows line, column and JSON pointer of every value and key", () => {
    const { locate } = parse(sound);
    expect(locate("/ports/wan/device")).toBe("edge.yaml:4:18");
    expect(locate("/ports/wan", "key")).toBe("edge.yaml:4:3");
    expect(locate("/paths/0/through/0")).toBe("edge.yaml:8:28");
    expect(locate("/paths/0/match/vlans")).toBe("edge.yaml:8:5");
  });

  it("reports all faults of its shape at once", () => {
    const faults = parseFaults(`chain: Edge
ports:
  lan: { device: lan0, mode: fast, ringSize: 100, queues: [] }
  none: { device: wan0 }
  wan: {}
functions:
  fw: { config: 7 }
paths:
  - { from: lan, to: wan, match: { sources: [10.0.0.0/33], destinationPorts: [9-1, 65536], dscps: [af44] } }
`);
    expect(faults.map((fault) => fault.replace(/ \(.*\)/, ""))).toEqual([
      'document-schema edge.yaml:1:8 "Edge" is not a chain name',
      'document-schema edge.yaml:3:30 "fast" is not one of zero-copy, copy, generic',
      expect.stringMatching(/^document-schema edge.yaml:3:46 100 is not one of 64, 128/),
      "document-schema edge.yaml:3:59 must not have fewer than 1 items",
      'document-schema edge.yaml:4:3 "none" is reserved',
      'document-schema edge.yaml:5:8 the key "device" is missing',
      'document-schema edge.yaml:7:7 the key "use" is missing',
      "document-schema edge.yaml:7:17 must be a map, is 7",
      'document-schema edge.yaml:9:46 "10.0.0.0/33" is not a prefix such as 10.0.0.0/8 or 2001:db8::/32',
      'document-schema edge.yaml:9:79 "9-1" is not a port or a range of ports such as 80 or 1000-2000',
      "document-schema edge.yaml:9:84 65536 is not between 0 and 65535",
      'document-schema edge.yaml:9:100 "af44" is not a DSCP such as ef, af41, cs6 or 46',
    ]);
  });

  it("names an unknown key, its place and the nearest known key", () => {
    const [fault] = parse(change("lan: { device: lan0 }", "lan: { devcie: lan0, device: lan0 }")).faults;
    expect(fault).toMatchObject({ code: "unknown-key", where: "edge.yaml:3:10", pointer: "/ports/lan/devcie" });
    expect(fault?.help).toMatch(/^did you mean "device"\?/);
  });

  it("does not take names from JavaScript for keys or declarations", () => {
    const faults = parseFaults(change("chain: edge", "chain: edge\n__proto__: {}\nconstructor: 1"));
    expect(faults).toEqual([
      'unknown-key edge.yaml:2:1 unknown key "__proto__"',
      'unknown-key edge.yaml:3:1 unknown key "constructor"',
    ]);
  });

  it("refuses a key that stands twice", () => {
    expect(parseFaults(change("  wan: { device: wan0 }", "  lan: { device: wan0 }"))).toContain(
      'document-syntax edge.yaml:4:3 the key "lan" stands twice in one map',
    );
  });

  it.each([
    ["an empty text", ""],
    ["a list", "[]"],
    ["a word", "chain"],
    ["nothing but a comment", "# chain"],
  ])("is not %s", (_, text) => {
    expect(parseFaults(text)).toEqual([expect.stringMatching(/^document-schema edge.yaml:1:1 must be a map/)]);
  });

  it.each([
    ["an open bracket", "chain: [", /1:\d+ /],
    ["several syntax faults", 'chain: "a\n', /^document-syntax/],
    ["two documents in one file", `${sound}---\n${sound}`, /edge.yaml:9:1 a second document/],
    ["an alias without an anchor", "chain: *edge", /edge.yaml:1:1 Unresolved alias/],
    ["an anchor within itself", "chain: &a [*a, *a, *a]", /without end/],
    ["nesting without measure", `chain: ${"[".repeat(100_000)}`, /nested too deeply/],
    ["a deep nest", `chain: ${"[".repeat(80)}${"]".repeat(80)}`, /nested more than 64 deep/],
  ])("is refused with %s", (_, text, fault) => {
    const faults = listFaults(() => parse(text));
    expect(faults[0]).toMatch(fault);
    expect(faults.every((line) => line.startsWith("document-syntax "))).toBe(true);
  });

  it("is refused if aliases make it explode", () => {
    const level = (name: string, below: string) => `${name}: &${name} [${Array(9).fill(`*${below}`).join(", ")}]\n`;
    const bomb = `a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1]\n${level("b", "a")}${level("c", "b")}${level("d", "c")}${level("e", "d")}`;
    expect(listFaults(() => parse(bomb))).toEqual(["document-syntax edge.yaml:1:1 aliases expand to too many values"]);
  });

  it("may share values by alias, each place being its own", () => {
    const text = change(
      "functions:",
      "functions:\n  a: { use: acl, config: &shared { level: 1 } }\n  b: { use: acl, config: *shared }",
    );
    const { value, faults } = parse(text, { overrides: [parseOverride("a.level=2", readText)] });
    expect(faults).toEqual([]);
    expect([value.functions?.a?.config, value.functions?.b?.config]).toEqual([{ level: 2 }, { level: 1 }]);
  });

  it("refuses numbers that JSON cannot carry, and tags", () => {
    const faults = parseFaults(change("list: [1,", "list: [.inf, .nan, 12345678901234567890, !secret x,"));
    expect(faults.map((fault) => fault.replace(/^document-syntax edge.yaml:/, "")).toSorted()).toEqual([
      "6:59 a number must be finite",
      "6:65 a number must be finite",
      "6:71 the number is too large to be kept exactly",
      expect.stringMatching(/^6:93 unresolved tag/),
    ]);
  });

  it.each(["arp", "lldp", "0x88cc", 0x88cc, "icmp", "tcp:22", "udp:68", "ip:89", "vrrp"])(
    "leaves %s to the kernel",
    (word) => {
      expect(parseFaults(change("lan0 }", `lan0, kernel: [${JSON.stringify(word)}] }`))).toEqual([]);
    },
  );

  it.each(["apr", "tcp:", "tcp:99999", "icmp:3", "ip:256", 5, "22", ""])("cannot leave %j to the kernel", (word) => {
    expect(parseFaults(change("lan0 }", `lan0, kernel: [${JSON.stringify(word)}] }`))).toHaveLength(1);
  });

  it.each(["a name that is too long", "a/b", ".", "..", ""])("has no device called %j", (device) => {
    expect(parseFaults(change("device: lan0", `device: ${JSON.stringify(device)}`)).length).toBeGreaterThan(0);
  });

  it("needs no device for a port of memory or files", () => {
    expect(parseFaults(change("{ device: lan0 }", "{ driver: memory }"))).toEqual([]);
    expect(parseFaults(change("{ device: lan0 }", "{ driver: pcap }"))).toEqual([]);
  });
});

describe("an override", () => {
  const overridden = (...texts: string[]) => {
    const document = parse(sound, { overrides: texts.map((text) => parseOverride(text, readText)) });
    expect(document.faults).toEqual([]);
    return document.value.functions?.fw?.config;
  };

  it("replaces configuration, adds to it, and reaches into maps and lists", () => {
    expect(overridden("fw.rules=none", "fw.a.b.c=1", "fw.list.0=first")).toEqual({
      rules: "none",
      a: { b: { c: 1 } },
      list: ["first", "@literal"],
    });
  });

  it.each([
    ["5", 5],
    ["-1.5e3", -1500],
    ["0x10", 16],
    ["true", true],
    ["null", null],
    ["ips", "ips"],
    ["", ""],
    ["a=b", "a=b"],
    ["key: value", "key: value"],
    ['alert tcp any any -> any any (msg:"x"; sid:1;)', 'alert tcp any any -> any any (msg:"x"; sid:1;)'],
    ["*", "*"],
    ["&x", "&x"],
    ["2024-01-01", "2024-01-01"],
    [".inf", ".inf"],
    ["12345678901234567890", "12345678901234567890"],
    ['"5"', "5"],
    ["[1, two, {three: 3}]", [1, "two", { three: 3 }]],
    ['{"deny": ["tcp"]}', { deny: ["tcp"] }],
    ["@rules.txt", "permit all\n"],
    ['["@rules.txt"]', ["permit all\n"]],
    ["@@x", "@x"],
  ])("reads the value %j", (text, value) => {
    expect(overridden(`fw.rules=${text}`)).toMatchObject({ rules: value });
  });

  it("makes a file that it replaces unneeded", () => {
    const text = change("@rules.txt", "@lost.txt");
    expect(parse(text, { overrides: [parseOverride("fw.rules=x", readText)] }).faults).toEqual([]);
  });

  it("is named as the place of faults in its value", () => {
    const { locate } = parse(sound, { overrides: [parseOverride("fw.a.b={c: 1}", readText)] });
    expect(locate("/functions/fw/config/a/b/c")).toBe("--set fw.a.b");
    expect(locate("/functions/fw/config/rules")).toBe("edge.yaml:6:38");
  });

  it.each(["fw", "fw=1", ".a=1", "fw.=1", "fw.a..b=1", "fw.__proto__.x=1", "=", ""])("is not %j", (text) => {
    expect(listFaults(() => parseOverride(text, readText))).toEqual([
      expect.stringMatching(/^usage --set .*is not FUNCTION/),
    ]);
  });

  it("reports a value that cannot be read", () => {
    expect(listFaults(() => parseOverride("fw.a=[1", readText))[0]).toMatch(/^document-syntax --set fw\.a:1:/);
    expect(listFaults(() => parseOverride("fw.a=@lost", readText))[0]).toMatch(/^file-unreadable --set fw\.a "@lost"/);
  });

  it("reports a function or a place that does not exist", () => {
    const overrides = ["wf.a=1", "fw.list.7=x", "fw.rules.x=1"].map((text) => parseOverride(text, readText));
    expect(parseFaults(sound, { overrides })).toEqual([
      'unknown-function --set wf.a the chain has no function "wf"',
      'usage --set fw.list.7 "list" has no place for "7"',
      'usage --set fw.rules.x "rules" has no place for "x"',
    ]);
  });
});

describe("a document in plain JSON", () => {
  const text = JSON.stringify({
    chain: "edge",
    ports: { lan: { device: "lan0" } },
    paths: [{ from: "lam", to: "none" }],
  });

  it("is read as the same in YAML is, with the same places", () => {
    const plain = parseSource(text, "a.json");
    const spaced = parseSource(` ${text}`, "a.json");
    expect(plain.value).toEqual(spaced.value);
    expect(plain.locate("/paths/0/from")).toBe(`a.json:1:${text.indexOf('"lam"') + 1}`);
    expect(spaced.locate("/paths/0/from")).toBe(`a.json:1:${text.indexOf('"lam"') + 2}`);
  });

  it.each([
    ['{"chain":"a","chain":"b"}', "stands twice"],
    ['{"chain":1e999}', "finite"],
    [`{"chain":${"[".repeat(100)}${"]".repeat(100)}}`, "nested"],
  ])("is not read faster than its faults are found: %s", (wrong, what) => {
    const complain = () => parseSource(wrong, "a.json").faults.map((fault) => fault.what);
    let found: string;
    try {
      found = complain().join();
    } catch (error) {
      found = (error as Error).message;
    }
    expect(found).toContain(what);
  });
});
