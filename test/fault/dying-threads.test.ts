// A generation's thread that dies, whenever: the lane goes on, with whoever has it or can take it.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { networkObstacle } from "../../runtime/testing/network.ts";
import type { Deaths, Moment } from "../support/dying-threads.ts";
import { projectRoot } from "../support/run-sluice.ts";
import { createTwoSides, type TwoSides } from "../support/two-sides.ts";

const obstacle = networkObstacle();
const chain = `chain: dying
ports: { lan: { device: lan0 }, wan: { device: wan0 } }
functions: { count: { use: hello@1 } }
paths:
  - { from: lan, through: [count], to: wan }
  - { from: wan, through: [count], to: lan }
`;

describe.skipIf(obstacle !== null)(`a thread that dies${obstacle === null ? "" : ` (skipped: ${obstacle})`}`, () => {
  let sides: TwoSides;
  let state: string;

  beforeAll(async () => {
    sides = await createTwoSides();
  });
  afterAll(() => sides.network.close());
  beforeEach(() => {
    state = mkdtempSync("/dev/shm/sluice-test-");
    writeFileSync(join(state, "chain.yaml"), chain);
  });
  afterEach(() => rmSync(state, { recursive: true, force: true }));

  const runUntil = async (moment: Moment): Promise<Deaths> => {
    const program = join(projectRoot, "test/support/dying-threads.ts");
    const { stdout } = await sides.box.run(
      ...["env", `SLUICE_STATE_DIR=${state}`],
      ...[process.execPath, "--disable-warning=ExperimentalWarning", program, join(state, "chain.yaml"), moment],
    );
    return JSON.parse(stdout);
  };
  const goesOn = { isAlive: true, next: 0, intact: true };

  it("while it stands by is not missed", { timeout: 60_000 }, async () => {
    expect(await runUntil("standing by")).toEqual({
      ...goesOn,
      refused: null,
      running: 1,
      logged: [],
      quarantines: [],
    });
  });

  it("while it has the lane is followed by a copy", { timeout: 60_000 }, async () => {
    const { logged, ...deaths } = await runUntil("running");
    const quarantine = { function: null, package: null, why: "death", isFallback: false, generation: 1 };
    expect(deaths).toEqual({
      ...{ ...goesOn, refused: null, running: 3 },
      quarantines: [{ ...quarantine, successor: 3 }],
    });
    expect(logged).toEqual(["generation 1 died: error[internal] worker: the lane's thread ended unasked"]);
  });

  it("before it took the lane leaves it to the generation before", { timeout: 60_000 }, async () => {
    const { logged, refused, ...deaths } = await runUntil("before it takes the lane");
    const quarantine = { function: null, package: null, why: "death", isFallback: true, generation: 2, successor: 1 };
    expect(deaths).toEqual({ ...goesOn, running: 1, quarantines: [quarantine] });
    expect(refused).toContain("ended unasked");
    expect(logged).toEqual([expect.stringContaining("generation 2 died")]);
  });

  it("before it let the lane go leaves it to the generation after", { timeout: 60_000 }, async () => {
    const { logged, ...deaths } = await runUntil("before it lets the lane go");
    expect(deaths).toEqual({ ...goesOn, refused: null, running: 2, quarantines: [] });
    expect(logged).toEqual([expect.stringContaining("generation 1 died")]);
  });
});
