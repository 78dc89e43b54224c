// What most tests of a running chain have: `left eth0 ── lan0 box wan0 ── eth0 right`, the sides in one subnet.
import { createNetwork, type Namespace, type Network } from "../../runtime/testing/network.ts";

export const LEFT_ADDRESS = "10.9.0.1";
export const RIGHT_ADDRESS = "10.9.0.2";

export interface TwoSides {
  readonly network: Network;
  readonly left: Namespace;
  readonly right: Namespace;
  /** For the engine. */
  readonly box: Namespace;
}

/** To be closed by its network. With `prefix` 8 the sides also take numbered-traffic.ts's many sources for neighbours. */
export async function createTwoSides(prefix: 8 | 24 = 24): Promise<TwoSides> {
  const network = await createNetwork();
  const [left, right, box] = await Promise.all([
    network.namespace("left"),
    network.namespace("right"),
    network.namespace("box"),
  ]);
  for (const [namespace, address, device] of [
    [left, LEFT_ADDRESS, "lan0"],
    [right, RIGHT_ADDRESS, "wan0"],
  ] as const) {
    await network.link({ namespace, device: "eth0", addresses: [`${address}/${prefix}`] }, { namespace: box, device });
  }
  return { network, left, right, box };
}

export async function readMac(namespace: Namespace): Promise<string> {
  const { stdout } = await namespace.run("ip", "-json", "link", "show", "dev", "eth0");
  return JSON.parse(stdout)[0].address as string;
}

/** ARP has nothing to say from now on. */
export async function settleAddresses(left: Namespace, right: Namespace): Promise<void> {
  for (const [from, to, address] of [
    [left, right, RIGHT_ADDRESS],
    [right, left, LEFT_ADDRESS],
  ] as const) {
    const neighbour = [address, "lladdr", await readMac(to), "dev", "eth0", "nud", "permanent"];
    await from.run("ip", "neighbour", "replace", ...neighbour);
  }
}
