// What goes on beside a measurement: a TCP transfer, downloads one after the other, and pings.
import { type ChildProcess, execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import type { Namespace } from "../../runtime/testing/network.ts";
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

export function backgroundObstacle(): string | null {
  const missing = ["iperf3", "curl", "python3", "ping"].find((command) => {
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
  readonly #folder: string;
  readonly #servers: readonly ChildProcess[];
  readonly #transfer: { child: ChildProcess; output: Promise<string> };
  readonly #pings: { child: ChildProcess; output: Promise<string> };
  readonly #downloads: Promise<BackgroundOutcome["downloads"]>;
  #stopped = false;

  private constructor({ left, right }: TwoSides, folder: string, bitRate: string) {
    this.#folder = folder;
    const content = randomBytes(FILE_BYTES);
    writeFileSync(join(folder, "file"), content);
    this.#servers = [
      right.spawn("iperf3", ["-s", "-p", TRANSFER_PORT], { stdio: "ignore" }),
      right.spawn("python3", ["-m", "http.server", "--directory", folder, WEB_PORT], { stdio: "ignore" }),
    ];
    this.#downloads = this.#download(left, createHash("sha256").update(content).digest("hex"));
    this.#transfer = run(left, "iperf3", ["-c", RIGHT, "-p", TRANSFER_PORT, "-t", "0", "-b", bitRate, "-J"]);
    this.#pings = run(left, "ping", ["-i", "0.01", RIGHT]);
  }

  /** `bitRate` is that of the TCP transfer, as iperf3 reads it. */
  static async start(sides: TwoSides, bitRate: string): Promise<BackgroundTraffic> {
    const folder = mkdtempSync(join(tmpdir(), "sluice-web-"));
    const traffic = new BackgroundTraffic(sides, folder, bitRate);
    await sleep(500);
    return traffic;
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
      rmSync(this.#folder, { recursive: true, force: true });
    }
  }

  async #download(left: Namespace, expected: string): Promise<BackgroundOutcome["downloads"]> {
    await waitUntilServed(left);
    const failed: string[] = [];
    let done = 0;
    for (; !this.#stopped; done++) {
      const curl = `curl -sS --fail --limit-rate ${DOWNLOAD_RATE} http://${RIGHT}:${WEB_PORT}/file`;
      const { stdout, stderr } = await left.run("sh", "-c", `${curl} | sha256sum`);
      if (stdout.split(" ")[0] !== expected) failed.push(stderr.trim() || "another SHA-256");
    }
    return { done, failed };
  }
}

function run(namespace: Namespace, command: string, args: readonly string[]) {
  const child = namespace.spawn(command, args, { stdio: ["ignore", "pipe", "ignore"] });
  return { child, output: text(child.stdout as Readable) };
}

async function waitUntilServed(left: Namespace): Promise<void> {
  const probe = left.spawn(
    "curl",
    ["-sS", "-o", "/dev/null", "--retry", "50", "--retry-delay", "0", "--retry-connrefused", "--head"].concat(
      `http://${RIGHT}:${WEB_PORT}/file`,
    ),
    { stdio: "ignore" },
  );
  await once(probe, "exit");
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
