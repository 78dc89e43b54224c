// nfs/firewall and nfs/nat against conntrack and nftables: random policies, written for both; the same packets through a chain
// that runs and through a kernel that routes. SLUICE_POLICY_SEED and SLUICE_POLICIES set the first seed and how many.
import { describe, expect, it, onTestFinished } from "vitest";
import { nftablesObstacle, PolicyBed } from "../support/policies/bed.ts";
import { Judgement } from "../support/policies/judgement.ts";
import { generatePolicy } from "../support/policies/policy.ts";

const obstacle = nftablesObstacle();
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;
const FIRST = Number(process.env.SLUICE_POLICY_SEED ?? 1);
const COUNT = Number(process.env.SLUICE_POLICIES ?? 200);
const TIMEOUT_MS = 600_000;

describe.skipIf(obstacle !== null)(`a chain of firewall and nat, and nftables${skipped}`, () => {
  it(
    `judge, translate and answer alike under ${COUNT} random policies from seed ${FIRST}`,
    async () => {
      const bed = await PolicyBed.open(generatePolicy(FIRST));
      onTestFinished(() => bed.close(), TIMEOUT_MS);
      const judgement = new Judgement();
      const seeds = Array.from({ length: COUNT }, (_, index) => FIRST + index);
      let loading = bed.load(generatePolicy(FIRST));
      for (const seed of seeds) {
        await loading;
        const policy = generatePolicy(seed);
        await bed.apply(policy);
        loading = bed.load(generatePolicy(seed + 1));
        await judgement.compare(bed, policy);
      }
      await loading;
      const { packets, passed, translated, dropped, answers, explained } = judgement;
      console.log({ policies: COUNT, packets, passed, translated, dropped, answers, ...Object.fromEntries(explained) });
      if (judgement.unexplained.length > 0) judgement.unexplained.push(`engine lost: ${await bed.losses()}`);
      expect(judgement.unexplained.join("\n")).toBe("");
      // Policies that let all or nothing pass would show nothing; of a few that may be.
      if (COUNT >= 50)
        for (const some of [passed, dropped, translated, answers]) expect(some).toBeGreaterThan(packets / 50);
    },
    TIMEOUT_MS,
  );
});
