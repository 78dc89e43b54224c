// firewall and nat per packet, beside the same work in C++ and the host's own part, in one run.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compileFunction, projectRoot } from "../../runtime/function/compile.ts";
import type { FirewallCost, FirewallCosts } from "./firewall-rounds.ts";

interface TwinCost {
  readonly firewall: number;
  readonly nat: number;
}

/** Builds functions and the twin in build/twins and prints what they cost. */
export async function benchFirewall(): Promise<void> {
  console.log(
    "\nfirewall and nat, 60-byte datagrams, batch 256, and the same work on known flows in C++ (session_twin)",
  );
  console.log("(aim: established through both, with the host's turn, under 60 ns at 65 536 flows)");
  const folder = join(projectRoot, "build/twins");
  mkdirSync(folder, { recursive: true });
  const cmake = (...args: string[]) => execFileSync("cmake", args, { stdio: ["ignore", "ignore", "inherit"] });
  cmake("-S", join(projectRoot, "native"), "-B", folder, "-G", "Ninja");
  cmake("--build", folder, "--target", "session_twin");
  for (const name of ["firewall", "nat"]) {
    writeFileSync(join(folder, `${name}.wasm`), (await compileFunction(join(projectRoot, "nfs", name))).wasm);
  }
  const { costs, turns } = runRounds(folder);
  for (const cost of costs) console.log(`  ${formatCost(cost, measureTwin(folder, cost.flows))}`);
  for (const { flows, turnNs } of turns)
    console.log(`  the host's turn around them, ${flows} flows   ${turnNs.toFixed(1).padStart(6)} ns`);
}

function runRounds(folder: string): FirewallCosts {
  const flags = ["--no-liftoff", "--no-wasm-lazy-compilation", "--disable-warning=ExperimentalWarning"];
  const rounds = join(import.meta.dirname, "firewall-rounds.ts");
  return JSON.parse(execFileSync(process.execPath, [...flags, rounds, folder], { encoding: "utf8" }));
}

function measureTwin(folder: string, flows: number): TwinCost {
  return JSON.parse(execFileSync(join(folder, "session_twin"), [String(flows)], { encoding: "utf8" }));
}

function formatCost({ functions, rules, flows, first, established }: FirewallCost, twin: TwinCost): string {
  const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);
  const native = sum(functions.map((name) => twin[name as keyof TwinCost]));
  const ns = (value: number) => `${value.toFixed(1).padStart(6)} ns`;
  const what = `${functions.join(" + ")}${rules > 0 ? `, ${rules} rules` : ""}`;
  const parts = established.map((value, index) => `${functions[index]} ${value.toFixed(1)}`).join(", ");
  const later = `established ${ns(sum(established))} (${parts})`;
  return `${what.padEnd(28)} ${String(flows).padStart(7)} flows   first ${ns(sum(first))}   ${later}   C++ ${ns(native)}   ${(native / sum(established)).toFixed(2)} of native`;
}
