// A box that runs a chain between two namespaces: left (10.9.0.1) and right (10.9.0.2).
import { text } from "node:stream/consumers";
import { createNetwork, type Namespace, type Network } from "../../runtime/testing/network.ts";
import { settleAddresses } from "./settle-addresses.ts";

export interface BoxBetween {
  readonly left: Namespace;
  readonly right: Namespace;
  /** Has the devices lan0 and wan0. */
  readonly box: Namespace;
  /** Echo requests from left that right answered. */
  ping(count: number): Promise<number>;
  /** The same, of which the unanswered are given up soon. */
  pingQuickly(count: number): Promise<number>;
  /** A hundred a second until it is stopped. */
  startPings(): Pings;
  close(): Promise<void>;
}

export interface Pings {
  /** How many were not answered, of those before the last that was. */
  stop(): Promise<number>;
}

export async function createBoxBetween(): Promise<BoxBetween> {
  const network = await createNetwork();
  const [left, right, box] = await Promise.all([
    network.namespace("left"),
    network.namespace("right"),
    network.namespace("box"),
  ]);
  await connect(network, left, "10.9.0.1/24", box, "lan0");
  await connect(network, right, "10.9.0.2/24", box, "wan0");
  await settleAddresses(left, right);
  const ping = async (count: number) => {
    // All at once: having sent the last, ping waits for its answers as long as its interval, whatever -W says.
    const options = ["-c", String(count), "-l", String(count), "-i", "5", "10.9.0.2"];
    const { stdout } = await left.run("ping", ...options).catch((error: { stdout: string }) => error);
    return Number(/(\d+) received/.exec(stdout)?.[1] ?? 0);
  };
  const pingQuickly = async (count: number) => {
    const options = ["-c", String(count), "-i", "0.05", "-W", "0.5", "10.9.0.2"];
    const { stdout } = await left.run("ping", ...options).catch((error: { stdout: string }) => error);
    return Number(/(\d+) received/.exec(stdout)?.[1] ?? 0);
  };
  return { left, right, box, ping, pingQuickly, startPings: () => startPings(left), close: () => network.close() };
}

function startPings(from: Namespace): Pings {
  const child = from.spawn("ping", ["-i", "0.01", "10.9.0.2"], { stdio: ["ignore", "pipe", "ignore"] });
  const said = text(child.stdout as NodeJS.ReadableStream);
  return {
    async stop() {
      child.kill("SIGINT");
      const answered = [...(await said).matchAll(/icmp_seq=(\d+) ttl/g)].map(([, number]) => Number(number));
      return Math.max(0, ...answered) - new Set(answered).size;
    },
  };
}

function connect(network: Network, end: Namespace, address: string, box: Namespace, device: string): Promise<void> {
  return network.link({ namespace: end, device: "eth0", addresses: [address] }, { namespace: box, device });
}
