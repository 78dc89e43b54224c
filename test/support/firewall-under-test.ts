// nfs/firewall, compiled once, on memory ports.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { FunctionPackage } from "../../runtime/function/catalog.ts";
import { compileFunction, projectRoot } from "../../runtime/function/compile.ts";
import { type FunctionTestOptions, type FunctionUnderTest, openPackage } from "../../runtime/testing/index.ts";

const folder = join(projectRoot, "nfs/firewall");
const open: FunctionUnderTest[] = [];
let compiled: FunctionPackage | undefined;

export async function compileFirewall(): Promise<FunctionPackage> {
  const manifest = JSON.parse(readFileSync(join(folder, "manifest.json"), "utf8"));
  compiled ??= { manifest, wasm: (await compileFunction(folder)).wasm, origin: folder };
  return compiled;
}

export type FirewallConfig = Readonly<Record<string, unknown>>;

/** After compileFirewall. Ports are "in", where packets enter unless said otherwise, and "out". */
export function openFirewall(config: FirewallConfig, options: FunctionTestOptions = {}): FunctionUnderTest {
  if (compiled === undefined) throw new Error("compileFirewall comes first");
  const firewall = openPackage(compiled, { ...options, config: { rules: [], ...config } });
  open.push(firewall);
  return firewall;
}

export function closeFirewalls(): void {
  for (const firewall of open.splice(0)) firewall.close();
}

/** What became of packets, without repeating those that go on as they are. */
export function judge(firewall: FunctionUnderTest, packets: string | readonly string[], port = "in"): string[] {
  return firewall
    .process(packets, { port })
    .map((said) => (said.startsWith("next ") ? "accept" : said))
    .map((said) => said.replace(/^emit (in|out) /, "answer "));
}

/** The message of a refused configuration. */
export function refusal(config: FirewallConfig): string {
  try {
    openFirewall(config);
    return "accepted";
  } catch (error) {
    return String(error);
  }
}
