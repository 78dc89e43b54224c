// The SDK's configuration reader against JSON.parse and ipaddr.js, and the paths of its complaints.
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type AssemblyModule, runAssembly } from "../support/assembly-module.ts";

const source = `
  import { Address, Config, Prefix, log } from "sluice/sdk";
  import { Json, Kind, readJson } from "sluice/sdk/json";

  function print(json: Json): string {
    if (json.kind == Kind.Null) return "null";
    if (json.kind == Kind.Flag) return json.flag ? "true" : "false";
    if (json.kind == Kind.Number) return "number:" + reinterpret<u64>(json.number).toString(16);
    if (json.kind == Kind.Text) return "text:" + escape(json.text);
    let inside = "";
    for (let i = 0; i < json.members.length; i++) {
      const key = json.kind == Kind.Object ? escape(json.members[i].key) + "=" : "";
      inside += (i > 0 ? "," : "") + key + print(json.members[i]);
    }
    if (json.kind == Kind.List) return "[" + inside + "]";
    return json.kind == Kind.Object ? "{" + inside + "}" : "absent";
  }

  function escape(text: string): string {
    let units = "";
    for (let i = 0; i < text.length; i++) units += text.charCodeAt(i).toString(16) + ".";
    return units;
  }

  export function parse(text: string): string { return print(readJson(text)); }

  export function address(text: string): string {
    const address = Address.parse(text);
    return address === null ? "none" : address.toString();
  }

  export function prefix(text: string): string {
    const prefix = Prefix.parse(text);
    return prefix === null ? "none" : prefix.toString();
  }

  export function contains(prefix: string, address: string): bool {
    return Prefix.parse(prefix)!.contains(Address.parse(address)!);
  }

  export function rules(json: string): bool {
    const config = Config.parse(json);
    log.info(config.textOr("name", "nameless") + " " + config.integerOr("limit", 7, 1, 100).toString());
    const rules = config.object("x").list("rules");
    for (let i = 0; i < rules.length; i++) {
      const rule = rules.at(i);
      const action = rule.choice("action", ["permit", "deny"]);
      const source = rule.prefix("source").toString();
      const ports = rule.range("ports", 1, 65535);
      const out = rule.has("out") ? rule.port("out") : 99;
      const to = rule.has("to") ? rule.branch("to") : 99;
      log.debug([action.toString(), source, ports.low.toString(), ports.high.toString(), out.toString(), to.toString()].join(" "));
      if (rule.flagOr("odd", false)) rule.get("odd").fail("is odd");
    }
    return config.accepted();
  }`;

let module: AssemblyModule;

beforeAll(async () => {
  module = await runAssembly(source, 4096);
});

beforeEach(() => {
  module.faults.length = 0;
  module.logged.length = 0;
});

const text = (name: string, ...args: string[]) =>
  module.readString(Number(module.exports[name]?.(...args.map(module.newString))));

/** What the AssemblyScript side prints, from the value that JSON.parse gives. */
function print(value: unknown): string {
  const units = (text: string) =>
    Array.from({ length: text.length }, (_, i) => `${text.charCodeAt(i).toString(16)}.`).join("");
  if (value === null || typeof value === "boolean") return String(value);
  if (typeof value === "number") {
    const bits = new DataView(new ArrayBuffer(8));
    bits.setFloat64(0, value);
    return `number:${bits.getBigUint64(0).toString(16)}`;
  }
  if (typeof value === "string") return `text:${units(value)}`;
  if (Array.isArray(value)) return `[${value.map(print).join(",")}]`;
  return `{${Object.entries(value as object)
    .map(([key, each]) => `${units(key)}=${print(each)}`)
    .join(",")}}`;
}

