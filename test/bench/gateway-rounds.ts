// An office's gateway on veth: a routed chain of firewall and NAT against the kernel's routing with nftables, conntrack
// and masquerade, in turn, over the same devices: the highest rate without loss, and what the machine spends at a rate
// that both carry.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { createNetwork, type Namespace, type Network } from "../../runtime/testing/network.ts";
import { NumberedTraffic } from "../support/numbered-traffic.ts";
import { RunningEngine } from "../support/running-engine.ts";
import { makeFolder } from "../support/temporary-folder.ts";
import { readMac } from "../support/two-sides.ts";

export interface GatewayCost {
  /** Packets per second, of each round. */
  readonly highestRate: readonly number[];
  /** Of both cores, per packet, with sender and receiver. */
  readonly busyNs: readonly number[];
  /** Packets, while that was measured. */
  readonly lost: number;
}

export interface GatewayComparison {
  readonly rules: number;
  readonly flows: number;
  /** Packets per second at which `busyNs` was measured. */
  readonly rate: number;
  readonly engine: GatewayCost;
  readonly kernel: GatewayCost;
}

interface Bed {
  readonly network: Network;
  readonly office: Namespace;
  readonly box: Namespace;
  readonly internet: Namespace;
}

/** What forwards between the devices until it is stopped. */
type Start = (bed: Bed, rules: number) => Promise<() => Promise<void>>;

const ROUNDS = 3;
const FLOWS = 10_000;
const SERVER = "203.0.113.2";
const [LOWEST_RATE, HIGHEST_RATE] = [10_000, 1_000_000];
const SEARCH_STEPS = 7;
const SEARCH_SECONDS = 1;
/** A burst that others caused is forgiven. */
const SEARCH_ATTEMPTS = 2;
const BUSY_SECONDS = 4;
const BUSY_SHARE = 0.7;
/** Of a core, on Linux. */
const TICK_NS = 10_000_000;

export async function compareGateways(rules: number): Promise<GatewayComparison> {
  const bed = await openBed();
  const [engine, kernel] = [emptyCost(), emptyCost()];
  const sides = [
    { start: startEngine, cost: engine },
    { start: startKernel, cost: kernel },
  ];
  /** Whoever goes first in one round goes second in the next. */
  const inTurn = async (work: (side: (typeof sides)[number]) => Promise<unknown>) => {
    for (let round = 0; round < ROUNDS; round++) {
      for (const side of round % 2 === 0 ? sides : sides.toReversed()) await work(side);
    }
  };
  try {
    await inTurn(async ({ start, cost }) => {
      cost.highestRate.push(await running(start, bed, rules, () => findHighestRate(bed)));
    });
    const rate = Math.round(Math.min(...engine.highestRate, ...kernel.highestRate) * BUSY_SHARE);
    await inTurn(async ({ start, cost }) => {
      const { busyNs, lost } = await running(start, bed, rules, () => measureBusy(bed, rate));
      cost.busyNs.push(busyNs);
      cost.lost += lost;
    });
    return { rules, flows: FLOWS, rate, engine, kernel };
  } finally {
    await bed.network.close();
  }
}

function emptyCost(): { highestRate: number[]; busyNs: number[]; lost: number } {
  return { highestRate: [], busyNs: [], lost: 0 };
}

async function openBed(): Promise<Bed> {
  const network = await createNetwork();
  const [office, box, internet] = await Promise.all([
    network.namespace("office"),
    network.namespace("box"),
    network.namespace("internet"),
  ]);
  await network.link(
    { namespace: office, device: "eth0", addresses: ["10.0.0.2/8"] },
    { namespace: box, device: "lan0", addresses: ["10.0.0.1/8"] },
  );
  await network.link(
    { namespace: internet, device: "eth0", addresses: [`${SERVER}/24`] },
    { namespace: box, device: "wan0", addresses: ["203.0.113.1/24"] },
  );
  const settle = async (from: Namespace, address: string, device: string, of: Namespace) =>
    from.run("ip", "neighbour", "replace", address, "lladdr", await readMac(of), "dev", device, "nud", "permanent");
  await settle(box, SERVER, "wan0", internet);
  await settle(box, "10.0.0.2", "lan0", office);
  // The sources that numbered packets come from are nobody's own.
  await box.run("sysctl", "-qw", "net.ipv4.conf.all.rp_filter=0", "net.ipv4.conf.lan0.rp_filter=0");
  return { network, office, box, internet };
}

async function running<T>(start: Start, bed: Bed, rules: number, work: () => Promise<T>): Promise<T> {
  const stop = await start(bed, rules);
  try {
    // Answered once, a flow is an established one to both sides: its rules are not searched again.
    await send(bed, { rate: LOWEST_RATE, packets: FLOWS, answered: true });
    return await work();
  } finally {
    await stop();
  }
}

