// The generations of a chain: the one that runs, the committed one, and those that stand by. Builds them beside the one
// that runs, and removes what only those had that are retired.
import { rmSync } from "node:fs";
import { countLanes, type Plan } from "../../chain/plan.ts";
import { SluiceError } from "../../errors.ts";
import type { CounterLayout } from "../counter-layout.ts";
import { listStateSegments } from "../flow-memory.ts";
import { nameInLanes } from "../lane-files.ts";
import { describeNames, type ReportNamesFile } from "../report-names.ts";
import type { PortDescription } from "../state-folder.ts";
import { makeSeat } from "./engine-lane.ts";
import { GenerationThreads, type LaneSeat, type ThreadsSetup } from "./generation-threads.ts";
import type { GenerationWorker } from "./generation-worker.ts";
import type { Lanes } from "./lanes.ts";
import type { EngineSetup, Shared } from "./setup.ts";

const STANDBY_AFTER_MS = 500;

export interface GenerationsParts {
  readonly setup: EngineSetup;
  readonly shared: Shared;
  readonly first: GenerationThreads;
  readonly names: ReportNamesFile;
  readonly lanes: Lanes;
  /** Looks after the threads of one that was built. */
  readonly watch: (generation: GenerationThreads) => void;
}

export class Generations {
  running: GenerationThreads;
  /** What the lane goes back to if the one that runs fails. */
  committed: GenerationThreads;
  /** Those that are built and can take the lane: a copy of what runs, what is to come, what was before. */
  readonly others = new Set<GenerationThreads>();
  #standby: GenerationThreads | undefined;
  #standbyTimer: NodeJS.Timeout | undefined;
  #last = 1;
  /** Of the generation that was built last: what any of them ever counted keeps its place. */
  #layout: CounterLayout;
  /** Those that the lanes have, and that other generations will have or had, by index. */
  #ports: readonly PortDescription[];
  readonly #parts: GenerationsParts;
  #isStopping = false;

  constructor(parts: GenerationsParts) {
    const { first } = parts;
    this.#parts = parts;
    this.running = first;
    this.committed = first;
    this.#layout = first.description.layout;
    this.#ports = first.description.ports;
    this.#nameReports(first);
    parts.watch(first);
  }

  get all(): GenerationThreads[] {
    return [this.running, ...this.others];
  }

  get layout(): CounterLayout {
    return this.#layout;
  }

  get ports(): readonly PortDescription[] {
    return this.#ports;
  }