describe("the JSON reader", () => {
  it("reads what JSON.stringify writes, with or without white space", () => {
    const numbers = fc.oneof(
      fc.integer(),
      fc
        .double({ noNaN: true, noDefaultInfinity: true, min: -1e15, max: 1e15 })
        .map((n) => Math.round(n * 1000) / 1000),
    );
    const leaf = fc.oneof(fc.string({ unit: "binary" }), fc.boolean(), fc.constant(null), numbers);
    const { value } = fc.letrec((tie) => ({
      value: fc.oneof(
        { maxDepth: 4 },
        leaf,
        fc.array(tie("value"), { maxLength: 4 }),
        fc.dictionary(fc.string(), tie("value"), { maxKeys: 4 }),
      ),
    }));
    fc.assert(
      fc.property(value, fc.constantFrom(0, 1, "\t"), (json, space) => {
        const document = JSON.stringify(json, null, space);
        expect(text("parse", document)).toBe(print(JSON.parse(document)));
      }),
      { numRuns: 200 },
    );
  });

  it("refuses exactly what JSON.parse refuses", () => {
    const fragments = [
      "{",
      "}",
      "[",
      "]",
      ",",
      ":",
      '"',
      '"a"',
      "1",
      "-",
      "01",
      "1.",
      ".5",
      "1e",
      "1e5",
      "true",
      "nul",
      " ",
      "\\",
      '"\\u12"',
      '"\\x"',
      '"\t"',
    ];
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom(...fragments), { maxLength: 6 }).map((parts) => parts.join("")),
        (document) => {
          expect(text("parse", document) !== "absent", document).toBe(isJson(document));
        },
      ),
      { numRuns: 3000 },
    );
  });

  it("refuses a key that stands twice and nesting without end", () => {
    expect(text("parse", '{"a":1,"a":2}')).toBe("absent");
    expect(text("parse", "[".repeat(100) + "]".repeat(100))).toBe("absent");
    expect(module.faults).toEqual([
      ": is not valid JSON: the key 'a' is there twice at offset 11",
      ": is not valid JSON: nested too deeply at offset 65",
    ]);
  });
});

function isJson(document: string): boolean {
  try {
    JSON.parse(document);
    return true;
  } catch {
    return false;
  }
}

describe("addresses", () => {
  it("of IPv4 and IPv6 are read and printed as RFC 5952 says", () => {
    const octets = (length: number) => fc.uint8Array({ minLength: length, maxLength: length });
    // Zeros in runs, which is what makes the short form interesting.
    const sparse = fc
      .tuple(octets(16), fc.nat(0xffff))
      .map(([bytes, mask]) => bytes.map((byte, i) => ((mask >> i) & 1 ? byte : 0)));
    fc.assert(
      fc.property(fc.oneof(octets(4), octets(16), sparse), (bytes) => {
        const address = ipaddr.fromByteArray([...bytes]);
        const expected =
          address.kind() === "ipv6" && (address as ipaddr.IPv6).isIPv4MappedAddress()
            ? `::ffff:${(address as ipaddr.IPv6).toIPv4Address()}`
            : address.kind() === "ipv6"
              ? (address as ipaddr.IPv6).toRFC5952String()
              : address.toString();
        expect(text("address", expected)).toBe(expected);
        expect(text("address", address.toNormalizedString().toUpperCase())).toBe(expected);
      }),
      { numRuns: 400 },
    );
  });

  it.each([
    "",
    "1.2.3",
    "1.2.3.4.5",
    "1.2.3.256",
    "01.2.3.4",
    "1.2.3.4 ",
    ":",
    ":::",
    "1::2::3",
    "1:2:3:4:5:6:7",
    "1:2:3:4:5:6:7:8:9",
    "1:2:3:4:5:6:7::8:9",
    "g::",
    "12345::",
    "::1.2.3",
    "1.2.3.4::",
    "fe80::1%eth0",
  ])("do not include '%s'", (wrong) => expect(text("address", wrong)).toBe("none"));

  it("fill a gap of one group", () => {
    expect(text("address", "1:2:3:4:5:6:7::")).toBe("1:2:3:4:5:6:7:0");
    expect(text("address", "64:ff9b::192.0.2.1")).toBe("64:ff9b::c000:201");
  });

  it.each([
    ["10.1.2.3/8", "10.0.0.0/8"],
    ["10.0.0.1", "10.0.0.1/32"],
    ["0.0.0.0/0", "0.0.0.0/0"],
    ["2001:db8:ffff::/33", "2001:db8:8000::/33"],
    ["2001:db8::1:2/65", "2001:db8::/65"],
    ["::1", "::1/128"],
    ["ff::/0", "::/0"],
    ["10.0.0.0/33", "none"],
    ["::/129", "none"],
    ["10.0.0.0/", "none"],
    ["10.0.0.0/08", "none"],
    ["10.0.0.0/8/8", "none"],
  ])("with a length: %s is the prefix %s", (given, expected) => expect(text("prefix", given)).toBe(expected));

  it("are in a prefix as ipaddr.js says", () => {
    const octets = fc.uint8Array({ minLength: 16, maxLength: 16 });
    fc.assert(
      fc.property(octets, octets, fc.nat(128), fc.nat(128), fc.constantFrom(4, 16), (a, b, common, length, size) => {
        const bits = Math.min(length, size * 8);
        const other = a.map((byte, i) => (i * 8 + 8 <= common ? byte : (b[i] as number)));
        const [left, right] = [a, other].map((bytes) => ipaddr.fromByteArray([...bytes.slice(0, size)])) as [
          ipaddr.IPv6,
          ipaddr.IPv6,
        ];
        const inside = module.exports.contains?.(
          module.newString(`${left}/${bits}`),
          module.newString(right.toString()),
        );
        expect(inside === 1).toBe(right.match(left, bits));
      }),
    );
  });
});

