// From a fault to its bundle, and from the bundle to the same fault in another process, without the function's sources.
import { afterEach, describe, expect, it } from "vitest";
import { RESULTS_ADDRESS } from "../../runtime/dataplane/memory-map.ts";
import { encodePacket } from "../../runtime/testing/index.ts";
import { createNetwork, type Namespace, type Network, networkObstacle } from "../../runtime/testing/network.ts";
import { makeCountingFunctions } from "../support/counting-function.ts";
import { makeBundles, replayBundle } from "../support/fault-bundle.ts";
import { RunningEngine } from "../support/running-engine.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const obstacle = networkObstacle();
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;

const packet = "udp 10.0.0.1:5000 > 10.0.0.2:53";
const bad = "udp 10.0.0.1:5000 > 10.0.0.2:666";

describe("the bundle of a trap", () => {
  it("that a frame's content causes makes it trap again, on the same line", async () => {
    const maker = await makeBundles({
      body: "for (let i = 0; i < batch.count; i++) {\n  if (batch.packet(i).destinationPort == 666) unreachable();\n}",
    });
    expect(maker.fn.process([packet, bad])).toEqual(["fault fault", "fault fault"]);
    const [bundle = ""] = await maker.bundles();
    const { status, stdout, stderr } = replayBundle(bundle);
    expect(stderr).toBe("");
    expect(stdout).toContain("fault faulty (faulty@1.0.0) faulty/index.ts:7:");
    expect(stdout).toContain(`1 ${packet}`);
    expect(stdout).toContain(`2 ${bad}`);
    expect(status).toBe(0);
  });

  it("with what batches before left in a segment, in globals and in the heap", async () => {
    const states = {
      segment: {
        before: 'import { Segment } from "sluice/sdk"; const total = new Segment("total");',
        count: "store<u32>(total.address, load<u32>(total.address) + 1); const n = load<u32>(total.address);",
        manifest: { segments: { total: { bytes: 8, layout: 1 } } },
      },
      globals: { before: "let seen: u32 = 0;", count: "seen++; const n = seen;" },
      heap: { before: "const seen = new StaticArray<u32>(1000);", count: "seen[700]++; const n = seen[700];" },
    };
    for (const { before, count, ...rest } of Object.values(states)) {
      const maker = await makeBundles({ before, body: `${count}\nif (n >= 5) unreachable();`, ...rest });
      for (let i = 0; i < 4; i++) expect(maker.fn.process(packet)).toEqual([`next ${packet}`]);
      expect(maker.fn.process(packet)).toEqual(["fault fault"]);
      const [bundle = ""] = await maker.bundles();
      const { status, stdout } = replayBundle(bundle);
      expect(stdout).toContain("faulty/index.ts:7:");
      expect(status).toBe(0);
    }
  });

  it("says so where the call that failed has left another state than it had found", async () => {
    const maker = await makeBundles({ before: "let seen: u32 = 0;", body: "seen++;\nif (seen == 5) unreachable();" });
    for (let i = 0; i < 5; i++) maker.fn.process(packet);
    const [bundle = ""] = await maker.bundles();
    const { status, stderr } = replayBundle(bundle);
    expect(stderr).toContain("error[not-reproduced]");
    expect(stderr).toContain("keepBatches");
    expect(status).toBe(1);
  });
});

