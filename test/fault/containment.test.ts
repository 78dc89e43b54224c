import { describe, expect, it } from "vitest";
import { CONTEXT_ADDRESS, MEMORY_BASE } from "../../nfs/sdk/abi.ts";
import {
  BATCH_ADDRESS,
  COUNTERS_ADDRESS,
  COUNTERS_BYTES,
  FRAMES_ADDRESS,
  RECORDS_ADDRESS,
  RESULTS_ADDRESS,
} from "../../runtime/dataplane/memory-map.ts";
import { openFaultFunction } from "../support/fault-function.ts";

const packet = "udp 10.0.0.1:5000 > 10.0.0.2:53";
const outOfBounds = "memory access out of bounds";

describe("a function that touches what is not its own", () => {
  it("traps when it declared to read frames and writes one", async () => {
    const fn = await openFaultFunction("store<u8>(load<u32>(changetype<usize>(batch.packet(0))), 1);");
    expect(fn.process(packet)).toEqual(["fault fault"]);
    expect(fn.faults).toEqual([
      {
        function: "faulty",
        package: "faulty@1.0.0",
        message: outOfBounds,
        source: expect.stringMatching(/^faulty\/index\.ts:5:/),
        count: 1,
      },
    ]);
    fn.close();
  });

  it("may write frames when it declared to", async () => {
    const fn = await openFaultFunction("store<u8>(load<u32>(changetype<usize>(batch.packet(0))), 0x06);", {
      frames: "write",
    });
    expect(fn.process(packet)[0]).toMatch(/^next ether .* > 06:/);
    fn.close();
  });

  it("traps when it declared no frames and reads one", async () => {
    const fn = await openFaultFunction(
      "if (load<u8>(load<u32>(changetype<usize>(batch.packet(0)))) == 77) unreachable();",
      { frames: "none" },
    );
    expect(fn.process(packet)).toEqual(["fault fault"]);
    fn.close();
  });

  const hidden = {
    "the null page": 0,
    "just below the context": CONTEXT_ADDRESS - 4,
    "between batch and results": BATCH_ADDRESS + 0x1000,
    "after the results": RESULTS_ADDRESS + 0x1000,
    "before the counters": COUNTERS_ADDRESS - 4,
    "after the counters": COUNTERS_ADDRESS + COUNTERS_BYTES,
    "before the frames": FRAMES_ADDRESS - 4,
    "just below its own memory": MEMORY_BASE - 4,
    "beyond its own memory": MEMORY_BASE + 16 * 65536,
    "the end of the address space": 0xfffffff0,
  };
  it.each(Object.entries(hidden))("traps when it reads %s", async (_, address) => {
    const fn = await openFaultFunction(`if (load<u32>(${address}) == 0x12345678) unreachable();`);
    expect(fn.process(packet)).toEqual(["fault fault"]);
    expect(fn.faults[0]?.message).toBe(outOfBounds);
    fn.close();
  });

  const readOnly = { context: CONTEXT_ADDRESS, batch: BATCH_ADDRESS, records: RECORDS_ADDRESS };
  it.each(Object.entries(readOnly))("traps when it writes the %s", async (_, address) => {
    const fn = await openFaultFunction(`store<u32>(${address}, 1);`);
    expect(fn.process(packet)).toEqual(["fault fault"]);
    fn.close();
  });

  it("finds its own memory, not another function's, at the same addresses", async () => {
    const secret = 0x5ec2e7;
    const writer = await openFaultFunction(
      `store<u32>(${MEMORY_BASE + 8 * 65536}, ${secret}); store<u64>(${COUNTERS_ADDRESS + 4096}, ${secret});`,
    );
    const reader = await openFaultFunction(
      `const seen = load<u32>(${MEMORY_BASE + 8 * 65536}) | load<u32>(${COUNTERS_ADDRESS + 4096});
       if (seen != 0) unreachable();`,
    );
    expect(writer.process(packet)).toEqual([`next ${packet}`]);
    expect(reader.process(packet)).toEqual([`next ${packet}`]);
    writer.close();
    reader.close();
  });
});

