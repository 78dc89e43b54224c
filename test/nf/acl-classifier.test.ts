import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { BATCH_CAPACITY, MEMORY_BASE, VERDICT_NEXT, WASM_PAGE_BYTES } from "../../nfs/sdk/abi.ts";
import { parseDscp, parseEtherType, parseIpProto, parsePortRange } from "../../runtime/chain/protocols.ts";
import type { FunctionPackage } from "../../runtime/function/catalog.ts";
import { BareFunction, type BareResult } from "../support/bare-function.ts";
import { loadBuiltIn } from "../support/built-in.ts";
import { findRule } from "../support/linear-acl.ts";
import {
  type Dice,
  generateHeaders,
  generateRules,
  type Header,
  parsePrefixRange,
  type Rule,
  ruleSetKinds,
  seedDice,
} from "../support/rule-sets.ts";

let acl: FunctionPackage;
beforeAll(async () => {
  acl = await loadBuiltIn("acl");
});

function openAcl(rules: readonly Rule[], pages = acl.manifest.memoryPages): BareFunction {
  return new BareFunction(acl.wasm, pages, { permitAddressResolution: false, rules });
}

/** What the acl says of the header, and what trying one rule after the other says. */
function compareWithLinear(rules: readonly Rule[], headers: readonly Header[], acl: BareFunction): void {
  for (let first = 0; first < headers.length; first += BATCH_CAPACITY) {
    const batch = headers.slice(first, first + BATCH_CAPACITY);
    const said = acl.process(batch);
    batch.forEach((header, index) => {
      const expected = describeRule(rules, findRule(rules, header));
      const actual = describeResult(said[index] as BareResult);
      if (actual !== expected) expect({ header, said: actual }).toEqual({ header, said: expected });
    });
  }
}

function describeRule(rules: readonly Rule[], index: number): string {
  if (index < 0) return "default 0";
  return rules[index]?.action === "deny" ? `rule ${index + 1}` : "next";
}

function describeResult({ verdict, reason, detail }: BareResult): string {
  return verdict === VERDICT_NEXT ? "next" : `${reason} ${detail}`;
}

// ---- small worlds, in which rules overlap and frames stand at the borders ----

const prefix4 = fc
  .tuple(fc.constantFrom("10.0.0.0", "10.0.0.129", "10.255.255.255", "0.0.0.0", "255.255.255.255"), fc.nat(32))
  .map(([address, length]) => maskText(address, length));
