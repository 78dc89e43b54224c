// Two ways from one side to the other: a chain that runs between two namespaces, and a kernel that routes between two more.
import { once } from "node:events";
import { existsSync, writeFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { type ChangeRequest, requestUpgrade } from "../../../runtime/generation/upgrade-socket.ts";
import { createNetwork, type Namespace, type Network } from "../../../runtime/testing/network.ts";
import { afxdpObstacle } from "../afxdp.ts";
import { FrameRelay } from "../frame-relay.ts";
import { RunningEngine, readTop } from "../running-engine.ts";
import { makeFolder } from "../temporary-folder.ts";
import type { Policy } from "./policy.ts";
import { chainDocument } from "./policy-chain.ts";
import { nftablesRuleset } from "./policy-nftables.ts";
import { neighbourMacs, routerMacs } from "./two-paths.ts";

const SYSCTLS = [
  "net.ipv4.ip_forward=1",
  "net.ipv6.conf.all.forwarding=1",
  "net.ipv4.conf.all.rp_filter=0",
  "net.ipv4.conf.lan0.rp_filter=0",
  "net.ipv4.conf.wan0.rp_filter=0",
  "net.ipv4.conf.all.send_redirects=0",
  // Every packet that is rejected is to be answered.
  "net.ipv4.icmp_ratelimit=0",
  "net.ipv4.icmp_msgs_per_sec=1000000",
  "net.ipv4.icmp_msgs_burst=1000000",
  "net.ipv6.icmp.ratelimit=0",
];

type Step = { step: "load"; change: ChangeRequest } | { step: "switchover" | "commit" };

export class PolicyBed {
  readonly relay: FrameRelay;
  readonly #network: Network;
  readonly #router: Namespace;
  readonly #engine: RunningEngine;
  readonly #file: string;

  private constructor(network: Network, router: Namespace, relay: FrameRelay, engine: RunningEngine, file: string) {
    this.#network = network;
    this.#router = router;
    this.relay = relay;
    this.#engine = engine;
    this.#file = file;
  }

  static async open(first: Policy): Promise<PolicyBed> {
    const network = await createNetwork();
    const names = ["lan", "wan", "box", "left", "right", "router"] as const;
    const [lan, wan, box, left, right, router] = (await Promise.all(names.map((name) => network.namespace(name)))) as [
      Namespace,
      Namespace,
      Namespace,
      Namespace,
      Namespace,
      Namespace,
    ];
    await network.link({ namespace: lan, device: "eth0" }, { namespace: box, device: "lan0" });
    await network.link({ namespace: wan, device: "eth0" }, { namespace: box, device: "wan0" });
    await network.link({ namespace: left, device: "eth0" }, routerEnd(router, "lan"));
    await network.link({ namespace: right, device: "eth0" }, routerEnd(router, "wan"));
    await setUpRouter(router);
    const file = `${makeFolder({ "chain.json": JSON.stringify(chainDocument(first)) })}/chain.json`;
    const engine = await RunningEngine.start(box, file);
    const relay = new FrameRelay([lan, wan, left, right].map((namespace) => ({ namespace, device: "eth0" })));
    return new PolicyBed(network, router, relay, engine, file);
  }

  /** Builds the next generation beside the one that runs: takes long, and may go on while traffic does. */
  async load(policy: Policy): Promise<void> {
    writeFileSync(this.#file, JSON.stringify(chainDocument(policy)));
    const change = { file: this.#file, set: [], functions: [], use: [], cold: true, dryRun: false };
    await this.#upgrade({ step: "load", change });
  }

  /** What was loaded, and the same policy in the kernel. */
  async apply(policy: Policy): Promise<void> {
    await Promise.all([this.#applyToKernel(policy), this.#switchOver()]);
  }

  /** What the engine has dropped so far, by function and reason, and what its ports lost. */
  async losses(): Promise<string> {
    const { drops, ports } = await readTop(this.#engine);
    return JSON.stringify({ drops, ports: ports.map(({ port, dropped }) => ({ port, dropped })) });
  }

  async close(): Promise<void> {
    this.relay.close();
    const { status, stderr, last } = await this.#engine.end();
    this.#engine.dispose();
    await this.#network.close();
    if (status !== 0 || last.frames?.intact !== true) throw new Error(`the engine ended with ${status}: ${stderr}`);
  }

  async #switchOver(): Promise<void> {
    await this.#upgrade({ step: "switchover" });
    await this.#upgrade({ step: "commit" });
  }

  #upgrade(request: Step): Promise<unknown> {
    return requestUpgrade(this.#engine.chainFolder, { actor: "test", ...request });
  }

  async #applyToKernel(policy: Policy): Promise<void> {
    const loose = `net.netfilter.nf_conntrack_tcp_loose=${policy.midstream ? 1 : 0}`;
    const child = this.#router.spawn("sh", ["-c", `sysctl -qw ${loose} && nft -f -`], {
      stdio: ["pipe", "ignore", "pipe"],
    });
    child.stdin?.end(nftablesRuleset(policy));
    const [complaint, [status]] = await Promise.all([
      text(child.stderr as NodeJS.ReadableStream),
      once(child, "close"),
    ]);
    if (status !== 0) throw new Error(`nft: ${complaint}\n${nftablesRuleset(policy)}`);
  }
}

function routerEnd(namespace: Namespace, side: "lan" | "wan") {
  // An address, so that the kernel has IPv6 on the device.
  const number = side === "lan" ? 1 : 2;
  const addresses = [`172.31.${number}.1/24`, `2001:db8:ffff:${number}::1/64`];
  return { namespace, device: `${side}0`, addresses, macAddress: routerMacs[side] };
}

async function setUpRouter(router: Namespace): Promise<void> {
  await router.run("sysctl", "-qw", ...SYSCTLS);
  const script: string[] = [];
  for (const [number, side] of [
    [1, "lan"],
    [2, "wan"],
  ] as const) {
    for (const address of [`172.31.${number}.2`, `2001:db8:ffff:${number}::2`])
      script.push(`neighbour replace ${address} lladdr ${neighbourMacs[side]} dev ${side}0 nud permanent`);
  }
  script.push("route add 10.0.0.0/8 via 172.31.1.2", "route add default via 172.31.2.2");
  script.push("-6 route add 2001:db8:a::/48 via 2001:db8:ffff:1::2", "-6 route add default via 2001:db8:ffff:2::2");
  for (const line of script) await router.run("ip", ...line.split(" "));
}

/** Why this machine cannot compare the two, or null. */
export function nftablesObstacle(): string | null {
  const has = ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"].some((path) => existsSync(path));
  return afxdpObstacle() ?? (has ? null : "needs the command nft");
}
