// The flow table alone on one core: lookups, new flows, expiry; lookups beside DPDK's rte_hash where that is installed,
// on the same keys, in turn, within the same run.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { projectRoot } from "../support/run-sluice.ts";

const FLOWS = [1 << 16, 1 << 20, 1 << 22] as const;

/** One line of flow_bench's output. */
interface FlowRun {
  readonly flows: number;
  readonly insertNs: number;
  readonly bytesPerFlow: number;
  readonly lookups: readonly {
    readonly keys: string;
    readonly sluice: readonly number[];
    readonly peer: readonly number[];
  }[];
  readonly expireNs: number;
  readonly pauseUs: { readonly median: number; readonly p999: number; readonly longest: number };
}

export interface FlowLookups {
  /** "uniform hit", "Zipf 1.1 hit" or "miss". */
  readonly keys: string;
  /** Lookups per second, medians of the rounds: as it runs in the engine. */
  readonly rate: number;
  /** Without huge pages, as the peer has none; null without a peer. */
  readonly beside: { readonly rate: number; readonly peerRate: number; readonly ratio: number } | null;
}

export interface FlowComparison {
  readonly flows: number;
  readonly lookups: readonly FlowLookups[];
  /** Of a lookup in vain, the flow and its timer. */
  readonly insertNs: number;
  /** Of expiry and removal, all flows within the same second. */
  readonly expireNs: number;
  /** CPU time of single calls of Expired with room for 64. */
  readonly pauseUs: FlowRun["pauseUs"];
  /** In memory with the table full and no second tuples: keys, states, buckets, timers. */
  readonly bytesPerFlow: number;
}

/** Why there is no peer, or null. */
export function flowPeerObstacle(): string | null {
  const found = spawnSync("pkg-config", ["--exists", "libdpdk"]).status === 0;
  return found ? null : "rte_hash: needs DPDK (apt-get install libdpdk-dev)";
}

/** Builds in `folder` and measures on the last core. */
export async function compareFlowLookups(folder = join(projectRoot, "build/flow-bench")): Promise<FlowComparison[]> {
  const hasPeer = flowPeerObstacle() === null;
  build(folder, hasPeer ? ["flow_bench", "flow_bench_dpdk"] : ["flow_bench"]);
  return FLOWS.map((flows) => {
    const alone = run(join(folder, "flow_bench"), String(flows));
    const beside = hasPeer ? run(join(folder, "flow_bench_dpdk"), String(flows), "small-pages") : undefined;
    const lookups = alone.lookups.map(({ keys, sluice }, index) => ({
      keys,
      rate: median(sluice),
      beside: compareRates(beside?.lookups[index]),
    }));
    return { ...alone, lookups };
  });
}

function compareRates(lookups: FlowRun["lookups"][number] | undefined): FlowLookups["beside"] {
  if (lookups === undefined) return null;
  const { sluice, peer } = lookups;
  const ratio = median(sluice.map((rate, round) => rate / (peer[round] as number)));
  return { rate: median(sluice), peerRate: median(peer), ratio };
}

function build(folder: string, targets: readonly string[]): void {
  mkdirSync(folder, { recursive: true });
  const cmake = (...args: string[]) => execFileSync("cmake", args, { stdio: ["ignore", "ignore", "inherit"] });
  cmake("-S", join(projectRoot, "native"), "-B", folder, "-G", "Ninja");
  cmake("--build", folder, "--target", ...targets);
}

function run(program: string, ...args: readonly string[]): FlowRun {
  const core = String(availableParallelism() - 1);
  const text = execFileSync("taskset", ["-c", core, program, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  return JSON.parse(text.toString()) as FlowRun;
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[sorted.length >> 1] as number;
}

const mega = (rate: number) => (rate / 1e6).toFixed(1).padStart(6);

function formatLookups({ keys, rate, beside }: FlowLookups): string {
  const alone = `    ${keys.padEnd(13)} ${mega(rate)} M/s`;
  if (beside === null) return alone;
  const { rate: ours, peerRate, ratio } = beside;
  return `${alone}   without huge pages ${mega(ours)} M/s   rte_hash ${mega(peerRate)} M/s   ratio ${ratio.toFixed(2)}`;
}

export function printFlowComparisons(comparisons: readonly FlowComparison[]): void {
  const obstacle = flowPeerObstacle();
  console.log("\nflow table, one core, batches of 256 keys that are in the cache, table full");
  console.log("(aim: 25 M hits/s at 1 M flows, 2 M new flows/s, no pause above 50 µs from expiry)");
  if (obstacle !== null) console.log(`  skipped: ${obstacle}`);
  for (const { flows, lookups, insertNs, expireNs, pauseUs, bytesPerFlow } of comparisons) {
    console.log(`  ${flows} flows, ${bytesPerFlow.toFixed(0)} bytes per flow`);
    for (const one of lookups) console.log(formatLookups(one));
    console.log(
      `    new flow      ${mega(1e9 / insertNs)} M/s   end by timeout ${mega(1e9 / expireNs)} M/s   pause ` +
        `median ${pauseUs.median.toFixed(1)} µs, 99.9 % ${pauseUs.p999.toFixed(1)} µs, longest ${pauseUs.longest.toFixed(1)} µs`,
    );
  }
}

if (import.meta.main) printFlowComparisons(await compareFlowLookups());
