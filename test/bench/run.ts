// `npm run bench [-- --only NAME]`: what the engine costs, each figure beside a peer measured in the same run.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { compileFunction } from "../../runtime/function/compile.ts";
import { afxdpObstacle } from "../support/afxdp.ts";
import { backgroundObstacle } from "../support/background-traffic.ts";
import { makeCountingFunctions } from "../support/counting-function.ts";
import { compareTwins, formatComparison } from "./classifier.bench.ts";
import { measureControl } from "./control-rounds.ts";
import { benchFaults } from "./fault-rounds.ts";
import { benchFirewall } from "./firewall.bench.ts";
import { compareFlowLookups, flowPeerObstacle, printFlowComparisons } from "./flow-rounds.ts";
import { compareGateways } from "./gateway-rounds.ts";
import type { HopComparison } from "./hop-rounds.ts";
import type { RecorderComparison } from "./recorder-rounds.ts";
import type { ReportComparison } from "./report-rounds.ts";
import type { ShadowComparison } from "./shadow-rounds.ts";
import { printDependence, printUpgrades } from "./upgrade-report.ts";
import { compareUpgrades, type UpgradeComparison } from "./upgrade-rounds.ts";
import { compareOnVeth } from "./veth-rounds.ts";

async function buildNoop(folder: string): Promise<void> {
  const source = join(import.meta.dirname, "noop");
  writeFileSync(join(folder, "function.wasm"), (await compileFunction(source)).wasm);
  writeFileSync(join(folder, "manifest.json"), readFileSync(join(source, "manifest.json")));
}

async function benchTwins(): Promise<void> {
  console.log("\nfunctions against the same logic in C++ -O3 -march=native, batch 256, same memory, interleaved");
  console.log("(aim: at least 0.85 of native)");
  for (const comparison of await compareTwins()) console.log(`  ${formatComparison(comparison)}`);
}

/** In a process of its own, with V8's flags as in the data plane. */
function runRounds(file: string, folder: string): unknown {
  const flags = ["--no-liftoff", "--no-wasm-lazy-compilation", "--disable-warning=ExperimentalWarning"];
  const rounds = join(import.meta.dirname, file);
  return JSON.parse(execFileSync(process.execPath, [...flags, rounds, folder], { encoding: "utf8" }));
}

function benchHops(folder: string): void {
  console.log(
    "\none more no-op hop, memory port, chains of 1 and of 9 hops interleaved (aim at batch 256: under 3 ns)",
  );
  for (const { batch, turnNs, hopNs } of runRounds("hop-rounds.ts", folder) as HopComparison[]) {
    console.log(
      `  batch ${String(batch).padStart(3)}   one more hop ${hopNs.toFixed(2).padStart(6)} ns/packet   ` +
        `whole turn with one hop ${turnNs.toFixed(1).padStart(6)} ns/packet   ${(hopNs / turnNs).toFixed(3)} of it`,
    );
  }
}

function benchRecorder(folder: string): void {
  console.log(
    "\nkeepBatches: what it adds to a whole turn with one no-op hop that reads frames, memory port, interleaved",
  );
  const flags = ["--no-liftoff", "--no-wasm-lazy-compilation", "--disable-warning=ExperimentalWarning"];
  const rounds = join(import.meta.dirname, "recorder-rounds.ts");
  const text = execFileSync(process.execPath, [...flags, rounds, folder], { encoding: "utf8" });
  for (const { frameBytes, batch, keepBatches, turnNs, addedNs } of JSON.parse(text) as RecorderComparison[]) {
    const shape = `${String(frameBytes).padStart(4)} bytes   batch ${String(batch).padStart(3)}   keepBatches ${String(keepBatches).padStart(4)}`;
    console.log(`  ${shape}   ${addedNs.toFixed(1).padStart(6)} ns/packet on ${turnNs.toFixed(1).padStart(6)}`);
  }
}

