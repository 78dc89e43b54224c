// Faults of one function while two paths of its chain carry traffic; `npm run bench -- --only faults` does it a hundred times.
import { describe, expect, it } from "vitest";
import { afxdpObstacle } from "../support/afxdp.ts";
import { faultKinds, injectFaults } from "../support/fault-rounds.ts";

const TIMES = 4;
const obstacle = afxdpObstacle();
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;

describe.skipIf(obstacle !== null)(`a function at fault under traffic${skipped}`, () => {
  it("costs a path that does not meet it nothing, whatever it does", async () => {
    const kinds = faultKinds.filter((kind) => kind !== "none" && kind !== "kill");
    const { rounds, flow, other, intact } = await injectFaults(TIMES, kinds);
    for (const { kind, injected, noticed, lost } of rounds)
      expect({ kind, injected, noticed, lost }).toEqual({ kind, injected: TIMES, noticed: TIMES, lost: 0 });
    expect(rounds).toHaveLength(kinds.length);
    expect(other).toMatchObject({ count: other.sent, missing: 0, duplicates: 0, outOfOrder: 0 });
    expect(flow).toEqual({ isSame: true, packets: other.sent });
    expect(intact).toBe(true);
  }, 180_000);

  it("is survived by the flows even if the whole engine is killed", async () => {
    const { rounds, flow, other, intact } = await injectFaults(TIMES, ["kill"]);
    expect(rounds).toMatchObject([{ injected: TIMES, noticed: TIMES }]);
    expect(other).toMatchObject({ duplicates: 0, outOfOrder: 0 });
    expect(flow.isSame).toBe(true);
    // Frames that the engine had when it was killed are counted and lost.
    expect(flow.packets).toBeGreaterThanOrEqual(other.count);
    expect(flow.packets).toBeLessThanOrEqual(other.sent);
    expect(intact).toBe(true);
  }, 180_000);
});
