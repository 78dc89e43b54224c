// A lane on memory ports that answers for others, and the frames of neighbour discovery, written out byte by byte.
import { parseDocument } from "../../runtime/chain/document.ts";
import type { Plan } from "../../runtime/chain/plan.ts";
import { planChain } from "../../runtime/chain/planner.ts";
import { turn } from "../../runtime/dataplane/breathe.ts";
import type { Lane } from "../../runtime/dataplane/lane.ts";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import type { MemoryPort } from "../../runtime/dataplane/native.ts";
import { openLane } from "../../runtime/dataplane/open-lane.ts";
import { readOutcomes } from "../../runtime/dataplane/outcomes.ts";
import { Catalog, type FunctionPackage } from "../../runtime/function/catalog.ts";
import { takeSnapshot } from "../../runtime/telemetry/snapshot.ts";

export const SECOND_NS = 1_000_000_000n;
const START_NS = 1_763_700_000n * SECOND_NS;

/** Of the ports: they have no device. */
export const LAN_MAC = "02:53:4c:00:00:00";
export const WAN_MAC = "02:53:4c:00:00:01";

export interface AnsweringOptions {
  /** Of the port wan, as JSON or YAML. */
  readonly answersFor?: string;
  readonly paths?: string;
  /** What else the document has. */
  readonly rest?: string;
  readonly packages?: readonly FunctionPackage[];
}

const joined = "[{ from: lan, to: wan }, { from: wan, to: lan }]";

export function describeAnswering({ answersFor, paths = joined, rest = "" }: AnsweringOptions): string {
  const answers = answersFor === undefined ? "" : `, answersFor: ${answersFor}`;
  return `chain: answering
ports: { lan: { driver: memory }, wan: { driver: memory${answers} } }
paths: ${paths}
${rest}`;
}

export class AnsweringLane {
  readonly lane: Lane;
  plan: Plan;
  readonly #catalog: Catalog;
  readonly #packages: readonly FunctionPackage[];
  #clock = START_NS;

  constructor(options: AnsweringOptions) {
    this.#packages = options.packages ?? [];
    this.#catalog = new Catalog(this.#packages);
    this.plan = this.#plan(options);
    this.lane = openLane({
      native: loadAddon(),
      plan: this.plan,
      packages: this.#packages,
      ...{ slots: 1024, slotBytes: 2048, batchLimit: 256, keepOutcomes: true, virtualClock: true },
      openPort: (lane) => lane.openMemoryPort(),
    });
  }

  #plan(options: AnsweringOptions, before?: Plan): Plan {
    return planChain(parseDocument(describeAnswering(options), "answering.yaml"), this.#catalog, before).plan;
  }

  /** Frames that come at a port, one millisecond after what came before; what became of them: `consume answered` … */
  send(port: "lan" | "wan", ...frames: readonly Uint8Array[]): string[] {
    this.pass(SECOND_NS / 1000n);
    const index = this.plan.ports.findIndex(({ name }) => name === port);
    for (const frame of frames) (this.lane.ports[index] as MemoryPort).inject(frame, this.#clock);
    return this.turns();
  }

  pass(ns: bigint): void {
    this.#clock += ns;
  }

  /** Turns until there is nothing to do; what became of frames by their own names, without those that the lane built. */
  turns(): string[] {
    const found: string[] = [];
    for (let isBusy = true; isBusy; ) {
      isBusy = turn(this.lane);
      for (const { number, kind, to, reason } of readOutcomes(this.lane).toSorted((a, b) => a.number - b.number)) {
        if (number > 0) found.push(kind === "forward" ? `forward ${this.plan.ports[to]?.name}` : `${kind} ${reason}`);
      }
    }
    return found;
  }

  /** The frames that a port transmitted since the last call. */
  left(port: "lan" | "wan"): Uint8Array[] {
    const index = this.plan.ports.findIndex(({ name }) => name === port);
    return (this.lane.ports[index] as MemoryPort).drain().map(({ bytes }) => new Uint8Array(bytes));
  }

  /** The next generation takes over. */
  change(options: AnsweringOptions): void {
    this.plan = this.#plan(options, this.plan);
    this.lane.change(this.plan, this.#packages);
  }

  get counters() {
    const { lane } = this;
    const source = { ports: this.plan.ports, functions: [], hops: [], layout: lane.counterLayout };
    return takeSnapshot(source, lane.counters, () => 0);
  }

  close(): void {
    this.lane.close();
  }
}

export function bytesOfMac(mac: string): Uint8Array {
  return Uint8Array.from(mac.split(":"), (byte) => Number.parseInt(byte, 16));
}

/** From the eight groups, `::` allowed once. */
export function bytesOfAddress6(text: string): Uint8Array {
  const [head = "", tail] = text.split("::");
  const groups = (part: string) => part.split(":").filter((group) => group !== "");
  const [left, right] = [groups(head), groups(tail ?? "")];
  const zeros = Array.from({ length: tail === undefined ? 0 : 8 - left.length - right.length }, () => "0");
  return Uint8Array.from(
    [...left, ...zeros, ...right].flatMap((group) => [
      Number.parseInt(group, 16) >> 8,
      Number.parseInt(group, 16) & 0xff,
    ]),
  );
}

export interface Discovery {
  readonly ether: readonly [from: string, to: string];
  readonly tags?: string;
  readonly from: string;
  readonly to: string;
  readonly type: 135 | 136;
  /** R, S, O: 0x80, 0x40, 0x20. */
  readonly flags?: number;
  readonly target: string;
  /** Hex of all options. */
  readonly options?: string;
  readonly hopLimit?: number;
  readonly code?: number;
  /** Added to the right checksum. */
  readonly damage?: number;
}

/** RFC 4861, 4.3 and 4.4. */
export function discoveryFrame(said: Discovery): Uint8Array {
  const options = Uint8Array.fromHex(said.options ?? "");
  const icmp = Uint8Array.from([
    ...[said.type, said.code ?? 0, 0, 0, said.flags ?? 0, 0, 0, 0],
    ...bytesOfAddress6(said.target),
    ...options,
  ]);
  const addresses = [...bytesOfAddress6(said.from), ...bytesOfAddress6(said.to)];
  const sum = (checksumOf([...addresses, 0, 0, 0, icmp.length, 0, 0, 0, 58, ...icmp]) + (said.damage ?? 0)) & 0xffff;
  icmp.set([sum >> 8, sum & 0xff], 2);
  const [from, to] = said.ether;
  return Uint8Array.from([
    ...[...bytesOfMac(to), ...bytesOfMac(from), ...Uint8Array.fromHex(said.tags ?? ""), 0x86, 0xdd],
    ...[0x60, 0, 0, 0, 0, icmp.length, 58, said.hopLimit ?? 255, ...addresses, ...icmp],
  ]);
}

function checksumOf(bytes: readonly number[]): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return ~sum & 0xffff;
}
