// firewall and nat per packet, beside the same work in C++ in the same lanes and the host's own part, in one run.
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { compileFunction, projectRoot } from "../../runtime/function/compile.ts";
import type { Costs, FirewallCost, FirewallCosts } from "./firewall-rounds.ts";

/** Builds functions and twins in build/twins and prints what they cost. */
export async function benchFirewall(): Promise<void> {
  console.log(
    "\nfirewall and nat against their twins in C++, 60-byte datagrams, batch 256, in the same lanes, interleaved",
  );
  console.log("(aim: established through both, with the host's turn, under 60 ns at 65 536 flows)");
  const folder = join(projectRoot, "build/twins");
  mkdirSync(folder, { recursive: true });
  const cmake = (...args: string[]) => execFileSync("cmake", args, { stdio: ["ignore", "ignore", "inherit"] });
  cmake("-S", join(projectRoot, "native"), "-B", folder, "-G", "Ninja");
  cmake("--build", folder, "--target", "twins");
  for (const name of ["firewall", "nat"]) {
    const { wasm } = await compileFunction(join(projectRoot, "nfs", name, "bench"));
    writeFileSync(join(folder, `${name}.wasm`), wasm);
  }
  const { costs, turns } = runRounds(folder);
  for (const cost of costs) for (const line of formatCost(cost)) console.log(`  ${line}`);
  for (const { flows, turnNs } of turns)
    console.log(`  the host's turn around them, ${flows} flows   ${turnNs.toFixed(1).padStart(6)} ns`);
}

function runRounds(folder: string): FirewallCosts {
  const flags = ["--no-liftoff", "--no-wasm-lazy-compilation", "--expose-gc", "--disable-warning=ExperimentalWarning"];
  const rounds = join(import.meta.dirname, "firewall-rounds.ts");
  return JSON.parse(execFileSync(process.execPath, [...flags, rounds, folder], { encoding: "utf8" }));
}

function formatCost({ functions, rules, flows, first, established }: FirewallCost): string[] {
  const what = `${functions.join(" + ")}${rules > 0 ? `, ${rules} rules` : ""}`;
  const head = `${what.padEnd(28)} ${String(flows).padStart(7)} flows`;
  return [
    `${head}   first       ${formatCosts(functions, first)}`,
    `${" ".repeat(head.length)}   established ${formatCosts(functions, established)}`,
  ];
}

/** A chain's functions together, and then each. */
function formatCosts(functions: readonly string[], { wasm, native }: Costs): string {
  const sum = (values: readonly number[]) => values.reduce((all, value) => all + value, 0);
  const parts = functions.map((name, hop) => `${name} ${wasm[hop]?.toFixed(1)} / ${native[hop]?.toFixed(1)}`);
  const [own, its] = [sum(wasm), sum(native)].map((value) => value.toFixed(1).padStart(6));
  const ratio = `Wasm ${own} ns   C++ ${its} ns   ${(sum(native) / sum(wasm)).toFixed(2)} of native`;
  return functions.length > 1 ? `${ratio}   (${parts.join(", ")})` : ratio;
}
