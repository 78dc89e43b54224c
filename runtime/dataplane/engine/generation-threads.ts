// One generation on all lanes of a chain: a thread for each, and what they say as one.
import type { MigrationResult } from "../generation.ts";
import type { WorkerSetup } from "../worker-protocol.ts";
import { GenerationWorker, type Listeners, type Ready, type Taken } from "./generation-worker.ts";

/** What all of them are told. */
export type ThreadsSetup = Omit<WorkerSetup, "lane" | "control" | "times" | "attach">;

/** What one of them is told besides. */
export type LaneSeat = Pick<WorkerSetup, "lane" | "control" | "times" | "attach" | "waits" | "before">;

export class GenerationThreads {
  readonly setup: ThreadsSetup;
  /** By lane. */
  readonly threads: GenerationWorker[];

  /** The first generation opens devices, one lane after the other: each finds out what a device can do. */
  static async open(setup: ThreadsSetup, seats: readonly LaneSeat[], listeners: Listeners): Promise<GenerationThreads> {
    const threads: GenerationWorker[] = [];
    try {
      for (const seat of seats) {
        threads.push(new GenerationWorker({ ...setup, ...seat }, listeners));
        await threads.at(-1)?.ready;
      }
    } catch (error) {
      await Promise.all(threads.map((thread) => thread.terminate()));
      throw error;
    }
    return new GenerationThreads(setup, threads);
  }

  /** Later ones are built beside it, all lanes at once; see `ready`. */
  static build(setup: ThreadsSetup, seats: readonly LaneSeat[], listeners: Listeners): GenerationThreads {
    return new GenerationThreads(
      setup,
      seats.map((seat) => new GenerationWorker({ ...setup, ...seat }, listeners)),
    );
  }

  private constructor(setup: ThreadsSetup, threads: GenerationWorker[]) {
    this.setup = setup;
    this.threads = threads;
  }

  get ready(): Promise<unknown> {
    return Promise.all(this.threads.map(({ ready }) => ready));
  }

  /** What it said of itself when it was ready; all of it is the same on every lane, but for what state it found. */
  get description(): Ready {
    return this.on(0).description;
  }

  /** Of all lanes together. */
  get migrations(): readonly MigrationResult[] {
    const [first, ...others] = this.threads.map(({ description }) => description.migrations);
    return (first ?? []).map((result, index) => ({
      ...result,
      lost: others.reduce((sum, each) => addLost(sum, each[index]?.lost ?? 0), result.lost),
    }));
  }

  /** Indices of functions that a lane does not call. */
  get quarantined(): ReadonlySet<number> {
    return new Set(this.threads.flatMap((thread) => [...thread.quarantined]));
  }

  on(lane: number): GenerationWorker {
    return this.threads[lane] as GenerationWorker;
  }

  has({ index }: { readonly index: number }): boolean {
    return index < this.threads.length;
  }

  /** When it has all lanes the next time, and a turn behind it; the longest pause of any. */
  async taken(): Promise<Taken> {
    const all = await Promise.all(this.threads.map((thread) => thread.taken()));
    return { pauseNs: Math.max(...all.map(({ pauseNs }) => pauseNs)) };
  }

  /** Lanes from `lane` on are no more: its threads there are ended. */
  async leaveLanes(lane: number): Promise<void> {
    await Promise.all(this.threads.splice(lane).map((thread) => thread.terminate()));
  }

  /** Ends the threads wherever they are. */
  async terminate(): Promise<void> {
    await Promise.all(this.threads.map((thread) => thread.terminate()));
  }
}

function addLost(sum: number | null, lost: number | null): number | null {
  return sum === null || lost === null ? null : sum + lost;
}
