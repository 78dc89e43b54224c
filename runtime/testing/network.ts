// Networks of namespaces and veth pairs, for tests and the demonstration. Needs root and iproute2.
// Names are random; everything is removed by close(), when the process ends or is interrupted, and what a killed
// process left behind by the next createNetwork().

import { type ChildProcess, execFile, execFileSync, type SpawnOptions, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, readdirSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { type Capture, startCapture } from "./capture.ts";

const execute = promisify(execFile);

const PREFIX = "sluice";
const NAMESPACE_FOLDER = "/run/netns";

export interface Output {
  readonly stdout: string;
  readonly stderr: string;
}

export interface Endpoint {
  readonly namespace: Namespace;
  /** At most 15 characters. */
  readonly device: string;
  /** With prefix length, IPv4 or IPv6. */
  readonly addresses?: readonly string[];
  readonly macAddress?: string;
}

export interface LinkOptions {
  readonly mtu?: number;
  /** Queues in each direction, 1 unless said. */
  readonly queues?: number;
  /** Leave the offloads on that break frames on a veth: partial checksums, merged segments, hidden VLAN tags. */
  readonly offloads?: boolean;
}

export interface Network {
  namespace(label: string): Promise<Namespace>;
  /** A veth pair, both ends up. */
  link(left: Endpoint, right: Endpoint, options?: LinkOptions): Promise<void>;
  close(): Promise<void>;
}

/** Whether this process may make networks, and if not, why: for the name of a skipped test. */
export function networkObstacle(): string | null {
  if (process.getuid?.() !== 0) return "needs root";
  for (const command of ["ip", "ethtool", "tcpdump"]) {
    if (!["/usr/sbin", "/sbin", "/usr/bin", "/bin"].some((folder) => existsSync(`${folder}/${command}`)))
      return `needs the command ${command}`;
  }
  return null;
}

export async function createNetwork(): Promise<Network> {
  removeAbandoned();
  const network = new VethNetwork(`${PREFIX}-${process.pid}-${randomBytes(3).toString("hex")}`);
  open.add(network);
  watchForTheEnd();
  return network;
}

export class Namespace {
  readonly name: string;
  readonly #children = new Set<ChildProcess>();

  constructor(name: string) {
    this.name = name;
  }

  /** Runs a command to its end. Rejects if it cannot be started or its exit status is not 0. */
  async run(command: string, ...args: readonly string[]): Promise<Output> {
    return execute("ip", ["netns", "exec", this.name, command, ...args], { maxBuffer: 64 << 20 });
  }

  /** Starts a command, which is killed at the latest with the network. */
  spawn(command: string, args: readonly string[], options: SpawnOptions = {}): ChildProcess {
    const child = spawn("ip", ["netns", "exec", this.name, command, ...args], options);
    this.#children.add(child);
    child.once("exit", () => this.#children.delete(child));
    return child;
  }

  /** Captures what passes a device, in both directions unless said. Frames are there once this has resolved. */
  capture(device: string, filter = "", direction: "in" | "out" | "inout" = "inout"): Promise<Capture> {
    return startCapture((command, args) => this.spawn(command, args), device, filter, direction);
  }

  /** The end of everything in it. Synchronous: it also runs while the process exits. */
  remove(): void {
    for (const child of this.#children) child.kill("SIGKILL");
    removeNamespace(this.name);
  }
}

class VethNetwork implements Network {
  readonly #prefix: string;
  readonly #namespaces: Namespace[] = [];

  constructor(prefix: string) {
    this.#prefix = prefix;
  }

  async namespace(label: string): Promise<Namespace> {
    const namespace = new Namespace(`${this.#prefix}-${label}`);
    this.#namespaces.push(namespace);
    await execute("ip", ["netns", "add", namespace.name]);
    await execute("ip", ["-n", namespace.name, "link", "set", "lo", "up"]);
    return namespace;
  }

  async link(left: Endpoint, right: Endpoint, options: LinkOptions = {}): Promise<void> {
    const queues = String(options.queues ?? 1);
    const side = (end: Endpoint) => ["name", end.device, "numrxqueues", queues, "numtxqueues", queues];
    const peer = ["peer", ...side(right), "netns", right.namespace.name];
    await execute("ip", ["-n", left.namespace.name, "link", "add", ...side(left), "type", "veth", ...peer]);
    for (const end of [left, right]) await prepare(end, options);
    for (const end of [left, right]) await ip(end, "link", "set", "dev", end.device, "up");
    for (const end of [left, right]) await becomesReady(end);
  }

  async close(): Promise<void> {
    this.removeAll();
  }

  removeAll(): void {
    open.delete(this);
    for (const namespace of this.#namespaces.splice(0)) namespace.remove();
  }
}

function ip(end: Endpoint, ...args: readonly string[]): Promise<Output> {
  return execute("ip", ["-n", end.namespace.name, ...args]);
}

const READY_MS = 5000;

/** The kernel notices a carrier up to a second late; IPv6 does not speak before. */
async function becomesReady(end: Endpoint): Promise<void> {
  const deadline = performance.now() + READY_MS;
  for (;;) {
    const { stdout } = await ip(end, "-json", "link", "show", "dev", end.device);
    if (JSON.parse(stdout)[0]?.operstate === "UP") return;
    if (performance.now() > deadline) throw new Error(`${end.device} in ${end.namespace.name} does not come up`);
    await sleep(10);
  }
}

async function prepare(end: Endpoint, options: LinkOptions): Promise<void> {
  const { namespace, device, addresses = [], macAddress } = end;
  if (options.mtu !== undefined) await ip(end, "link", "set", "dev", device, "mtu", String(options.mtu));
  if (macAddress !== undefined) await ip(end, "link", "set", "dev", device, "address", macAddress);
  if (options.offloads !== true) {
    const off = ["tx", "off", "gso", "off", "gro", "off", "txvlan", "off", "rxvlan", "off"];
    await namespace.run("ethtool", "-K", device, ...off);
  }
  // Without an IPv6 address the kernel shall not speak IPv6 of its own accord, and with one not doubt it.
  const setting = addresses.some((address) => address.includes(":")) ? "accept_dad=0" : "disable_ipv6=1";
  await namespace.run("sysctl", "-qw", `net.ipv6.conf.${device}.${setting}`);
  for (const address of addresses) await ip(end, "address", "add", address, "dev", device);
}

function removeNamespace(name: string): void {
  try {
    execFileSync("ip", ["netns", "delete", name], { stdio: "ignore" });
  } catch {
    // Not there, or not yet: nothing left to remove.
  }
}

function removeAbandoned(): void {
  if (!existsSync(NAMESPACE_FOLDER)) return;
  for (const name of readdirSync(NAMESPACE_FOLDER)) {
    const owner = new RegExp(`^${PREFIX}-(\\d+)-[0-9a-f]{6}-`).exec(name)?.[1];
    if (owner !== undefined && !existsSync(`/proc/${owner}`)) removeNamespace(name);
  }
}

const open = new Set<VethNetwork>();
let watching = false;

function removeOpen(): void {
  for (const network of [...open]) network.removeAll();
}

function watchForTheEnd(): void {
  if (watching) return;
  watching = true;
  process.once("exit", removeOpen);
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(signal, () => {
      // Whoever else listens decides how the process ends, and may need the network until then.
      if (process.listenerCount(signal) > 0) return;
      removeOpen();
      process.kill(process.pid, signal);
    });
  }
}
