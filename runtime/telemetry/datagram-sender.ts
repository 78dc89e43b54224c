// Sends datagrams to one address, whatever becomes of them: a collector that is not there costs its datagrams, and is
// looked for again.
import { createSocket, type Socket } from "node:dgram";
import { lookup } from "node:dns/promises";

const RETRY_MS = 10_000;
/** Datagrams that wait for the name's address or for the kernel. */
const WAITING = 512;

export class DatagramSender {
  readonly #host: string;
  readonly #port: number;
  #socket: Socket | undefined;
  #retry: NodeJS.Timeout | undefined;
  #isClosed = false;
  #waiting: Uint8Array[] = [];
  #underWay = 0;
  #lost = 0;

  constructor(host: string, port: number) {
    this.#host = host;
    this.#port = port;
    void this.#open();
  }

  /** Datagrams that were given up. */
  get lost(): number {
    return this.#lost;
  }

  send(bytes: Uint8Array): void {
    if (this.#waiting.length + this.#underWay >= WAITING) this.#lost += 1;
    else if (this.#socket === undefined) this.#waiting.push(bytes);
    else this.#transmit(this.#socket, bytes);
  }

  /** What is under way may still leave. */
  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#retry);
    while (this.#underWay > 0) await new Promise((resolve) => setImmediate(resolve));
    this.#socket?.close();
    this.#socket = undefined;
  }

  async #open(): Promise<void> {
    try {
      const { address, family } = await lookup(this.#host);
      if (this.#isClosed) return;
      const socket = createSocket(family === 6 ? "udp6" : "udp4");
      socket.unref();
      socket.on("error", () => {});
      await new Promise<void>((resolve, reject) => {
        socket.connect(this.#port, address, (error?: Error) => (error === undefined ? resolve() : reject(error)));
      });
      this.#socket = socket;
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const bytes of waiting) this.#transmit(socket, bytes);
    } catch {
      this.#lost += this.#waiting.length;
      this.#waiting = [];
      if (!this.#isClosed) this.#retry = setTimeout(() => void this.#open(), RETRY_MS).unref();
    }
  }

  #transmit(socket: Socket, bytes: Uint8Array): void {
    this.#underWay += 1;
    socket.send(bytes, (error) => {
      this.#underWay -= 1;
      if (error !== null) this.#lost += 1;
    });
  }
}
