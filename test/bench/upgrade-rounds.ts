// What changes of generation cost the traffic: rounds with changes and rounds without, in turn and of the same length, at
// 90 % of the highest rate at which nothing is lost, with ever more live flows.
import { type BackgroundOutcome, BackgroundTraffic } from "../support/background-traffic.ts";
import { type ChainChange, type ChangeCost, makeChange } from "../support/chain-changes.ts";
import { type NumberedOutcome, NumberedTraffic } from "../support/numbered-traffic.ts";
import { UpgradeBed } from "./upgrade-bed.ts";

export interface UpgradeRound {
  readonly packets: NumberedOutcome;
  readonly background: BackgroundOutcome;
  /** Frames that the lane's receive rings had no room for. */
  readonly ringFull: number;
  /** None in a control round. */
  readonly changes: readonly ChangeCost[];
}

export interface UpgradeComparison {
  readonly flows: number;
  /** Packets per second. */
  readonly highestRate: number;
  readonly rate: number;
  readonly changed: readonly UpgradeRound[];
  readonly control: readonly UpgradeRound[];
  /** The segment agrees with what the lane received; no frame's slot is lost. */
  readonly intact: boolean;
}

const ROUNDS = 2;
const SHARE = 0.9;
const LOWEST_RATE = 20_000;
const HIGHEST_RATE = 1_200_000;
const SEARCH_STEPS = 7;
const SEARCH_SECONDS = 1;
/** A burst that others caused is forgiven. */
const SEARCH_ATTEMPTS = 2;
const TRANSFER_RATE = "20M";
/** Of changes in one round, at the most: enough for a sixth of a thousand. */
const ROUND_SECONDS = 90;

/** `changes` in all, in `ROUNDS` rounds; fewer if they take too long. */
export async function compareUpgrades(flows: number, changes: number, functions: string): Promise<UpgradeComparison> {
  const bed = await UpgradeBed.open(flows, functions);
  let intact = false;
  const changed: UpgradeRound[] = [];
  const control: UpgradeRound[] = [];
  let highestRate: number;
  try {
    highestRate = await findHighestRate(bed);
    const rate = Math.round(highestRate * SHARE);
    for (let round = 0; round < ROUNDS; round++) {
      const first = changed.reduce((sum, done) => sum + done.changes.length, 0);
      const count = Math.ceil((changes - first) / (ROUNDS - round));
      const done = await measure(bed, rate, () => makeChanges(bed, first, count));
      changed.push(done);
      control.push(await measure(bed, rate, () => wait(done.packets.seconds)));
    }
    intact = bed.isStateExact;
  } finally {
    intact = (await bed.close()) && intact;
  }
  return { flows, highestRate, rate: Math.round(highestRate * SHARE), changed, control, intact };
}

/** By bisection, beside the other traffic. */
async function findHighestRate(bed: UpgradeBed): Promise<number> {
  const background = await BackgroundTraffic.start(bed.sides, TRANSFER_RATE);
  let [low, high] = [LOWEST_RATE, HIGHEST_RATE];
  try {
    for (let step = 0; step < SEARCH_STEPS; step++) {
      const rate = Math.round(Math.sqrt(low * high));
      if (await isCarried(bed, rate)) low = rate;
      else high = rate;
    }
  } finally {
    await background.stop();
  }
  return low;
}

/** Everything that was to be sent was sent, and came. */
async function isCarried({ sides, flows }: UpgradeBed, rate: number): Promise<boolean> {
  for (let attempt = 0; attempt < SEARCH_ATTEMPTS; attempt++) {
    const traffic = await NumberedTraffic.start(sides, { rate, flows });
    await wait(SEARCH_SECONDS);
    const { lost, sent, skipped } = await traffic.stop();
    if (lost === 0 && skipped <= 0.01 * sent) return true;
  }
  return false;
}

async function measure(
  bed: UpgradeBed,
  rate: number,
  during: () => Promise<readonly ChangeCost[]>,
): Promise<UpgradeRound> {
  const background = await BackgroundTraffic.start(bed.sides, TRANSFER_RATE);
  const before = ringFull(bed);
  const numbered = await NumberedTraffic.start(bed.sides, { rate, flows: bed.flows });
  const changes = await during();
  const packets = await numbered.stop();
  return { packets, background: await background.stop(), ringFull: ringFull(bed) - before, changes };
}

async function makeChanges(bed: UpgradeBed, first: number, count: number): Promise<ChangeCost[]> {
  const costs: ChangeCost[] = [];
  const until = performance.now() + ROUND_SECONDS * 1000;
  while (costs.length < count && performance.now() < until) {
    const change = bed.cycle[(first + costs.length) % bed.cycle.length] as ChainChange;
    costs.push(await makeChange(bed.engine, change));
  }
  return costs;
}

function ringFull(bed: UpgradeBed): number {
  return bed.snapshot().ports.reduce((sum, { receive_dropped }) => sum + receive_dropped, 0);
}

async function wait(seconds: number): Promise<[]> {
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  return [];
}
