import { readFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { planTelemetry, type TelemetrySettings } from "../../runtime/chain/telemetry.ts";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import { type DropSampling, REPORTS, REPORTS_BYTES, setDropSampling } from "../../runtime/dataplane/reports.ts";
import { ChainTelemetry } from "../../runtime/telemetry/chain-telemetry.ts";
import type { Report } from "../../runtime/telemetry/report-reader.ts";
import { ObservedLane } from "../support/observed-lane.ts";
import { makeFolder } from "../support/temporary-folder.ts";
import { until } from "../support/until.ts";

const native = loadAddon();
const plan = (telemetry: object): TelemetrySettings => planTelemetry({ telemetry });

describe("the telemetry of a chain", () => {
  let lane: ObservedLane;
  let telemetry: ChainTelemetry;
  let asked: DropSampling[];
  const complaints: string[] = [];

  const start = (settings: TelemetrySettings) => {
    asked = [];
    const requestSampling = async (folder: string, sampling: DropSampling) => {
      asked.push(sampling);
      setDropSampling(native.openSegment(REPORTS_BYTES, join(folder, REPORTS)), sampling);
    };
    const complain = (what: string) => complaints.push(what);
    telemetry = ChainTelemetry.start({ native, requestSampling, complain }, lane.found, settings);
  };
  const everyDrop = { drops: { sample: 1, perSecond: 1000 } };

  beforeEach(async () => {
    lane = await ObservedLane.open();
  });
  afterEach(async () => {
    await telemetry.stop();
    lane.close();
  });

  it("writes alerts, flows and drops as Suricata does", async () => {
    const file = join(makeFolder(), "eve.json");
    start(plan({ eve: { file }, ...everyDrop }));
    await until(() => asked.length === 1);
    lane.send(["udp 10.0.0.1:1000 > 192.0.2.1:666 pad 300", "tcp 10.0.0.1:1000 > 192.0.2.1:80 syn"]);
    lane.send(["udp 10.0.0.2:1000 > 192.0.2.1:667", "udp [2001:db8::1]:1 > [2001:db8::2]:53"]);
    lane.endFlows();
    await telemetry.stop();
    const lines = readFileSync(file, "utf8").trim().split("\n");
    const events = lines.map((text) => JSON.parse(text) as Record<string, unknown>);
    expect(events.map(({ event_type }) => event_type)).toEqual(["drop", "alert", "flow", "flow", "flow", "flow"]);
    expect(events[0]).toMatchObject({
      ...{ timestamp: "2023-11-14T22:13:20.001000+0000", flow_id: 1, in_iface: "in", proto: "UDP" },
      ...{ src_ip: "10.0.0.1", src_port: 1000, dest_ip: "192.0.2.1", dest_port: 666 },
      drop: { len: 28, ttl: 64, reason: "unwanted:7", function: "fn", sampled: 1 },
    });
    expect(events[1]).toMatchObject({
      ...{ flow_id: 3, src_ip: "10.0.0.2", dest_port: 667, proto: "UDP" },
      alert: { action: "allowed", signature_id: 41, signature: "fn: fn.seen" },
      flow: { pkts_toserver: 1, pkts_toclient: 0 },
    });
    expect(events[3]).toMatchObject({
      ...{ flow_id: 2, proto: "TCP", tcp: { tcp_flags: "02" } },
      flow: { pkts_toserver: 1, state: "new", reason: "shutdown", age: 0 },
      sluice: { state: "syn_sent", "fn.size": 54 },
    });
    expect(events[5]).toMatchObject({
      src_ip: "2001:0db8:0000:0000:0000:0000:0000:0001",
      nat: { src_ip: "2001:0db8:0000:00cb:0000:0000:0000:0001", src_port: 61000, dest_port: 53 },
    });
    expect(telemetry.statistics).toMatchObject({ read: { flow: 4, drop: 1, event: 1 }, lost: 0 });
  });

  it("tells whoever listens, as long as they listen; a listener that fails harms nobody", async () => {
    start(plan(everyDrop));
    await until(() => asked.length === 1);
    const heard: Report[] = [];
    telemetry.subscribe(() => {
      throw new Error("deaf");
    });
    const unsubscribe = telemetry.subscribe((report) => heard.push(report));
    lane.send(["udp 10.0.0.1:1000 > 192.0.2.1:666"]);
    await until(() => heard.length === 1);
    unsubscribe();
    lane.send(["udp 10.0.0.1:1000 > 192.0.2.1:666"]);
    await until(() => telemetry.statistics.read.drop === 2);
    expect(heard.map(({ kind }) => kind)).toEqual(["drop"]);
    expect(complaints.at(-1)).toContain("deaf");
  });

  it("changes while it runs", async () => {
    const [first, second] = [join(makeFolder(), "a.json"), join(makeFolder(), "b.json")];
    start(plan({ eve: { file: first, types: ["drop"] }, ...everyDrop }));
    await until(() => asked.length === 1);
    lane.send(["udp 10.0.0.1:1000 > 192.0.2.1:666", "udp 10.0.0.1:1000 > 192.0.2.1:667"]);
    await until(() => telemetry.statistics.eve?.written === 1);
    await telemetry.apply(plan({ eve: { file: second, types: ["alert"] }, drops: { sample: 0 } }));
    expect(asked).toEqual([everyDrop.drops, { sample: 0, perSecond: 50 }]);
    lane.send(["udp 10.0.0.1:1000 > 192.0.2.1:666", "udp 10.0.0.1:1000 > 192.0.2.1:667"]);
    await until(() => telemetry.statistics.eve?.written === 1);
    await telemetry.apply(plan({ drops: { sample: 0 } }));
    const types = (file: string) =>
      readFileSync(file, "utf8")
        .trim()
        .split("\n")
        .map((text) => (JSON.parse(text) as { event_type: string }).event_type);
    expect([types(first), types(second)]).toEqual([["drop"], ["alert"]]);
    expect(telemetry.statistics.eve).toBeNull();
    lane.send(["udp 10.0.0.1:1000 > 192.0.2.1:667"]);
    await sleep(300);
    expect(telemetry.statistics.read.event).toBe(2);
  });

  it("counts what it cannot write, and says so once", async () => {
    complaints.length = 0;
    start(plan({ eve: { file: "/proc/nothing/eve.json" } }));
    await until(() => asked.length === 1);
    for (let i = 1; i <= 3; i++) {
      lane.send(["udp 10.0.0.1:1000 > 192.0.2.1:667"]);
      await until(() => telemetry.overflows.eve === i);
    }
    expect(complaints).toHaveLength(1);
    await telemetry.apply(plan({}));
    expect(telemetry.overflows).toEqual({ reports: 0, eve: 3, ipfix: 0 });
  });

  it("goes on with the engine that takes the place of one that is gone", async () => {
    const heard: Report[] = [];
    start(plan(everyDrop));
    await until(() => asked.length === 1);
    telemetry.subscribe((report) => heard.push(report));
    lane.send(["udp 10.0.0.1:1000 > 192.0.2.1:666"]);
    lane.close();
    lane = await ObservedLane.open(undefined, { folder: lane.found.path, anew: true });
    lane.send(["udp 10.0.0.2:1000 > 192.0.2.1:667"]);
    await until(() => heard.length === 2);
    expect(heard.map(({ kind }) => kind)).toEqual(["drop", "event"]);
  });

  it("costs hardly anything while nothing is reported", async () => {
    start(plan({ eve: { file: join(makeFolder(), "eve.json") }, ipfix: { collector: "127.0.0.1:9" } }));
    await sleep(500);
    const before = process.cpuUsage();
    await sleep(2000);
    const { user, system } = process.cpuUsage(before);
    console.info(`idle: ${((user + system) / 20_000).toFixed(2)} % of a core`);
    expect(telemetry.statistics.read).toEqual({ flow: 0, drop: 0, event: 0 });
  });
});
