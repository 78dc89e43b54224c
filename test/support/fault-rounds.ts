// Faults injected into a chain under traffic, again and again. Two paths: one through a function that misbehaves when it is
// asked to, and one that does not meet it, whose numbered datagrams tell what the faults cost everybody else.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import { requestUpgrade } from "../../runtime/generation/upgrade-socket.ts";
import { Observer } from "../../runtime/telemetry/observer.ts";
import { type Incident, monotonicMs, NumberedUdp, type Received } from "./numbered-udp.ts";
import { Poker } from "./poke-udp.ts";
import { RunningEngine, readFlows } from "./running-engine.ts";
import { makeSickFunction, SICK_PORTS, SOUND_PORT, sickPorts } from "./sick-function.ts";
import { createTwoSides, RIGHT, type TwoSides } from "./two-sides.ts";

/** `none` asks for nothing: what the machine itself costs. */
export const faultKinds = ["none", "trap", "window", "result", "loop", "kill"] as const;
export type FaultKind = (typeof faultKinds)[number];

export interface FaultRound {
  readonly kind: FaultKind;
  readonly injected: number;
  /** As the engine counted or reported them. */
  readonly noticed: number;
  /** Datagrams of the other path; a kill costs what is sent until the engine is back. */
  readonly lost: number;
  /** By injection: how long the other path stood still, in milliseconds; 0 if nothing was lost or 2 ms late. */
  readonly stillMs: readonly number[];
  /** Datagrams of the misbehaving function's own path that asked for nothing. */
  readonly lostOfItsOwn: number;
}

export interface FaultRounds {
  readonly rounds: readonly FaultRound[];
  /** Of the other path: the same flow all the time, and the packets that it counted. */
  readonly flow: { readonly isSame: boolean; readonly packets: number };
  readonly other: Received;
  /** No slot was lost at the end. */
  readonly intact: boolean;
}

const OTHER_PORT = 7000;
/** The seventeenth trap within ten seconds would find the function quarantined. */
const TRAPS_BEFORE_CHANGE = 12;
/** A copy of the chain stands by again; a process that has loaded everything is at hand. */
const SETTLE_MS = { change: 900, restart: 1700 } as const;
const NOTICED_WITHIN_MS = 10_000;
/** What the fault costs others shows within this time. */
const AFTER_FAULT_MS = 100;

const chain = `chain: faults
ports: { lan: { device: lan0 }, wan: { device: wan0 } }
functions: { sick: { use: sick@1 }, count: { use: hello@* } }
paths:
  - { from: lan, match: { destinationPorts: [${SICK_PORTS}] }, through: [sick, count], to: wan }
  - { from: lan, through: [count], to: wan }
  - { from: wan, through: [count], to: lan }
`;

