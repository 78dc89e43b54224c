import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { type FlowFrame, type FragmentPiece, readFlowFrame } from "../support/flow-frame.ts";
import { cutIntoFragments, fragmentCuts } from "../support/fragment-cuts.ts";
import { FragmentModel } from "../support/fragment-model.ts";
import { type FragmentFate, FragmentTable, textOf } from "../support/fragment-table.ts";

const table = new FragmentTable();
afterAll(() => table.close());

/** A UDP packet's payload of `bytes`, in Ethernet. */
const wholePacket = (family: "IPv4" | "IPv6", bytes: number): Uint8Array =>
  encodePacket(`udp ${family === "IPv4" ? "10.0.0.1:5000 > 10.0.0.2:53" : "[::1]:5000 > [::2]:53"} zeros ${bytes}`);

describe("any packet in random fragments, in random order, with duplicates", () => {
  const arrivals = fc
    .tuple(fc.constantFrom("IPv4", "IPv6"), fc.integer({ min: 60, max: 1400 }))
    .chain(([family, bytes]) => fc.tuple(fc.constant(wholePacket(family, bytes)), fragmentCuts(bytes + 8)))
    .chain(([packet, cuts]) => {
      const fragments = cutIntoFragments(packet, cuts, 5);
      const indices = [...fragments.keys()];
      return fc
        .array(fc.constantFrom(...indices), { maxLength: 6 })
        .chain((again) => fc.shuffledSubarray([...indices, ...again], { minLength: indices.length + again.length }))
        .map((order) => ({ order, fragments }));
    });

  it("passes once each, with the right ports, once the first one came, and nothing stays", async () => {
    await fc.assert(
      fc.asyncProperty(arrivals, async ({ order, fragments }) => {
        await table.make({ heldPerPacket: 16 });
        const answers: FragmentFate[] = [];
        for (const index of order) answers.push(...(await table.admit(fragments[index] as Uint8Array)));
        const passed = answers.filter(({ verdict }) => verdict === "pass");
        expect(passed.every(({ ipProto, ports }) => ipProto === 17 && ports[0] === 5000 && ports[1] === 53)).toBe(true);
        const passedOnce = passed.map(({ number }) => order[number - 1]).toSorted((a, b) => Number(a) - Number(b));
        expect(passedOnce).toEqual([...fragments.keys()]);
        const dropped = answers.filter(({ verdict }) => verdict === "drop");
        expect(dropped.map(({ reason }) => reason)).toEqual(dropped.map(() => "duplicate"));
        expect(passed.length + dropped.length).toBe(order.length);
        expect(passed[0]?.number).toBe(order.indexOf(0) + 1);
        expect(await table.next()).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });
});

describe("any fragments", () => {
  const addresses = fc.constantFrom(
    { between: "10.0.0.1 > 10.0.0.2", ports: "10.0.0.1:5000 > 10.0.0.2:53" },
    { between: "::1 > ::2", ports: "[::1]:5000 > [::2]:53" },
  );
  // On a grid of 8 bytes that first fragments fit, too, so that many meet exactly.
  const line = fc
    .record({
      ends: addresses,
      proto: fc.constantFrom("udp", "udp", "tcp"),
      id: fc.constantFrom(5, 6),
      start: fc.constantFrom(0, 0, 24, 32, 40, 8),
      bytes: fc.constantFrom(24, 8, 16, 8, 8, 24, 5),
      more: fc.boolean(),
    })
    .map(({ ends, proto, id, start, bytes, more }) => {
      const words = `frag id ${id} offset ${start}${more ? " more" : ""} zeros`;
      if (start > 0 || bytes !== 24) return `ip ${ends.between} proto ${proto} ${words} ${bytes}`;
      return proto === "udp" ? `udp ${ends.ports} udp-length 64 ${words} 16` : `tcp ${ends.ports} syn ${words} 4`;
    });
  const wait = fc.constantFrom(0, 0, 0, 0, 0, 1, 1, 50, 100, 999, 1000);

  interface Waiting {
    readonly number: number;
    readonly frame: FlowFrame & { readonly fragment: FragmentPiece };
  }

  /** What the model says of a frame and of those that it releases, as `textOf` says it. */
  function admitToModel(model: FragmentModel<Waiting>, arrival: Waiting, timeNs: bigint): [number, string][] {
    const textFor = (waiting: Waiting): [number, string] => {
      const answer = model.admit(waiting.frame, waiting.frame.fragment, 0, waiting, timeNs);
      if (answer.verdict === "drop") return [waiting.number, `drop ${answer.reason}`];
      const ports = answer.verdict === "pass" ? ` ${answer.proto} ${answer.sourcePort}>${answer.destinationPort}` : "";
      return [waiting.number, `${answer.verdict}${ports}`];
    };
    return [textFor(arrival), ...model.release().map(textFor)];
  }

  it("have the fate that the reference gives them", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(line, wait), { maxLength: 40, size: "max" }), async (arrivals) => {
        await table.make({ fragments: 64, held: 64, heldPerPacket: 64, timeoutMs: 1000 });
        const model = new FragmentModel<Waiting>({ timeoutNs: 1_000_000_000n, lingerNs: 100_000_000n });
        let atMs = 0;
        for (const [text, waitMs] of arrivals) {
          atMs += waitMs;
          const timeNs = BigInt(atMs) * 1_000_000n;
          const over = model.expire(timeNs).map(({ number }) => number);
          expect(new Set(await table.expire(atMs))).toEqual(new Set(over));
          const bytes = encodePacket(text);
          const frame = readFlowFrame(bytes);
          if (frame?.fragment === undefined) continue;
          const answers = await table.admit(bytes, { atMs });
          const expected = admitToModel(
            model,
            { number: table.frames, frame: { ...frame, fragment: frame.fragment } },
            timeNs,
          );
          expect([text, ...answers.map((answer) => [answer.number, textOf(answer)])]).toEqual([text, ...expected]);
        }
      }),
      { numRuns: 500 },
    );
  });
});

