// What the tests of AF_XDP ports share: programs of the native build, and a bridge of two veth pairs around the harness.

import { type ChildProcess, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { createInterface, type Interface } from "node:readline";
import { fileURLToPath } from "node:url";
import { createNetwork, type Namespace, type Network, networkObstacle } from "../../runtime/testing/network.ts";

const buildFolder = fileURLToPath(new URL("../../build/native/", import.meta.url));

export const nativeProgram = (name: string): string => `${buildFolder}${name}`;
export const steeringProgram = nativeProgram("steer.bpf.o");

/** Why this machine cannot run AF_XDP tests, or null. */
export function afxdpObstacle(): string | null {
  const hasSockets = /^XDP\s/m.test(readFileSync("/proc/net/protocols", "utf8"));
  return networkObstacle() ?? (hasSockets ? null : "needs a kernel with AF_XDP sockets");
}

/** `office eth0 ── lan0 engine wan0 ── eth0 internet`, nothing running on it. */
export interface Bridge {
  readonly network: Network;
  readonly office: Namespace;
  readonly engine: Namespace;
  readonly internet: Namespace;
}

export async function createBridge(): Promise<Bridge> {
  const network = await createNetwork();
  const [office, engine, internet] = [
    await network.namespace("office"),
    await network.namespace("engine"),
    await network.namespace("internet"),
  ];
  await network.link({ namespace: office, device: "eth0" }, { namespace: engine, device: "lan0" });
  await network.link({ namespace: internet, device: "eth0" }, { namespace: engine, device: "wan0" });
  return { network, office, engine, internet };
}

interface Audit {
  readonly free: number;
  readonly fill: number;
  readonly lane: number;
  readonly transmit: number;
  readonly doubleFrees: number;
  readonly stackAgrees: boolean;
}

interface PortReport {
  readonly received: number;
  readonly transmitted: number;
  readonly receiveDropped: number;
  readonly transmitDropped: number;
  readonly gone: boolean;
  readonly redirected: number;
  readonly left: number;
  readonly unclaimed: number;
}

export interface Report {
  readonly slots: number;
  readonly idleTurns: number;
  readonly ports: readonly [PortReport, PortReport];
  readonly open: Audit;
  readonly closed: Audit;
}

export interface Start {
  readonly mode: string;
  readonly refused: readonly { readonly mode: string; readonly call: string; readonly code: number }[];
}

export interface Failure {
  readonly call: string;
  readonly subject: string;
  readonly code: number;
  readonly detail: string;
}

/** afxdp_harness, running in the engine's namespace. */
export class Harness {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  constructor(engine: Namespace, args: readonly string[]) {
    this.#child = engine.spawn(nativeProgram("afxdp_harness"), [steeringProgram, ...args], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const reader: Interface = createInterface({ input: this.#child.stdout as NodeJS.ReadableStream });
    this.#lines = reader[Symbol.asyncIterator]();
  }

  static async start(engine: Namespace, mode: string, ...classes: readonly string[]): Promise<[Harness, Start]> {
    const harness = new Harness(engine, [mode, "lan0", "wan0", ...classes]);
    const start = (await harness.next()) as Start | Failure;
    if ("code" in start) throw new Error(`${start.call}: ${start.subject}: errno ${start.code} ${start.detail}`);
    return [harness, start];
  }

  /** How opening fails. A device is `lan0`, or `lan0:1` for a queue other than 0. */
  static async failure(engine: Namespace, mode: string, ...devices: readonly string[]): Promise<Failure> {
    return (await new Harness(engine, [mode, ...devices]).next()) as Failure;
  }

  async next(): Promise<unknown> {
    const line = await this.#lines.next();
    if (line.done === true) throw new Error("the harness ended without a word");
    return JSON.parse(line.value);
  }

  async stop(): Promise<Report> {
    this.#child.kill("SIGTERM");
    return (await this.next()) as Report;
  }

  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await once(this.#child, "exit");
  }
}

export interface Exchange {
  readonly sent: number;
  readonly received: number;
  readonly corrupt: number;
}

/** Sends numbered frames of 60 … 1514 bytes from one eth0 to the other; at most `window` are under way. */
export async function exchange(from: Namespace, to: Namespace, frames: number, window: number): Promise<Exchange> {
  const args = [from.name, "eth0", to.name, "eth0", String(frames), String(window)];
  return JSON.parse((await from.run(nativeProgram("frame_exchange"), ...args)).stdout) as Exchange;
}

/** What the XDP program does with each frame, given classes that are left to the kernel. */
export function steer(classes: readonly string[], frames: readonly string[]): string[] {
  const input = frames.map((frame) => `${frame.replaceAll(/\s/g, "")}\n`).join("");
  const result = spawnSync(nativeProgram("steer_harness"), [steeringProgram, ...classes], { input, encoding: "utf8" });
  if (result.status !== 0) throw new Error(`steer_harness: status ${result.status} ${result.stderr}`);
  return result.stdout.trimEnd().split("\n");
}