describe("the bundle of what is not a matter of frames alone", () => {
  const client = (words: string) => `tcp 10.0.0.1:5000 > 10.0.0.2:80 ${words}`;
  const handshake = [
    client("syn seq 99"),
    "tcp 10.0.0.2:80 > 10.0.0.1:5000 syn ack seq 499 ack-number 100",
    client("ack seq 100 ack-number 500"),
  ];
  const data = (seq: number, text: string) => client(`ack psh seq ${seq} ack-number 500 payload "${text}"`);
  const replayed = (bundle = "") => JSON.parse(replayBundle(bundle, "--json").stdout);

  it.each([0, 8])("has the flow's record and the columns (keepBatches: %i)", async (keepBatches) => {
    const maker = await makeBundles(
      {
        before: 'import { Column } from "sluice/sdk"; const seen = new Column<u16>("faulty.seen");',
        body: `for (let i = 0; i < batch.count; i++) {
          const flow = batch.packet(i).flow;
          if (flow === null) continue;
          seen.set(flow, seen.get(flow) + 1);
          if (seen.get(flow) >= 3 && flow.packets(0) >= 3) unreachable();
        }`,
        manifest: { columns: { writes: { "faulty.seen": { type: "u16" } }, reads: ["flow"] } },
      },
      { keepBatches },
    );
    maker.fn.process("udp 10.0.0.9:5000 > 10.0.0.2:53");
    for (let i = 0; i < 3; i++) maker.fn.process(packet);
    const [bundle] = await maker.bundles();
    expect(replayed(bundle)).toMatchObject({ reproduced: true, found: { message: "unreachable" } });
  });

  it.each([0, 8])("has batched events (keepBatches: %i)", async (keepBatches) => {
    const maker = await makeBundles(
      {
        before: 'import { events, EVENT_START } from "sluice/sdk";',
        body: "",
        after: `export function nf_events(): void {
          for (let i = 0; i < events.count; i++) if (events.at(i).kind == EVENT_START) unreachable();
        }`,
        manifest: { events: { subscribes: ["start"] } },
      },
      { keepBatches },
    );
    maker.fn.process(packet);
    const [bundle] = await maker.bundles();
    expect(replayed(bundle)).toMatchObject({ reproduced: true, call: "nf_events", found: { message: "unreachable" } });
  });

  it.each([0, 8])("has the time of a tick (keepBatches: %i)", async (keepBatches) => {
    const maker = await makeBundles(
      { body: "", after: "export function nf_tick(): void {\n  if (batch.time % 7 == 0) unreachable();\n}" },
      { keepBatches },
    );
    for (let i = 0; i < 10; i++) maker.fn.process(packet);
    const [bundle] = await maker.bundles();
    expect(replayed(bundle)).toMatchObject({ reproduced: true, call: "nf_tick" });
  });

  it.each([0, 8])("has stream chunks, also those from the buffer (keepBatches: %i)", async (keepBatches) => {
    const maker = await makeBundles(
      {
        before: 'import { chunks } from "sluice/sdk";',
        body: "",
        after: `export function nf_stream(): void {
          for (let i = 0; i < chunks.count; i++) {
            const chunk = chunks.at(i);
            for (let n: u32 = 0; n < chunk.length; n++) {
              if (load<u8>(chunk.data + n) == 88 && chunk.offset + n == 11) unreachable();
            }
          }
        }`,
        manifest: { stream: true },
      },
      { keepBatches },
    );
    for (const line of [...handshake, data(106, "world"), data(111, "XB")]) maker.fn.process(line);
    expect(maker.fn.process(data(100, "hello "))).toEqual(["fault fault"]);
    const [bundle] = await maker.bundles();
    expect(replayed(bundle)).toMatchObject({ reproduced: true, found: { message: "unreachable" } });
  });
});