describe("a function that traps", () => {
  const trap = "if (batch.packet(0).destinationPort == 666) unreachable();";
  const bad = "udp 10.0.0.1:5000 > 10.0.0.2:666";

  it("costs its batch and is there again for the next one", async () => {
    const fn = await openFaultFunction(trap);
    expect(fn.process([bad, packet])).toEqual(["fault fault", "fault fault"]);
    expect(fn.process([packet, packet])).toEqual([`next ${packet}`, `next ${packet}`]);
    fn.close();
  });

  it("lets its batch go on where the chain says so", async () => {
    const fn = await openFaultFunction(trap, { onFault: "bypass" });
    expect(fn.process([bad, packet])).toEqual([`next ${bad}`, `next ${packet}`]);
    fn.close();
  });

  it("is counted with its source line, as often as it happened", async () => {
    const fn = await openFaultFunction(trap);
    for (let i = 0; i < 100; i++) fn.process(bad);
    expect(fn.faults).toEqual([
      {
        function: "faulty",
        package: "faulty@1.0.0",
        message: "unreachable",
        source: expect.stringContaining("index.ts:5:"),
        count: 100,
      },
    ]);
    expect(fn.lane.audit()).toMatchObject({ intact: true, free: 1024 });
    fn.close();
  });

  it("keeps its counters", async () => {
    const fn = await openFaultFunction(`seen.add(); ${trap}`, {
      imports: 'Counter } from "sluice/sdk"; const seen = new Counter("seen"); import { Gauge',
    });
    fn.process(packet);
    fn.process(bad);
    fn.process(packet);
    expect(fn.counters()).toEqual({ seen: 3 });
    fn.close();
  });
});

describe("a function that allocates, or calls the host, on the packet path", () => {
  it("traps when its memory is used up, and the host's is not touched", async () => {
    const fn = await openFaultFunction(
      "const waste = new StaticArray<u8>(65536); store<u8>(changetype<usize>(waste), 1);",
    );
    const results = Array.from({ length: 40 }, () => fn.process(packet)).flat();
    expect(results).toContain("fault fault");
    expect(results).toContain(`next ${packet}`);
    fn.close();
  });

  it("traps when it calls an import", async () => {
    const fn = await openFaultFunction('log.info("hello");', { imports: "log" });
    expect(fn.process(packet)).toEqual(["fault fault"]);
    expect(fn.faults[0]?.message).toContain("packet path");
    fn.close();
  });
});

describe("a result that does not hold", () => {
  const result = "const result = RESULTS;".replace("RESULTS", String(RESULTS_ADDRESS));
  const cases = {
    "bad-verdict": `${result} store<u8>(result, 5);`,
    "bad-target": `${result} store<u8>(result, 2); store<u16>(result, 9, 4);`,
    "bad-reason": `${result} store<u8>(result, 1); store<u16>(result, 3, 2);`,
    "bad-length": `${result} store<u8>(result, 1, 1); store<u32>(result, 0x7fffffff, 8);`,
  };
  it.each(Object.entries(cases))("is a fault with the reason %s", async (reason, body) => {
    const fn = await openFaultFunction(body, { frames: "write" });
    expect(fn.process([packet, packet])).toEqual([`fault ${reason}`, `next ${packet}`]);
    expect(fn.lane.audit().intact).toBe(true);
    fn.close();
  });

  it("is a fault when a function that may not write moves the frame's start", async () => {
    const fn = await openFaultFunction(`${result} store<u8>(result, 1, 1); store<u32>(result, 20, 8);`);
    expect(fn.process(packet)).toEqual(["fault not-writable"]);
    fn.close();
  });

  it("is a fault when the frame would leave its slot", async () => {
    for (const [head, length] of [
      [-257, 40],
      [-32768, 100],
      [32767, 131072],
      [0, 0],
      [0, 131072],
    ] as const) {
      const fn = await openFaultFunction(
        `${result} store<u8>(result, 1, 1); store<i16>(result, ${head}, 6); store<u32>(result, ${length}, 8);`,
        { frames: "write" },
      );
      expect(fn.process(packet)).toEqual(["fault bad-length"]);
      fn.close();
    }
  });
});
