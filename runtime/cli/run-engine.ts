// The engine of one chain, from its start to its end, in the process that calls.
import { resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { throwFaults } from "../chain/faults.ts";
import type { Plan } from "../chain/plan.ts";
import { findStateFaults } from "../chain/state-changes.ts";
import { requireDevices } from "../dataplane/changeable.ts";
import type { Engine } from "../dataplane/engine/engine.ts";
import type { EngineSetup } from "../dataplane/engine/setup.ts";
import { startEngine } from "../dataplane/engine/start-engine.ts";
import type { Quarantine } from "../dataplane/engine/succession.ts";
import type { FaultReport } from "../dataplane/faults/lane-faults.ts";
import type { FrameAudit } from "../dataplane/native.ts";
import { SluiceError } from "../errors.ts";
import { admit } from "../function/admission.ts";
import { loadChain, pinDocument, readChange } from "../function/load-chain.ts";
import { type Change, describeVersions } from "../generation/change.ts";
import { type ChainSource, type CommittedChain, CommittedStore, followSource } from "../generation/committed.ts";
import { History } from "../generation/history.ts";
import { ObserveServer } from "../generation/observe-server.ts";
import { Plans } from "../generation/plans.ts";
import { listenForSampling } from "../generation/sampling-socket.ts";
import { type StoredChain, StoredState, takeStored } from "../generation/stored-state.ts";
import { Upgrades } from "../generation/upgrade.ts";
import { listenForUpgrades } from "../generation/upgrade-server.ts";
import type { ChangeRequest } from "../generation/upgrade-socket.ts";
import { encodePacket, formatPacket } from "../testing/packet-text.ts";
import type { Death, EngineOptions } from "./engine-protocol.ts";
import { FaultBundles } from "./fault-bundles.ts";
import { printError, printLine, printWarnings, type Warning } from "./output.ts";

const ENDED_WITHIN_MS = 3000;

/** What a process that starts engines again tells the one that it has started. */
export interface EngineLife {
  readonly supervisor?: EngineSetup["supervisor"];
  /** Of the engine whose place this one takes. */
  readonly death?: Death | undefined;
  readonly onRunning?: (folder: string) => void;
  readonly onCommitted?: () => void;
  /** Stops the engine. */
  readonly signal?: AbortSignal;
}

export async function runEngine(file: string, options: EngineOptions, life: EngineLife = {}): Promise<void> {
  const history = new History();
  const stored = takeStored(resolve(file));
  const chain = stored ?? readCommitted(life.death, history) ?? readChain(file, options);
  if (life.supervisor === undefined && chain.plan.whenDown === "drop") printWarnings([nothingDrops(file)]);
  let bundles: FaultBundles | undefined;
  const engine = await startChain(chain, life, (evidence, faulty) => {
    bundles ??= new FaultBundles(faulty.plan.chain, options.json === true);
    bundles.keep(evidence, faulty);
  });
  const committed = new CommittedStore(engine.folder, life.onCommitted);
  StoredState.forget(engine.folder);
  if (stored !== undefined) noteRestored(stored, history);
  const upgrades = new Upgrades(engine, history, { committed, source: chain.source, describePacket: formatPacket });
  let restoreAsked: RestoreAsked | undefined;
  const plans = new Plans({
    ...{ engine, upgrades, history, read: readSource, file: resolve(file) },
    packets: { encode: encodePacket, format: formatPacket },
    restart: (why) => {
      restoreAsked = new RestoreAsked(chain.plan.chain, why);
      endForRestore(engine, restoreAsked);
    },
    warn: (text) => process.stderr.write(`warn ${text}\n`),
  });
  engine.onQuarantine = (quarantine) => {
    printQuarantine(quarantine);
    upgrades.noteQuarantine(describeQuarantine(quarantine));
    void afterQuarantine(quarantine, engine, upgrades);
  };
  const server = await listenForUpgrades(engine.folder, upgrades, changeReader(engine, upgrades), plans);
  const sampling = await listenForSampling(engine);
  const observing = await ObserveServer.listen(engine, () => upgrades.source.file);
  const stop = () => {
    plans.stop();
    void engine.stop().catch(() => {});
  };
  const interrupted = onInterrupt(stop);
  life.signal?.addEventListener("abort", stop);
  if (life.signal?.aborted) stop();
  await engine.begun;
  life.onRunning?.(engine.folder);
  printStart(engine, options.json === true, life.death, stored?.upgradePlan);
  try {
    const audit = await engine.ended;
    await bundles?.settled();
    printEnd(audit, options.json === true);
    if (restoreAsked !== undefined) throw restoreAsked;
  } finally {
    interrupted.dispose();
    plans.stop();
    upgrades.stop();
    server.close();
    sampling.close();
    await observing.close();
    history.close();
  }
}

function nothingDrops(file: string): Warning {
  const what = "with --no-restart nothing is left to drop frames when the engine dies: they pass to the kernel";
  return { code: "unused-option", where: `${file}: whenDown`, what };
}

function changeReader(engine: Engine, upgrades: Upgrades): (request: ChangeRequest) => Change {
  return (request) => {
    const before = engine.running.plan;
    const change = readSource(followSource(upgrades.source, request))(before);
    if (!request.cold) throwFaults(findStateFaults(before, change.plan, "load"));
    return change;
  };
}

/** Reads what a source names; it is planned when it is known what runs. */
function readSource(source: ChainSource): (before: Plan) => Change {
  const plan = readChange(source.file, source);
  return (before) => {
    const { document, ...change } = plan(before);
    for (const { wasm, manifest } of change.packages) admit(wasm, manifest);
    return { ...change, source: { ...source, document } };
  };
}

/** The plan cannot be taken back by this process: whoever starts the chain next finds what was stored before it. */
export class RestoreAsked extends SluiceError {
  constructor(chain: string, why: string) {
    const help = "start it again: it begins with the state that was stored before the plan";
    super({ code: "upgrade-failed", where: chain, what: `the plan cannot be taken back: ${why}`, help });
  }
}

/** A lane that does not stop goes with its process. */
function endForRestore(engine: Engine, asked: RestoreAsked): void {
  void engine.stop().catch(() => {});
  setTimeout(() => process.exit(printError(asked)), ENDED_WITHIN_MS).unref();
}

function noteRestored({ upgrade, upgradePlan, plan }: StoredChain, history: History): void {
  const versions = describeVersions(plan);
  const what = { chain: plan.chain, upgrade, at: new Date().toISOString(), actor: "restore", plan: upgradePlan };
  history.add({ ...what, before: versions, after: versions, state: "restored", durationMs: 0, outcome: "ok" });
}

type StartedChain = Omit<CommittedChain, "numbering"> & Partial<Pick<CommittedChain, "numbering">>;

function readCommitted(death: Death | undefined, history: History): CommittedChain | null {
  return death?.folder === undefined ? null : new CommittedStore(death.folder).read(history);
}

/** Loads and checks a document. Throws all that is wrong with it. */
function readChain(file: string, options: EngineOptions): StartedChain {
  const { document, plan, packages, warnings } = loadChain(file, options);
  printWarnings(warnings);
  requireDevices(plan.ports);
  for (const { wasm, manifest } of packages) admit(wasm, manifest);
  const { set = [], functions = [] } = options;
  const source = { file: resolve(file), set, functions, use: [], document: pinDocument(document, plan) };
  return { source, plan, packages };
}

/** How long the kernel may take to let go of the devices of an engine that died. */
const BUSY_PATIENCE_MS = 5000;
const BUSY_PAUSE_MS = 50;

/** Throws what keeps the chain from running; nothing is left behind then. */
async function startChain(
  { plan, packages, numbering }: StartedChain,
  life: EngineLife,
  onEvidence: NonNullable<EngineSetup["onEvidence"]>,
): Promise<Engine> {
  const setup: EngineSetup = {
    plan,
    packages,
    supervisor: life.supervisor,
    resume: numbering,
    onFault: printFault,
    onEvidence,
    onLog: (level, name, message) => process.stderr.write(`${level} ${name}: ${message}\n`),
  };
  const patienceMs = life.death === undefined ? 0 : BUSY_PATIENCE_MS;
  for (const until = performance.now() + patienceMs; ; await sleep(BUSY_PAUSE_MS)) {
    try {
      return await startEngine(setup);
    } catch (error) {
      const isBusy = error instanceof SluiceError && error.code === "device-busy";
      if (!isBusy || performance.now() >= until) throw error;
    }
  }
}

async function afterQuarantine(quarantine: Quarantine, engine: Engine, upgrades: Upgrades): Promise<void> {
  const { function: name, why, generation, isFallback } = quarantine;
  if (why !== "traps") {
    await upgrades
      .noteFallback(generation, describeQuarantine(quarantine))
      .catch((error: Error) => process.stderr.write(`what was loaded beside it is left: ${error.message}\n`));
  }
  const planned = engine.running.plan.functions.find((each) => each.name === name);
  // A plan of several steps takes itself back.
  if (planned?.onFault !== "previous" || isFallback || upgrades.status.plan !== null) return;
  try {
    const isBack = await upgrades.returnToPrevious(planned.name);
    const end = isBack ? "the version before has its traffic" : "there is no version before; its frames are dropped";
    process.stderr.write(`${planned.name}: ${end}\n`);
  } catch (error) {
    process.stderr.write(`${planned.name}: its version before did not start: ${(error as Error).message}\n`);
  }
}

function onInterrupt(stop: () => void): { dispose(): void } {
  const signals = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
  for (const signal of signals) process.on(signal, stop);
  return {
    dispose: () => {
      for (const signal of signals) process.off(signal, stop);
    },
  };
}

function printQuarantine(quarantine: Quarantine): void {
  process.stderr.write(`${describeQuarantine(quarantine)}\n`);
}

function describeQuarantine({ function: name, package: from, why, successor, outageMs }: Quarantine): string {
  const subject = name === null ? "replaced: the generation's thread died" : `quarantine ${name} (${from}):`;
  if (why === "traps") return `${subject} trapped too often`;
  const end = `generation ${successor} took over after ${outageMs.toFixed(0)} ms`;
  return why === "time" ? `${subject} did not return; ${end}` : `${subject}; ${end}`;
}

function printFault({ function: name, package: from, message, source, count }: FaultReport): void {
  const times = count === 1 ? "" : ` (${count} times)`;
  process.stderr.write(`fault ${name} (${from})${source === null ? "" : ` ${source}`}: ${message}${times}\n`);
}

function printStart(
  { description, recovery }: Engine,
  json: boolean,
  death?: Death,
  restored: string | null = null,
): void {
  const downMs = death === undefined ? 0 : Date.now() - death.at;
  if (json) {
    const state = death === undefined ? { state: "running" } : { state: "restarted", death, downMs };
    process.stdout.write(`${JSON.stringify({ ...state, ...description, recovery, restored })}\n`);
    return;
  }
  const again = death === undefined ? "" : ` again, ${downMs} ms after process ${death.pid} died`;
  printLine(`chain ${description.chain} is running${again} (process ${description.pid})`);
  for (const { name, device, mode, refused } of description.ports) {
    const better = refused.map((refusal) => `${refusal.mode}: ${refusal.why}`).join("; ");
    printLine(`  port ${name}: ${device}, ${mode}${better === "" ? "" : ` (not ${better})`}`);
  }
  if (restored !== null) printLine(`  restored as it was before the plan ${restored}`);
  if (recovery?.fresh === false) {
    printLine(`  flows: ${recovery.kept} of the process before go on, ${recovery.dropped} half-written ones dropped`);
  }
  for (const { name, package: from } of description.functions) printLine(`  function ${name}: ${from}`);
  printLine("watch it with `sluice top`; stop it with Ctrl-C");
}

function printEnd(audit: FrameAudit, json: boolean): void {
  if (json) process.stdout.write(`${JSON.stringify({ state: "stopped", frames: audit })}\n`);
  else
    printLine(`stopped; devices released; ${audit.intact ? "no frame lost" : "FRAMES LEAKED"} (${audit.slots} slots)`);
  if (!audit.intact) {
    throw new SluiceError({
      code: "internal",
      where: "frames",
      what: `the frame count is wrong: ${JSON.stringify(audit)}`,
    });
  }
}
