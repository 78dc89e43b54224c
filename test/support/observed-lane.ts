// A lane on memory ports that leaves in a folder what a running engine leaves there, for whatever observes engines.
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseDocument } from "../../runtime/chain/document.ts";
import type { Plan } from "../../runtime/chain/plan.ts";
import { planChain } from "../../runtime/chain/planner.ts";
import { turn } from "../../runtime/dataplane/breathe.ts";
import type { Lane } from "../../runtime/dataplane/lane.ts";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import type { MemoryPort } from "../../runtime/dataplane/native.ts";
import { openLane } from "../../runtime/dataplane/open-lane.ts";
import { describeNames, ReportNamesFile } from "../../runtime/dataplane/report-names.ts";
import type { EngineDescription, FoundEngine } from "../../runtime/dataplane/state-folder.ts";
import { DESCRIPTION, processStartOf } from "../../runtime/dataplane/state-folder.ts";
import { Catalog, type FunctionPackage } from "../../runtime/function/catalog.ts";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { type ChainFunction, makePackage } from "./chain-under-test.ts";
import { makeFolder } from "./temporary-folder.ts";

const SLOTS = 1024;
const SLOT_BYTES = 2048;
const MILLISECOND_NS = 1_000_000n;
const START_NS = 1_700_000_000_000_000_000n;

/** Drops UDP to port 666 with a reason and a detail, raises `fn.seen` for port 667 exports a column, and translates port 53. */
export const reportingFunction: ChainFunction = {
  before: `
    import { Column, Counter, CustomEvent, outbox, Reason } from "sluice/sdk";
    const unwanted = new Reason("unwanted");
    const seen = new CustomEvent("fn.seen");
    const size = new Column<u32>("fn.size");
    const packets = new Counter("packets", "family=ipv4");`,
  each: `
    packets.add(1);
    const flow = packet.flow;
    if (flow !== null) {
      size.set(flow, packet.wireLength);
      if (packet.destinationPort == 667) seen.raise(flow, 41);
      if (packet.destinationPort == 53 && batch.record(i).ipVersion == 4) outbox.bind4(flow, 0xc0000235, 53, 0xcb007101, 61000);
      if (packet.destinationPort == 53 && batch.record(i).ipVersion == 6)
        outbox.bind6(flow, 0x20010db800000035, 53, 53, 0x20010db8000000cb, 1, 61000);
    }
    if (packet.destinationPort == 666) packet.drop(unwanted, 7);`,
  manifest: {
    columns: { writes: { "fn.size": { type: "u32", export: true } }, reads: [] },
    events: { defines: ["fn.seen"], subscribes: [] },
  },
};

export interface ObservedOptions {
  /** Flows … of the chain document. */
  readonly rest?: string;
  /** That another lane left. */
  readonly folder?: string;
  /** Nothing of it stays. */
  readonly anew?: boolean;
}

export class ObservedLane {
  readonly lane: Lane;
  readonly found: FoundEngine;
  readonly #plan: Plan;
  #clock = START_NS;

  /** Functions by name, from `in` through all of them to `out`. */
  static async open(
    functions: Readonly<Record<string, ChainFunction>> = { fn: reportingFunction },
    options: ObservedOptions = {},
  ): Promise<ObservedLane> {
    const names = Object.keys(functions);
    const packages = await Promise.all(names.map((name) => makePackage(name, functions[name] as ChainFunction)));
    const text = [
      "chain: observed",
      "ports: { in: { driver: memory }, out: { driver: memory } }",
      `functions: {${names.map((name) => ` ${name}: { use: ${name} }`).join(",")} }`,
      `paths: [{ from: in, through: [${names.join(", ")}], to: out }]`,
      options.rest ?? "",
    ].join("\n");
    const { plan } = planChain(parseDocument(text, "test.yaml"), new Catalog(packages));
    const folder = options.folder ?? makeFolder();
    for (const name of options.anew ? readdirSync(folder) : []) rmSync(join(folder, name));
    return new ObservedLane(plan, packages, folder);
  }

  private constructor(plan: Plan, packages: readonly FunctionPackage[], folder: string) {
    const names = new ReportNamesFile(folder);
    const reportNames = names.next();
    this.#plan = plan;
    this.lane = openLane({
      ...{ native: loadAddon(), plan, packages, reportNames, slots: SLOTS, slotBytes: SLOT_BYTES, batchLimit: 256 },
      ...{ keepOutcomes: false, virtualClock: true },
      openPort: (lane) => lane.openMemoryPort(),
      pathOf: (segment) => join(folder, segment),
    });
    this.found = { path: folder, engine: this.#describe() };
    names.add(describeNames(reportNames, 1, plan, this.found.engine.functions));
    writeFileSync(join(folder, DESCRIPTION), JSON.stringify(this.found.engine));
  }

  #describe(): EngineDescription {
    const { functions, counterLayout } = this.lane;
    const { chain, ports, hops, flows } = this.#plan;
    return {
      ...{ chain, pid: process.pid, processStart: processStartOf(process.pid) ?? 0, supervisor: null },
      ...{ started: new Date().toISOString(), lanes: 1, generation: 1, stateKey: "", flowCapacity: flows.capacity },
      ports: ports.map(({ name }, index) => ({ name, device: "", ifindex: 100 + index, mode: "memory", refused: [] })),
      functions: functions.map(({ planned: { name, package: from }, state }) => ({
        ...{ name, stateName: name, package: `${from.name}@${from.version}` },
        ...{ reasons: [...state.reasons], counters: [...state.declaredCounters] },
      })),
      hops: hops.map((hop) => ({ function: hop.function, path: hop.path })),
      layout: counterLayout,
      tickHz: loadAddon().measureTickHz(),
    };
  }

  /** The lane's time, in ns since 1970. */
  get now(): bigint {
    return this.#clock;
  }

  /** Packets (packet-text.ts) that come in together, `afterMs` later. */
  send(lines: readonly string[], afterMs = 1, port: "in" | "out" = "in"): void {
    this.#clock += BigInt(afterMs) * MILLISECOND_NS;
    const input = this.lane.ports[port === "in" ? 0 : 1] as MemoryPort;
    for (const line of lines) input.inject(encodePacket(line), this.#clock);
    while (turn(this.lane)) for (const each of this.lane.ports) (each as MemoryPort).drain();
  }

  /** All flows end. */
  endFlows(): void {
    this.lane.native.endFlows();
  }

  close(): void {
    this.lane.close();
  }
}
