// A change that brings more lanes and fails, or is given up: nobody's lanes are left, and the chain has those that it had.
import { writeFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { networkObstacle } from "../../runtime/testing/network.ts";
import { connectLanes, HOSTS, type LanesBetween, lanesChain, rightHost, startLanes } from "../support/lanes-between.ts";
import { pingAnswered } from "../support/ping.ts";
import { type RunningEngine, readHistory, readTop, upgrade } from "../support/running-engine.ts";
import { makeSickFunction, sickPorts } from "../support/sick-function.ts";
import { makeFolder } from "../support/temporary-folder.ts";
import { until } from "../support/until.ts";

const obstacle = networkObstacle();
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;
const sick = { sick: "{ use: sick@1, onFault: bypass }" };

describe.skipIf(obstacle !== null)(`a change to more lanes that fails${skipped}`, () => {
  let sides: LanesBetween;
  let engine: RunningEngine;

  beforeEach(async () => {
    sides = await connectLanes(2);
    for (const side of [sides.left, sides.right]) await side.run("ethtool", "-L", "eth0", "tx", "1");
    engine = await startLanes(sides, lanesChain([0], sick), await makeSickFunction(makeFolder({})));
  });

  afterEach(async () => {
    engine.dispose();
    await sides.network.close();
  });

  const load = async (queues: readonly number[]) => {
    const file = `${makeFolder()}/chain.yaml`;
    writeFileSync(file, lanesChain(queues, sick));
    return upgrade(engine, "load", file);
  };

  const expectCarried = async () => {
    for (let host = 0; host < HOSTS; host++) expect(await pingAnswered(sides.left, rightHost(host), 3)).toBe(3);
    expect((await readTop(engine)).drops).toEqual([]);
  };

  const expectEnd = async () => {
    const { last, status } = await engine.end();
    expect(last.frames).toMatchObject({ intact: true });
    expect(status).toBe(0);
  };

  it("ends with the engine when it was only loaded", async () => {
    expect(await load([0, 1])).toMatchObject({ state: "loaded" });
    await expectCarried();
    await expectEnd();
  }, 60_000);

  it("leaves nothing behind when it is given up: it can be loaded again", async () => {
    for (let attempt = 0; attempt < 3; attempt++) {
      await load([0, 1]);
      expect(await upgrade(engine, "abort")).toMatchObject({ state: "aborted" });
    }
    await load([0, 1]);
    await upgrade(engine, "switchover");
    await expectCarried();
    expect(await upgrade(engine, "commit")).toMatchObject({ state: "committed" });
    await expectEnd();
  }, 90_000);

  it("gives way to the lanes before when a function does not return before the commit", async () => {
    await load([0, 1]);
    await upgrade(engine, "switchover");
    await expectCarried();
    await sides.left.run("bash", "-c", `echo loop > /dev/udp/${rightHost(0)}/${sickPorts.loop[0]}`);
    await until(async () => (await upgrade(engine, "status")).state === "aborted");
    expect((await readHistory(engine)).at(-1)).toMatchObject({ state: "aborted", actor: "watchdog" });
    await expectCarried();
    await load([0, 1]);
    await upgrade(engine, "switchover");
    expect(await upgrade(engine, "commit")).toMatchObject({ state: "committed" });
    await expectCarried();
    await expectEnd();
  }, 90_000);
});