  /** Throws upgrade-state. */
  find(generation: number): GenerationThreads {
    const found = [...this.others].find(({ setup }) => setup.generation === generation);
    if (found !== undefined) return found;
    const what = `there is no generation ${generation} that stands by`;
    throw new SluiceError({ code: "upgrade-state", where: this.#parts.shared.folder, what });
  }

  /** It has the lanes from now on; the one before stands by. */
  run(next: GenerationThreads): void {
    this.others.delete(next);
    this.others.add(this.running);
    this.running = next;
  }

  /** A generation that is not committed gives way to the one before; otherwise the copy takes over. */
  successorOf(failed: GenerationThreads): GenerationThreads | undefined {
    return failed === this.committed ? this.#standby : this.committed;
  }

  /** The one that runs is no more, and `successor` runs in its place. */
  succeed(successor: GenerationThreads): void {
    if (this.running === this.committed) this.committed = successor;
    this.others.delete(successor);
    if (successor === this.#standby) this.#standby = undefined;
    this.running = successor;
  }

  /** One that stands by is no more; if it was the one to go back to, that is the running one. */
  forget(generation: GenerationThreads): void {
    this.others.delete(generation);
    if (generation === this.committed) this.committed = this.running;
    if (generation === this.#standby) this.#standby = undefined;
  }

  /** Throws what is wrong with it, or the signal's reason, with everything undone. */
  async build(
    chain: Pick<ThreadsSetup, "plan" | "packages" | "quarantined">,
    signal?: AbortSignal,
  ): Promise<GenerationThreads> {
    const { lanes: open, watch } = this.#parts;
    const { known, fresh } = this.#seat(countLanes(chain.plan));
    const built = GenerationThreads.build(this.#describe(chain), [...known, ...fresh], this.#parts.setup);
    try {
      await (signal === undefined ? built.ready : Promise.race([built.ready, rejectOn(signal)]));
    } catch (error) {
      await built.terminate();
      this.closePorts();
      throw error;
    }
    if (this.#isStopping) {
      await built.terminate();
      throw new SluiceError({ code: "not-running", where: this.#parts.shared.folder, what: "the engine stops" });
    }
    open.open(fresh, built);
    this.#ports = [...this.#ports, ...built.description.ports];
    this.#layout = built.description.layout;
    this.#nameReports(built);
    watch(built);
    this.others.add(built);
    return built;
  }

  /** Removes the files of state that no generation but this plan's would have. */
  forgetState(plan: Plan): void {
    const { lanes, shared } = this.#parts;
    const held = new Set(this.all.flatMap(({ setup }) => listStateSegments(setup.plan)));
    for (const name of listStateSegments(plan)) {
      if (held.has(name)) continue;
      for (const file of nameInLanes(name, lanes.ever)) rmSync(`${shared.folder}/${file}`, { force: true });
    }
  }

  /** Lanes that no generation's chain has any more, `retiring`'s included. */
  async closeLanes(retiring: readonly GenerationThreads[] = []): Promise<void> {
    const count = Math.max(...this.all.map(({ setup }) => countLanes(setup.plan)));
    await this.#parts.lanes.close(count, [...this.all, ...retiring]);
  }

  /** Those that no generation has. */
  closePorts(): void {
    const count = Math.max(...this.all.map(({ setup }) => setup.plan.ports.length));
    if (!this.#isStopping) this.#parts.lanes.closePorts(count);
    this.#ports = this.#ports.slice(0, count);
  }

  /** One change may follow another at once: the copy is made when it is quiet. */
  planStandby(quarantined: readonly number[]): void {
    clearTimeout(this.#standbyTimer);
    this.#standbyTimer = setTimeout(() => {
      if (this.#parts.lanes.migrationLeft > 0) this.planStandby(quarantined);
      else if (this.#standby === undefined) void this.#makeStandby(quarantined);
    }, STANDBY_AFTER_MS);
  }

  /** The copy of a chain that does not run any more. */
  async dropStandby(): Promise<void> {
    const standby = this.#standby;
    if (standby === undefined || standby.setup.plan === this.running.setup.plan) return;
    this.forget(standby);
    await standby.terminate();
  }

  /** The lanes end: nothing is built any more. */
  stop(): void {
    this.#isStopping = true;
    clearTimeout(this.#standbyTimer);
  }

  async end(): Promise<void> {
    this.stop();
    await Promise.all(this.all.map((generation) => generation.terminate()));
  }

  /** A copy of what runs: it takes over at once if a function does not return. */
  async #makeStandby(quarantined: readonly number[]): Promise<void> {
    const { plan, packages, generation } = this.running.setup;
    try {
      const standby = await this.build({ plan, packages, quarantined });
      if (this.#isStopping || this.running.setup.generation !== generation || this.#standby !== undefined) {
        this.others.delete(standby);
        await standby.terminate();
      } else this.#standby = standby;
    } catch (error) {
      if (!this.#isStopping) this.#parts.setup.onLog?.("warn", "engine", `no standby: ${(error as Error).message}`);
    }
  }

  #describe(chain: Pick<ThreadsSetup, "plan" | "packages" | "quarantined">): ThreadsSetup {
    const numbers = { generation: ++this.#last, reportNames: this.#parts.names.next() };
    return { ...this.#parts.shared, ...chain, ...numbers, lanes: countLanes(chain.plan) };
  }

  /** On the lanes that there are, and on those that are opened for it. */
  #seat(count: number): { readonly known: LaneSeat[]; readonly fresh: LaneSeat[] } {
    const { lanes } = this.#parts;
    const before = {
      layout: this.#layout,
      plan: this.running.setup.plan,
      functions: this.running.description.functions,
    };
    lanes.handover.addLanes(Math.max(count, lanes.count));
    const known = lanes.all.map(({ seat, index }) => {
      return { ...seat, attach: { lane: this.#holderOf(index).description.lane, before } };
    });
    const fresh = Array.from({ length: Math.max(0, count - known.length) }, (_, index): LaneSeat => {
      return { ...makeSeat(known.length + index), waits: true, before };
    });
    return { known, fresh };
  }

  /** A thread that knows the lane. */
  #holderOf(lane: number): GenerationWorker {
    return (this.all.find((each) => each.has({ index: lane })) as GenerationThreads).on(lane);
  }

  #nameReports({ setup: { plan, generation, reportNames }, description }: GenerationThreads): void {
    this.#parts.names.add(describeNames(reportNames, generation, plan, description.functions));
  }
}

function rejectOn(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    if (signal.aborted) reject(signal.reason);
    else signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}