const listPorts = (rules: number) => Array.from({ length: rules }, (_, index) => 20_000 + index);

const startEngine: Start = async ({ box }, rules) => {
  const denied = listPorts(rules).map((port) => ({
    ...{ action: "drop", from: ["office"], to: ["internet"], ipProtos: ["udp"], destinationPorts: [port] },
  }));
  const chain = {
    chain: "gateway",
    ports: { lan: { device: "lan0", forwarding: "routed" }, wan: { device: "wan0", forwarding: "routed" } },
    functions: {
      fw: {
        use: "firewall@1",
        config: {
          zones: {
            office: { ports: ["lan"], prefixes: ["10.0.0.0/8"] },
            internet: { ports: ["wan"], prefixes: ["0.0.0.0/0"] },
          },
          rules: denied,
          pairs: [{ from: "office", to: "internet", action: "accept" }],
        },
      },
      nat: { use: "nat@1", config: { outside: ["wan"], sources: [{ from: ["10.0.0.0/8"], masquerade: true }] } },
    },
    paths: [
      { from: "lan", through: ["fw", "nat"], to: "route" },
      { from: "wan", through: ["nat", "fw"], to: "route" },
    ],
  };
  const file = join(makeFolder(), "gateway.yaml");
  writeFileSync(file, JSON.stringify(chain));
  const engine = await RunningEngine.start(box, file);
  return async () => {
    await engine.end();
    engine.dispose();
  };
};

const startKernel: Start = async ({ box }, rules) => {
  const denied = listPorts(rules).map((port) => `    iifname lan0 oifname wan0 udp dport ${port} drop`);
  const ruleset = `table ip gateway {
  chain forward {
    type filter hook forward priority 0; policy drop;
    ct state established,related accept
    ct state invalid drop
${denied.join("\n")}
    iifname lan0 oifname wan0 accept
  }
  chain outside {
    type nat hook postrouting priority 100;
    oifname wan0 masquerade
  }
}
`;
  const file = join(makeFolder(), "gateway.nft");
  writeFileSync(file, ruleset);
  await box.run("sysctl", "-qw", "net.ipv4.ip_forward=1");
  await box.run("nft", "-f", file);
  return async () => {
    await box.run("nft", "delete", "table", "ip", "gateway");
    await box.run("sysctl", "-qw", "net.ipv4.ip_forward=0");
  };
};

interface Sending {
  readonly rate: number;
  readonly packets?: number;
  readonly seconds?: number;
  readonly answered?: boolean;
}

async function send({ office, box, internet }: Bed, { rate, packets = 0, seconds, answered = false }: Sending) {
  const to = { mac: await readMac(box, "lan0"), address: SERVER };
  const traffic = await NumberedTraffic.start(
    { left: office, right: internet },
    { rate, packets, flows: FLOWS, to, answered },
  );
  if (seconds === undefined) return traffic.stop("sent");
  await sleep(seconds * 1000);
  return traffic.stop();
}

/** By bisection; what was sent, where the sender did not get a core in time to send what it was to. */
async function findHighestRate(bed: Bed): Promise<number> {
  let highest = 0;
  let [low, high] = [LOWEST_RATE, HIGHEST_RATE];
  for (let step = 0; step < SEARCH_STEPS; step++) {
    const rate = Math.round(Math.sqrt(low * high));
    const carried = await carriedRate(bed, rate);
    highest = Math.max(highest, carried);
    if (carried > 0) low = rate;
    else high = rate;
  }
  if (highest === 0) throw new Error("nothing is carried without loss");
  return highest;
}

/** 0: something was lost. */
async function carriedRate(bed: Bed, rate: number): Promise<number> {
  for (let attempt = 0; attempt < SEARCH_ATTEMPTS; attempt++) {
    const { lost, sent, seconds } = await send(bed, { rate, seconds: SEARCH_SECONDS });
    if (lost === 0) return sent / seconds;
  }
  return 0;
}

/** All that the machine's cores did, per packet sent. */
async function measureBusy(bed: Bed, rate: number): Promise<{ busyNs: number; lost: number }> {
  const before = busyTicks();
  const { sent, lost } = await send(bed, { rate, seconds: BUSY_SECONDS });
  return { busyNs: ((busyTicks() - before) * TICK_NS) / sent, lost };
}

/** Of all cores: user, nice, system, interrupts and soft interrupts. */
function busyTicks(): number {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n");
  const [, user, nice, system, , , hard, soft] = line.split(/\s+/).map(Number);
  return [user, nice, system, hard, soft].reduce((sum: number, ticks) => sum + (ticks ?? 0), 0);
}