const prefix6 = fc
  .tuple(
    fc.constantFrom("::", "2001:db8::", "2001:db8::1", "2001:db8:0:1::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
    fc.oneof(fc.nat(128), fc.constantFrom(63, 64, 65, 127, 128)),
  )
  .map(([address, length]) => maskText(address, length));
const port = fc.constantFrom(0, 1, 53, 255, 256, 1023, 1024, 65534, 65535);
const portRange = fc.tuple(port, port).map(([a, b]) => `${Math.min(a, b)}-${Math.max(a, b)}`);
const list = <Value>(value: fc.Arbitrary<Value>) => fc.array(value, { minLength: 1, maxLength: 3 });
const addresses = list(fc.oneof(prefix4, prefix6));

const rule = fc.record(
  {
    action: fc.constantFrom("permit" as const, "deny" as const),
    sources: addresses,
    destinations: addresses,
    sourcePorts: list(fc.oneof(port, portRange)),
    destinationPorts: list(fc.oneof(port, portRange)),
    ipProtos: list(fc.constantFrom("tcp", "udp", "icmp", 0, 132, 255)),
    vlans: list(fc.constantFrom(0, 1, 4094)),
    dscps: list(fc.constantFrom("cs0", "ef", 63)),
    etherTypes: list(fc.constantFrom("arp", "ipv4", "ipv6", "0xffff", 0x600)),
    laterFragments: fc.boolean(),
  },
  { requiredKeys: ["action"] },
) as fc.Arbitrary<Rule>;

function maskText(address: string, length: number): string {
  const { bits, first } = parsePrefixRange(`${address}/${Math.min(length, address.includes(":") ? 128 : 32)}`);
  const hex = first.toString(16).padStart(bits / 4, "0");
  const text =
    bits === 32
      ? hex
          .match(/../g)
          ?.map((byte) => Number.parseInt(byte, 16))
          .join(".")
      : hex.match(/.{4}/g)?.join(":");
  return `${text}/${length}`;
}

/** Headers whose every value is at, or one beyond, the border of some rule's condition. */
function headersAtBorders(rules: readonly Rule[], count: number, dice: Dice): Header[] {
  const around = (values: readonly (readonly [bigint, bigint])[], largest: bigint) => [
    0n,
    largest,
    ...values.flatMap(([first, last]) => [first, last, first - 1n, last + 1n]).filter((v) => v >= 0n && v <= largest),
  ];
  const prefixes = (bits: 32 | 128) =>
    rules
      .flatMap(({ sources = [], destinations = [] }) => [...sources, ...destinations])
      .map(parsePrefixRange)
      .filter((range) => range.bits === bits)
      .map(({ first, last }) => [first, last] as const);
  const numbers = (
    lists: readonly (readonly (string | number)[] | undefined)[],
    parse: (value: string | number) => readonly [number, number] | number | undefined,
  ) =>
    lists
      .flatMap((values = []) => values.map(parse))
      .map((value) => {
        const [first, last] = typeof value === "number" ? [value, value] : (value ?? [0, 0]);
        return [BigInt(first), BigInt(last)] as const;
      });
  const pool = {
    4: around(prefixes(32), 2n ** 32n - 1n),
    6: around(prefixes(128), 2n ** 128n - 1n),
    port: around(
      numbers(
        rules.flatMap((each) => [each.sourcePorts, each.destinationPorts]),
        parsePortRange,
      ),
      65535n,
    ),
    ipProto: [
      6n,
      17n,
      ...around(
        numbers(
          rules.map((each) => each.ipProtos),
          parseIpProto,
        ),
        255n,
      ),
    ],
    vlan: around(
      numbers(
        rules.map((each) => each.vlans),
        Number,
      ),
      4095n,
    ),
    dscp: around(
      numbers(
        rules.map((each) => each.dscps),
        parseDscp,
      ),
      63n,
    ),
    etherType: around(
      numbers(
        rules.map((each) => each.etherTypes),
        parseEtherType,
      ),
      65535n,
    ),
  };
  const pick = (values: readonly bigint[]) => values[dice(values.length)] as bigint;
  return Array.from({ length: count }, () => {
    const ipVersion = ([4, 4, 6, 6, 0] as const)[dice(5)] as 0 | 4 | 6;
    return {
      ipVersion,
      source: ipVersion === 0 ? 0n : pick(pool[ipVersion]),
      destination: ipVersion === 0 ? 0n : pick(pool[ipVersion]),
      sourcePort: Number(pick(pool.port)),
      destinationPort: Number(pick(pool.port)),
      ipProto: Number(pick(pool.ipProto)),
      vlan: dice(2) === 0 ? -1 : Number(pick(pool.vlan)),
      dscp: Number(pick(pool.dscp)),
      etherType: ipVersion === 4 ? 0x0800 : ipVersion === 6 ? 0x86dd : Number(pick(pool.etherType)),
      // Not 8: that is a fragment of another kind for TCP.
      fragmentOffset: ipVersion !== 0 && dice(4) === 0 ? 1480 : 0,
    };
  });
}

describe("the classifier of acl", () => {
  it("finds the same rule as trying one after the other, at every border", () => {
    const world = fc.tuple(fc.array(rule, { maxLength: 90 }), fc.nat());
    fc.assert(
      fc.property(world, ([rules, seed]) => {
        const acl = openAcl(rules);
        expect(acl.faults).toEqual([]);
        compareWithLinear(rules, headersAtBorders(rules, 2 * BATCH_CAPACITY, seedDice(seed)), acl);
      }),
      { numRuns: 60 },
    );
  });

  it.each(ruleSetKinds)("finds the same rule as trying one after the other in 1 000 rules (%s)", (kind) => {
    const rules = generateRules(kind, 1000, 11);
    compareWithLinear(rules, generateHeaders(rules, 4 * BATCH_CAPACITY, 12), openAcl(rules));
  });

  it.each(ruleSetKinds)("stays within its bounds with 10 000 rules (%s)", (kind) => {
    const rules = generateRules(kind, 10_000, 21);
    const acl = openAcl(rules);
    expect(acl.faults).toEqual([]);
    const { kibibytes, rows, blocks, reads } = readReport(acl);
    const values = rules.reduce((sum, each) => sum + Object.values(each).flat().length - 1, 0);
    const words = Math.ceil(rules.length / 64);
    expect(rows).toBeLessThanOrEqual(2 * values + 13);
    expect(blocks).toBeLessThanOrEqual(2 * values + 13 * Math.ceil(words / 8));
    // Rows, blocks, keys and row addresses, lower halves of IPv6 addresses, tries.
    expect(kibibytes).toBeLessThanOrEqual((rows * (104 + 24) + blocks * 64 + values * 2 * 192) / 1024 + 2048);
    // Two loads for each of 157 words in each of nine fields, and what it takes to get there.
    expect(reads).toBeLessThanOrEqual(9 * (2 * words + 5) + 2 * words + 64);
    compareWithLinear(rules, generateHeaders(rules, BATCH_CAPACITY, 22), acl);
  });

  it.each(ruleSetKinds)("is refused, and does not trap, where memory is short for its tables (%s)", (kind) => {
    const rules = generateRules(kind, 1000, 31);
    const used = pagesUsed(openAcl(rules));
    const tight = Array.from({ length: 3 }, (_, less) => openAcl(rules, used - less));
    for (const { faults, accepted } of tight) {
      expect(accepted).toBe(false);
      expect(faults).toEqual([expect.stringMatching(/^\/rules: may need \d+ MiB of tables; there are \d+$/)]);
    }
  });

  it("refuses more rules than it has room for", () => {
    const acl = openAcl(Array.from({ length: 20_001 }, () => ({ action: "permit" as const })));
    expect(acl.accepted).toBe(false);
    expect(acl.faults).toContain("/rules: has 20001 rules; at most 20000 can be");
  });
});

/** Of the function's own memory. */
function pagesUsed(acl: BareFunction): number {
  return Math.ceil((acl.exports.__new(16, 1) - MEMORY_BASE) / WASM_PAGE_BYTES);
}

function readReport(acl: BareFunction) {
  const pattern = /in (\d+) KiB of tables \((\d+) rows, (\d+) blocks\); a frame costs at most (\d+) reads/;
  const [, kibibytes, rows, blocks, reads] = (pattern.exec(acl.logged[0] ?? "") ?? []).map(Number);
  if (kibibytes === undefined || rows === undefined || blocks === undefined || reads === undefined) {
    throw new Error(`the acl reports "${acl.logged[0]}"`);
  }
  return { kibibytes, rows, blocks, reads };
}
