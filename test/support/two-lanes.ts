// Two lanes on memory ports, in one thread: what they hand over to each other, turn by turn.
import { parseDocument } from "../../runtime/chain/document.ts";
import type { Plan } from "../../runtime/chain/plan.ts";
import { planChain } from "../../runtime/chain/planner.ts";
import { parseRoutes } from "../../runtime/chain/routes-document.ts";
import { turn } from "../../runtime/dataplane/breathe.ts";
import { readCounters } from "../../runtime/dataplane/counter-layout.ts";
import type { Lane } from "../../runtime/dataplane/lane.ts";
import { engineDropReasons, flowCounters, laneCounters } from "../../runtime/dataplane/layout.ts";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import type { MemoryPort, NativeHandover } from "../../runtime/dataplane/native.ts";
import { openLane } from "../../runtime/dataplane/open-lane.ts";
import { Catalog, type FunctionPackage } from "../../runtime/function/catalog.ts";
import { encodePacket, formatPacket } from "../../runtime/testing/packet-text.ts";
import { type ChainFunction, makePackage } from "./chain-under-test.ts";

const START_NS = 1_700_000_000_000_000_000n;

export interface TwoLanesOptions {
  /** Flows … of the chain document. */
  readonly rest?: string;
  /** A routes document. */
  readonly routes?: string;
  /** Over how many of them flows are spread at first. */
  readonly spread?: number;
}

export class TwoLanes {
  readonly lanes: readonly Lane[];
  readonly handover: NativeHandover;
  #clock = START_NS;

  /** From `in` through the function to `out`, and back. */
  static async open(each: ChainFunction, options: TwoLanesOptions = {}): Promise<TwoLanes> {
    const packages = [await makePackage("fn", each)];
    const forwarding = options.routes === undefined ? "" : ", forwarding: routed";
    const text = [
      "chain: lanes",
      `ports: { in: { device: any${forwarding} }, out: { device: some${forwarding} } }`,
      "functions: { fn: { use: fn } }",
      "paths: [{ from: in, through: [fn], to: out }, { from: out, through: [fn], to: in }]",
      options.rest ?? "",
    ].join("\n");
    const { plan } = planChain(parseDocument(text, "test.yaml"), new Catalog(packages));
    return new TwoLanes(plan, packages, options);
  }

  private constructor(plan: Plan, packages: readonly FunctionPackage[], { routes, spread = 2 }: TwoLanesOptions) {
    const native = loadAddon();
    this.handover = native.makeHandover(spread, 4096, plan.flows.spread ?? null);
    this.handover.addLanes(2);
    this.lanes = [0, 1].map((lane) =>
      openLane({
        ...{ native, plan, packages, slots: 2048, slotBytes: 2048, batchLimit: 256, lane, laneCount: 2 },
        ...{ keepOutcomes: false, virtualClock: true, handover: this.handover.id },
        openPort: (each) => each.openMemoryPort(),
      }),
    );
    if (routes === undefined) return;
    for (const lane of this.lanes) lane.native.fixRoutes(parseRoutes(routes, "routes.yaml", plan.ports));
  }

  /** Frames that a lane's queue brings. */
  inject(lane: number, port: "in" | "out", frames: readonly Uint8Array[]): void {
    this.#clock += 1_000_000n;
    const input = this.#portOf(this.lanes[lane] as Lane, port);
    for (const frame of frames) input.inject(frame, this.#clock);
  }

  /** The lanes in turn, so often. */
  turn(rounds = 50): void {
    for (let round = 0; round < rounds; round++) for (const lane of this.lanes) turn(lane);
  }

  /** Packet lines, without MAC addresses. */
  sent(port: "in" | "out"): string[] {
    return this.lanes
      .flatMap((lane) => this.#portOf(lane, port).drain())
      .map(({ bytes }) => formatPacket(bytes).replace(/^ether \S+ > \S+ /, ""));
  }

  /** Until all flows are where they belong. */
  spreadOver(lanes: number): void {
    this.handover.spreadOver(lanes, null);
    for (let round = 0; !this.handover.settle(); round++) {
      if (round > 1000) throw new Error("flows do not come to rest");
      this.turn(1);
    }
  }

  /** Of a packet line. */
  laneOf(line: string): number {
    return this.handover.laneOf(encodePacket(line));
  }

  /** Of each lane. */
  get flows() {
    return this.lanes.map(({ counters, counterLayout }) =>
      readCounters(counters, counterLayout.lane + laneCounters.length + engineDropReasons.length, flowCounters),
    );
  }

  close(): void {
    for (const lane of this.lanes) lane.close();
  }

  #portOf(lane: Lane, port: "in" | "out"): MemoryPort {
    return lane.ports[port === "in" ? 0 : 1] as MemoryPort;
  }
}
