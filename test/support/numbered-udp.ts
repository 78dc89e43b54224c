// Datagrams with a number and a time, one after the other: whoever receives them can tell what was lost, what came late, and
// when. Run as a program in a namespace: `send HOST PORT PER_SECOND` and `receive PORT`, each until SIGTERM, then JSON.
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { text } from "node:stream/consumers";
import type { Namespace } from "../../runtime/testing/network.ts";

export interface Received {
  readonly sent: number;
  readonly count: number;
  readonly outOfOrder: number;
  readonly duplicates: number;
  readonly missing: number;
  readonly incidents: readonly Incident[];
}

/** Datagrams that did not arrive, or one that came late. */
export interface Incident {
  /** When the datagram was sent that arrived after all, in milliseconds of the monotonic clock. */
  readonly sentAt: number;
  readonly missing: number;
  /** How long it took; or, where some are missing, how long none arrived that was sent earlier. */
  readonly ms: number;
}

const BYTES = 100;
const SENDS_EVERY_MS = 1;
const LATE_MS = 2;
/** What was sent has arrived by then, or does not. */
const SETTLE_MS = 300;

/** Of a clock that all processes of the machine share. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

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

  async end(): Promise<Received> {
    const { sent } = (await this.#sender.end()) as { sent: number };
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
    const { last, ...received } = (await this.#receiver.end()) as Received & { last: number };
    return { ...received, sent, missing: received.missing + Math.max(0, sent - 1 - last) };
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
  const began = performance.now();
  let sent = 0;
  const timer = setInterval(() => {
    const due = ((performance.now() - began) / 1000) * perSecond;
    while (sent < due) {
      const datagram = Buffer.alloc(BYTES);
      datagram.writeUInt32LE(sent++);
      datagram.writeDoubleLE(monotonicMs(), 4);
      // Whether it can be sent at all is the receiver's to notice.
      socket.send(datagram, port, host, () => {});
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
  const incidents: Incident[] = [];
  let [last, lastSentAt, duplicates, outOfOrder] = [-1, 0, 0, 0];
  socket.on("message", (datagram) => {
    const [number, sentAt] = [datagram.readUInt32LE(), datagram.readDoubleLE(4)];
    const missing = last < 0 ? 0 : Math.max(0, number - last - 1);
    const ms = missing > 0 ? monotonicMs() - lastSentAt : monotonicMs() - sentAt;
    if (seen.has(number)) duplicates++;
    else if (number < last) outOfOrder++;
    seen.add(number);
    if (missing > 0 || ms > LATE_MS) incidents.push({ sentAt, missing, ms });
    if (number > last) [last, lastSentAt] = [number, sentAt];
  });
  socket.bind(port, () => process.stderr.write("ready\n"));
  process.once("SIGTERM", () => {
    const missing = last + 1 - seen.size;
    process.stdout.write(JSON.stringify({ count: seen.size, last, outOfOrder, duplicates, missing, incidents }));
    socket.close();
  });
}

if (import.meta.main) {
  const [what, ...rest] = process.argv.slice(2);
  if (what === "send") send(rest[0] as string, Number(rest[1]), Number(rest[2]));
  else receive(Number(rest[0]));
}
