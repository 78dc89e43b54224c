// The box as an operator runs it, in its two halves: engines where the devices are, control where the operator is.
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";
import { SluiceError } from "../errors.ts";
import type { Namespace } from "../testing/network.ts";
import { unlessAborted } from "./until.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));
/** The second is any that is free. */
const ADDRESSES = ["127.0.0.1:7680", "127.0.0.1:0"] as const;

export interface Box {
  readonly api: { readonly address: string; readonly tokenFile: string };
  /** What the engines' half has said, as JSON. */
  readonly said: readonly Readonly<Record<string, unknown>>[];
  /** Both end; what still runs is stopped. */
  close(): Promise<void>;
}

/** Throws what keeps one of them from starting, or the signal's reason, with both ended. */
export async function startBox(namespace: Namespace, signal: AbortSignal): Promise<Box> {
  const halves: Started[] = [];
  const close = async () => {
    for (const { child } of halves.toReversed()) await end(child);
  };
  try {
    halves.push(start("ip", ["netns", "exec", namespace.name, `${root}sluice`, "dataplane", "--json"]));
    const [dataplane] = halves as [Started];
    await unlessAborted(signal, dataplane.first);
    const control = await startControl(halves, signal);
    return { api: control as Box["api"], said: dataplane.lines, close };
  } catch (error) {
    await close();
    throw error;
  }
}

/** What it said first. */
async function startControl(halves: Started[], signal: AbortSignal): Promise<Record<string, unknown>> {
  const [usual, free] = ADDRESSES.map((address) => ["control", "--json", "--listen", address]);
  const first = start(`${root}sluice`, usual as string[], "ignore");
  halves.push(first);
  const said = await unlessAborted(signal, first.first).catch(() => undefined);
  signal.throwIfAborted();
  if (said !== undefined) return said;
  const second = start(`${root}sluice`, free as string[]);
  halves.push(second);
  return unlessAborted(signal, second.first);
}

interface Started {
  readonly child: ChildProcess;
  readonly lines: Record<string, unknown>[];
  readonly first: Promise<Record<string, unknown>>;
}

function start(command: string, args: readonly string[], stderr: "inherit" | "ignore" = "inherit"): Started {
  // Ctrl-C in the terminal is for the demonstration, which stops them in their turn.
  const child = spawn(command, args, { stdio: ["ignore", "pipe", stderr], detached: true });
  process.once("exit", () => child.kill("SIGKILL"));
  const lines: Record<string, unknown>[] = [];
  const first = new Promise<Record<string, unknown>>((resolve, reject) => {
    createInterface({ input: child.stdout as Readable }).on("line", (line) => {
      lines.push(JSON.parse(line));
      resolve(lines[0] as Record<string, unknown>);
    });
    child.once("error", reject);
    child.once("close", (status) => {
      reject(new SluiceError({ code: "test-failed", where: args.join(" "), what: `it ended with ${status}` }));
    });
  });
  first.catch(() => {});
  return { child, lines, first };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, "close");
  child.kill("SIGTERM");
  await closed;
}
