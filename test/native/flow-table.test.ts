// The flow table against a plain Map.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { LineProgram } from "../support/line-program.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const program = new LineProgram("flow_table_harness");
afterAll(() => program.close());

type Hit = readonly [flow: number, tuple: number, direction: number];
const NONE: Hit = [0, 0, 0];

interface Recovery {
  readonly fresh: boolean;
  readonly kept: number;
  readonly dropped: number;
}

/** 48 bytes, another key for each number; even ones are IPv4. */
function keyOf(number: number): string {
  const key = new Uint8Array(48);
  new DataView(key.buffer).setUint32(0, number * 2654435761);
  new DataView(key.buffer).setUint32(20, number);
  key[40] = 6;
  key[41] = number % 2 === 0 ? 4 : 6;
  return key.toHex();
}

const open = (file: string, capacity: number, seed = 1) => program.ask<Recovery>("open", file, capacity, seed);
const insert = (key: number, side = 0) => program.ask<number>("insert", keyOf(key), side);
const bind = (flow: number, key: number, side = 0) => program.ask<boolean>("bind", flow, keyOf(key), side);
const remove = (flow: number) => program.ask<null>("remove", flow);
const find = async (key: number, side = 0) => (await program.ask<Hit[]>("find", keyOf(key), side))[0];
const count = () => program.ask<{ size: number; used: number }>("count");

/** What the table should do, on a Map from key to flow, tuple and the side that sends in direction 0. */
class Model {
  readonly tuples = new Map<number, { flow: number; tuple: 0 | 1; side: number }>();
  readonly flows = new Map<number, { first: number; second?: number }>();

  insert(flow: number, key: number, side: number): void {
    this.flows.set(flow, { first: key });
    this.tuples.set(key, { flow, tuple: 0, side });
  }

  bind(flow: number, key: number, side: number): boolean {
    const keys = this.flows.get(flow);
    const holder = this.tuples.get(key);
    if (keys === undefined || (holder !== undefined && holder.flow !== flow)) return false;
    if (keys.second !== undefined) this.tuples.delete(keys.second);
    if (key === keys.first) {
      this.flows.set(flow, { first: key });
    } else {
      this.flows.set(flow, { first: keys.first, second: key });
      this.tuples.set(key, { flow, tuple: 1, side: 1 - side });
    }
    return true;
  }

  remove(flow: number): void {
    const keys = this.flows.get(flow);
    if (keys === undefined) return;
    this.tuples.delete(keys.first);
    if (keys.second !== undefined) this.tuples.delete(keys.second);
    this.flows.delete(flow);
  }

  find(key: number, side: number): Hit {
    const found = this.tuples.get(key);
    return found === undefined ? NONE : [found.flow, found.tuple, side ^ found.side];
  }
}

const KEYS = 40;
const key = fc.nat({ max: KEYS - 1 });
const side = fc.nat({ max: 1 });
const flow = fc.nat({ max: 14 });
const step = fc.oneof(
  { weight: 4, arbitrary: fc.record({ verb: fc.constant("insert" as const), key, side }) },
  { weight: 3, arbitrary: fc.record({ verb: fc.constant("bind" as const), flow, key, side }) },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant("remove" as const), flow }) },
  { weight: 1, arbitrary: fc.constant({ verb: "reopen" as const }) },
);
type Step = typeof step extends fc.Arbitrary<infer Value> ? Value : never;

async function run(model: Model, one: Step, file: string, capacity: number): Promise<void> {
  if (one.verb === "reopen") {
    const recovery = await open(file, capacity);
    expect(recovery).toEqual({ fresh: false, kept: model.flows.size, dropped: 0 });
  } else if (one.verb === "remove") {
    await remove(one.flow);
    model.remove(one.flow);
  } else if (one.verb === "bind") {
    expect(await bind(one.flow, one.key, one.side)).toBe(model.bind(one.flow, one.key, one.side));
  } else if (!model.tuples.has(one.key)) {
    const inserted = await insert(one.key, one.side);
    expect(inserted > 0).toBe(model.flows.size < capacity);
    expect(model.flows.has(inserted)).toBe(false);
    if (inserted > 0) model.insert(inserted, one.key, one.side);
  }
}

async function compare(model: Model, capacity: number): Promise<void> {
  const all = Array.from({ length: KEYS * 2 }, (_, i) => [i >> 1, i & 1] as const);
  const hits = await program.ask<Hit[]>("find", ...all.flatMap(([key, side]) => [keyOf(key), side]));
  expect(hits).toEqual(all.map(([key, side]) => model.find(key, side)));
  expect((await count()).size).toBe(model.flows.size);
  const numbers = Array.from({ length: capacity + 2 }, (_, flow) => flow);
  const keys = await program.askAll<string | null>(
    numbers.flatMap((flow) => [0, 1].map((tuple) => ["key", flow, tuple])),
  );
  const text = (key: number | undefined) => (key === undefined ? null : keyOf(key));
  expect(keys).toEqual(
    numbers.flatMap((flow) => [model.flows.get(flow)?.first, model.flows.get(flow)?.second].map(text)),
  );
}

