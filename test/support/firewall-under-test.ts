// nfs/firewall on memory ports.
import type { FunctionPackage } from "../../runtime/function/catalog.ts";
import { type FunctionTestOptions, type FunctionUnderTest, openPackage } from "../../runtime/testing/index.ts";
import { loadBuiltIn } from "./built-in.ts";

const open: FunctionUnderTest[] = [];
let firewallPackage: FunctionPackage | undefined;

export async function loadFirewall(): Promise<FunctionPackage> {
  firewallPackage = await loadBuiltIn("firewall");
  return firewallPackage;
}

export type FirewallConfig = Readonly<Record<string, unknown>>;

/** After loadFirewall. Ports are "in", where packets enter unless said otherwise, and "out". */
export function openFirewall(config: FirewallConfig, options: FunctionTestOptions = {}): FunctionUnderTest {
  if (firewallPackage === undefined) throw new Error("loadFirewall comes first");
  const firewall = openPackage(firewallPackage, { ...options, config: { rules: [], ...config } });
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
