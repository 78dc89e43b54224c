// What faults cost those who did not cause them: printed by kind.
import { type FaultRound, faultKinds, injectFaults } from "../support/fault-rounds.ts";

export async function benchFaults(count: number): Promise<void> {
  for (const kind of faultKinds) {
    const { rounds, flow, intact } = await injectFaults(count, [kind]);
    for (const round of rounds) console.log(`  ${formatRound(round)}`);
    if (!flow.isSame) console.log("           the other path's flow has another number than before");
    if (!intact) console.log("           FRAMES LEAKED");
  }
}

function formatRound({ kind, injected, noticed, lost, stillMs, lostOfItsOwn }: FaultRound): string {
  const sorted = stillMs.toSorted((a, b) => a - b);
  const [median, worst] = [sorted[sorted.length >> 1] as number, sorted.at(-1) as number];
  return (
    `${kind.padEnd(7)} ${injected} injected, ${noticed} noticed   other path: ${lost} lost, ` +
    `stood still for ${median.toFixed(1)} ms (median), ${worst.toFixed(1)} ms (worst)   own path: ${lostOfItsOwn} lost`
  );
}

if (import.meta.main) await benchFaults(Number(process.argv[2] ?? 100));
