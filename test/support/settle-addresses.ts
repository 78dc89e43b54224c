import type { Namespace } from "../../runtime/testing/network.ts";

/** 10.9.0.1 and 10.9.0.2 on eth0 of two namespaces: ARP has nothing to say from now on. */
export async function settleAddresses(...namespaces: readonly Namespace[]): Promise<void> {
  const macs = await Promise.all(
    namespaces.map(async (namespace) => {
      const { stdout } = await namespace.run("ip", "-json", "link", "show", "dev", "eth0");
      return JSON.parse(stdout)[0].address as string;
    }),
  );
  for (const [index, namespace] of namespaces.entries()) {
    const other = 1 - index;
    const neighbour = [`10.9.0.${other + 1}`, "lladdr", macs[other] as string, "dev", "eth0", "nud", "permanent"];
    await namespace.run("ip", "neighbour", "replace", ...neighbour);
  }
}