describe("the flow table", () => {
  it("does what a Map would do, also when it is taken over in between", async () => {
    const folder = makeFolder();
    let runs = 0;
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 12 }),
        fc.array(step, { maxLength: 80, size: "max" }),
        async (capacity, steps) => {
          const file = join(folder, `flows-${++runs}`);
          expect(await open(file, capacity)).toEqual({ fresh: true, kept: 0, dropped: 0 });
          const model = new Model();
          for (const one of steps) {
            await run(model, one, file, capacity);
            await compare(model, capacity);
          }
        },
      ),
      { numRuns: 150 },
    );
  });

  it("finds a flow from both sides, by both its tuples", async () => {
    await open("-", 8);
    const flow = await insert(1, 1);
    expect(await bind(flow, 2, 1)).toBe(true);
    expect([await find(1, 1), await find(1, 0)]).toEqual([
      [flow, 0, 0],
      [flow, 0, 1],
    ]);
    expect([await find(2, 1), await find(2, 0)]).toEqual([
      [flow, 1, 1],
      [flow, 1, 0],
    ]);
  });

  it("does not let a flow take another's key, and lets it replace its own", async () => {
    await open("-", 8);
    const [first, second] = [await insert(1), await insert(2)];
    expect(await bind(second, 1)).toBe(false);
    expect(await bind(first, 3)).toBe(true);
    expect(await bind(second, 3)).toBe(false);
    expect(await bind(first, 4)).toBe(true);
    expect(await find(3)).toEqual(NONE);
    expect(await bind(second, 3)).toBe(true);
    expect([await find(3), await find(4)]).toEqual([
      [second, 1, 1],
      [first, 1, 1],
    ]);
  });

  it("holds as many flows as it was made for, each with both its tuples, and then refuses", async () => {
    const capacity = 20_000;
    await open("-", capacity, 99);
    const flows = await program.askAll<number>(Array.from({ length: capacity }, (_, i) => ["insert", keyOf(2 * i), 0]));
    expect(new Set(flows).size).toBe(capacity);
    const bound = await program.askAll<boolean>(flows.map((flow, i) => ["bind", flow, keyOf(2 * i + 1), 1]));
    expect(bound.every(Boolean)).toBe(true);
    expect(await insert(2 * capacity)).toBe(0);
    const found = await program.askAll<Hit[]>(
      flows.map((_, i) => ["find", keyOf(2 * i), 0, keyOf(2 * i + 1), 0, keyOf(2 * capacity + i), 0]),
    );
    expect(found).toEqual(flows.map((flow) => [[flow, 0, 0], [flow, 1, 0], NONE]));
    await remove(flows[777] as number);
    expect(await insert(2 * capacity)).toBe(flows[777]);
  });

  it("lets a number rest before it is used again, while others are free", async () => {
    await open("-", 4096);
    const first = await insert(1);
    await remove(first);
    const next = await program.askAll<number>(Array.from({ length: 500 }, (_, i) => ["insert", keyOf(i + 2), 0]));
    expect(next).not.toContain(first);
  });

  it("takes no more memory than the flows of its busiest time", async () => {
    await open("-", 4096);
    for (let i = 0; i < 3000; i++) await remove(await insert(i));
    expect((await count()).used).toBeLessThan(1100);
  });

  it.each([1, 2, 3])("spreads keys that count up as chance would (seed %i)", async (seed) => {
    const tuples = 1 << 17;
    // Of buckets with 12 places and 8 tuples on average, 6.4 % go on in another one (Poisson).
    const expected = (tuples / 8) * 0.0638;
    const overflow = await program.ask<number>("spread", seed, tuples);
    expect(overflow).toBeGreaterThan(expected * 0.9);
    expect(overflow).toBeLessThan(expected * 1.1);
  });
});

describe("a flow table's file", () => {
  const TUPLES_OFFSET = 4096;
  const TUPLE_BYTES = 64;

  async function write(path: string, keys: readonly number[], capacity = 16): Promise<void> {
    await open(path, capacity);
    for (const key of keys) await insert(key);
    await open("-", 1);
  }

  it("is formatted anew when it was made for another capacity", async () => {
    const path = join(makeFolder(), "flows");
    await write(path, [1, 2, 3]);
    expect(await open(path, 17)).toEqual({ fresh: true, kept: 0, dropped: 0 });
    expect(await find(1)).toEqual(NONE);
    expect(await open(path, 16)).toEqual({ fresh: true, kept: 0, dropped: 0 });
  });

  it("keeps its seed: another one makes no difference to what is there", async () => {
    const path = join(makeFolder(), "flows");
    await write(path, [1, 2, 3]);
    expect(await open(path, 16, 555)).toEqual({ fresh: false, kept: 3, dropped: 0 });
    expect(await find(2)).toEqual([2, 0, 0]);
  });

  it("loses a flow of which any byte of its key is wrong, and no other", async () => {
    const path = join(makeFolder(), "flows");
    await write(path, [1, 2, 3]);
    const whole = readFileSync(path);
    for (let byte = 0; byte < 48; byte++) {
      const spoilt = Buffer.from(whole);
      const at = TUPLES_OFFSET + 2 * TUPLE_BYTES + byte;
      spoilt.writeUInt8(spoilt.readUInt8(at) ^ (1 << (byte % 8)), at);
      writeFileSync(path, spoilt);
      expect(await open(path, 16)).toEqual({ fresh: false, kept: 2, dropped: 1 });
      expect([await find(1), await find(2), await find(3)]).toEqual([[1, 0, 0], NONE, [3, 0, 0]]);
    }
  });

  it("is formatted when it is shorter than it has to be, or holds something else", async () => {
    const path = join(makeFolder(), "flows");
    writeFileSync(path, "not a flow table");
    expect(await open(path, 16)).toEqual({ fresh: true, kept: 0, dropped: 0 });
    expect(await insert(5)).toBe(1);
  });
});
