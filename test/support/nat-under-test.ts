// nfs/nat between an inside port and an outside port, in packet lines without MAC addresses.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { FlowsDeclaration } from "../../runtime/chain/flows-schema.ts";
import { compileFunction } from "../../runtime/function/compile.ts";
import { validateManifest } from "../../runtime/function/manifest.ts";
import { type FunctionUnderTest, openPackage } from "../../runtime/testing/function-under-test.ts";
import { projectRoot } from "./run-sluice.ts";

const folder = join(projectRoot, "nfs/nat");
let built: Promise<Uint8Array> | undefined;

/** Compiled once for all tests of a file. */
async function buildNat() {
  built ??= compileFunction(folder).then(({ wasm }) => wasm);
  const file = join(folder, "manifest.json");
  return { manifest: validateManifest(readFileSync(file, "utf8"), file), wasm: await built, origin: folder };
}

export interface NatOptions {
  readonly flows?: FlowsDeclaration;
  readonly seed?: bigint;
  readonly batch?: number;
  /** Lines for the operator. */
  readonly onLog?: (line: string) => void;
}

/** The outside port is `wan`; the rest of the configuration is given. */
export async function openNat(config: object, options: NatOptions = {}): Promise<NatUnderTest> {
  const { onLog, ...others } = options;
  const all = {
    ...{ ports: ["lan", "wan"], config: { outside: ["wan"], ...config }, seed: 7n, ...others },
    ...(onLog === undefined ? {} : { onLog: (_level: string, _name: string, line: string) => onLog(line) }),
  };
  return new NatUnderTest(openPackage(await buildNat(), all));
}

export class NatUnderTest {
  readonly fn: FunctionUnderTest;

  constructor(fn: FunctionUnderTest) {
    this.fn = fn;
  }

  /** Packets from inside, and what became of each. At that second, or one millisecond after the packet before. */
  out(lines: string | readonly string[], time?: number): string[] {
    return this.#send("lan", lines, time);
  }

  /** Packets from outside. */
  in(lines: string | readonly string[], time?: number): string[] {
    return this.#send("wan", lines, time);
  }

  #send(port: string, lines: string | readonly string[], time?: number): string[] {
    const results = this.fn.process(lines, time === undefined ? { port } : { port, time });
    if (this.fn.faults.length > 0) throw new Error(JSON.stringify(this.fn.faults));
    return results.map((result) => result.replace(/ether \S+ > \S+ /, ""));
  }

  /** Sends one packet from inside; the outside endpoint, `address:port`, that it got. For ICMP `address#identifier`. */
  outsideOf(line: string, time?: number): string {
    const [result = ""] = this.out(line, time);
    const icmp = /^\w+ icmp (\S+) > .* id (\d+)/.exec(result);
    if (icmp !== null) return `${icmp[1]}#${icmp[2]}`;
    const found = /^(?:next|transmit \w+) \w+ (\S+) > /.exec(result)?.[1];
    if (found === undefined) throw new Error(`${line}: ${result}`);
    return found;
  }

  counter(name: string): number {
    return this.fn.counters()[name] ?? Number.NaN;
  }

  /** What is held: all 0 when nothing is left. */
  get held(): readonly number[] {
    return ["mappings", "sessions", "permissions", "hosts"].map((name) => this.counter(name));
  }

  close(): void {
    this.fn.close();
  }
}

/** The IPv4 address of `wan` from the next batch on; null: it has none. */
export function setAddress(nat: NatUnderTest, address: string | null): void {
  const addresses = address === null ? [] : [new Uint8Array(address.split(".").map(Number))];
  const link = { port: 1, mac: new Uint8Array(6), mtu: 1500, addresses };
  nat.fn.lane.native.fixRoutes({ links: [link], routes: [], neighbours: [] });
}

export const portOf = (endpoint: string) => Number(endpoint.split(/[:#]/)[1]);
export const addressOf = (endpoint: string) => endpoint.split(/[:#]/)[0] as string;