describe("any bytes", () => {
  const payloadOf = (data: Uint8Array) => (data.length === 0 ? "" : `payload ${data.toHex()}`);
  // Few addresses and identifications, so that fragments meet; any bytes behind the header that says they are one.
  const fragment4 = fc
    .tuple(fc.nat({ max: 3 }), fc.nat({ max: 0xffff }), fc.nat({ max: 40 }), fc.constantFrom(6, 17, 1, 50))
    .chain(([id, control, bytes, proto]) =>
      fc.uint8Array({ minLength: bytes, maxLength: bytes }).map((data) => {
        const frame = encodePacket(`ip 10.0.0.1 > 10.0.0.2 proto ${proto} ip-id ${id} ${payloadOf(data)}`);
        new DataView(frame.buffer).setUint16(20, control & 0x203f);
        return frame;
      }),
    );
  const fragment6 = fc
    .tuple(
      fc.nat({ max: 3 }),
      fc.nat({ max: 0xffff }),
      fc.uint8Array({ maxLength: 40 }),
      fc.constantFrom(6, 17, 44, 60, 0),
    )
    .map(([id, control, data, proto]) => {
      const header = Uint8Array.of(proto, 0, (control >> 8) & 1, control & 0xf9, 0, 0, 0, id);
      return encodePacket(`ip ::1 > ::2 proto 44 payload ${header.toHex()}${data.toHex()}`);
    });
  const frame = fc
    .oneof(fragment4, fragment6)
    .chain((bytes) => fc.nat({ max: bytes.length }).map((cut) => (cut % 4 === 0 ? bytes.subarray(0, cut) : bytes)));
  const arrival = fc.record({ frame, atMs: fc.nat({ max: 400 }), wireLength: fc.constantFrom(0, 0, 1500) });

  it("are taken, and every frame gets its verdict or comes back", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(arrival, { minLength: 1, maxLength: 60 }), async (arrivals) => {
        await table.make({ packets: 3, fragments: 4, held: 4, heldPerPacket: 2, timeoutMs: 100, lingerMs: 10 });
        const settled: number[] = [];
        const inOrder = arrivals.toSorted((a, b) => a.atMs - b.atMs);
        for (const { frame: bytes, atMs, wireLength } of inOrder) {
          const answers = await table.admit(bytes, { atMs, wireLength });
          settled.push(...answers.filter(({ verdict }) => verdict !== "hold").map(({ number }) => number));
          if (table.frames % 5 === 0) settled.push(...(await table.expire(atMs)));
        }
        settled.push(...(await table.expire(1000)));
        expect(settled.toSorted((a, b) => a - b)).toEqual(inOrder.map((_, index) => index + 1));
        expect(await table.next()).toEqual([]);
      }),
      { numRuns: 500 },
    );
  });
});