/** Injects `count` faults of each kind. Needs root. */
export async function injectFaults(count: number, kinds: readonly FaultKind[] = faultKinds): Promise<FaultRounds> {
  const folder = mkdtempSync(join(tmpdir(), "sluice-faults-"));
  const sides = await createTwoSides();
  try {
    return await runRounds(sides, folder, count, kinds);
  } finally {
    await sides.network.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function runRounds(
  { left, right, box }: TwoSides,
  folder: string,
  count: number,
  kinds: readonly FaultKind[],
): Promise<FaultRounds> {
  const functions = await makeSickFunction(folder);
  writeFileSync(join(folder, "chain.yaml"), chain);
  const options = ["--give-up-after", "100000"];
  const engine = await RunningEngine.start(box, join(folder, "chain.yaml"), { functions, supervised: true, options });
  try {
    const other = await NumberedUdp.start(left, right, RIGHT, OTHER_PORT);
    const own = await NumberedUdp.start(left, right, RIGHT, SOUND_PORT, 200);
    const poker = await Poker.start(left, RIGHT);
    await sleep(SETTLE_MS.restart);
    const flow = await flowOf(engine);
    const injector = new Injector(engine, poker);
    const phases: Phase[] = [];
    for (const kind of kinds) phases.push(await injector.inject(kind, count));
    const [others, owns] = [await other.end(), await own.end()];
    const later = await flowOf(engine);
    poker.end();
    const { last } = await engine.end();
    const ends = phases.map((_, index) => phases[index + 1]?.injections[0] ?? Infinity);
    return {
      rounds: phases.map((phase, index) => judge(phase, ends[index] as number, others, owns)),
      flow: { isSame: later.flow === flow.flow, packets: later.packets },
      other: others,
      intact: last.frames?.intact === true,
    };
  } finally {
    engine.dispose();
  }
}

async function flowOf(engine: RunningEngine): Promise<{ readonly flow: unknown; readonly packets: number }> {
  const found = (await readFlows(engine, "udp")).find(({ dest_port: port }) => port === OTHER_PORT);
  return { flow: found?.flow, packets: Number(found?.packets_to_server) };
}

interface Phase {
  readonly kind: FaultKind;
  /** Times of the monotonic clock. */
  readonly injections: readonly number[];
  readonly noticed: number;
}

class Injector {
  readonly #engine: RunningEngine;
  readonly #poker: Poker;
  readonly #observer: Observer;

  constructor(engine: RunningEngine, poker: Poker) {
    this.#engine = engine;
    this.#poker = poker;
    // Later generations, and engines, count in the same place.
    this.#observer = new Observer(loadAddon(), engine.chainFolder, engine.description);
  }

  async inject(kind: FaultKind, count: number): Promise<Phase> {
    const before = this.#count(kind);
    const injections: number[] = [];
    for (let nth = 0; nth < count; nth++) injections.push(await this.#injectOne(kind, nth));
    const noticed = this.#count(kind) - before;
    await this.#change();
    return { kind, injections, noticed };
  }

  async #injectOne(kind: FaultKind, nth: number): Promise<number> {
    if (kind === "kill") {
      const at = monotonicMs();
      await this.#engine.killEngine();
      await sleep(SETTLE_MS.restart);
      return at;
    }
    const ports = sickPorts[kind];
    const before = this.#count(kind);
    const at = await this.#poker.poke(ports[nth % ports.length] as number);
    if (kind !== "none") await this.#until(() => this.#count(kind) > before, `${kind} was not noticed`);
    await sleep(AFTER_FAULT_MS);
    if (kind === "loop" || nth % TRAPS_BEFORE_CHANGE === TRAPS_BEFORE_CHANGE - 1) await this.#change();
    return at;
  }

  /** A change to the same chain: it ends every quarantine. */
  async #change(): Promise<void> {
    const folder = this.#engine.chainFolder;
    const change = { file: null, set: [], functions: [], use: [], cold: false, dryRun: false };
    await requestUpgrade(folder, { actor: "test", step: "load", change });
    await requestUpgrade(folder, { actor: "test", step: "switchover" });
    await requestUpgrade(folder, { actor: "test", step: "commit" });
    await sleep(SETTLE_MS.change);
  }

  /** Faults of that kind so far. */
  #count(kind: FaultKind): number {
    if (kind === "kill") return this.#engine.restarts.length;
    if (kind === "loop") return this.#engine.stderr.match(/^quarantine sick .* did not return/gm)?.length ?? 0;
    const { functions, engineDrops } = this.#observer.snapshot();
    if (kind !== "result") return functions.find(({ name }) => name === "sick")?.faults ?? 0;
    const bad = Object.entries(engineDrops).filter(([reason]) => isBadResult(reason));
    return bad.reduce((sum, [, count]) => sum + count, 0);
  }

  async #until(isTrue: () => boolean, otherwise: string): Promise<void> {
    const until = performance.now() + NOTICED_WITHIN_MS;
    for (; performance.now() < until; await sleep(5)) if (isTrue()) return;
    throw new Error(`${otherwise}: ${this.#engine.stderr}`);
  }
}

function isBadResult(reason: string): boolean {
  return reason.startsWith("bad-") || reason === "not-writable";
}

function judge({ kind, injections, noticed }: Phase, end: number, other: Received, own: Received): FaultRound {
  const [start] = injections as [number];
  const within = (from: number, to: number, { incidents }: Received) =>
    incidents.filter(({ sentAt, ms }) => sentAt + ms >= from && sentAt < to);
  const sum = (incidents: readonly Incident[]) => incidents.reduce((lost, { missing }) => lost + missing, 0);
  const stillMs = injections.map((at, nth) => {
    const seen = within(at, Math.min(injections[nth + 1] ?? end, at + SETTLE_MS.restart), other);
    return Math.max(0, ...seen.map(({ ms }) => ms));
  });
  const lost = sum(within(start, end, other));
  return { kind, injected: injections.length, noticed, lost, stillMs, lostOfItsOwn: sum(within(start, end, own)) };
}
