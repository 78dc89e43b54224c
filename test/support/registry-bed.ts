// A control process in this one, with folders of its own and nothing that runs; and packages to give to it.
import { createPrivateKey, type KeyObject } from "node:crypto";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { onTestFinished, vi } from "vitest";
import { type ControlOptions, startControl } from "../../runtime/control/control.ts";
import { buildFunction } from "../../runtime/function/build.ts";
import { type PackedFunction, writePackage } from "../../runtime/function/package-archive.ts";
import { makeKeyPair, type PackageContents, signPackage } from "../../runtime/function/signature.ts";
import { makeFolder } from "./temporary-folder.ts";

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** JSON, or bytes. */
  readonly body: unknown;
}

export interface ApiBed {
  readonly folder: string;
  readonly env: NodeJS.ProcessEnv;
  request(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<Answer>;
  push(packed: PackedFunction | Buffer, name: string, version: string): Promise<Answer>;
}

const options: ControlOptions = {
  listen: "127.0.0.1:0",
  listenOrFail: true,
  logLevel: "silent",
  requestsPerSecond: 1000,
  streams: 32,
  auditEntries: 10_000,
  version: "0.0.0",
};

/** Until the test ends. */
export async function startApi(changed: Partial<ControlOptions> = {}): Promise<ApiBed> {
  const folder = makeFolder();
  const env = { SLUICE_DATA_DIR: join(folder, "data"), SLUICE_STATE_DIR: join(folder, "state") };
  for (const [name, value] of Object.entries(env)) vi.stubEnv(name, value);
  const control = await startControl({ ...options, ...changed });
  onTestFinished(async () => {
    await control.close();
    vi.unstubAllEnvs();
  });
  const token = readFileSync(control.tokenFile, "utf8").trim();
  const request: ApiBed["request"] = async (method, path, body, headers = {}) => {
    const isBytes = body instanceof Uint8Array;
    const type: Record<string, string> = body === undefined || isBytes ? {} : { "content-type": "application/json" };
    const response = await fetch(`${control.address}${path}`, {
      method,
      headers: { authorization: `Bearer ${token}`, ...type, ...headers },
      ...(body !== undefined && { body: isBytes ? new Uint8Array(body) : JSON.stringify(body) }),
    });
    const isJson = response.headers.get("content-type")?.includes("json") === true;
    const content = isJson ? await response.json() : Buffer.from(await response.arrayBuffer());
    return { status: response.status, headers: response.headers, body: content };
  };
  return {
    ...{ folder, env, request },
    push: (packed, name, version) => {
      const body = Buffer.isBuffer(packed) ? packed : writePackage(packed);
      return request("PUT", `/api/v1/functions/${name}/${version}`, body, { "content-type": "application/x-tar" });
    },
  };
}

export interface Signer {
  readonly publicKey: string;
  sign(contents: PackageContents): PackedFunction;
}

export function makeSigner(): Signer {
  const { privateKey, publicKey } = makeKeyPair();
  const key: KeyObject = createPrivateKey(privateKey);
  return { publicKey, sign: (contents) => ({ ...contents, signature: signPackage(contents, key) }) };
}

export interface FunctionText {
  readonly name: string;
  readonly version?: string;
  /** What is done with each `packet`. */
  readonly each?: string;
  readonly configure?: string;
  readonly config?: object | boolean;
  readonly frames?: "none" | "read" | "write";
}

/** Compiles it, in a folder that ends with the test unless one is named. */
export async function buildContents(text: FunctionText, parent = makeFolder()): Promise<PackageContents> {
  const { name, version = "1.0.0", each = "", configure = "", config, frames = "read" } = text;
  const manifest = { name, version, abi: 1, description: "For tests.", frames, memoryPages: 16, config };
  const folder = join(parent, name);
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "manifest.json"), JSON.stringify(manifest));
  writeFileSync(join(folder, "index.ts"), source(each, configure));
  const built = join(folder, "build");
  const { wasm } = await buildFunction(folder, built);
  return { manifestText: readFileSync(join(built, "manifest.json"), "utf8"), wasm };
}

const source = (each: string, configure: string) => `
import { batch, Config } from "sluice/sdk";
export { nf_abi } from "sluice/sdk/exports";
export function nf_configure(json: string): bool {
  ${configure}
  return json.length > 0;
}
export function nf_process(): void {
  for (let i = 0; i < batch.count; i++) {
    const packet = batch.packet(i);
    ${each}
  }
}
`;
