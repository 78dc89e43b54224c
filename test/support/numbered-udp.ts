// Datagrams with a number and a time, one after the other: whoever receives them can tell what was lost, when and for how long.
// Run as a program in a namespace: `send HOST PORT PER_SECOND` and `receive PORT`, each until SIGTERM, then it prints JSON.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import type { Namespace } from "../../runtime/testing/network.ts";

export interface Received {
  readonly count: number;
  readonly outOfOrder: number;
  readonly duplicates: number;
  readonly missing: number;
  /** Without the time before the first and after the last. */
  readonly gaps: readonly Gap[];
}

/** Numbers that did not arrive, and for how long nothing did. */
export interface Gap {
  /** Milliseconds since 1970: of the last datagram before. */
  readonly from: number;
  readonly ms: number;
  readonly missing: number;
}

const BYTES = 100;
const SENDS_EVERY_MS = 2;
const GAP_MS = 40;

/** From one namespace to the other, until `end`. */
export class NumberedUdp {
  readonly #sender: ReturnType<typeof start>;
  readonly #receiver: ReturnType<typeof start>;

  private constructor(sender: ReturnType<typeof start>, receiver: ReturnType<typeof start>) {
    this.#sender = sender;
    this.#receiver = receiver;
  }

  static async start(
    from: Namespace,
    to: Namespace,
    host: string,
    port: number,
    perSecond = 1000,
  ): Promise<NumberedUdp> {
    const receiver = start(to, ["receive", String(port)]);
    await receiver.ready;
    const sender = start(from, ["send", host, String(port), String(perSecond)]);
    await sender.ready;
    return new NumberedUdp(sender, receiver);
  }

  /** What was sent, and what came of it. */
  async end(): Promise<{ readonly sent: number } & Received> {
    const { sent } = (await this.#sender.end()) as { sent: number };
    await new Promise((resolve) => setTimeout(resolve, 200));
    const received = (await this.#receiver.end()) as Received & { last: number };
    return { ...received, sent, missing: received.missing + Math.max(0, sent - 1 - received.last) };
  }
}

function start(namespace: Namespace, args: readonly string[]) {
  const options = ["--disable-warning=ExperimentalWarning", import.meta.filename, ...args];
  const child = namespace.spawn(process.execPath, options, { stdio: ["ignore", "pipe", "pipe"] });
  const output = text(child.stdout as NodeJS.ReadableStream);
  return {
    ready: once(child.stderr as NodeJS.ReadableStream, "data"),
    end: async (): Promise<unknown> => {
      child.kill("SIGTERM");
      return JSON.parse(await output);
    },
  };
}

function send(host: string, port: number, perSecond: number): void {
  const socket = createSocket("udp4");
  const datagram = Buffer.alloc(BYTES);
  const began = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - began) / 1000) * perSecond;
    while (sent < due) {
      datagram.writeUInt32LE(sent++);
      socket.send(Buffer.from(datagram), port, host);
    }
  }, SENDS_EVERY_MS);
  process.once("SIGTERM", () => {
    clearInterval(timer);
    process.stdout.write(JSON.stringify({ sent }));
    socket.close();
  });
  process.stderr.write("ready\n");
}

function receive(port: number): void {
  const socket = createSocket({ type: "udp4", recvBufferSize: 4 << 20 });
  const seen = new Set<number>();
  const gaps: Gap[] = [];
  let [last, lastAt, duplicates, outOfOrder] = [-1, 0, 0, 0];
  socket.on("message", (datagram) => {
    const number = datagram.readUInt32LE();
    const at = performance.timeOrigin + performance.now();
    if (seen.has(number)) duplicates++;
    seen.add(number);
    if (number < last) outOfOrder++;
    if (lastAt !== 0 && at - lastAt > GAP_MS && number > last + 1) {
      gaps.push({ from: lastAt, ms: at - lastAt, missing: number - last - 1 });
    }
    last = Math.max(last, number);
    lastAt = at;
  });
  socket.bind(port, () => process.stderr.write("ready\n"));
  process.once("SIGTERM", () => {
    const missing = last + 1 - seen.size;
    process.stdout.write(JSON.stringify({ count: seen.size, last, outOfOrder, duplicates, missing, gaps }));
    socket.close();
  });
}

if (import.meta.main) {
  const [what, ...rest] = process.argv.slice(2);
  if (what === "send") send(rest[0] as string, Number(rest[1]), Number(rest[2]));
  else receive(Number(rest[0]));
}
