// `sluice control` with folders of its own, and a client for what it serves. Needs no privilege.
import { type ChildProcess, type SpawnOptions, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { request as requestHttp } from "node:http";
import { request as requestHttps } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { buffer } from "node:stream/consumers";
import { controlSocketIn } from "../../runtime/control/control-socket.ts";
import type { Namespace } from "../../runtime/testing/network.ts";
import { sluicePath } from "./run-sluice.ts";

export interface ControlStart {
  /** Of `sluice control`; it listens on some port of the loopback address unless told otherwise. */
  readonly options?: readonly string[];
  /** Where it runs; its API is asked over its socket then. */
  readonly namespace?: Namespace;
  readonly stateFolder?: string;
  readonly dataFolder?: string;
}

export interface Asked {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Text and bytes as they are; anything else as JSON. */
  readonly body?: unknown;
  /** The administrator's unless said; null: none. */
  readonly token?: string | null;
  /** One of this machine's addresses, as which the request is sent. */
  readonly from?: string;
  readonly tls?: { readonly ca?: Buffer; readonly cert?: Buffer; readonly key?: Buffer };
}

export interface Answered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  readonly bytes: Buffer;
  /** Parsed, if it is JSON of some kind; else the text. */
  // biome-ignore lint/suspicious/noExplicitAny: tests look into it
  readonly body: any;
}

/** The address 127.x.y.z, another one each time: limits count by address. */
export function nextLoopback(): string {
  loopbacks += 1;
  return `127.${1 + (loopbacks >> 16)}.${(loopbacks >> 8) & 255}.${loopbacks & 255 || 1}`;
}

let loopbacks = 0;

export class RunningControl {
  readonly address: string;
  readonly stateFolder: string;
  readonly dataFolder: string;
  readonly #child: ChildProcess;
  readonly #overSocket: boolean;
  #stderr = "";

  private constructor(
    child: ChildProcess,
    address: string,
    folders: Required<Pick<ControlStart, "stateFolder" | "dataFolder">>,
    overSocket: boolean,
  ) {
    this.#child = child;
    this.address = address;
    this.stateFolder = folders.stateFolder;
    this.dataFolder = folders.dataFolder;
    this.#overSocket = overSocket;
  }

  /** Rejects with what it said if it ends before it listens. */
  static async start(start: ControlStart = {}): Promise<RunningControl> {
    const stateFolder = start.stateFolder ?? mkdtempSync("/dev/shm/sluice-test-");
    const dataFolder = start.dataFolder ?? mkdtempSync(join(tmpdir(), "sluice-test-data-"));
    mkdirSync(stateFolder, { recursive: true });
    const given = start.options ?? [];
    const listen = given.includes("--listen") ? [] : ["--listen", "127.0.0.1:0"];
    const rate = given.includes("--request-rate") ? [] : ["--request-rate", "100000"];
    const args = ["control", "--json", ...listen, ...rate, ...given];
    const env = { ...process.env, SLUICE_STATE_DIR: stateFolder, SLUICE_DATA_DIR: dataFolder };
    const options: SpawnOptions = { env, stdio: ["ignore", "pipe", "pipe"] };
    const { namespace } = start;
    const child =
      namespace === undefined ? spawn(sluicePath, args, options) : namespace.spawn(sluicePath, args, options);
    let stderr = "";
    child.stderr?.on("data", (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
    const [first] = await Promise.race([once(lines, "line"), once(child, "close")]);
    if (typeof first !== "string") throw new Error(`sluice control ended with ${first}: ${stderr}`);
    const { address } = JSON.parse(first) as { address: string };
    const folders = { stateFolder, dataFolder };
    const running = new RunningControl(child, address, folders, namespace !== undefined);
    running.#stderr = stderr;
    child.stderr?.on("data", (chunk: Buffer) => {
      running.#stderr += chunk.toString();
    });
    return running;
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  /** All that it has written to stderr: its log. */
  get log(): string {
    return this.#stderr;
  }

  /** The administrator's token. */
  get token(): string {
    return readFileSync(join(this.dataFolder, "token"), "utf8").trim();
  }

  get socket(): string {
    return controlSocketIn(this.stateFolder);
  }

  /** For commands of `sluice` that are to find it. */
  get environment(): NodeJS.ProcessEnv {
    return { ...process.env, SLUICE_STATE_DIR: this.stateFolder, SLUICE_DATA_DIR: this.dataFolder };
  }

  /** Over the network, or its socket if it runs in a namespace. */
  async ask(path: string, asked: Asked = {}): Promise<Answered> {
    const { method = "GET", token = this.token, from, tls = {}, body } = asked;
    const raw = typeof body === "string" || body instanceof Uint8Array;
    const payload = body === undefined || raw ? body : JSON.stringify(body);
    const headers = {
      ...(token !== null && { authorization: `Bearer ${token}` }),
      ...(payload !== undefined && { "content-length": Buffer.byteLength(payload) }),
      ...(payload !== undefined && !raw && { "content-type": "application/json" }),
      ...asked.headers,
    };
    const { protocol, hostname, port } = new URL(this.address);
    const place = this.#overSocket ? { socketPath: this.socket } : { hostname: hostname.replace(/[[\]]/g, ""), port };
    const send = protocol === "https:" && !this.#overSocket ? requestHttps : requestHttp;
    return new Promise((resolve, reject) => {
      const options = { ...place, ...tls, method, path, headers, agent: false, ...(from && { localAddress: from }) };
      const sent = send(options as object, (response) => {
        buffer(response).then((bytes) => {
          const text = bytes.toString("utf8");
          const isJson = /\bjson\b/.test(response.headers["content-type"] ?? "") && text !== "";
          const { statusCode = 0, headers } = response;
          resolve({ status: statusCode, headers, bytes, body: isJson ? JSON.parse(text) : text });
        }, reject);
      });
      sent.on("error", reject);
      sent.end(payload);
    });
  }

  /** A new token of that role. */
  async makeToken(role: string, name = role): Promise<string> {
    const { body } = await this.ask(`/api/v1/tokens/${name}`, { method: "PUT", body: { role } });
    return body.token;
  }

  async end(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const closed = once(this.#child, "close");
    this.#child.kill(signal);
    await closed;
  }

  /** Ends it and removes its folders; to be called whatever happened. */
  async dispose(): Promise<void> {
    await this.end("SIGKILL");
    for (const folder of [this.stateFolder, this.dataFolder]) rmSync(folder, { recursive: true, force: true });
  }
}
