// Control and dataplane killed at random moments of many applies: afterwards store, engine and traffic say the same.
// SLUICE_KILLS says how many applies; by default some.

import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { ChainResource } from "../../runtime/control/chain-view.ts";
import type { Revision } from "../../runtime/control/revisions.ts";
import { findEngines } from "../../runtime/dataplane/state-folder.ts";
import { CommittedStore } from "../../runtime/generation/committed.ts";
import { networkObstacle } from "../../runtime/testing/network.ts";
import { type BoxBetween, createBoxBetween } from "../support/box-between.ts";
import { eventually, RunningBox } from "../support/running-box.ts";

const obstacle = networkObstacle();
const KILLS = Number(process.env.SLUICE_KILLS ?? 4);
const SEED = Number(process.env.SLUICE_SEED ?? Date.now() % 1_000_000);

function random(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** The number says what it is: odd ones let pings pass. */
function edge(number: number) {
  const rules = [{ action: number % 2 === 1 ? "permit" : "deny", ipProtos: ["icmp"] }];
  return {
    chain: "edge",
    ports: { lan: { device: "lan0" }, wan: { device: "wan0" } },
    functions: { fw: { use: "acl@1", config: { default: "permit", rules } } },
    paths: [
      { from: "lan", match: { destinationPorts: [number] }, to: "none" },
      { from: "lan", through: ["fw"], to: "wan" },
      { from: "wan", through: ["fw"], to: "lan" },
    ],
  };
}

const numberOf = ({ paths }: Pick<ChainResource, "paths">) => Number(paths[0]?.match?.destinationPorts?.[0]);

describe.skipIf(obstacle !== null)(`processes killed${obstacle === null ? "" : ` (skipped: ${obstacle})`}`, () => {
  let between: BoxBetween;
  let box: RunningBox;

  beforeEach(async () => {
    between = await createBoxBetween();
    box = await RunningBox.start(between.box);
    await box.put("edge", edge(1));
  });

  afterEach(async () => {
    await box?.dispose();
    await between?.close();
  });

  const pingPasses = async () => {
    const { stdout } = await between.left
      .run("ping", "-c", "1", "-W", "0.3", "10.9.0.2")
      .catch((error: { stdout: string }) => error);
    return /1 received/.test(stdout);
  };

  /** Store, engine and traffic; the number of the document that they agree on. Throws if they do not, within a while. */
  const agree = (what: string) =>
    eventually(what, async () => {
      const resource = await box.get("edge");
      const found = findEngines(box.stateFolder)[0];
      const running = found === undefined ? undefined : new CommittedStore(found.path).peek()?.source.document;
      if (resource.status.change !== null) throw new Error(`a change is ${resource.status.change}`);
      if (running === undefined) throw new Error("nothing runs");
      const [stored, committed, passes] = [numberOf(resource), numberOf(running), await pingPasses()];
      if (stored !== committed || passes !== (stored % 2 === 1)) {
        throw new Error(`store ${stored}, engine ${committed}, pings ${passes ? "pass" : "do not"}`);
      }
      return stored;
    });

  /** Applies one after the other, in each of which `kill` comes at a random moment. */
  const applyAndKill = async (count: number, kill: () => Promise<void>) => {
    const next = random(SEED);
    const { tookMs } = await box.put("edge", edge(3));
    let [answered, last] = [0, 3];
    for (let number = 4; number < count + 4; number++) {
      const confirmWithin = next() < 0.2 ? { confirmWithin: "200ms" } : {};
      const put = box.put("edge", edge(number), confirmWithin).then(
        () => true,
        () => false,
      );
      await sleep(next() * tookMs * 1.5);
      await kill();
      const isAnswered = await put;
      const found = await agree(`after apply ${number} (seed ${SEED})`);
      const isKept = isAnswered && Object.keys(confirmWithin).length === 0;
      // What was answered with success is not lost; what was not is there or not, but nothing else is.
      expect(isKept ? [number] : [number, last]).toContain(found);
      answered += isAnswered ? 1 : 0;
      last = found;
    }
    const revisions = await box.client.call<Revision[]>("/api/v1/chains/edge/revisions");
    expect(revisions.filter(({ state }) => !["confirmed", "failed", "rolled-back"].includes(state))).toEqual([]);
    return answered;
  };

  it("of control: every time all agree afterwards, and nothing that was answered is lost", async () => {
    const answered = await applyAndKill(KILLS, async () => {
      await box.killControl();
      await box.startControl();
    });
    console.log(
      `control killed in ${KILLS} of ${KILLS} applies, ${answered} of which were answered before; all agreed`,
    );
  }, 1_200_000);

  it("of the engine: every time all agree afterwards, and nothing that was answered is lost", async () => {
    const answered = await applyAndKill(KILLS, async () => {
      const pid = box.enginePid;
      if (pid !== undefined) process.kill(pid, "SIGKILL");
    });
    console.log(`engine killed in ${KILLS} of ${KILLS} applies, ${answered} of which were answered; all agreed`);
  }, 1_200_000);

  it("of the host of the engines, with all of them", async () => {
    const count = Math.ceil(KILLS / 4);
    const answered = await applyAndKill(count, async () => {
      await box.killDataplane();
      await box.startDataplane();
    });
    console.log(`host killed in ${count} of ${count} applies, ${answered} of which were answered; all agreed`);
  }, 1_200_000);
});
