// What goes on beside a measurement: a TCP transfer, downloads one after the other, and pings.
import { type ChildProcess, execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { Namespace } from "../../runtime/testing/network.ts";
import { makeFolder } from "./temporary-folder.ts";
import { RIGHT, type TwoSides } from "./two-sides.ts";

export interface BackgroundOutcome {
  /** One connection, as long as it went on; `error` if it did not last. */
  readonly transfer: { readonly bytes: number; readonly retransmits: number; readonly error: string | null };
  /** `failed`: those that ended early, and those whose SHA-256 is another. */
  readonly downloads: { readonly done: number; readonly failed: readonly string[] };
  /** `missing`: unanswered ones before the last that was answered. */
  readonly pings: { readonly answered: number; readonly missing: number; readonly duplicates: number };
}

const WEB_PORT = "8080";
const TRANSFER_PORT = "5201";
const FILE_BYTES = 4 << 20;
const DOWNLOAD_RATE = "4M";
/** After so many it is no use. */
const FAILURES = 100;
const READY_MS = 20_000;

export function backgroundObstacle(): string | null {
  const missing = ["iperf3", "curl", "python3", "ping", "ss"].find((command) => {
    try {
      execFileSync("sh", ["-c", `command -v ${command}`], { stdio: "ignore" });
      return false;
    } catch {
      return true;
    }
  });
  return missing === undefined ? null : `needs the command ${missing}`;
}

/** Runs until it is stopped. */
export class BackgroundTraffic {
  readonly #servers: readonly ChildProcess[];
  readonly #transfer: { child: ChildProcess; output: Promise<string> };
  readonly #pings: { child: ChildProcess; output: Promise<string> };
  readonly #downloads: Promise<BackgroundOutcome["downloads"]>;
  #stopped = false;

  private constructor(servers: readonly ChildProcess[], left: Namespace, sha256: string, bitRate: string) {
    this.#servers = servers;
    this.#downloads = this.#download(left, sha256);
    this.#transfer = run(left, "iperf3", ["-c", RIGHT, "-p", TRANSFER_PORT, "-t", "0", "-b", bitRate, "-J"]);
    this.#pings = run(left, "ping", ["-i", "0.01", RIGHT]);
  }

  /** `bitRate` is that of the TCP transfer, as iperf3 reads it. */
  static async start({ left, right }: TwoSides, bitRate: string): Promise<BackgroundTraffic> {
    const folder = makeFolder();
    const content = randomBytes(FILE_BYTES);
    writeFileSync(join(folder, "file"), content);
    const servers = [
      right.spawn("iperf3", ["-s", "-p", TRANSFER_PORT], { stdio: "ignore" }),
      right.spawn("python3", ["-m", "http.server", "--directory", folder, WEB_PORT], { stdio: "ignore" }),
    ];
    await waitUntilListening(right);
    return new BackgroundTraffic(servers, left, createHash("sha256").update(content).digest("hex"), bitRate);
  }

  async stop(): Promise<BackgroundOutcome> {
    this.#stopped = true;
    try {
      for (const { child } of [this.#transfer, this.#pings]) child.kill("SIGINT");
      const [transfer, pings, downloads] = await Promise.all([
        this.#transfer.output,
        this.#pings.output,
        this.#downloads,
      ]);
      return { transfer: readTransfer(transfer), pings: readPings(pings), downloads };
    } finally {
      for (const server of this.#servers) server.kill("SIGKILL");
    }
  }

  async #download(left: Namespace, expected: string): Promise<BackgroundOutcome["downloads"]> {
    const failed: string[] = [];
    let done = 0;
    const curl = `curl -sS --fail --limit-rate ${DOWNLOAD_RATE} http://${RIGHT}:${WEB_PORT}/file`;
    while (!this.#stopped && failed.length < FAILURES) {
      // Rejects when the namespace goes away in the middle of it.
      const { stdout, stderr } = await left.run("sh", "-c", `${curl} | sha256sum`).catch((error: Error) => {
        return { stdout: "", stderr: error.message };
      });
      if (stdout.split(" ")[0] === expected) done += 1;
      else failed.push(stderr.trim() || "another SHA-256");
    }
    return { done, failed };
  }
}

function run(namespace: Namespace, command: string, args: readonly string[]) {
  const child = namespace.spawn(command, args, { stdio: ["ignore", "pipe", "ignore"] });
  return { child, output: text(child.stdout as Readable) };
}

async function waitUntilListening(right: Namespace): Promise<void> {
  for (const deadline = performance.now() + READY_MS; ; await sleep(50)) {
    const { stdout } = await right.run("ss", "-Hltn");
    if ([WEB_PORT, TRANSFER_PORT].every((port) => new RegExp(`:${port}\\s`).test(stdout))) return;
    if (performance.now() > deadline) throw new Error("iperf3 or python3's web server does not listen");
  }
}

function readTransfer(output: string): BackgroundOutcome["transfer"] {
  const { end, error } = JSON.parse(output) as {
    end?: { sum_sent?: { bytes: number; retransmits: number } };
    error?: string;
  };
  const { bytes = 0, retransmits = 0 } = end?.sum_sent ?? {};
  return { bytes, retransmits, error: /^interrupt/.test(error ?? "") ? null : (error ?? "it ended by itself") };
}

function readPings(output: string): BackgroundOutcome["pings"] {
  const lines = [...output.matchAll(/icmp_seq=(\d+) .*?(\(DUP!\))?$/gm)];
  const answered = new Set(lines.map(([, sequence]) => Number(sequence)));
  const highest = [...answered].reduce((most, sequence) => Math.max(most, sequence), 0);
  return { answered: answered.size, missing: highest - answered.size, duplicates: lines.length - answered.size };
}
