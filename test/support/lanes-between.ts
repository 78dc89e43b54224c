// A chain of several lanes between two namespaces with several addresses each: pairs of addresses, and so lanes, differ.
import type { ChildProcess } from "node:child_process";
import { createNetwork, type Namespace, type Network } from "../../runtime/testing/network.ts";
import { RunningEngine } from "./running-engine.ts";
import { makeFolder } from "./temporary-folder.ts";

export const HOSTS = 8;
export const leftHost = (host: number) => `10.9.0.${host + 1}`;
export const rightHost = (host: number) => `10.9.0.${host + 101}`;

export interface LanesBetween {
  readonly network: Network;
  readonly left: Namespace;
  readonly right: Namespace;
  readonly box: Namespace;
}

/** veth pairs with `queues` queues each way; neighbours are known to each other. */
export async function connectLanes(queues: number): Promise<LanesBetween> {
  const network = await createNetwork();
  const [left, right, box] = await Promise.all(["left", "right", "box"].map((label) => network.namespace(label)));
  const sides = { left: left as Namespace, right: right as Namespace, box: box as Namespace };
  const hosts = Array.from({ length: HOSTS }, (_, host) => host);
  const macs = { left: "02:00:00:00:00:01", right: "02:00:00:00:00:02" };
  await network.link(
    {
      namespace: sides.left,
      device: "eth0",
      addresses: hosts.map((host) => `${leftHost(host)}/24`),
      macAddress: macs.left,
    },
    { namespace: sides.box, device: "lan0" },
    { queues },
  );
  await network.link(
    {
      namespace: sides.right,
      device: "eth0",
      addresses: hosts.map((host) => `${rightHost(host)}/24`),
      macAddress: macs.right,
    },
    { namespace: sides.box, device: "wan0" },
    { queues },
  );
  const known = ["dev", "eth0", "nud", "permanent"];
  for (const host of hosts) {
    await sides.left.run("ip", "neighbour", "replace", rightHost(host), "lladdr", macs.right, ...known);
    await sides.right.run("ip", "neighbour", "replace", leftHost(host), "lladdr", macs.left, ...known);
  }
  return { network, ...sides };
}

/** Two ports with these queues, and a firewall in both directions unless other functions are said. */
export function lanesChain(
  queues: readonly number[],
  functions: Readonly<Record<string, string>> = { fw: "{ use: acl@1, config: { rules: [], default: permit } }" },
): string {
  const names = Object.keys(functions);
  return `chain: lanes
ports:
  lan: { device: lan0, queues: [${queues.join(", ")}] }
  wan: { device: wan0, queues: [${queues.join(", ")}] }
functions: {${names.map((name) => ` ${name}: ${functions[name]}`).join(",")} }
paths:
  - { from: lan, through: [${names.join(", ")}], to: wan }
  - { from: wan, through: [${names.toReversed().join(", ")}], to: lan }
`;
}

export function startLanes({ box }: LanesBetween, document: string, functions?: string): Promise<RunningEngine> {
  const file = `${makeFolder({ "chain.yaml": document })}/chain.yaml`;
  return RunningEngine.start(box, file, functions === undefined ? {} : { functions });
}

export interface IperfEnd {
  readonly end: { readonly sum_received: { readonly bytes: number } };
  readonly error?: string;
}

/** iperf3 with so many TCP streams between two addresses. */
export class Iperf {
  readonly #server: ChildProcess;
  readonly #sides: LanesBetween;
  readonly #host: number;

  private constructor(sides: LanesBetween, host: number, server: ChildProcess) {
    this.#sides = sides;
    this.#host = host;
    this.#server = server;
  }

  static async start(sides: LanesBetween, host: number): Promise<Iperf> {
    const server = sides.right.spawn("iperf3", ["-s", "-B", rightHost(host), "--forceflush"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await new Promise((resolve) => server.stdout?.once("data", resolve));
    return new Iperf(sides, host, server);
  }

  /** What it says at its end. */
  async run(streams: number, seconds: number): Promise<IperfEnd> {
    const way = ["-c", rightHost(this.#host), "-B", leftHost(this.#host)];
    const load = ["-P", String(streams), "-t", String(seconds), "-b", "40M", "--json"];
    const { stdout } = await this.#sides.left.run("iperf3", ...way, ...load);
    return JSON.parse(stdout) as IperfEnd;
  }

  stop(): void {
    this.#server.kill("SIGTERM");
  }
}
