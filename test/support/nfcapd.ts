// Debian's nfcapd, which receives flows, and nfdump, which prints them.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { makeFolder } from "./temporary-folder.ts";

/** Why there is none, or null. */
export function nfcapdObstacle(): string | null {
  return spawnSync("nfcapd", ["-V"]).error === undefined ? null : "needs the Debian package nfdump";
}

/** One record, as `nfdump -o json` has it. */
export interface DumpedFlow {
  readonly proto: number;
  readonly tcp_flags: string;
  readonly src4_addr?: string;
  readonly dst4_addr?: string;
  readonly src6_addr?: string;
  readonly dst6_addr?: string;
  readonly src_port: number;
  readonly dst_port: number;
  readonly in_packets: number;
  readonly in_bytes: number;
  readonly out_packets?: number;
  readonly out_bytes?: number;
  readonly src4_xlt_ip?: string;
  readonly dst4_xlt_ip?: string;
  readonly src_xlt_port?: number;
  readonly dst_xlt_port?: number;
  readonly first: string;
  readonly last: string;
  readonly vlan_src?: string;
  readonly input_snmp: number;
  readonly output_snmp: number;
}

const SETTLE_MS = 300;

export class Nfcapd {
  readonly port: number;
  readonly #child: ChildProcess;
  readonly #folder: string;
  #said = "";

  static async start(): Promise<Nfcapd> {
    const port = await findFreePort();
    const collector = new Nfcapd(port, makeFolder());
    // It says that it is ready once it can receive.
    for (let tries = 0; tries < 100 && !/Startup/i.test(collector.#said); tries++) await sleep(50);
    return collector;
  }

  private constructor(port: number, folder: string) {
    this.port = port;
    this.#folder = folder;
    const args = ["-w", folder, "-b", "127.0.0.1", "-p", String(port)];
    this.#child = spawn("nfcapd", args, { stdio: ["ignore", "pipe", "pipe"] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on("data", (chunk: Buffer) => {
        this.#said += chunk.toString();
      });
    }
  }

  /** What it has written to its output. */
  get said(): string {
    return this.#said;
  }

  /** Ends it, and reads what it has received. */
  async read(): Promise<DumpedFlow[]> {
    await sleep(SETTLE_MS);
    await this.stop();
    const { stdout, stderr } = spawnSync("nfdump", ["-R", this.#folder, "-o", "json", "-N"], { encoding: "utf8" });
    if (!stdout.includes("[")) throw new Error(`nfdump printed no JSON: ${stdout}${stderr}`);
    return JSON.parse(stdout.slice(stdout.indexOf("["), stdout.lastIndexOf("]") + 1)) as DumpedFlow[];
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    this.#child.kill("SIGTERM");
    await once(this.#child, "exit");
  }
}

async function findFreePort(): Promise<number> {
  const socket = createSocket("udp4");
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  const { port } = socket.address();
  socket.close();
  await once(socket, "close");
  return port;
}
