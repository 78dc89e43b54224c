// A lane on memory ports that carries traffic, and a shadow of another version of its functions in a thread of its own.
import { mkdtempSync, rmSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import { parseDocument } from "../../runtime/chain/document.ts";
import type { Plan } from "../../runtime/chain/plan.ts";
import { planChain } from "../../runtime/chain/planner.ts";
import { turn } from "../../runtime/dataplane/breathe.ts";
import type { Lane } from "../../runtime/dataplane/lane.ts";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import type { MemoryPort, NativeLane } from "../../runtime/dataplane/native.ts";
import { attachLane, openLane } from "../../runtime/dataplane/open-lane.ts";
import { Shadow, type ShadowReport } from "../../runtime/dataplane/shadow.ts";
import { Catalog, type FunctionPackage } from "../../runtime/function/catalog.ts";
import { encodePacket } from "../../runtime/testing/packet-text.ts";
import { type ChainFunction, makePackage } from "./chain-under-test.ts";

const SLOT_BYTES = 2048;

export type Functions = Readonly<Record<string, ChainFunction>>;

interface Said {
  readonly rest: string;
  /** Of the port `in`, with a comma before it. */
  readonly input: string;
}

interface Version {
  readonly plan: Plan;
  readonly packages: readonly FunctionPackage[];
}

/** From `in` through all functions to `out`, and whatever else of the chain document is said. */
async function plan(functions: Functions, { rest, input }: Said, before?: Plan): Promise<Version> {
  const names = Object.keys(functions);
  const packages = await Promise.all(names.map((name) => makePackage(name, functions[name] as ChainFunction)));
  const text = [
    "chain: shadowed",
    `ports: { in: { driver: memory${input} }, out: { driver: memory } }`,
    `functions: {${names.map((name) => ` ${name}: { use: ${name} }`).join(",")} }`,
    `paths: [{ from: in, through: [${names.join(", ")}], to: out }, { from: out, to: in }]`,
    rest,
  ].join("\n");
  return { plan: planChain(parseDocument(text, "test.yaml"), new Catalog(packages), before).plan, packages };
}

export class ShadowedLane {
  readonly lane: Lane;
  readonly folder: string;
  readonly #live: Version;
  readonly #said: Said;
  #shadow: Shadow | undefined;

  static async open(functions: Functions, rest = "", input = ""): Promise<ShadowedLane> {
    return new ShadowedLane(await plan(functions, { rest, input }), { rest, input });
  }

  private constructor(live: Version, said: Said) {
    this.folder = mkdtempSync("/dev/shm/sluice-test-");
    this.#live = live;
    this.#said = said;
    this.lane = openLane({ ...this.#common(live), openPort: (lane) => lane.openMemoryPort() });
  }

  #common({ plan, packages }: Version) {
    return {
      ...{ native: loadAddon(), plan, packages, slots: 4096, slotBytes: SLOT_BYTES, batchLimit: 256 },
      ...{ keepOutcomes: false, virtualClock: false },
      pathOf: (segment: string) => `${this.folder}/${segment}`,
      openPort: (lane: NativeLane) => lane.openMemoryPort(),
    };
  }

  /**
   * As an upgrade does it: the next generation is built beside this one, then it gets a shadow. `meanwhile` is sent again
   * and again until that follows.
   */
  async shadow(
    functions: Functions,
    { meanwhile = [], ...options }: { readonly ringBytes?: number; readonly meanwhile?: readonly Uint8Array[] } = {},
  ): Promise<void> {
    const next = await plan(functions, this.#said, this.#live.plan);
    const { inheritance } = this.lane.generation;
    attachLane(this.#common(next), this.lane.native.id, inheritance);
    const shadow = new Shadow({
      ...{ ...next, live: inheritance, folder: this.folder, slotBytes: SLOT_BYTES, cpu: null, batchLimitMs: 50 },
      ...{ lane: this.lane.native, ...options },
    });
    const started = shadow.started();
    let isStarted = false;
    const settle = () => {
      isStarted = true;
    };
    started.then(settle, settle);
    // The lane copies its state between two turns.
    while (!isStarted) {
      this.sendFrames(meanwhile);
      turn(this.lane);
      await setTimeout(1);
    }
    this.#shadow = shadow;
    await started;
  }

  /** Packets (packet-text.ts) that come in and go out, a batch at a time. */
  send(...lines: readonly string[]): void {
    this.sendFrames(lines.map((line) => encodePacket(line)));
  }

  sendFrames(frames: readonly Uint8Array[]): void {
    const [input, output] = this.lane.ports as [MemoryPort, MemoryPort];
    for (let first = 0; first < frames.length; first += 256) {
      for (const frame of frames.slice(first, first + 256)) input.inject(frame, 0n);
      while (turn(this.lane)) output.drain();
    }
  }

  /** What the shadow says when it has worked off all that it was handed, or has ended. */
  async report(): Promise<ShadowReport> {
    const shadow = this.#shadow as Shadow;
    while (shadow.backlogBytes > 0 && shadow.report.state !== "ended") await setTimeout(5);
    // The next report may have been on its way already.
    for (let reports = 0; reports < 2 && shadow.report.state !== "ended"; reports++) {
      await new Promise<void>((resolve) => {
        shadow.onReport = () => resolve();
      });
    }
    return shadow.report;
  }

  async endShadow(): Promise<void> {
    await this.#shadow?.end();
  }

  get shadowed(): Shadow {
    return this.#shadow as Shadow;
  }

  async close(): Promise<void> {
    await this.#shadow?.end();
    this.lane.close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}