function benchReports(folder: string): void {
  console.log("\nreports to other processes, memory port, batch 256, with a ring and without, interleaved");
  for (const { what, withoutNs, withNs } of runRounds("report-rounds.ts", folder) as ReportComparison[]) {
    const pad = (value: number) => value.toFixed(1).padStart(6);
    const ratio = (withoutNs / withNs).toFixed(3);
    console.log(`  ${what.padEnd(40)} ratio ${ratio}   ${pad(withoutNs)} → ${pad(withNs)} ns`);
  }
}

function benchShadow(folder: string): void {
  console.log("\na lane with a shadow of a no-op chain against the same without, memory port, interleaved");
  for (const each of runRounds("shadow-rounds.ts", folder) as ShadowComparison[]) {
    const { frameBytes, batch, aloneNs, shadowedNs, compared, missed, pauseUs, copiedBytes } = each;
    const pad = (value: number, digits: number) => value.toFixed(digits).padStart(6);
    console.log(
      `  frames of ${pad(frameBytes, 0)} bytes, batch ${pad(batch, 0)}   ratio ${(aloneNs / shadowedNs).toFixed(3)}   ` +
        `${pad(aloneNs, 1)} → ${pad(shadowedNs, 1)} ns/packet   ${compared} compared, ${missed} missed   ` +
        `${(copiedBytes / 1e6).toFixed(1)} MB of state in ${pauseUs.toFixed(0)} µs`,
    );
  }
}

async function benchFlows(): Promise<void> {
  const obstacle = flowPeerObstacle();
  if (obstacle !== null) console.log(`\nrte_hash skipped: ${obstacle}`);
  printFlowComparisons(await compareFlowLookups());
}

async function benchVeth(folder: string): Promise<void> {
  console.log(
    "\nthe engine with a no-op chain against a bare C AF_XDP forwarder, veth, 60-byte frames (aim: at least 0.95)",
  );
  const obstacle = afxdpObstacle();
  if (obstacle !== null) return console.log(`  skipped: ${obstacle}`);
  for (const mode of ["copy", "generic"]) {
    const { engine, forwarder, ratio } = await compareOnVeth(5, mode, folder);
    const mpps = (rates: readonly number[]) => rates.map((rate) => (rate / 1e6).toFixed(3)).join(" ");
    console.log(
      `  ${mode.padEnd(8)} ratio ${ratio.toFixed(3)}   engine ${mpps(engine)} Mpps   forwarder ${mpps(forwarder)} Mpps`,
    );
  }
}

async function benchGateway(): Promise<void> {
  console.log(
    "\nan office's gateway, firewall and masquerade on routed ports, against nftables with conntrack, veth, in turn",
  );
  console.log(
    "(established flows, no packet lost; what the machine spends is that of both cores, with sender and receiver)",
  );
  const obstacle = afxdpObstacle() ?? commandObstacle("nft");
  if (obstacle !== null) return console.log(`  skipped: ${obstacle}`);
  for (const rules of [10, 1000]) {
    const { engine, kernel, rate, flows } = await compareGateways(rules);
    const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1] as number;
    const against = (which: "highestRate" | "busyNs", show: (value: number) => string) => {
      const [own, other] = [engine[which], kernel[which]];
      const all = `${own.map(show).join(" ")} against ${other.map(show).join(" ")}`;
      return `ratio ${(median(own) / median(other)).toFixed(2)}   ${all}`;
    };
    console.log(`  ${String(rules).padStart(4)} rules, ${flows} flows`);
    console.log(
      `    highest rate without loss     ${against("highestRate", (value) => (value / 1000).toFixed(0))} k packets/s`,
    );
    console.log(
      `    busy at ${(rate / 1000).toFixed(0).padStart(4)} k packets/s     ${against("busyNs", (value) => value.toFixed(0))} ns per packet, ${engine.lost} against ${kernel.lost} lost`,
    );
  }
}

async function benchEachFault(): Promise<void> {
  console.log(
    `\nfaults under traffic, ${FAULTS} of each kind: what they cost a path that does not meet the function at fault`,
  );
  console.log("(aim: nothing lost but by kill -9; there, traffic again within 1 s; loops within 0.1 s)");
  const obstacle = afxdpObstacle();
  if (obstacle !== null) return console.log(`  skipped: ${obstacle}`);
  await benchFaults(FAULTS);
}

