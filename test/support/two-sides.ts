// `left eth0 ── lan0 box wan0 ── eth0 right`: what a chain in the box joins. Addresses are settled: ARP has nothing to say.
import { createNetwork, type Namespace, type Network } from "../../runtime/testing/network.ts";

export const LEFT = "10.9.0.1";
export const RIGHT = "10.9.0.2";

export interface TwoSides {
  readonly network: Network;
  readonly left: Namespace;
  readonly right: Namespace;
  readonly box: Namespace;
}

/** With `prefix` 8 the sides also take numbered-traffic.ts's many sources for neighbours. */
export async function createTwoSides(prefix: 8 | 24 = 24): Promise<TwoSides> {
  const network = await createNetwork();
  const [left, right, box] = await Promise.all([
    network.namespace("left"),
    network.namespace("right"),
    network.namespace("box"),
  ]);
  await network.link(
    { namespace: left, device: "eth0", addresses: [`${LEFT}/${prefix}`] },
    { namespace: box, device: "lan0" },
  );
  await network.link(
    { namespace: right, device: "eth0", addresses: [`${RIGHT}/${prefix}`] },
    { namespace: box, device: "wan0" },
  );
  await settleAddress(left, RIGHT, right);
  await settleAddress(right, LEFT, left);
  return { network, left, right, box };
}

async function settleAddress(from: Namespace, address: string, of: Namespace): Promise<void> {
  const mac = await readMac(of);
  await from.run("ip", "neighbour", "replace", address, "lladdr", mac, "dev", "eth0", "nud", "permanent");
}

export async function readMac(namespace: Namespace, device = "eth0"): Promise<string> {
  const { stdout } = await namespace.run("ip", "-json", "link", "show", "dev", device);
  return JSON.parse(stdout)[0].address as string;
}

/** Devices of a namespace that have an XDP program. */
export async function attachedPrograms(namespace: Namespace): Promise<number> {
  const { stdout } = await namespace.run("ip", "-json", "link", "show");
  return (JSON.parse(stdout) as { xdp?: unknown }[]).filter(({ xdp }) => xdp !== undefined).length;
}
