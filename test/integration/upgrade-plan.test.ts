// Upgrade plans on a chain that carries traffic between two namespaces: each way that one can end.
import { readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { networkObstacle } from "../../runtime/testing/network.ts";
import { type BoxBetween, createBoxBetween } from "../support/box-between.ts";
import { makeCountingFunctions, totalSegment } from "../support/counting-function.ts";
import { executePlan, RunningEngine, readFlows, readHistory, runOn, upgrade } from "../support/running-engine.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const obstacle = networkObstacle();
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;

const chain = `chain: planned
ports: { lan: { device: lan0 }, wan: { device: wan0 } }
functions:
  fw: { use: acl@1, config: { default: permit, rules: [] } }
  count: { use: counting@1.0 }
paths:
  - { from: lan, through: [fw, count], to: wan }
  - { from: wan, through: [count, fw], to: lan }
`;

describe.skipIf(obstacle !== null)(`an upgrade plan${skipped}`, () => {
  let net: BoxBetween;
  let engine: RunningEngine | undefined;

  beforeEach(async () => {
    net = await createBoxBetween();
  });

  afterEach(async () => {
    engine?.dispose();
    engine = undefined;
    await net.close();
  });

  const start = async (
    functions: string,
    options: { stateFolder?: string; dataFolder?: string; file?: string; supervised?: boolean } = {},
  ) => {
    const { file = `${makeFolder({ "chain.yaml": chain })}/chain.yaml`, ...folders } = options;
    engine = await RunningEngine.start(net.box, file, { functions, ...folders });
    return engine;
  };

  const plan = (text: string) => `${makeFolder({ "plan.yaml": `plan: test\nchain: planned\n${text}` })}/plan.yaml`;
  const total = (running: RunningEngine) =>
    Number(readFileSync(`${running.chainFolder}/${totalSegment("count")}`).readBigUInt64LE());

  /** What five echo requests and their replies add, once nothing else is under way. */
  const added = async (running: RunningEngine) => {
    let before = -1;
    while (before !== total(running)) {
      before = total(running);
      await new Promise((resolve) => setTimeout(resolve, 300));
    }
    expect(await net.ping(5)).toBe(5);
    return total(running) - before;
  };

  /** `state of step, attempt`, without what is between. */
  const showHistory = async (running: RunningEngine) => {
    const { output } = await runOn(running, "upgrade", "history", "--chain", "planned");
    console.log(output);
    const history = await readHistory(running);
    return history.map(({ step, attempt, state }) => `${step === null ? "" : `${step} ${attempt ?? "-"} `}${state}`);
  };

  it("is carried out step by step, with conditions and probes, and committed once", async () => {
    const functions = await makeCountingFunctions({ version: "1.0.0", step: 1 }, { version: "2.0.0", step: 2 });
    const running = await start(functions);
    const file = plan(`
expected: 20s
conditions: [{ faults: 0, over: 300ms }]
groups:
  - name: counting
    steps:
      - name: double
        change: { use: { count: counting@2 } }
        expected: 5s
        conditions:
          - { counter: count.counted, rate: { min: 100 }, over: 500ms }
          - probe: { from: lan, frame: "udp 10.9.0.1:5000 > 10.9.0.2:53 ttl 9", to: wan,
                     expect: "udp 10.9.0.1:5000 > 10.9.0.2:53 ttl 9" }
  - name: filter
    steps:
      - name: deny-dns
        change: { set: { fw.rules: [{ action: deny, name: dns, ipProtos: [udp], destinationPorts: [53] }] } }
        expected: 5s
        conditions:
          - { probe: { from: lan, frame: "udp 10.9.0.1:5000 > 10.9.0.2:53", to: none } }
          - { probe: { from: lan, frame: "udp 10.9.0.1:5000 > 10.9.0.2:54", to: wan } }
`);
    const preview = await runOn(running, "upgrade", "plan", file);
    expect(preview).toMatchObject({ status: 0, complaint: "" });
    expect(preview.output).toContain(
      "counting/double: fw=acl@1.0.0 count=counting@1.0.0  →  fw=acl@1.0.0 count=counting@2.0.0",
    );
    expect(preview.output).toContain("segment total of count: kept");
    const wrong = plan(`
expected: 20s
groups:
  - name: g
    steps:
      - { name: a, change: { use: { count: counting@9 } }, expected: 2s }
      - { name: b, change: { set: { fw.ruls: [] } }, expected: 2s, undo: { use: { wf: acl@1 } } }
`);
    for (const command of ["plan", "execute"]) {
      const { status, complaint } = await runOn(running, "upgrade", command, wrong);
      expect(status).toBe(2);
      expect(complaint).toContain(`error[function-not-found] ${wrong}:8:9: change: `);
      expect(complaint).toContain(`error[unknown-key] ${wrong}:9:9: change: --set fw.ruls: unknown key "ruls"`);
      expect(complaint).toContain(`error[unknown-function] ${wrong}:9:9: undo: --use wf=acl@1: `);
    }
    expect(await readHistory(running)).toEqual([]);

    const capture = await net.right.capture("eth0", "udp", "in");
    const pings = net.startPings();
    const { end, transitions } = await executePlan(running, file);
    expect(end).toBe("committed");
    expect(await pings.stop()).toBe(0);
    // What a probe sends is not on the wire.
    expect(await capture.stop()).toEqual([]);
    expect(transitions.find(({ state }) => state === "stored")?.outcome).toMatch(/^ok, \d+ bytes, paused for \d+ µs$/);
    expect(await showHistory(running)).toEqual([
      ...["init", "stored"],
      ...["loading", "loaded", "switching", "switched", "done"].map((state) => `counting/double 1 ${state}`),
      ...["loading", "loaded", "switching", "switched", "done"].map((state) => `filter/deny-dns 1 ${state}`),
      ...["committing", "committed"],
    ]);
    expect(await added(running)).toBe(20);
    // What was committed is what later changes come on top of.
    await upgrade(running, "run", "--set", "fw.malformed=permit");
    expect((await upgrade(running, "status")).after).toBe("fw=acl@1.0.0 count=counting@2.0.0");
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
  });

  it("undoes a step whose condition does not hold, waits, and tries again", async () => {
    const functions = await makeCountingFunctions({ version: "1.0.0", step: 1 }, { version: "2.0.0", step: 2 });
    const running = await start(functions);
    const file = plan(`
expected: 20s
groups:
  - name: counting
    steps:
      - name: double
        change: { use: { count: counting@2 } }
        expected: 5s
        retries: 20
        wait: 200ms
        conditions: [{ counter: count.counted, rate: { min: 50 }, over: 400ms }]
`);
    const executed = executePlan(running, file);
    await expect
      .poll(async () => (await readHistory(running)).some(({ state }) => state === "waiting"), { timeout: 10_000 })
      .toBe(true);
    const pings = net.startPings();
    expect((await executed).end).toBe("committed");
    const history = await showHistory(running);
    const states = ["loading", "loaded", "switching", "switched", "failed", "undoing", "undone", "waiting"];
    expect(history.slice(2, 10)).toEqual(states.map((state) => `counting/double 1 ${state}`));
    expect(history.at(-3)).toMatch(/^counting\/double ([2-9]|1\d) done$/);
    const failed = (await readHistory(running)).find(({ state }) => state === "failed");
    expect(failed?.outcome).toBe("does not hold: count.counted at least 50 per second over 400ms; it was 0.0");
    expect(await pings.stop()).toBe(0);
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
  });

  it("ends a step that takes too long, and is rolled back", async () => {
    const functions = await makeCountingFunctions(
      { version: "1.0.0", step: 1 },
      { version: "2.0.0", step: 2, configure: "while (true) {}" },
    );
    const running = await start(functions);
    const file = plan(`
expected: 10s
groups:
  - name: counting
    steps:
      - { name: endless, change: { use: { count: counting@2 } }, expected: 600ms, retries: 1, wait: 100ms }
`);
    const pings = net.startPings();
    const { complaint, transitions } = await executePlan(running, file);
    expect(complaint).toContain(
      "error[upgrade-failed] plan test: overrun: takes longer than 1200ms; it was rolled back",
    );
    const states = ["loading", "failed", "undoing", "undone"];
    expect(await showHistory(running)).toEqual([
      ...["init", "stored"],
      ...[...states, "waiting"].map((state) => `counting/endless 1 ${state}`),
      ...states.map((state) => `counting/endless 2 ${state}`),
      ...["aborting", "aborted"],
    ]);
    for (const { durationMs } of transitions.filter(({ state }) => state === "failed")) {
      expect(durationMs).toBeGreaterThan(1100);
      expect(durationMs).toBeLessThan(5000);
    }
    expect(await upgrade(running, "status")).toMatchObject({ generation: 1, state: "aborted", plan: null });
    expect(await pings.stop()).toBe(0);
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
  });

  it("undoes what was done in reverse when a later step fails for good", async () => {
    const functions = await makeCountingFunctions(
      { version: "1.0.0", step: 1 },
      { version: "2.0.0", step: 2 },
      { version: "3.0.0", step: 3, each: "while (true) {}" },
    );
    const running = await start(functions);
    const file = plan(`
expected: 20s
groups:
  - name: one
    steps:
      - { name: double, change: { use: { count: counting@2 } }, expected: 3s }
      - name: filter
        change: { set: { fw.default: deny, fw.rules: [{ action: permit }] } }
        expected: 3s
        undo: { set: { fw.default: permit }, conditions: [{ faults: 0, over: 300ms }] }
  - name: two
    steps:
      - name: hang
        change: { use: { count: counting@3 } }
        expected: 5s
        conditions: [{ faults: 0, over: 4s }]
`);
    const pings = net.startPings();
    const { complaint } = await executePlan(running, file);
    expect(complaint).toContain("quarantine count (counting@3.0.0): did not return");
    expect(complaint).toContain("it was rolled back, step by step");
    const history = await showHistory(running);
    const carriedOut = ["loading", "loaded", "switching"];
    expect(history.filter((line) => !line.endsWith("switched"))).toEqual([
      ...["init", "stored"],
      ...[...carriedOut, "done"].map((state) => `one/double 1 ${state}`),
      ...[...carriedOut, "done"].map((state) => `one/filter 1 ${state}`),
      ...[...carriedOut, "failed", "undoing", "undone"].map((state) => `two/hang 1 ${state}`),
      "aborting",
      ...["undoing", "undone"].map((state) => `one/filter - ${state}`),
      ...["undoing", "undone"].map((state) => `one/double - ${state}`),
      "aborted",
    ]);
    expect((await readHistory(running)).at(-1)).toMatchObject({ outcome: "rolled-back" });
    expect(await upgrade(running, "status")).toMatchObject({ generation: 1, state: "aborted" });
    // A batch or two ended with the function that did not return.
    expect(await pings.stop()).toBeLessThan(20);
    expect(await added(running)).toBe(10);
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
  });

  it("falls back to the committed generation at once when an undo fails", async () => {
    const functions = await makeCountingFunctions(
      { version: "1.0.0", step: 1 },
      { version: "2.0.0", step: 2 },
      { version: "4.0.0", step: 4, configure: "if (json.length > 0) return false;" },
    );
    const running = await start(functions);
    const file = plan(`
expected: 20s
groups:
  - name: one
    steps:
      - name: double
        change: { use: { count: counting@2 } }
        expected: 3s
        undo: { use: { count: counting@4 } }
      - name: impossible
        change: { set: { fw.default: deny } }
        expected: 3s
        conditions: [{ probe: { from: lan, frame: "udp 10.9.0.1:1 > 10.9.0.2:2", to: wan } }]
`);
    const { complaint } = await executePlan(running, file);
    expect(complaint).toContain("one/double cannot be undone");
    expect(complaint).toContain("it was fallen back to the generation that was committed before");
    expect((await showHistory(running)).slice(-6)).toEqual([
      ...["one/impossible 1 undoing", "one/impossible 1 undone", "aborting"],
      ...["one/double - undoing", "falling-back", "aborted"],
    ]);
    const history = await readHistory(running);
    expect(history.at(-1)).toMatchObject({ outcome: "fell-back", after: "fw=acl@1.0.0 count=counting@1.0.0" });
    expect(history.find(({ state }) => state === "failed")?.outcome).toMatch(/; it ended as drop by fw \(default/);
    expect(await upgrade(running, "status")).toMatchObject({ generation: 1, state: "aborted" });
    expect(await net.ping(5)).toBe(5);
    expect((await upgrade(running, "run", "--use", "count=counting@2")).state).toBe("committed");
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
  });

  // The next version spoils the state that the committed one then hangs on: no generation can go back to it.
  const makeSpoiling = () =>
    makeCountingFunctions(
      { version: "1.0.0", step: 1, each: "if (load<u64>(total.address) > 1000000) { while (true) {} }" },
      { version: "2.0.0", step: 2_000_000 },
    );
  const spoiling = `
expected: 20s
groups:
  - name: one
    steps:
      - name: spoil
        change: { use: { count: counting@2 } }
        expected: 8s
        conditions: [{ counter: count.counted, rate: { max: 10 }, over: 500ms }]
        undo: { conditions: [{ faults: 0, over: 6s }] }
`;

  /** What was there before the plan, and that traffic goes on from there. */
  const expectRestored = async (running: RunningEngine, before: number, flow: Record<string, unknown> | undefined) => {
    expect(total(running)).toBeGreaterThanOrEqual(before);
    expect(total(running)).toBeLessThan(1000);
    const flows = await readFlows(running, "icmp");
    expect(flows.map(({ start }) => start)).toContain(flow?.start);
    expect((await showHistory(running)).slice(-5)).toEqual([
      ...["one/spoil 1 undoing", "aborting", "falling-back", "restoring", "restored"],
    ]);
    expect(await added(running)).toBe(10);
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
  };

  it("ends the engine when the fallback fails, and begins anew with the state before the plan", async () => {
    const functions = await makeSpoiling();
    const chainFile = `${makeFolder({ "chain.yaml": chain })}/chain.yaml`;
    const running = await start(functions, { file: chainFile });
    const { stateFolder, dataFolder } = running;
    expect(await net.ping(20)).toBe(20);
    const before = total(running);
    const [flow] = await readFlows(running, "icmp");
    await new Promise((resolve) => setTimeout(resolve, 1500)); // the standby is warm
    const pings = net.startPings();
    const { complaint } = await executePlan(running, plan(spoiling));
    expect(complaint).toContain("it was to be restored from what was stored before");
    const ended = await running.ended();
    expect(ended).toMatchObject({ status: 1 });
    expect(ended.stderr).toContain("start it again: it begins with the state that was stored before the plan");
    await pings.stop();
    const again = await start(functions, { file: chainFile, stateFolder, dataFolder });
    expect(again.description.recovery).toMatchObject({ fresh: false });
    await expectRestored(again, before, flow);
  }, 60_000);

  it("is started again by itself then, where something watches it", async () => {
    const running = await start(await makeSpoiling(), { supervised: true });
    expect(await net.ping(20)).toBe(20);
    const before = total(running);
    const [flow] = await readFlows(running, "icmp");
    await new Promise((resolve) => setTimeout(resolve, 1500)); // the standby is warm
    const pings = net.startPings();
    await executePlan(running, plan(spoiling));
    await expect.poll(() => running.restarts.length, { timeout: 20_000 }).toBe(1);
    await pings.stop();
    expect(running.restarts[0]?.recovery).toMatchObject({ fresh: false });
    await expectRestored(running, before, flow);
  }, 60_000);

  it("waits for the operator, goes on without who asked for it, and is taken back by abort or for want of a commit", async () => {
    const functions = await makeCountingFunctions({ version: "1.0.0", step: 1 }, { version: "2.0.0", step: 2 });
    const running = await start(functions);
    const steps = `
expected: 5s
commit: operator
groups: [{ name: one, steps: [{ name: double, change: { use: { count: counting@2 } }, expected: 3s }] }]
`;
    const begin = async (file: string) => {
      const before = (await readHistory(running)).length;
      expect(await runOn(running, "upgrade", "execute", file, "--detach")).toMatchObject({ status: 0 });
      const states = async () => (await readHistory(running)).slice(before).map(({ state }) => state);
      await expect.poll(states, { timeout: 10_000 }).toContain("done");
    };
    await begin(plan(steps));
    expect(await upgrade(running, "status")).toMatchObject({ state: "switched", plan: "test" });
    expect((await runOn(running, "upgrade", "load")).complaint).toContain("the plan test is being carried out");
    expect(await upgrade(running, "abort")).toMatchObject({ state: "aborted", generation: 1, plan: null });

    await begin(plan(`commitWithin: 3s${steps}`));
    await expect.poll(async () => (await readHistory(running)).at(-1)?.state, { timeout: 10_000 }).toBe("aborted");
    expect((await readHistory(running)).find(({ outcome }) => outcome === "nobody committed in time")).toBeDefined();

    await begin(plan(steps));
    expect(await upgrade(running, "commit")).toMatchObject({ state: "committed", plan: null });
    await showHistory(running);
    expect((await upgrade(running, "status")).after).toBe("fw=acl@1.0.0 count=counting@2.0.0");
    expect(await net.ping(5)).toBe(5);

    // An engine that is stopped meanwhile asks for no restore.
    await begin(plan(steps));
    expect(readdirSync(running.stateFolder).toSorted()).toEqual(["planned", "planned.stored"]);
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
    expect(readdirSync(running.stateFolder)).toEqual([]);
    expect((await readHistory(running, "planned")).at(-1)).toMatchObject({
      ...{ state: "aborted", outcome: "the engine ended", plan: "test" },
    });
  });
});