const FAULTS = 100;
async function benchUpgrades(): Promise<void> {
  const changes = Number(option("changes") ?? 1000);
  console.log(
    `\nup to ${changes} changes of generation at 90 % of the highest rate without loss, against none, on veth`,
  );
  console.log("(aim: nothing lost, pauses under 100 µs, whatever the number of flows)");
  const obstacle = afxdpObstacle() ?? backgroundObstacle();
  if (obstacle !== null) return console.log(`  skipped: ${obstacle}`);
  const functions = await makeCountingFunctions({ version: "1.0.0", step: 1 }, { version: "2.0.0", step: 1 });
  const comparisons: UpgradeComparison[] = [];
  for (const flows of [10_000, 100_000, 1_000_000]) {
    comparisons.push(await compareUpgrades(flows, Math.ceil(changes / 3), functions));
    printUpgrades(comparisons.at(-1) as UpgradeComparison);
  }
  printDependence(comparisons);
}

async function benchControl(): Promise<void> {
  console.log(
    "\nfrom a PUT of a chain to its new generation carrying traffic, against nft -f of as many rules, in turn",
  );
  console.log("(aim: under 300 ms; control under 1 % of a core when idle)");
  const obstacle = afxdpObstacle() ?? commandObstacle("nft");
  if (obstacle !== null) return console.log(`  skipped: ${obstacle}`);
  const { rounds, idlePercent } = await measureControl();
  for (const { rules, putMs, pauseUs, nftMs } of rounds) {
    const [put, nft, pause] = [putMs, nftMs, pauseUs].map((values) => values.toSorted((a, b) => a - b));
    const at = (values: readonly number[] | undefined, share: number) =>
      (values?.[Math.floor((values.length - 1) * share)] ?? Number.NaN) as number;
    console.log(
      `  ${String(rules).padStart(4)} rules   PUT median ${at(put, 0.5).toFixed(0)} ms, longest ${at(put, 1).toFixed(0)} ms   ` +
        `nft median ${at(nft, 0.5).toFixed(0)} ms   ratio ${(at(put, 0.5) / at(nft, 0.5)).toFixed(1)}   ` +
        `traffic paused for ${at(pause, 0.5).toFixed(0)} µs, longest ${at(pause, 1).toFixed(0)} µs`,
    );
  }
  console.log(`  control idle, one chain: ${idlePercent.toFixed(2)} % of a core`);
}

function commandObstacle(command: string): string | null {
  try {
    execFileSync("sh", ["-c", `command -v ${command}`], { stdio: "ignore" });
    return null;
  } catch {
    return `needs the command ${command}`;
  }
}

function option(name: string): string | undefined {
  const at = process.argv.indexOf(`--${name}`);
  return at < 0 ? undefined : process.argv[at + 1];
}

const benches: Readonly<Record<string, (folder: string) => unknown>> = {
  twins: benchTwins,
  firewall: benchFirewall,
  hops: benchHops,
  recorder: benchRecorder,
  reports: benchReports,
  shadow: benchShadow,
  flows: benchFlows,
  veth: benchVeth,
  gateway: benchGateway,
  faults: benchEachFault,
  upgrades: benchUpgrades,
  control: benchControl,
};

const only = option("only");
if (only !== undefined && benches[only] === undefined) {
  console.error(`error: there is no bench ${only}\nhelp: one of ${Object.keys(benches).join(", ")}`);
  process.exit(2);
}
const folder = mkdtempSync(join(tmpdir(), "sluice-bench-"));
try {
  console.log(
    `${cpus()[0]?.model}, ${availableParallelism()} cores, Node ${process.version}, V8 ${process.versions.v8}`,
  );
  await buildNoop(folder);
  for (const [name, bench] of Object.entries(benches)) if (only === undefined || only === name) await bench(folder);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
