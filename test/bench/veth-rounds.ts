// The engine with a no-op chain against a bare AF_XDP forwarder, on the same two veth pairs, in turn: frames per second
// that arrive at the far end while one side floods.
import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { setTimeout as sleep } from "node:timers/promises";
import { createBridge, nativeProgram, steeringProgram } from "../support/afxdp.ts";
import { RunningEngine } from "../support/running-engine.ts";

export interface VethComparison {
  readonly engine: readonly number[];
  readonly forwarder: readonly number[];
  /** Median of the rounds' ratios: engine / forwarder. */
  readonly ratio: number;
  readonly mode: string;
}

type Bridge = Awaited<ReturnType<typeof createBridge>>;

const SECONDS = 2;
const FRAME_BYTES = 60;

export async function compareOnVeth(rounds: number, mode: string, functions: string): Promise<VethComparison> {
  const bridge = await createBridge();
  const chain = join(functions, "bridge.yaml");
  writeFileSync(
    chain,
    `chain: bench
ports: { lan: { device: lan0, mode: ${mode} }, wan: { device: wan0, mode: ${mode} } }
functions: { noop: { use: noop@1 } }
paths:
  - { from: lan, through: [noop], to: wan }
  - { from: wan, through: [noop], to: lan }
`,
  );
  try {
    const engine: number[] = [];
    const forwarder: number[] = [];
    for (let round = 0; round < rounds; round++) {
      const steps = [
        async () => forwarder.push(await measureForwarder(bridge, mode)),
        async () => engine.push(await measureEngine(bridge, chain, functions)),
      ];
      // Whoever goes first in one round goes second in the next.
      for (const step of round % 2 === 0 ? steps : steps.toReversed()) await step();
    }
    const ratios = engine.map((rate, index) => rate / (forwarder[index] as number)).toSorted((a, b) => a - b);
    return { engine, forwarder, ratio: ratios[rounds >> 1] as number, mode };
  } finally {
    await bridge.network.close();
  }
}

async function measureEngine(bridge: Bridge, chain: string, functions: string): Promise<number> {
  const engine = await RunningEngine.start(bridge.engine, chain, { functions });
  try {
    return await flood(bridge);
  } finally {
    await engine.end();
    engine.dispose();
  }
}

async function measureForwarder(bridge: Bridge, mode: string): Promise<number> {
  const child = await startForwarder(bridge, mode);
  const ended = once(child, "exit");
  try {
    return await flood(bridge);
  } finally {
    child.kill("SIGTERM");
    await ended;
  }
}

/** The kernel frees a queue some time after its socket was closed: until then opening it fails. */
async function startForwarder({ engine }: Bridge, mode: string): Promise<ChildProcess> {
  const args = ["-c", "1", nativeProgram("forwarder"), steeringProgram, "lan0", "wan0", String(SECONDS + 4), mode];
  for (let attempt = 0; ; attempt++) {
    const child = engine.spawn("taskset", args, { stdio: ["ignore", "pipe", "pipe"] });
    const isReady = await Promise.race([
      once(child.stdout as Readable, "data").then(() => true),
      once(child, "exit").then(() => false),
    ]);
    if (isReady) return child;
    if (attempt === 20) throw new Error("the forwarder could not open its devices");
    await sleep(100);
  }
}

/** Frames per second that came through. */
async function flood({ office, internet }: Bridge): Promise<number> {
  await sleep(200);
  const before = await received(internet);
  await office.run("taskset", "-c", "0", nativeProgram("flood"), "eth0", String(SECONDS), String(FRAME_BYTES));
  await sleep(100);
  return ((await received(internet)) - before) / SECONDS;
}

async function received(internet: Bridge["internet"]): Promise<number> {
  const { stdout } = await internet.run("cat", "/sys/class/net/eth0/statistics/rx_packets");
  return Number(stdout);
}