describe("the bundle of a function with keepBatches", () => {
  it("makes it trap again although the call that failed has left another state", async () => {
    const states = {
      globals: { before: "let seen: u64 = 0;", count: "const n = ++seen;" },
      heap: { before: "const seen = new StaticArray<u32>(1000);", count: "const n = ++seen[700];" },
      segment: {
        before: 'import { Segment } from "sluice/sdk"; const total = new Segment("total");',
        count: "store<u32>(total.address, load<u32>(total.address) + 1); const n = load<u32>(total.address);",
        manifest: { segments: { total: { bytes: 8, layout: 1 } } },
      },
    };
    for (const { before, count, ...rest } of Object.values(states)) {
      for (const batches of before.startsWith("let") ? [1, 3, 25, 26] : [26]) {
        const body = `${count}\nif (n == ${batches}) unreachable();`;
        const maker = await makeBundles({ before, body, ...rest }, { keepBatches: 4 });
        for (let i = 1; i < batches; i++) expect(maker.fn.process(packet)).toEqual([`next ${packet}`]);
        expect(maker.fn.process(packet)).toEqual(["fault fault"]);
        const [bundle = ""] = await maker.bundles();
        const { status, stdout } = replayBundle(bundle, "--json");
        const { calls, exact, found } = JSON.parse(stdout);
        expect(exact).toBe(true);
        expect(found.source).toContain("faulty/index.ts:7:");
        expect(calls).toBeGreaterThanOrEqual(Math.min(batches, 4));
        expect(status).toBe(0);
      }
    }
  }, 120_000);

  it("begins anew after a fault", async () => {
    const body = "seen++;\nif (seen == 3) unreachable();\nif (batch.packet(0).destinationPort == 666) unreachable();";
    const maker = await makeBundles({ before: "let seen: u32 = 0;", body }, { keepBatches: 100 });
    for (let i = 0; i < 3; i++) maker.fn.process(packet);
    await new Promise((resolve) => setTimeout(resolve, 1100)); // one bundle a second
    maker.fn.process(packet);
    maker.fn.process(bad);
    const bundles = await maker.bundles();
    const found = bundles.map((bundle) => JSON.parse(replayBundle(bundle, "--json").stdout));
    expect(found).toMatchObject([
      { reproduced: true, calls: 3, found: { source: expect.stringContaining("index.ts:7:") } },
      { reproduced: true, calls: 2, found: { source: expect.stringContaining("index.ts:8:") } },
    ]);
  });

  it("forgets what was before another generation had the lane", async () => {
    const { fn } = await makeBundles({ body: "" }, { keepBatches: 8 });
    fn.process(packet);
    expect(fn.lane.native.copyRecording(0)).not.toBeNull();
    fn.lane.install();
    expect(fn.lane.native.copyRecording(0)).toBeNull();
    fn.close();
  });

  it("keeps fewer batches where they are large, and what the fault left where one alone is too large", async () => {
    const large = Array.from({ length: 60 }, () => `udp 10.0.0.1:5000 > 10.0.0.2:53 pad 60000`);
    const body = "seen++;\nif (seen == 7) unreachable();\nif (batch.count > 200) unreachable();";
    const maker = await makeBundles({ before: "let seen: u32 = 0;", body }, { keepBatches: 1000 });
    for (let i = 0; i < 7; i++) maker.fn.process(large);
    await new Promise((resolve) => setTimeout(resolve, 1100)); // one bundle a second
    maker.fn.process([...large, ...large, ...large, ...large]);
    const found = (await maker.bundles()).map((bundle) => JSON.parse(replayBundle(bundle, "--json").stdout));
    expect(found).toMatchObject([
      { reproduced: true, exact: true, found: { source: expect.stringContaining("index.ts:7:") } },
      { reproduced: true, exact: false, calls: 1, found: { source: expect.stringContaining("index.ts:8:") } },
    ]);
    expect(found[0].calls).toBeLessThan(7);
  }, 60_000);

  it("says so, and keeps what the fault left, where the state is too large", async () => {
    const logged: string[] = [];
    const maker = await makeBundles(
      {
        before: "const heap = new StaticArray<u8>(20 << 20);",
        body: "for (let i = 0; i < 20 << 20; i += 4096) heap[i] = 1;\nif (batch.count == 2) unreachable();",
        manifest: { memoryPages: 400 },
      },
      { keepBatches: 1, onLog: (_, name, message) => logged.push(`${name}: ${message}`) },
    );
    for (let i = 0; i < 3; i++) maker.fn.process(packet);
    maker.fn.process([packet, packet]);
    expect(logged).toEqual(["faulty: its state is above 16 MiB: no batches are kept, only what a fault leaves"]);
    const [bundle = ""] = await maker.bundles();
    const { stdout, status } = replayBundle(bundle);
    expect(stdout).toContain("too large to be kept: its own memory");
    expect(stdout).toContain("from a new instance");
    expect(status).toBe(0);
  });

  it("has the frames as they were before the function changed them", async () => {
    const body = `for (let i = 0; i < batch.count; i++) {
        const frame = load<u32>(changetype<usize>(batch.packet(i)));
        const seen = load<u8>(frame + 41);
        store<u8>(frame + 41, 0);
        if (seen == 7) unreachable();
      }`;
    for (const keepBatches of [0, 8]) {
      const maker = await makeBundles({ body, manifest: { frames: "write" } }, { keepBatches });
      const bytes = encodePacket("udp 10.0.0.1:5000 > 10.0.0.2:53 pad 60");
      bytes[41] = 7;
      expect(maker.fn.processBytes([bytes])).toEqual(["fault fault"]);
      const [bundle = ""] = await maker.bundles();
      expect(replayBundle(bundle).status).toBe(keepBatches === 0 ? 1 : 0);
    }
  });
});

describe("the bundle of a result that does not hold", () => {
  it("names the frame and the result", async () => {
    const maker = await makeBundles({
      body: `for (let i = 0; i < batch.count; i++) {
        if (batch.packet(i).destinationPort == 666) store<u8>(${RESULTS_ADDRESS} + i * 16, 9);
      }`,
    });
    expect(maker.fn.process([packet, bad])).toEqual([`next ${packet}`, "fault bad-verdict"]);
    const [bundle = ""] = await maker.bundles();
    const { status, stdout } = replayBundle(bundle);
    expect(stdout).toContain("frame 2: bad-verdict (result 09000000000000000000000000000000)");
    expect(stdout).toContain(`> 2 ${bad}`);
    expect(status).toBe(0);
    expect(JSON.parse(replayBundle(bundle, "--json").stdout)).toMatchObject({
      reproduced: true,
      kind: "result",
      frames: [
        { text: packet, bad: false },
        { text: bad, bad: true },
      ],
    });
  });
});

