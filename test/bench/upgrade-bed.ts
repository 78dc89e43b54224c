// Where upgrades are measured: an engine between two sides, with a table full of live flows and a function that keeps state
// for each (a column) and for all (a segment).
import { readFileSync } from "node:fs";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import { findEngines } from "../../runtime/dataplane/state-folder.ts";
import { Observer } from "../../runtime/telemetry/observer.ts";
import type { Snapshot } from "../../runtime/telemetry/snapshot.ts";
import { type ChainChange, writeChanges } from "../support/chain-changes.ts";
import { totalSegment } from "../support/counting-function.ts";
import { NumberedTraffic } from "../support/numbered-traffic.ts";
import { RunningEngine } from "../support/running-engine.ts";
import { makeFolder } from "../support/temporary-folder.ts";
import { createTwoSides, type TwoSides } from "../support/two-sides.ts";

/** Packets per second with which flows are begun. */
const FILL_RATE = 100_000;
const FILL_ATTEMPTS = 5;

export class UpgradeBed {
  readonly sides: TwoSides;
  readonly engine: RunningEngine;
  readonly cycle: readonly ChainChange[];
  readonly flows: number;

  private constructor(sides: TwoSides, engine: RunningEngine, { cycle, flows }: Pick<UpgradeBed, "cycle" | "flows">) {
    this.sides = sides;
    this.engine = engine;
    this.cycle = cycle;
    this.flows = flows;
  }

  /** `functions` has versions 1 and 2 of `counting`. All `flows` are live when it resolves. */
  static async open(flows: number, functions: string): Promise<UpgradeBed> {
    const sides = await createTwoSides(8);
    try {
      // Room for the other traffic's flows, too; and none of them ends while it is measured.
      const capacity = Math.ceil(flows * 1.02) + 1000;
      const rest = `flows: { capacity: ${capacity}, timeouts: { udp: { unreplied: 86400 } } }\n`;
      const { first, cycle } = writeChanges(makeFolder(), { rest });
      const engine = await RunningEngine.start(sides.box, first, { functions });
      const bed = new UpgradeBed(sides, engine, { cycle, flows });
      await bed.#fill();
      return bed;
    } catch (error) {
      await sides.network.close();
      throw error;
    }
  }

  async #fill(): Promise<void> {
    for (let attempt = 0; this.snapshot().flows.live < this.flows; attempt++) {
      if (attempt === FILL_ATTEMPTS) throw new Error(`only ${this.snapshot().flows.live} flows could be begun`);
      const options = { rate: FILL_RATE, flows: this.flows, packets: this.flows };
      await (await NumberedTraffic.start(this.sides, options)).stop("sent");
    }
  }

  /** Of the generation that runs. */
  snapshot(): Snapshot {
    const [found] = findEngines(this.engine.stateFolder);
    if (found === undefined) throw new Error(`the engine ended: ${this.engine.stderr}`);
    return new Observer(loadAddon(), found.path, found.engine).snapshot();
  }

  /** Whether what the generations counted in their segment is what the lane received. */
  get isStateExact(): boolean {
    const total = readFileSync(`${this.engine.chainFolder}/${totalSegment("count")}`).readBigUInt64LE();
    return Number(total) === this.snapshot().lane.received;
  }

  /** True if no frame's slot was lost. */
  async close(): Promise<boolean> {
    try {
      return (await this.engine.end()).last.frames?.intact === true;
    } finally {
      this.engine.dispose();
      await this.sides.network.close();
    }
  }
}
