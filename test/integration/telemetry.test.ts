// The telemetry of a real engine between two namespaces: while it changes its functions, and when it is killed.
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { planTelemetry } from "../../runtime/chain/telemetry.ts";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import { type FoundEngine, findEngines } from "../../runtime/dataplane/state-folder.ts";
import { requestSampling } from "../../runtime/generation/sampling-socket.ts";
import { ChainTelemetry } from "../../runtime/telemetry/chain-telemetry.ts";
import { Metrics } from "../../runtime/telemetry/metrics.ts";
import type { Report } from "../../runtime/telemetry/report-reader.ts";
import { afxdpObstacle } from "../support/afxdp.ts";
import { makeCountingFunctions } from "../support/counting-function.ts";
import { Poker } from "../support/poke-udp.ts";
import { checkMetrics, prometheusObstacle } from "../support/prometheus.ts";
import { type EngineOptions, RunningEngine, upgrade } from "../support/running-engine.ts";
import { makeFolder } from "../support/temporary-folder.ts";
import { createTwoSides, RIGHT, type TwoSides } from "../support/two-sides.ts";
import { until } from "../support/until.ts";

const native = loadAddon();
const obstacle = afxdpObstacle();
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;

const chain = `chain: watched
ports: { lan: { device: lan0 }, wan: { device: wan0 } }
functions: { count: { use: counting@1 } }
paths:
  - { from: lan, through: [count], to: wan }
  - { from: wan, through: [count], to: lan }
flows: { timeouts: { udp: { unreplied: 1, replied: 1 } } }`;

const before = (reason: string) => `
import { CustomEvent, Reason } from "sluice/sdk";
const unwanted = new Reason("${reason}");
const seen = new CustomEvent("counting.seen");`;

const each = `
const talk = packet.flow;
if (packet.destinationPort == 667 && talk !== null) seen.raise(talk, 7);
if (packet.destinationPort == 666) packet.drop(unwanted);`;

const manifest = { events: { defines: ["counting.seen"], subscribes: [] } };

describe.skipIf(obstacle !== null)(`a running engine's telemetry${skipped}`, () => {
  let sides: TwoSides;
  let engine: RunningEngine | undefined;
  let telemetry: ChainTelemetry | undefined;
  let poker: Poker;
  const reports: Report[] = [];
  const metrics = new Metrics(native, "0.0.0");

  beforeEach(async () => {
    sides = await createTwoSides();
    poker = await Poker.start(sides.left, RIGHT);
    reports.length = 0;
  });
  afterEach(async () => {
    await telemetry?.stop();
    telemetry = undefined;
    poker.end();
    engine?.dispose();
    engine = undefined;
    await sides.network.close();
  });

  const start = async (options: EngineOptions = {}) => {
    const functions = await makeCountingFunctions(
      { version: "1.0.0", step: 1, each, before: before("first"), manifest },
      { version: "2.0.0", step: 1, each, before: before("second"), manifest },
    );
    const file = `${makeFolder({ "chain.yaml": chain })}/chain.yaml`;
    engine = await RunningEngine.start(sides.box, file, { functions, ...options });
    const running = engine;
    const find = () => findEngines(running.stateFolder)[0] as FoundEngine;
    const settings = planTelemetry({ telemetry: { drops: { sample: 1, perSecond: 100 } } });
    telemetry = ChainTelemetry.start({ native, requestSampling, complain: () => {} }, find(), settings);
    telemetry.subscribe((report) => reports.push(report));
    await sleep(300);
    const read = async () => {
      const text = await metrics.render([find()]);
      const lines = text.split("\n").filter((line) => line.startsWith("sluice_"));
      const values = new Map(
        lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.split(" ").at(-1))]),
      );
      return { text, value: (key: string) => values.get(key) ?? Number.NaN };
    };
    return { running, read, find };
  };
  const poke = async (...ports: number[]) => {
    for (const port of ports) await poker.poke(port);
  };
  const drops = () => reports.flatMap((each) => (each.kind === "drop" ? [`${each.function} ${each.reason}`] : []));
  const events = () => reports.filter(({ kind }) => kind === "event").length;
  const flows = () => reports.flatMap((each) => (each.kind === "flow" ? [each.flow.destination.port] : []));

  it("goes on under the names of the generation that runs", async () => {
    const { running, read } = await start();
    await poke(666, 667, 80);
    await until(() => drops().length === 1 && events() === 1 && flows().includes(80));
    const first = await read();
    await upgrade(running, "run", "--use", "count=counting@2");
    await poke(666, 667, 81);
    await until(() => drops().length === 2 && events() === 2 && flows().includes(81));
    expect(drops()).toEqual(["count first", "count second"]);
    const second = await read();
    const packets = 'sluice_function_packets_total{chain="watched",function="count"}';
    const port = 'sluice_port_receive_packets_total{chain="watched",port="lan"}';
    expect(second.value(packets)).toBeGreaterThanOrEqual(first.value(packets) + 3);
    expect(second.value(port)).toBeGreaterThanOrEqual(first.value(port) + 3);
    expect(second.value('sluice_generation{chain="watched"}')).toBeGreaterThan(1);
    const cpu = 'sluice_lane_cpu_seconds_total{chain="watched",lane="0"}';
    expect(second.value(cpu)).toBeGreaterThan(first.value(cpu));
    expect(second.value('sluice_ring_size_packets{chain="watched",port="lan"}')).toBe(2048);
    expect(second.value('sluice_ring_occupancy_packets{chain="watched",port="lan",ring="receive"}')).toBeLessThan(2048);
    if (prometheusObstacle() === null) expect(checkMetrics(second.text)).toBe("");
    expect(telemetry?.statistics.lost).toBe(0);
  });

  it("goes on when the engine is killed: no counter goes back, and serials go on", async () => {
    const { running, read } = await start({ supervised: true });
    await poke(666, 667, 80);
    await until(() => drops().length === 1 && events() === 1 && flows().includes(80));
    const first = await read();
    await running.killEngine();
    await poke(666, 667, 81);
    await until(() => drops().length === 2 && events() === 2 && flows().includes(81));
    const second = await read();
    const counters = first.text
      .split("\n")
      .filter((line) => /^sluice_\w+_(total|bucket|count|sum)\{/.test(line))
      .map((line) => line.slice(0, line.lastIndexOf(" ")));
    expect(counters.length).toBeGreaterThan(100);
    expect(counters.filter((key) => !(second.value(key) >= first.value(key)))).toEqual([]);
    const serials = reports.flatMap((each) => (each.kind === "flow" ? [each.flow.serial] : []));
    expect(new Set(serials).size).toBe(serials.length);
    expect(telemetry?.statistics.lost).toBe(0);
  });

  it("has the drops that were asked for last, and refuses what is no number", async () => {
    const { find } = await start();
    await poke(666);
    await until(() => drops().length === 1);
    await telemetry?.apply(planTelemetry({ telemetry: { drops: { sample: 0 } } }));
    await poke(666, 666, 667);
    await until(() => events() === 1);
    expect(drops()).toHaveLength(1);
    const wrong = requestSampling(find().path, { sample: -1, perSecond: 1 });
    await expect(wrong).rejects.toThrow(/drops\.sample/);
    await expect(requestSampling("/nowhere", { sample: 1, perSecond: 1 })).rejects.toThrow(/not-running/);
  });
});
