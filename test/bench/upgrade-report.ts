// How the comparisons of upgrade-rounds.ts are printed.
import type { UpgradeComparison, UpgradeRound } from "./upgrade-rounds.ts";

export function printUpgrades({ flows, highestRate, rate, changed, control, intact }: UpgradeComparison): void {
  console.log(
    `  ${flows.toLocaleString("en")} live flows: nothing lost at ${kilo(highestRate)} packets/s; measured at ${kilo(rate)}; ` +
      `${intact ? "state and frames intact" : "STATE OR FRAMES NOT INTACT"}`,
  );
  const { pauses, loads } = readCosts(changed);
  printRounds(`${pauses.length} changes`, changed, rate);
  printRounds("no change", control, rate);
  console.log(
    `    pause of the lane per change: ${quantiles(pauses, 0)} µs; beside it, building the generation ${quantiles(loads, 0)} ms`,
  );
}

/** What grows with the number of flows, and what does not. */
export function printDependence(comparisons: readonly UpgradeComparison[]): void {
  console.log("  live flows   pause µs: median   99 %   longest   blocked ms: changes   none   building ms: median");
  for (const { flows, changed, control } of comparisons) {
    const { pauses, loads } = readCosts(changed);
    const at = (share: number) => quantile(pauses, share).toFixed(0);
    console.log(
      `  ${flows.toLocaleString("en").padStart(10)}   ${at(0.5).padStart(16)} ${at(0.99).padStart(6)} ${at(1).padStart(9)}   ` +
        `${blockedMs(changed).toFixed(2).padStart(19)} ${blockedMs(control).toFixed(2).padStart(6)}   ` +
        `${quantile(loads, 0.5).toFixed(0).padStart(19)}`,
    );
  }
}

function readCosts(rounds: readonly UpgradeRound[]): { readonly pauses: number[]; readonly loads: number[] } {
  const costs = rounds.flatMap(({ changes }) => changes);
  return { pauses: costs.map(({ pauseUs }) => pauseUs), loads: costs.map(({ loadMs }) => loadMs) };
}

/** Lost packets / offered load. */
function blockedMs(rounds: readonly UpgradeRound[]): number {
  const [sent, lost] = [sum(rounds, ({ packets }) => packets.sent), sum(rounds, ({ packets }) => packets.lost)];
  return (1000 * lost) / (sent / sum(rounds, ({ packets }) => packets.seconds));
}

function printRounds(title: string, rounds: readonly UpgradeRound[], rate: number): void {
  const of = (pick: (round: UpgradeRound) => number) => sum(rounds, pick);
  const worst = (pick: (round: UpgradeRound) => number) => Math.max(...rounds.map(pick));
  const seconds = of(({ packets }) => packets.seconds);
  const sent = of(({ packets }) => packets.sent);
  const lost = of(({ packets }) => packets.lost);
  const share = (100 * sent) / (rate * seconds);
  const packets =
    `${sent} packets in ${seconds.toFixed(1)} s (${share.toFixed(1)} % of what was to be sent): ${lost} lost ` +
    `(${of(({ ringFull }) => ringFull)} frames for want of room in the ring), ${of((round) => round.packets.duplicates)} twice, ` +
    `${of((round) => round.packets.reordered)} late; blocked ${blockedMs(rounds).toFixed(2)} ms`;
  const evenness =
    `longest gap ${worst((round) => round.packets.longestGapUs).toFixed(0)} µs (sender's ` +
    `${worst((round) => round.packets.longestSendGapUs).toFixed(0)}, beyond the sender's ${worst((round) => round.packets.longestStallUs).toFixed(0)}); ` +
    `delay median ${worst((round) => round.packets.delayUs.median).toFixed(0)}, 99 % ${worst((round) => round.packets.delayUs.p99).toFixed(0)}, ` +
    `longest ${worst((round) => round.packets.delayUs.longest).toFixed(0)} µs`;
  const broken = rounds.flatMap(({ background }) => background.transfer.error ?? []);
  const failed = rounds.flatMap(({ background }) => background.downloads.failed);
  const others =
    `TCP ${(of((round) => round.background.transfer.bytes) / 1e6).toFixed(0)} MB, ` +
    `${of((round) => round.background.transfer.retransmits)} sent again, ${broken.length} broken; ` +
    `${of((round) => round.background.downloads.done)} downloads, ${failed.length} failed; ` +
    `${of((round) => round.background.pings.answered)} pings, ${of((round) => round.background.pings.missing)} unanswered`;
  console.log(`    ${title.padEnd(12)} ${packets}`);
  for (const line of [evenness, others]) console.log(`    ${" ".repeat(12)} ${line}`);
}

function kilo(rate: number): string {
  return `${(rate / 1000).toFixed(0)} k`;
}

function sum<T>(values: readonly T[], pick: (value: T) => number): number {
  return values.reduce((total, value) => total + pick(value), 0);
}

function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor((sorted.length - 1) * share)] ?? Number.NaN;
}

function quantiles(values: readonly number[], digits: number): string {
  const at = (share: number) => quantile(values, share).toFixed(digits);
  return `median ${at(0.5)}, 99 % ${at(0.99)}, longest ${at(1)}`;
}
