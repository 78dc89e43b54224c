import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as abi from "../../nfs/sdk/abi.ts";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { type OverlapPolicy, StreamModel, type StreamPart } from "../support/stream-model.ts";
import { type Answer, type Chunk, endLine, pushLine, StreamTable } from "../support/stream-table.ts";

let table: StreamTable;
beforeAll(() => {
  table = new StreamTable();
});
afterAll(() => table.close());

const WRAP = 2 ** 32;
const runs = (count: number) => ({ numRuns: count });

/** The sequence number of the SYN; often one after which the numbers wrap soon. */
const initialSequence = fc.oneof(
  fc.integer({ min: 0, max: WRAP - 1 }),
  fc.integer({ min: 1, max: 8000 }).map((before) => WRAP - before),
);

const line = (initial: number, words: string, offset = 0): Uint8Array =>
  encodePacket(`tcp 10.0.0.1:1234 > 10.0.0.2:80 ${words} seq ${(initial + offset) % WRAP}`);

const syn = (initial: number): string => pushLine({ bytes: line(initial, "syn") });

function dataFrame(initial: number, { offset, bytes }: StreamPart): Uint8Array {
  const payload = bytes.length === 0 ? "" : `payload ${Buffer.from(bytes).toString("hex")}`;
  return line(initial, `ack 1 ${payload}`, offset + 1);
}

interface Delivery {
  readonly bytes: number[];
  /** By offset, without the bytes of gaps. */
  readonly at: Map<number, number>;
  readonly missing: number;
  readonly ended: boolean;
}

/** Puts the chunks of one direction together; fails if they do not follow upon each other. */
function assemble(chunks: readonly Chunk[]): Delivery {
  const at = new Map<number, number>();
  let next = 0;
  let missing = 0;
  for (const [index, { offset, gap, flags, data }] of chunks.entries()) {
    expect(offset).toBe(next + gap);
    expect((flags & abi.CHUNK_FLAG_START) !== 0).toBe(index === 0);
    expect((flags & abi.CHUNK_FLAG_END) === 0 || index === chunks.length - 1).toBe(true);
    missing += gap;
    const bytes = Buffer.from(data, "hex");
    bytes.forEach((byte, place) => {
      at.set(offset + place, byte);
    });
    next = offset + bytes.length;
  }
  const ended = ((chunks.at(-1)?.flags ?? 0) & abi.CHUNK_FLAG_END) !== 0;
  return { bytes: [...at.values()], at, missing, ended };
}

const chunksOf = (answers: readonly Answer[]): Chunk[] => answers.flatMap(({ chunks }) => [...chunks]);

const byteAt = (seed: number, offset: number): number => (offset * 167 + (offset >> 8) * 91 + seed) & 0xff;

type Range = readonly [from: number, to: number];

/** Ranges that cover [0, length), with duplicates and overlaps, in any order. */
function coveringRanges(length: number): fc.Arbitrary<Range[]> {
  const place = fc.nat(length);
  const cover = fc.uniqueArray(place, { maxLength: 24 }).map((places): Range[] => {
    const cuts = [0, ...places, length].sort((a, b) => a - b);
    return cuts.slice(1).map((to, index) => [cuts[index] ?? 0, to]);
  });
  const more = fc.array(
    fc.tuple(place, place).map(([a, b]): Range => [Math.min(a, b), Math.max(a, b)]),
    { maxLength: 12 },
  );
  return fc
    .tuple(cover, more)
    .chain(([pieces, extra]) =>
      fc.shuffledSubarray([...pieces, ...extra], { minLength: pieces.length + extra.length }),
    );
}

/** As segments, none longer than fits a slot of the UMEM. */
const partsOf = (seed: number, ranges: readonly Range[]): StreamPart[] =>
  ranges.flatMap(([from, to]) => {
    const count = Math.max(Math.ceil((to - from) / 1460), 1);
    return Array.from({ length: count }, (_, index) => {
      const offset = from + index * 1460;
      const length = Math.min(1460, to - offset);
      return { offset, bytes: Uint8Array.from({ length }, (_, place) => byteAt(seed, offset + place)) };
    });
  });

const policy = fc.constantFrom<OverlapPolicy[]>("first", "last");

const cases = fc.integer({ min: 0, max: 9000 }).chain((length) =>
  fc.record({
    length: fc.constant(length),
    seed: fc.nat(255),
    ranges: coveringRanges(length),
    initial: initialSequence,
    policy,
    rooms: fc.array(fc.constantFrom(0, 1, 2, 1024), { minLength: 1, maxLength: 8 }),
    batches: fc.array(fc.boolean(), { minLength: 1, maxLength: 8 }),
  }),
);

