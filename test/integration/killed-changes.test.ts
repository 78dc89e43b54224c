// The engine is killed in the middle of a change: what was committed last comes back, and the history says what became of
// the rest.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { networkObstacle } from "../../runtime/testing/network.ts";
import { type BoxBetween, createBoxBetween } from "../support/box-between.ts";
import { makeCountingFunctions } from "../support/counting-function.ts";
import { RunningEngine, readHistory, runOn, upgrade } from "../support/running-engine.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const obstacle = networkObstacle();
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;

const chain = `chain: killed
ports: { lan: { device: lan0 }, wan: { device: wan0 } }
functions: { count: { use: counting@1 } }
paths:
  - { from: lan, through: [count], to: wan }
  - { from: wan, through: [count], to: lan }
`;

const plan = `plan: double
chain: killed
expected: 20s
commit: operator
groups: [{ name: one, steps: [{ name: double, change: { use: { count: counting@2 } }, expected: 9s }] }]
`;

describe.skipIf(obstacle !== null)(`an engine that is killed amid a change${skipped}`, () => {
  let net: BoxBetween;
  let running: RunningEngine;

  beforeEach(async () => {
    net = await createBoxBetween();
    const functions = await makeCountingFunctions({ version: "1.0.0", step: 1 }, { version: "2.0.0", step: 2 });
    const file = `${makeFolder({ "chain.yaml": chain })}/chain.yaml`;
    running = await RunningEngine.start(net.box, file, { functions, supervised: true });
  });

  afterEach(async () => {
    running.dispose();
    await net.close();
  });

  const kill = async () => {
    const before = running.restarts.length;
    process.kill(running.enginePid, "SIGKILL");
    await expect.poll(() => running.restarts.length, { timeout: 20_000 }).toBe(before + 1);
  };
  const expectBack = async (versions: string) => {
    expect(await upgrade(running, "status")).toMatchObject({ canary: null, plan: null, after: versions });
    expect(await net.ping(5)).toBe(5);
  };
  const expectAborted = async () => {
    expect((await readHistory(running)).at(-1)).toMatchObject({
      ...{ actor: "restart", state: "aborted", outcome: "the engine died" },
    });
  };

  it("comes back without the canary, and with what is committed afterwards", async () => {
    await upgrade(running, "load", "--use", "count=counting@2");
    await upgrade(running, "switchover", "--canary", "50%");
    expect(await net.ping(5)).toBe(5);
    await kill();
    await expectAborted();
    await expectBack("count=counting@1.0.0");
    await upgrade(running, "run", "--use", "count=counting@2");
    await kill();
    await expectBack("count=counting@2.0.0");
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
  });

  it("comes back as it was before a plan that waits for its commit", async () => {
    const file = `${makeFolder({ "plan.yaml": plan })}/plan.yaml`;
    expect(await runOn(running, "upgrade", "execute", file, "--detach")).toMatchObject({ status: 0 });
    const last = async () => (await readHistory(running)).at(-1)?.state;
    await expect.poll(last, { timeout: 20_000 }).toBe("done");
    await kill();
    await expectAborted();
    await expectBack("count=counting@1.0.0");
    expect((await running.end()).last.frames).toMatchObject({ intact: true });
  });
});
