// Upgrade plans on a chain that carries traffic between two namespaces: each way that one can end.
import { readFileSync } from "node:fs";
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
    options: { stateFolder?: string; dataFolder?: string; file?: string } = {},
  ) => {
    const { file = `${makeFolder({ "chain.yaml": chain })}/chain.yaml`, ...folders } = options;
    engine = await RunningEngine.start(net.box, file, { functions, ...folders });
    return engine;
  };

  const plan = (text: string) => `${makeFolder({ "plan.yaml": `plan: test\nchain: planned\n${text}` })}/plan.yaml`;
  const total = (running: RunningEngine) =>
    Number(readFileSync(`${running.chainFolder}/${totalSegment("count")}`).readBigUInt64LE());

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
    const pings = net.ping(600);
    const { end, transitions } = await executePlan(running, file);
    expect(end).toBe("committed");
    expect(await pings).toBe(600);
    expect(transitions.find(({ state }) => state === "stored")?.outcome).toMatch(/^ok, \d+ bytes, paused for \d+ µs$/);
    expect(await showHistory(running)).toEqual([
      ...["init", "stored"],
      ...["loading", "loaded", "switching", "switched", "done"].map((state) => `counting/double 1 ${state}`),
      ...["loading", "loaded", "switching", "switched", "done"].map((state) => `filter/deny-dns 1 ${state}`),
      ...["committing", "committed"],
    ]);
    const before = total(running);
    expect(await net.ping(5)).toBe(5);
    expect(total(running) - before).toBe(20);
    // What was committed is what later changes come on top of.
    await upgrade(running, "run", "--set", "fw.malformed=permit");
    expect((await upgrade(running, "status")).after).toBe("fw=acl@1.0.0 count=counting@2.0.0");
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
  });
});