describe.skipIf(obstacle !== null)(`a chain on devices${skipped}`, () => {
  let network: Network;
  let left: Namespace;
  let engine: RunningEngine | undefined;

  afterEach(async () => {
    engine?.dispose();
    engine = undefined;
    await network.close();
  });

  const start = async (document: string, functions: string) => {
    network = await createNetwork();
    left = await network.namespace("left");
    const box = await network.namespace("box");
    await network.link(
      { namespace: left, device: "eth0", addresses: ["10.9.0.1/24"] },
      { namespace: box, device: "lan0" },
    );
    engine = await RunningEngine.start(box, `${makeFolder({ "chain.yaml": document })}/chain.yaml`, { functions });
    return engine;
  };

  const tap = (use: string) => `chain: recorded
ports: { lan: { device: lan0 } }
functions: { count: { use: ${use} } }
paths: [{ from: lan, through: [count], to: none }]
`;

  it("keeps a bundle of a trap and of a function that does not return, and says where", async () => {
    const functions = await makeCountingFunctions({
      version: "1.0.0",
      step: 1,
      each: "if (packet.dscp == 40) unreachable();\n    if (packet.dscp == 46) { while (true) {} }",
    });
    const running = await start(tap("counting@1"), functions);
    await left.run("ip", "neigh", "replace", "10.9.0.2", "lladdr", "02:00:00:00:00:02", "dev", "eth0");
    await new Promise((resolve) => setTimeout(resolve, 1500)); // the standby is warm
    const found = () => [...running.stderr.matchAll(/^bundle count \(counting@1\.0\.0\) (.*): sluice replay (\S+)$/gm)];
    for (const [index, tos] of ["0xa0", "0xb8"].entries()) {
      await left.run("ping", "-c", "1", "-Q", tos, "-W", "1", "10.9.0.2").catch(() => {});
      await expect.poll(() => found().length, { timeout: 10_000 }).toBe(index + 1);
    }
    console.log(/quarantine.*/.exec(running.stderr)?.[0]);
    const [[, trapped = "", trap = ""] = [], [, stuck = "", loop = ""] = []] = found();
    expect([trapped, stuck]).toEqual(["unreachable", "it did not return"]);
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
    const again = replayBundle(trap);
    expect(again.stdout).toMatch(/fault count \(counting@1\.0\.0\) counting\/index\.ts:11:\d+: unreachable/);
    expect(again.stdout).toMatch(/icmp 10\.9\.0\.1 > 10\.9\.0\.2/);
    expect(again.status).toBe(0);
    const endless = replayBundle(loop);
    expect(endless.stdout).toMatch(/fault count \(counting@1\.0\.0\) counting\/index\.ts:12:\d+: it did not return/);
    expect(endless.status).toBe(0);
  }, 60_000);

  it("makes a function hang again that did so after so many packets, with keepBatches", async () => {
    const functions = await makeCountingFunctions({
      version: "1.0.0",
      step: 1,
      each: `if (packet.dscp == 46 && ++marked == 3) {
      let spins: u64 = 1;
      while (spins != 0) spins += 2;
    }`,
      before: "let marked: u32 = 0;",
    });
    const running = await start(tap("counting@1, keepBatches: 100"), functions);
    await left.run("ip", "neigh", "replace", "10.9.0.2", "lladdr", "02:00:00:00:00:02", "dev", "eth0");
    await new Promise((resolve) => setTimeout(resolve, 1500)); // the standby is warm
    await left.run("ping", "-c", "3", "-i", "0.05", "-Q", "0xb8", "-W", "1", "10.9.0.2").catch(() => {});
    const found = () => /^bundle count .* sluice replay (\S+)$/m.exec(running.stderr)?.[1];
    await expect.poll(found, { timeout: 10_000 }).toBeDefined();
    const { status, stdout } = replayBundle(found() ?? "", "--json");
    const again = JSON.parse(stdout);
    expect(again).toMatchObject({ reproduced: true, exact: true, kind: "time", from: "kept state" });
    expect(again.found.source).toMatch(/^counting\/index\.ts:1[234]:/);
    expect(again.calls).toBeGreaterThanOrEqual(3);
    expect(status).toBe(0);
    expect((await running.end()).last).toMatchObject({ state: "stopped" });
  }, 60_000);
});
