// sluice top: live counters of a running chain, per port, function and drop reason.

import { setTimeout as sleep } from "node:timers/promises";
import type { Command } from "commander";
import { loadAddon } from "../dataplane/load-addon.ts";
import { type EngineDescription, type FoundEngine, findEngines, findFallenEngines } from "../dataplane/state-folder.ts";
import { SluiceError } from "../errors.ts";
import { Observer } from "../telemetry/observer.ts";
import { computeRates, type Rates } from "../telemetry/rates.ts";
import { addServerOptions, type ServerOptions } from "./api-client.ts";
import { findEngine } from "./find-engine.ts";
import { formatTable, paint } from "./output.ts";
import { findRemote } from "./remote.ts";

interface TopOptions extends ServerOptions {
  readonly interval: string;
  readonly count?: string;
  readonly json?: boolean;
}

export function registerTop(program: Command): void {
  addServerOptions(program.command("top").description("show live counters per port, function and drop reason"))
    .argument("[chain]", "the chain; needed if several are running")
    .option("--interval <seconds>", "time between two views", "1")
    .option("--count <n>", "stop after n views (without a terminal: 1)")
    .option("--json", "print JSON, one document per view")
    .action(topCommand);
}

async function topCommand(chain: string | undefined, options: TopOptions): Promise<void> {
  const seconds = positive(options.interval, "--interval");
  const live = process.stdout.isTTY === true && options.json !== true;
  const views = options.count === undefined ? (live ? Infinity : 1) : positive(options.count, "--count");
  const show = options.json ? showJson : (rates: Rates) => showText(rates, live);
  const remote = await findRemote(chain, options, "sluice top");
  if (remote === null) return watch(chain, { seconds, views, show });
  for (let view = 0; view < views; view++) {
    show(await remote.client.call<Rates>(`${remote.path}/stats`, { query: { interval: seconds } }));
  }
}

export interface Watch {
  readonly seconds: number;
  readonly views: number;
  readonly show: (rates: Rates) => void;
  /** Ends the watch early. */
  readonly signal?: AbortSignal;
}

/** Shows the rates of a running chain every so often, until it ends. An engine that takes a dead one's place counts on. */
export async function watch(chain: string | undefined, { seconds, views, show, signal }: Watch): Promise<void> {
  let observer = observe(findEngine(chain, "sluice top"));
  let before = observer.snapshot();
  let at = performance.now();
  for (let view = 0; view < views; view++) {
    await sleep(seconds * 1000, undefined, signal === undefined ? {} : { signal });
    const now = performance.now();
    const after = observer.snapshot();
    show(computeRates(observer.engine, before, after, (now - at) / 1000));
    before = after;
    at = now;
    const next = await findNext(observer.engine);
    if (next === undefined) break;
    if (next.engine.pid !== observer.engine.pid || next.engine.generation !== observer.engine.generation) {
      observer = observe(next);
      before = observer.snapshot();
    }
  }
}

function observe({ path, engine }: FoundEngine): Observer {
  return new Observer(loadAddon(), path, engine);
}

const LOOK_EVERY_MS = 50;

/** The engine that runs the chain now, maybe another one; undefined if the chain ended. */
async function findNext({ chain }: EngineDescription): Promise<FoundEngine | undefined> {
  const isMeant = ({ engine }: FoundEngine) => engine.chain === chain;
  for (; ; await sleep(LOOK_EVERY_MS)) {
    const found = findEngines().find(isMeant);
    if (found !== undefined || !findFallenEngines().some(isMeant)) return found;
  }
}

function positive(text: string, option: string): number {
  const value = Number(text);
  if (value > 0) return value;
  throw new SluiceError({ code: "usage", where: option, what: `"${text}" is not a number above 0` });
}

function showJson(rates: Rates): void {
  process.stdout.write(`${JSON.stringify(rates)}\n`);
}

const CLEAR = "\u001b[H\u001b[2J";

function showText(rates: Rates, live: boolean): void {
  process.stdout.write(`${live ? CLEAR : ""}${formatRates(rates).join("\n")}\n`);
}

/** Rule counters can be thousands: those that moved, the largest first. */
const COUNTERS_SHOWN = 16;

export function formatRates(rates: Rates): string[] {
  const counters = rates.counters
    .filter(({ value }) => value > 0)
    .toSorted((a, b) => b.value - a.value)
    .slice(0, COUNTERS_SHOWN);
  return [
    `${paint("bold", `chain ${rates.chain}`)} (process ${rates.pid})`,
    "",
    ...formatTable(
      ["port", "device", "mode", "rx/s", "rx Mbit/s", "tx/s", "tx Mbit/s", "dropped"],
      rates.ports.map((port) => [
        port.port,
        port.device,
        port.mode,
        Math.round(port.receivedPerSecond),
        megabits(port.receivedBitsPerSecond),
        Math.round(port.transmittedPerSecond),
        megabits(port.transmittedBitsPerSecond),
        port.dropped,
      ]),
    ),
    "",
    ...formatTable(
      ["function", "package", "frames/s", "ns/frame", "batch", "dropped", "faults"],
      rates.functions.map((each) => [
        each.function,
        each.package,
        Math.round(each.framesPerSecond),
        each.nsPerFrame?.toFixed(1) ?? "-",
        each.framesPerBatch?.toFixed(1) ?? "-",
        each.dropped,
        each.faults,
      ]),
    ),
    ...section(
      ["lane", "frames/s", "frames", "flows"],
      (rates.lanes.length > 1 ? rates.lanes : []).map((each) => [
        each.lane,
        Math.round(each.framesPerSecond),
        each.frames,
        each.flows,
      ]),
    ),
    ...section(
      ["dropped by", "reason", "frames"],
      rates.drops.map((d) => [d.function ?? "engine", d.reason, d.count]),
    ),
    ...section(
      ["function", "counter", "value"],
      counters.map((c) => [c.function, counterName(c), c.value]),
    ),
  ];
}

function section(header: readonly string[], rows: readonly (readonly (string | number)[])[]): string[] {
  return rows.length === 0 ? [] : ["", ...formatTable(header, rows)];
}

function counterName({ name, labels }: Rates["counters"][number]): string {
  return labels === "" ? name : `${name}{${labels}}`;
}

function megabits(bitsPerSecond: number): number {
  return Number((bitsPerSecond / 1e6).toFixed(1));
}