describe("configuration", () => {
  const rules = (config: unknown) => module.exports.rules?.(module.newString(JSON.stringify(config))) === 1;
  const sound = { action: "deny", source: "10.0.0.0/8", ports: "80-90" };

  it("is read with its types and its defaults", () => {
    const config = {
      name: "edge",
      x: { rules: [sound, { action: "permit", source: "::/0", ports: 53, out: "wan", to: "suspect" }] },
    };
    expect(rules(config)).toBe(true);
    expect(module.faults).toEqual([]);
    expect(module.logged).toEqual(["1 edge 7", "0 1 10.0.0.0/8 80 90 99 99", "0 0 ::/0 53 53 1 0"]);
  });

  it.each([
    [{}, "/x", ""],
    [{ x: [] }, "/x", "must be an object, not a list"],
    [{ x: { rules: [3] } }, "/x/rules/0", "must be an object, not a number"],
    [
      { x: { rules: [sound, { ...sound, source: "10.0.0.1/8" }] } },
      "/x/rules/1/source",
      "has bits beyond the prefix's length; the prefix itself is '10.0.0.0/8'",
    ],
    [
      { x: { rules: [{ ...sound, source: "ten" }] } },
      "/x/rules/0/source",
      "must be an IPv4 or IPv6 prefix, as in '10.0.0.0/8' or '2001:db8::/32'",
    ],
    [{ x: { rules: [{ ...sound, source: 10 }] } }, "/x/rules/0/source", "must be text, not a number"],
    [
      { x: { rules: [{ ...sound, ports: "90-80" }] } },
      "/x/rules/0/ports",
      "must be a number or a range 'first-last' from 1 to 65535",
    ],
    [{ x: { rules: [{ ...sound, ports: 0 }] } }, "/x/rules/0/ports", "must be a whole number from 1 to 65535"],
    [{ x: { rules: [{ ...sound, ports: [] }] } }, "/x/rules/0/ports", "must be text, not a list"],
    [{ x: { rules: [{ ...sound, action: "allow" }] } }, "/x/rules/0/action", "must be one of: permit, deny"],
    [{ x: { rules: [{ ...sound, out: "dmz" }] } }, "/x/rules/0/out", "the chain has no port 'dmz'"],
    [{ x: { rules: [{ ...sound, to: "x" }] } }, "/x/rules/0/to", "the chain declares no branch 'x' for this function"],
    [{ x: { rules: [{ ...sound, "a/b~c": 1 }] } }, "/x/rules/0/a~1b~0c", "is not a known key"],
    [{ x: { rules: [] }, limit: 1.5 }, "/limit", "must be a whole number from 1 to 100"],
    [{ x: { rules: [] }, name: null }, "/name", "must be text, not null"],
    [{ x: { rules: [{ ...sound, odd: true }] } }, "/x/rules/0/odd", "is odd"],
  ])("%j is refused once, at %s", (config, path, message) => {
    expect(rules(config)).toBe(false);
    const expected = message === "" ? ": needs the key 'x'" : `${path}: ${message}`;
    expect(module.faults).toEqual([expected]);
  });

  it("has all its faults reported at once, a missing key at the object that needs it", () => {
    expect(rules({ nme: "x", x: { rules: [{ source: 1 }, sound, {}] } })).toBe(false);
    expect(module.faults).toEqual([
      "/x/rules/0: needs the key 'action'",
      "/x/rules/0/source: must be text, not a number",
      "/x/rules/0: needs the key 'ports'",
      "/x/rules/2: needs the key 'action'",
      "/x/rules/2: needs the key 'source'",
      "/x/rules/2: needs the key 'ports'",
      "/nme: is not a known key",
    ]);
  });

  it("that is thousandfold wrong is not complained of a thousand times", () => {
    expect(rules({ x: { rules: Array.from({ length: 1000 }, () => 1) } })).toBe(false);
    expect(module.faults).toHaveLength(100);
  });
});
