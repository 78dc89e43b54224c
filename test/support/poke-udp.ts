// Single datagrams to ports of one's choice, with the time at which they were sent. As a program in a namespace: reads ports, one
// per line, and prints milliseconds of the monotonic clock.
import type { ChildProcess } from "node:child_process";
import { createSocket } from "node:dgram";
import { createInterface } from "node:readline";
import type { Namespace } from "../../runtime/testing/network.ts";
import { monotonicMs } from "./numbered-udp.ts";

export class Poker {
  readonly #child: ChildProcess;
  readonly #lines: AsyncIterator<string>;

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#lines = createInterface({ input: child.stdout as NodeJS.ReadableStream })[Symbol.asyncIterator]();
  }

  static async start(namespace: Namespace, host: string): Promise<Poker> {
    const args = ["--disable-warning=ExperimentalWarning", import.meta.filename, host];
    const poker = new Poker(namespace.spawn(process.execPath, args, { stdio: ["pipe", "pipe", "inherit"] }));
    await poker.#lines.next();
    return poker;
  }

  /** When the datagram was sent. */
  async poke(port: number): Promise<number> {
    this.#child.stdin?.write(`${port}\n`);
    return Number((await this.#lines.next()).value);
  }

  end(): void {
    this.#child.stdin?.end();
  }
}

async function main(host: string): Promise<void> {
  const socket = createSocket("udp4");
  process.stdout.write("ready\n");
  for await (const port of createInterface({ input: process.stdin })) {
    const at = monotonicMs();
    socket.send("poke", Number(port), host, () => process.stdout.write(`${at}\n`));
  }
  socket.close();
}

if (import.meta.main) await main(process.argv[2] as string);
