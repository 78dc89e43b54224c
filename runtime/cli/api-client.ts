// The API as commands use it: over the control process's socket on this box, or over the network (--server).
import { existsSync, readFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { join } from "node:path";
import { json, text } from "node:stream/consumers";
import type { Command } from "commander";
import { controlSocket } from "../control/control-socket.ts";
import { fromProblem, PROBLEM_TYPE, type Problem } from "../control/problem.ts";
import { SluiceError } from "../errors.ts";
import { dataRoot } from "../generation/history.ts";

export interface ServerOptions {
  readonly server?: string;
  readonly tokenFile?: string;
  readonly ca?: string;
  readonly cert?: string;
  readonly key?: string;
}

export interface ApiRequest {
  readonly method?: "GET" | "PUT" | "POST" | "DELETE";
  /** Values that are undefined are left out. */
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON, unless it is bytes. */
  readonly body?: unknown;
  readonly signal?: AbortSignal | undefined;
}

export function addServerOptions(command: Command): Command {
  return command
    .option("--server <url>", "the API of another box (SLUICE_SERVER); this one's unless given")
    .option("--token-file <file>", "the file that holds the token (SLUICE_TOKEN_FILE, or SLUICE_TOKEN for the token)")
    .option("--ca <file>", "trust servers with a certificate of this authority (PEM; SLUICE_CA)")
    .option("--cert <file>", "this client's certificate (PEM)")
    .option("--key <file>", "its key (PEM)");
}

export class ApiClient {
  readonly #server: URL | null;
  readonly #token: string;
  readonly #tls: { ca?: Buffer; cert?: Buffer; key?: Buffer };

  /** Throws usage, file-unreadable, not-running. */
  constructor(options: ServerOptions) {
    const { server = process.env.SLUICE_SERVER, ca = process.env.SLUICE_CA, cert, key } = options;
    this.#server = server === undefined ? null : readUrl(server);
    if (this.#server === null && !existsSync(controlSocket())) throw notRunning("there is no API on this box");
    this.#token = readToken(options, this.#server);
    this.#tls = {
      ...(ca !== undefined && { ca: readNamed("--ca", ca) }),
      ...(cert !== undefined && { cert: readNamed("--cert", cert) }),
      ...(key !== undefined && { key: readNamed("--key", key) }),
    };
  }

  /** The answer's JSON. Throws what the API says, or not-running. */
  async call<Result>(path: string, request: ApiRequest = {}): Promise<Result> {
    const response = await this.open(path, request);
    return (response.statusCode === 204 ? null : await json(response)) as Result;
  }

  /** The answer with its headers; its body is yet to be read. Throws what the API says, or not-running. */
  async open(path: string, request: ApiRequest = {}): Promise<IncomingMessage> {
    const response = await this.#send(path, request);
    if ((response.statusCode ?? 500) < 400) return response;
    if (!response.headers["content-type"]?.includes(PROBLEM_TYPE)) {
      const what = `${response.statusCode} ${await text(response)}`;
      throw new SluiceError({ code: "internal", where: path, what, help: "is it the API of a box?" });
    }
    throw fromProblem((await json(response)) as Problem);
  }

  async #send(
    path: string,
    { method = "GET", query = {}, headers = {}, body, signal }: ApiRequest,
  ): Promise<IncomingMessage> {
    const values = Object.entries(query).filter(([, value]) => value !== undefined);
    const search = new URLSearchParams(values.map(([name, value]) => [name, String(value)])).toString();
    const isBytes = body instanceof Uint8Array;
    const payload = body === undefined ? undefined : isBytes ? body : JSON.stringify(body);
    const options = {
      ...(this.#server === null ? { socketPath: controlSocket() } : addressOf(this.#server)),
      ...this.#tls,
      ...(signal !== undefined && { signal }),
      method,
      path: search === "" ? path : `${path}?${search}`,
      headers: {
        authorization: `Bearer ${this.#token}`,
        ...(payload !== undefined && { "content-length": Buffer.byteLength(payload) }),
        ...(payload !== undefined && !isBytes && { "content-type": "application/json" }),
        ...headers,
      },
    };
    // It takes longer to load than most commands take that ask no API.
    const isSecure = this.#server?.protocol === "https:";
    const { request: send } = isSecure ? await import("node:https") : await import("node:http");
    return new Promise((resolve, reject) => {
      const sent = send(options, resolve);
      sent.on("error", (error) => reject(signal?.aborted ? error : notRunning(error.message)));
      sent.end(payload);
    });
  }
}

function addressOf({ hostname, port }: URL) {
  return { hostname: hostname.replace(/^\[|\]$/g, ""), ...(port !== "" && { port }) };
}

function notRunning(what: string): SluiceError {
  const help = "start it with `sluice up`, or name another box with --server";
  return new SluiceError({ code: "not-running", where: "API", what, help });
}

function readUrl(server: string): URL {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  if (url?.protocol === "http:" || url?.protocol === "https:") return url;
  throw new SluiceError({
    code: "usage",
    where: "--server",
    what: `"${server}" is not a URL such as https://box:7680`,
  });
}

function readToken({ tokenFile }: ServerOptions, server: URL | null): string {
  const own = process.env.SLUICE_TOKEN;
  if (tokenFile === undefined && own !== undefined) return own;
  const named = tokenFile ?? process.env.SLUICE_TOKEN_FILE;
  // This box's own token is nobody else's business.
  if (named === undefined && server !== null && !isLoopback(server)) {
    const what = "another box wants a token of its own";
    throw new SluiceError({ code: "usage", where: "--token-file", what, help: "or set SLUICE_TOKEN" });
  }
  return readNamed("--token-file", named ?? join(dataRoot(), "token"))
    .toString("utf8")
    .trim();
}

function isLoopback({ hostname }: URL): boolean {
  return /^(localhost|127(\.\d+){3}|\[::1\])$/.test(hostname);
}

/** Throws file-unreadable. */
export function readNamed(option: string, file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    throw new SluiceError({ code: "file-unreadable", where: `${option} ${file}`, what: (error as Error).message });
  }
}
