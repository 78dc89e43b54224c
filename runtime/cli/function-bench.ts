// sluice function bench: nanoseconds per packet.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import type { Command } from "commander";
import { parse } from "yaml";
import { type Fault, SluiceError } from "../errors.ts";
import { buildFunction } from "../function/build.ts";
import { projectRoot } from "../function/compile.ts";
import type { BenchAnswer, BenchOrder } from "../testing/function-bench.ts";
import type { CostResult } from "../testing/function-cost.ts";
import { printJson, printLine, printTable } from "./output.ts";

interface BenchOptions {
  readonly config?: string;
  readonly packets?: string;
  readonly json?: boolean;
}

const BATCHES = [1, 32, 256];

/** A little of everything, many flows: branch predictors shall not know the answer. */
const defaultPackets: readonly string[] = Array.from({ length: 1024 }, (_, i) => {
  const from = `10.${i & 3}.${(i >> 2) & 255}.7:${1024 + ((i * 7919) % 60000)}`;
  const from6 = `[2001:db8:${(i * 31) % 4096}::7]:${1024 + ((i * 104729) % 60000)}`;
  const kinds = [
    `tcp ${from} > 192.0.2.1:443 ack`,
    `udp ${from} > 192.0.2.53:53`,
    `tcp ${from6} > [2001:db8::1]:443 ack`,
    `udp ${from6} > [2001:db8::53]:53`,
  ];
  return kinds[(i * 2654435761) % kinds.length] as string;
});

export function registerFunctionBench(command: Command): void {
  command
    .command("bench")
    .description("measure a function: nanoseconds per packet at batches of 1, 32 and 256")
    .argument("[dir]", "the function's folder", ".")
    .option("--config <file>", "its configuration (YAML or JSON)")
    .option("--packets <file>", "packets to send, one per line (default: a mix of TCP and UDP, IPv4 and IPv6)")
    .option("--json", "print JSON")
    .action(benchCommand);
}

async function benchCommand(dir: string, options: BenchOptions): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-function-bench-"));
  try {
    const { manifest } = await buildFunction(dir, folder);
    const results = await measure({
      folder,
      config: options.config === undefined ? {} : parse(read(options.config)),
      packets: options.packets === undefined ? defaultPackets : readPackets(options.packets),
      batches: BATCHES,
    });
    const name = `${manifest.name}@${manifest.version}`;
    if (options.json) printJson({ function: name, results });
    else print(name, results);
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function print(name: string, results: readonly CostResult[]): void {
  printLine(`${name}, in the function per packet, with the host's call`);
  printTable(
    ["batch", "ns/packet", "best round", "worst round"],
    results.map(({ batch, nsPerPacket, best, worst }) => [batch, round(nsPerPacket), round(best), round(worst)]),
  );
}

const round = (ns: number) => Number(ns.toFixed(1));

function readPackets(file: string): string[] {
  const lines = read(file)
    .split("\n")
    .map((line) => line.trim());
  const packets = lines.filter((line) => line !== "" && !line.startsWith("#"));
  if (packets.length === 0) throw new SluiceError({ code: "usage", where: file, what: "there is no packet in it" });
  return packets;
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new SluiceError({ code: "file-unreadable", where: file, what: (error as Error).message });
  }
}

async function measure(order: BenchOrder): Promise<readonly CostResult[]> {
  // V8 takes these only at its start.
  const flags = ["--disable-warning=ExperimentalWarning", "--no-liftoff", "--no-wasm-lazy-compilation"];
  const script = join(projectRoot, "runtime/testing/function-bench.ts");
  const child = spawn(process.execPath, [...flags, script], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.end(JSON.stringify(order));
  const [output] = await Promise.all([text(child.stdout), once(child, "exit")]);
  if (output === "") throw new SluiceError({ code: "internal", where: script, what: "it ended without an answer" });
  const answer = JSON.parse(output) as BenchAnswer;
  if ("results" in answer) return answer.results;
  const [first, ...rest] = answer.faults;
  throw new SluiceError(first as Fault, ...rest);
}
