// nfs/nat between an inside port and an outside port, in packet lines without MAC addresses.

import { beforeEach, describe } from "vitest";
import type { FlowsDeclaration } from "../../runtime/chain/flows-schema.ts";
import { type FunctionUnderTest, openPackage } from "../../runtime/testing/function-under-test.ts";
import { loadBuiltIn } from "./built-in.ts";
import { configIn6, lineIn4, lineIn6 } from "./in-ipv6.ts";

export interface NatOptions {
  readonly flows?: FlowsDeclaration;
  readonly seed?: bigint;
  readonly batch?: number;
  /** Lines for the operator. */
  readonly onLog?: (line: string) => void;
}

export type Family = 4 | 6;
export const families: readonly Family[] = [4, 6];
let family: Family = 4;

/** Of the test that runs. */
export const currentFamily = (): Family => family;

/** Tests that speak of IPv4, run as they are and with IPv6 in its place (in-ipv6.ts). */
export function describeBoth(title: string, tests: () => void): void {
  for (const each of families)
    describe(each === 4 ? title : `${title}, over IPv6`, () => {
      beforeEach(() => {
        family = each;
        return () => {
          family = 4;
        };
      });
      tests();
    });
}

/** The outside port is `wan`; the rest of the configuration is given. */
export async function openNat(config: object, options: NatOptions = {}): Promise<NatUnderTest> {
  const { onLog, ...others } = options;
  const all = {
    ...{ ports: ["lan", "wan"], config: { outside: ["wan"], ...inFamily(config, configIn6) }, seed: 7n, ...others },
    ...(onLog === undefined
      ? {}
      : { onLog: (_level: string, _name: string, line: string) => onLog(inFamily(line, lineIn4)) }),
  };
  return new NatUnderTest(openPackage(await loadBuiltIn("nat"), all), family);
}

const inFamily = <T>(value: T, change: (value: T) => T): T => (family === 6 ? change(value) : value);

export class NatUnderTest {
  readonly fn: FunctionUnderTest;

  readonly family: Family;

  constructor(fn: FunctionUnderTest, of: Family) {
    this.fn = fn;
    this.family = of;
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
    const sent = this.family === 6 ? [lines].flat().map(lineIn6) : lines;
    const results = this.fn.process(sent, time === undefined ? { port } : { port, time });
    if (this.fn.faults.length > 0) throw new Error(JSON.stringify(this.fn.faults));
    const seen = results.map((result) => result.replace(/ether \S+ > \S+ /, ""));
    return this.family === 6 ? seen.map(lineIn4) : seen;
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

/** The address of `wan` from the next batch on; null: it has none. */
export function setAddress(nat: NatUnderTest, address: string | null): void {
  const bytes = address?.split(".").map(Number) ?? [];
  const all = nat.family === 6 ? [0xfd, ...Array<number>(11).fill(0), ...bytes] : bytes;
  const addresses = address === null ? [] : [new Uint8Array(all)];
  const link = { port: 1, mac: new Uint8Array(6), mtu: 1500, addresses };
  nat.fn.lane.native.fixRoutes({ links: [link], routes: [], neighbours: [] });
}

/** The MTU of `lan`, or of `wan` (1), from the next batch on. */
export function setMtu(nat: NatUnderTest, mtu: number, port: 0 | 1 = 0): void {
  const link = { port, mac: new Uint8Array(6), mtu, addresses: [] };
  nat.fn.lane.native.fixRoutes({ links: [link], routes: [], neighbours: [] });
}

export const portOf = (endpoint: string) => Number(endpoint.split(/[:#]/)[1]);
export const addressOf = (endpoint: string) => endpoint.split(/[:#]/)[0] as string;
