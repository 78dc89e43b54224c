// The next generation on copies of the traffic of several lanes.
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { networkObstacle } from "../../runtime/testing/network.ts";
import {
  connectLanes,
  HOSTS,
  type LanesBetween,
  lanesChain,
  leftHost,
  rightHost,
  startLanes,
} from "../support/lanes-between.ts";
import { pingAnswered } from "../support/ping.ts";
import { type RunningEngine, readHistory, readTop, upgrade } from "../support/running-engine.ts";
import { makeFolder } from "../support/temporary-folder.ts";

const obstacle = networkObstacle();
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;
const PINGS = 3;
/** Left hosts that the next generation lets call nobody. */
const DENIED = 2;

describe.skipIf(obstacle !== null)(`a shadow of a chain with two lanes${skipped}`, () => {
  let sides: LanesBetween;
  let engine: RunningEngine;

  beforeEach(async () => {
    sides = await connectLanes(2);
    engine = await startLanes(sides, lanesChain([0, 1]));
  });

  afterEach(async () => {
    engine.dispose();
    await sides.network.close();
  });

  const write = () => {
    const sources = Array.from({ length: DENIED }, (_, host) => `"${leftHost(host)}/32"`).join(", ");
    const rule = `{ action: deny, ipProtos: [icmp], sources: [${sources}] }`;
    const file = join(makeFolder(), "next.yaml");
    writeFileSync(file, lanesChain([0, 1], { fw: `{ use: acl@1, config: { rules: [${rule}], default: permit } }` }));
    return file;
  };

  const pingFrom = async (host: number) => {
    for (let right = 0; right < HOSTS; right++) {
      expect(await pingAnswered(sides.left, rightHost(right), PINGS, "-I", leftHost(host))).toBe(PINGS);
    }
  };

  it("finds what differs on all of them, and says it as one", async () => {
    const loaded = await upgrade(engine, "load", write(), "--shadow");
    expect(loaded).toMatchObject({ state: "loaded", shadow: { state: "following", why: null } });
    for (let host = 0; host <= DENIED; host++) await pingFrom(host);
    const requests = DENIED * HOSTS * PINGS;
    const status = () => upgrade(engine, "status").then(({ shadow }) => shadow);
    await expect.poll(async () => (await status())?.differing, { timeout: 20_000 }).toBe(requests);
    const shadow = await status();
    expect(shadow).toMatchObject({ missed: 0, faults: 0, skipped: 0 });
    expect(shadow?.differences).toMatchObject([
      { live: "forward wan", next: "drop fw rule:1", frames: requests, flows: DENIED * HOSTS },
    ]);
    expect(shadow?.differences[0]?.examples).toHaveLength(3);
    for (const { frames } of (await readTop(engine)).lanes) expect(frames).toBeGreaterThan(PINGS);
    await upgrade(engine, "switchover");
    await pingFrom(DENIED);
    expect(await upgrade(engine, "abort")).toMatchObject({ state: "aborted", shadow: { state: "ended" } });
    expect((await engine.end()).last.frames).toMatchObject({ intact: true });
  }, 90_000);

  it("aborts by what all of them found, and is refused where the lanes would be others", async () => {
    await upgrade(engine, "load", write(), "--shadow", "--abort-on", "divergence>20% after 40");
    await pingFrom(0);
    await pingFrom(1);
    await expect.poll(async () => (await upgrade(engine, "status")).state, { timeout: 20_000 }).toBe("aborted");
    expect((await readHistory(engine)).at(-1)?.outcome).toContain("divergence");
    const fewer = join(makeFolder(), "fewer.yaml");
    writeFileSync(fewer, lanesChain([0]));
    await expect(upgrade(engine, "load", fewer, "--shadow")).rejects.toThrow("another number of lanes");
    await pingFrom(0);
    expect((await engine.end()).last.frames).toMatchObject({ intact: true });
  }, 90_000);
});
