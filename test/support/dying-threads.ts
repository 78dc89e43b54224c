// A program: runs a chain, ends a thread of it from outside at a moment that is given, and says who has the lane afterwards
// as JSON; then a change is made once more. Arguments: the chain's file, the moment.
import type { Worker } from "node:worker_threads";
import { startEngine } from "../../runtime/dataplane/engine/start-engine.ts";
import type { Quarantine } from "../../runtime/dataplane/engine/succession.ts";
import { loadChain } from "../../runtime/function/load-chain.ts";
import { until } from "./until.ts";

export type Moment = "standing by" | "running" | "before it takes the lane" | "before it lets the lane go";

export interface Deaths {
  readonly logged: readonly string[];
  readonly quarantines: readonly Omit<Quarantine, "outageMs">[];
  /** What the switchover threw. */
  readonly refused: string | null;
  /** The generation that has the lane then; the second was to have it. */
  readonly running: number;
  /** Turns go on. */
  readonly isAlive: boolean;
  /** The generation after another change. */
  readonly next: number;
  readonly intact: boolean;
}

async function run(file: string, moment: Moment): Promise<Deaths> {
  const threads: Worker[] = [];
  process.on("worker", (worker) => threads.push(worker));
  const { plan, packages } = loadChain(file);
  const logged: string[] = [];
  const quarantines: Omit<Quarantine, "outageMs">[] = [];
  const engine = await startEngine({ plan, packages, onLog: (_level, _function, message) => logged.push(message) });
  engine.onQuarantine = ({ outageMs: _, ...quarantine }) => quarantines.push(quarantine);
  await engine.begun;
  const changed = loadChain(file);
  const { generation } = await engine.load(changed.plan, changed.packages);
  // The copy of what runs.
  await until(() => engine.standsBy(generation + 1));
  const [first, second] = threads as [Worker, Worker];
  const dying = moment === "running" || moment === "before it lets the lane go" ? first : second;
  const ended = new Promise((resolve) => dying.once("exit", resolve));
  let switching: Promise<unknown> = Promise.resolve();
  void dying.terminate();
  if (moment.startsWith("before")) switching = engine.switchTo(generation);
  const refused = await switching.then(
    () => null,
    (error: Error) => error.message,
  );
  await ended;
  await new Promise((resolve) => setImmediate(resolve));
  await engine.settled();
  const running = engine.running.generation;
  const isAlive = await isTested(
    engine.testFrame(plan.ports[0]?.name ?? "", new Uint8Array(60), AbortSignal.timeout(5000)),
  );
  const another = await engine.load(plan, packages);
  await engine.switchTo(another.generation);
  const next = engine.running.generation - another.generation;
  const { intact } = await engine.stop();
  return { logged, quarantines, refused, running, isAlive, next, intact };
}

function isTested(frame: Promise<unknown>): Promise<boolean> {
  return frame.then(
    () => true,
    () => false,
  );
}

const [file, moment] = process.argv.slice(2) as [string, Moment];
process.stdout.write(JSON.stringify(await run(file, moment)));
