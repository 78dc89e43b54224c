// UDP sockets of a namespace that say what they are told, and tell what they hear. Run as a program there:
// `ADDRESS:PORT …`, with one line of JSON for each datagram on its input and output.
import type { ChildProcess } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Namespace } from "../../runtime/testing/network.ts";
import { until } from "./until.ts";

export interface Heard {
  /** The socket's own endpoint. */
  readonly at: string;
  readonly from: string;
  readonly text: string;
}

export class UdpTalkers {
  readonly heard: Heard[] = [];
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
    createInterface({ input: child.stdout as NodeJS.ReadableStream }).on("line", (line) => {
      const heard = JSON.parse(line);
      if (heard !== null) this.heard.push(heard);
    });
  }

  static async start(namespace: Namespace, endpoints: readonly string[]): Promise<UdpTalkers> {
    const options = ["--disable-warning=ExperimentalWarning", import.meta.filename, ...endpoints];
    const child = namespace.spawn(process.execPath, options, { stdio: ["pipe", "pipe", "inherit"] });
    const talkers = new UdpTalkers(child);
    await once(child.stdout as NodeJS.ReadableStream, "data");
    return talkers;
  }

  say(from: string, to: string, text: string): void {
    this.#child.stdin?.write(`${JSON.stringify({ from, to, text })}\n`);
  }

  /** The datagram with that text, which is said again and again until it is heard by others; undefined if it never is. */
  async hear(text: string, say: () => void): Promise<Heard | undefined> {
    const find = () => this.heard.find((heard) => heard.text === text);
    await until(() => {
      if (find() !== undefined) return true;
      say();
      return false;
    }).catch(() => {});
    return find();
  }
}

const endpointOf = (address: string, port: number) => `${address}:${port}`;

function talk(endpoints: readonly string[]): void {
  const sockets = new Map(endpoints.map((endpoint) => [endpoint, createSocket("udp4")]));
  let bound = 0;
  for (const [endpoint, socket] of sockets) {
    const [address, port] = endpoint.split(":");
    socket.on("message", (bytes, { address: from, port: fromPort }) => {
      const text = bytes.toString().trimEnd();
      console.log(JSON.stringify({ at: endpoint, from: endpointOf(from, fromPort), text }));
    });
    socket.bind(Number(port), address, () => {
      if (++bound === sockets.size) console.log("null");
    });
  }
  createInterface({ input: process.stdin }).on("line", (line) => {
    const { from, to, text } = JSON.parse(line);
    const [address, port] = to.split(":");
    sockets.get(from)?.send(text, Number(port), address);
  });
}

if (process.argv[1] === import.meta.filename) talk(process.argv.slice(2));