describe("segments with the same bytes wherever they overlap", () => {
  it("deliver exactly the stream, in any order, with any room for chunks", async () => {
    await fc.assert(
      fc.asyncProperty(cases, fc.nat(), async ({ length, seed, ranges, initial, policy, rooms, batches }, finPlace) => {
        const pushes = partsOf(seed, ranges).map((part, index) =>
          pushLine({ bytes: dataFrame(initial, part), room: rooms[index % rooms.length] }),
        );
        pushes.splice(finPlace % (pushes.length + 1), 0, pushLine({ bytes: line(initial, "fin ack 1", length + 1) }));
        const commands = pushes.flatMap((push, index) => (batches[index % batches.length] ? ["batch", push] : [push]));
        const answers = await table.run({ overlap: policy }, [syn(initial), ...commands, endLine(), "batch"]);
        const chunks = chunksOf(answers);
        const { at, missing, ended } = assemble(chunks);
        expect([at.size, missing, ended]).toEqual([length, 0, true]);
        expect([...at].every(([offset, byte]) => byte === byteAt(seed, offset))).toBe(true);
        expect(chunks.some(({ flags }) => (flags & abi.CHUNK_FLAG_AMBIGUOUS) !== 0)).toBe(false);
        expect(answers.at(-1)?.buffered).toBe(0);
      }),
      runs(400),
    );
  });

  it("deliver what came, and report exactly what did not", async () => {
    const losses = fc.array(fc.boolean(), { minLength: 1 });
    await fc.assert(
      fc.asyncProperty(cases, losses, async ({ seed, ranges, initial, policy }, lost) => {
        const parts = partsOf(seed, ranges).filter((_, index) => !lost[index % lost.length]);
        const pushes = parts.map((part) => pushLine({ bytes: dataFrame(initial, part) }));
        const answers = await table.run({ overlap: policy }, [syn(initial), ...pushes, endLine(), "batch"]);
        const { at, missing } = assemble(chunksOf(answers));
        const came = new Set(parts.flatMap(({ offset, bytes }) => [...bytes.keys()].map((index) => offset + index)));
        expect(at.size).toBe(came.size);
        expect([...at].every(([offset, byte]) => came.has(offset) && byte === byteAt(seed, offset))).toBe(true);
        expect(missing).toBe(Math.max(-1, ...came) + 1 - came.size);
        expect(answers.at(-1)?.buffered).toBe(0);
      }),
      runs(300),
    );
  });

  it("are never buffered beyond the limits, and nothing false is delivered", async () => {
    const limits = fc.record({
      bufferBytes: fc.integer({ min: 0, max: 5 * 2048 }),
      perFlowBytes: fc.integer({ min: 0, max: 4 * 2048 }),
    });
    await fc.assert(
      fc.asyncProperty(cases, limits, async ({ length, seed, ranges, initial, policy, rooms }, options) => {
        const pushes = partsOf(seed, ranges).flatMap((part, index) => [
          pushLine({ bytes: dataFrame(initial, part), room: rooms[index % rooms.length] }),
          "batch",
        ]);
        const answers = await table.run({ overlap: policy, ...options }, [syn(initial), ...pushes, endLine(), "batch"]);
        const { at } = assemble(chunksOf(answers));
        expect([...at].every(([offset, byte]) => offset < length && byte === byteAt(seed, offset))).toBe(true);
        // Within a batch, what its chunks lie in comes on top of what waits.
        const waiting = answers.filter((_, index) => index % 2 === 0).map(({ buffered }) => buffered);
        expect(Math.max(...waiting)).toBeLessThanOrEqual(options.perFlowBytes);
        expect(Math.max(...answers.map(({ buffered }) => buffered))).toBeLessThanOrEqual(options.bufferBytes);
        expect(answers.at(-1)?.buffered).toBe(0);
      }),
      runs(300),
    );
  });
});

describe("segments with different bytes where they overlap", () => {
  // Few values and few places, so that copies often differ and often do not.
  const contradictory = (places: number, longest: number) =>
    fc.array(
      fc.record({
        offset: fc.nat(places),
        bytes: fc.uint8Array({ min: 97, max: 98, minLength: 1, maxLength: longest }),
      }),
      { minLength: 1, maxLength: 40 },
    );

  async function check(parts: readonly StreamPart[], initial: number, policy: OverlapPolicy): Promise<void> {
    const model = new StreamModel(policy);
    for (const part of parts) model.push(part);
    const pushes = parts.flatMap((part) => ["batch", pushLine({ bytes: dataFrame(initial, part) })]);
    const answers = await table.run({ overlap: policy }, [syn(initial), ...pushes]);
    const chunks = chunksOf(answers);
    const { bytes, missing } = assemble(chunks);
    expect(missing).toBe(0);
    expect(Buffer.from(bytes).toString()).toBe(Buffer.from(model.delivered).toString());
    for (const { offset, data, flags } of chunks) {
      const places = Array.from({ length: data.length / 2 }, (_, index) => offset + index);
      const doubtful = places.some((place) => model.doubts.has(place));
      expect((flags & abi.CHUNK_FLAG_AMBIGUOUS) !== 0).toBe(doubtful);
    }
  }

  it("deliver what the policy says, and mark exactly the chunks in which copies differed", async () => {
    await fc.assert(fc.asyncProperty(contradictory(40, 12), initialSequence, policy, check), runs(1500));
  });

  it("do so over several blocks of the buffer", async () => {
    await fc.assert(fc.asyncProperty(contradictory(6000, 1460), initialSequence, policy, check), runs(200));
  });
});
