// The chains and the traffic of firewall-rounds.ts.
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { generateRules } from "../support/rule-sets.ts";
import { openTwinLane, type TwinLane } from "./twin-lane.ts";

export interface Shape {
  readonly functions: readonly string[];
  readonly rules: number;
  readonly flows: number;
}

/** Queued at once; less than the slots, so that none waits. */
export const CHUNK = 4096;

/** Rules that traffic of the bench does not meet, and behind them one that takes it. */
function firewallConfig(count: number): object {
  const others = generateRules("acl", count - 1, 1).map(({ action, ...conditions }) => ({
    ...conditions,
    action: action === "permit" ? "accept" : "drop",
    sources: ["172.16.0.0/12"],
  }));
  return { rules: [...others, { action: "accept", sources: ["10.0.0.0/8"] }] };
}

const configs: Readonly<Record<string, (shape: Shape) => object>> = {
  firewall: ({ rules }) => firewallConfig(rules),
  nat: () => ({ outside: ["out"], sources: [{ from: ["10.0.0.0/8"], pool: ["203.0.113.0/28"] }] }),
};

export function openChain(folder: string, shape: Shape, looped = false): TwinLane {
  const { functions, flows } = shape;
  const document = {
    chain: "bench",
    ports: { in: { driver: "memory" }, out: { driver: "memory" } },
    functions: Object.fromEntries(functions.map((name) => [name, { use: name, config: configs[name]?.(shape) ?? {} }])),
    flows: { capacity: Math.max(65_536, Math.ceil(flows * 1.125)) },
    paths: [
      { from: "in", through: functions, to: looped ? "in" : "out" },
      ...(looped ? [] : [{ from: "out", through: functions.toReversed(), to: "in" }]),
    ],
  };
  return openTwinLane({ folder, functions, document, slots: looped ? flows : 2 * CHUNK, looped });
}

/** Datagrams of 60 bytes, without checksum, each of another flow: `at` makes the frame of a flow. */
export class Traffic {
  readonly #frame = encodePacket("udp 10.0.0.0:0 > 192.0.2.1:53 pad 60 checksum 0");
  readonly #view = new DataView(this.#frame.buffer);
  readonly #sum = 0xffff - this.#view.getUint16(24);

  at(flow: number): Uint8Array {
    // 256 flows per host; ports are even, as most clients' are not asked to be.
    const [host, port] = [flow >> 8, 1024 + (flow & 255) * 2];
    this.#view.setUint16(28, host);
    this.#view.setUint16(34, port);
    const sum = this.#sum + host;
    this.#view.setUint16(24, 0xffff - ((sum & 0xffff) + (sum >> 16)));
    return this.#frame;
  }
}

/** The same datagram from its receiver; its checksums stay right. */
export function reply(frame: Uint8Array): Uint8Array {
  const ends = [
    ...frame.subarray(30, 34),
    ...frame.subarray(26, 30),
    ...frame.subarray(36, 38),
    ...frame.subarray(34, 36),
  ];
  const copy = frame.slice();
  copy.set(ends, 26);
  return copy;
}
