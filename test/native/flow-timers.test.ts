// Flow timers against a sorted list.
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { LineProgram } from "../support/line-program.ts";

const program = new LineProgram("flow_timers_harness");
afterAll(() => program.close());

type Taken = readonly [now: string, flow: number];
const SECOND = 1_000_000_000n;
const START = 1_700_000_000n * SECOND;
const NEVER = (1n << 64n) - 1n;

const set = (flow: number, deadline: bigint) => program.ask("set", flow, deadline);
const next = async () => BigInt(await program.ask<string>("next"));
const drain = async (now: bigint, room = 64) =>
  (await program.ask<Taken[]>("drain", now, room)).map(([, flow]) => flow);

/** The order in which flows expire: by deadline, equal ones by number. */
const inOrder = (deadlines: ReadonlyMap<number, bigint>) =>
  [...deadlines].toSorted(([a, x], [b, y]) => (x === y ? a - b : x < y ? -1 : 1));

const CAPACITY = 40;
const flow = fc.integer({ min: 1, max: CAPACITY });
/** Spans of all sizes that the wheel's levels have. */
const span = fc
  .tuple(fc.nat({ max: 50 }), fc.nat({ max: 255 }))
  .map(([bits, salt]) => (1n << BigInt(bits)) + BigInt(salt));
const room = fc.integer({ min: 1, max: 8 });
const step = fc.oneof(
  { weight: 5, arbitrary: fc.record({ verb: fc.constant("set" as const), flow, span }) },
  { weight: 1, arbitrary: fc.record({ verb: fc.constant("clear" as const), flow }) },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant("drain" as const), span, room }) },
);

describe("flow timers", () => {
  it("let flows expire when a sorted list would, in its order, whatever the room", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 120, size: "max" }), async (steps) => {
        await program.ask("make", CAPACITY, START);
        const deadlines = new Map<number, bigint>();
        let now = START;
        for (const one of steps) {
          if (one.verb === "set") {
            deadlines.set(one.flow, now + one.span);
            await set(one.flow, now + one.span);
          } else if (one.verb === "clear") {
            deadlines.delete(one.flow);
            await program.ask("clear", one.flow);
          } else {
            now += one.span;
            const expected = inOrder(deadlines).filter(([, deadline]) => deadline <= now);
            expect(await drain(now, one.room)).toEqual(expected.map(([flow]) => flow));
            for (const [flow] of expected) deadlines.delete(flow);
          }
          const [earliest] = inOrder(deadlines);
          const lowerBound = await next();
          if (earliest === undefined) expect(lowerBound).toBe(NEVER);
          else expect(lowerBound <= earliest[1]).toBe(true);
        }
      }),
      { numRuns: 400 },
    );
  });

  it("meet every deadline to the nanosecond when the clock jumps from one next time to the next", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(flow, span), { maxLength: 60, size: "max" }), room, async (sets, room) => {
        await program.ask("make", CAPACITY, START);
        const deadlines = new Map<number, bigint>();
        for (const [flow, span] of sets) {
          deadlines.set(flow, START + span);
          await set(flow, START + span);
        }
        const taken = await program.ask<Taken[]>("jump", room);
        expect(taken.map(([now, flow]) => [flow, BigInt(now)])).toEqual(inOrder(deadlines));
      }),
      { numRuns: 200 },
    );
  });

  it("take equal deadlines by number, however many", async () => {
    await program.ask("make", 5000, START);
    const flows = Array.from({ length: 5000 }, (_, i) => ((i * 1237) % 5000) + 1);
    await program.askAll(flows.map((flow) => ["set", flow, START + SECOND]));
    expect(await drain(START + SECOND)).toEqual(flows.toSorted((a, b) => a - b));
  });

  it("never take a flow early, nor one whose deadline moved away after its time had nearly come", async () => {
    await program.ask("make", 4, START);
    await set(1, START + 1000n);
    await set(2, START + 1001n);
    expect(await drain(START + 999n)).toEqual([]);
    await set(1, START + 2000n);
    expect(await drain(START + 1500n)).toEqual([2]);
    expect(await drain(START + 2000n)).toEqual([1]);
  });

  it("take a deadline that is already over at once", async () => {
    await program.ask("make", 4, START);
    await set(1, START - SECOND);
    await set(2, 0n);
    expect(await next()).toBeLessThanOrEqual(START);
    expect(await drain(START)).toEqual([1, 2]);
  });

  it("do a bounded part of the work in one call, and say that there is more", async () => {
    await program.ask("make", 2000, START);
    const flows = Array.from({ length: 2000 }, (_, i) => i + 1);
    await program.askAll(flows.map((flow) => ["set", flow, START + SECOND + BigInt(flow)]));
    const now = START + 2n * SECOND;
    expect(await program.ask<Taken[]>("expired", now, 64)).toEqual([]);
    expect((await next()) <= now).toBe(true);
    expect(await drain(now)).toEqual(flows);
    expect(await next()).toBe(NEVER);
  });

  it("bear the clock's whole range", async () => {
    await program.ask("make", 4, 0);
    await set(1, NEVER - 1n);
    await set(2, START);
    await set(3, 1n);
    const taken = await program.ask<Taken[]>("jump", 4);
    expect(taken).toEqual([
      ["1", 3],
      [String(START), 2],
      [String(NEVER - 1n), 1],
    ]);
  });
});

describe("the list of unassured flows", () => {
  const oldest = () => program.ask<number>("oldest");
  const act = fc.record({ verb: fc.constantFrom("add", "remove"), flow });

  it("gives the one that has been in it longest", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(act, { maxLength: 100, size: "max" }), async (acts) => {
        await program.ask("make", CAPACITY, 0);
        const list = new Set<number>();
        for (const { verb, flow } of acts) {
          await program.ask(verb, flow);
          if (verb === "add") list.add(flow);
          else list.delete(flow);
          expect(await oldest()).toBe(list.values().next().value ?? 0);
        }
      }),
      { numRuns: 200 },
    );
  });

  it("has nothing to do with deadlines", async () => {
    await program.ask("make", 4, START);
    await program.ask("add", 2);
    await set(2, START + 1n);
    expect(await drain(START + 1n)).toEqual([2]);
    expect(await oldest()).toBe(2);
  });
});
