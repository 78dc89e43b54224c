import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { loadAddon } from "../../runtime/dataplane/load-addon.ts";
import { type MetricName, metricTable } from "../../runtime/telemetry/metric-table.ts";
import { MetricText, readDeclaredLabel } from "../../runtime/telemetry/metric-text.ts";
import { type ChainState, Metrics } from "../../runtime/telemetry/metrics.ts";
import { ObservedLane, reportingFunction } from "../support/observed-lane.ts";
import { checkMetrics, Prometheus, prometheusObstacle } from "../support/prometheus.ts";

const native = loadAddon();
const obstacle = prometheusObstacle();
const skipped = obstacle === null ? "" : ` (skipped: ${obstacle})`;
const upgrade = { state: "init", states: ["init", "loading"] };

/** Values by name and labels, as the text has them. */
function readValues(text: string): Map<string, number> {
  const lines = text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
  return new Map(
    lines.map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))]),
  );
}

describe("the metrics of a chain", () => {
  let lane: ObservedLane;
  const metrics = new Metrics(native, "1.2.3");
  const render = (state: ChainState = { upgrade }) => metrics.render([lane.found], () => state);

  beforeEach(async () => {
    lane = await ObservedLane.open({ fn: reportingFunction, other: {} });
    const packets = Array.from({ length: 5 }, (_, i) => `udp 10.0.0.${i}:1000 > 192.0.2.1:80 pad 100`);
    lane.send([...packets, "udp 10.0.0.9:1000 > 192.0.2.1:666 pad 100"]);
    lane.send(["tcp 10.0.0.1:1000 > 192.0.2.1:80 syn"]);
    lane.send(["udp 10.0.0.1:9 > 192.0.2.1:9"], 1, "out");
  });
  afterEach(() => lane.close());

  it("say what the lane, its ports, functions and flows have counted", async () => {
    const values = readValues(await render());
    const chain = 'chain="observed"';
    const expected = {
      'sluice_build_info{version="1.2.3"}': 1,
      [`sluice_generation{${chain}}`]: 1,
      [`sluice_upgrade_state{${chain},state="init"}`]: 1,
      [`sluice_upgrade_state{${chain},state="loading"}`]: 0,
      [`sluice_port_receive_packets_total{${chain},port="in"}`]: 7,
      [`sluice_port_transmit_packets_total{${chain},port="out"}`]: 6,
      [`sluice_packets_total{${chain},lane="0",fate="received"}`]: 8,
      [`sluice_packets_total{${chain},lane="0",fate="dropped"}`]: 2,
      [`sluice_drops_total{${chain},function="fn",reason="unwanted"}`]: 1,
      [`sluice_drops_total{${chain},function="",reason="no-path"}`]: 1,
      [`sluice_function_packets_total{${chain},function="fn"}`]: 7,
      [`sluice_function_verdicts_total{${chain},function="other",verdict="next"}`]: 6,
      [`sluice_function_declared_total{${chain},function="fn",counter="packets",family="ipv4"}`]: 7,
      [`sluice_flows{${chain},state="new"}`]: 7,
      [`sluice_flows{${chain},state="syn_sent"}`]: 1,
      [`sluice_flows{${chain},state="established"}`]: 0,
      [`sluice_flows_started_total{${chain}}`]: 8,
      [`sluice_batch_packets_bucket{${chain},lane="0",le="1"}`]: 2,
      [`sluice_batch_packets_bucket{${chain},lane="0",le="4"}`]: 2,
      [`sluice_batch_packets_bucket{${chain},lane="0",le="8"}`]: 3,
      [`sluice_batch_packets_count{${chain},lane="0"}`]: 3,
      [`sluice_batch_packets_sum{${chain},lane="0"}`]: 8,
      [`sluice_function_batch_packets_sum{${chain},function="fn"}`]: 7,
      [`sluice_function_batch_packets_count{${chain},function="fn"}`]: 2,
    };
    expect(Object.fromEntries(Object.keys(expected).map((key) => [key, values.get(key)]))).toEqual(expected);
  });

  it("have the time per packet in buckets that add up to the packets", async () => {
    const values = readValues(await render());
    const of = (suffix: string, le = "") =>
      values.get(`sluice_function_packet_duration_seconds_${suffix}{chain="observed",function="fn"${le}}`) as number;
    expect([of("count"), of("bucket", ',le="+Inf"')]).toEqual([7, 7]);
    const [lowest, highest] = [of("bucket", ',le="4e-9"'), of("bucket", ',le="0.004194304"')];
    expect([lowest, highest].every((count) => count >= 0 && count <= 7)).toBe(true);
    const mean = of("sum") / of("count");
    expect(mean).toBeGreaterThan(0);
    expect(mean).toBe((values.get('sluice_function_cpu_seconds_total{chain="observed",function="fn"}') as number) / 7);
  });

  it("have a HELP and a TYPE each, and those names only that the table has", async () => {
    const text = await render();
    const named = (word: string) => [...text.matchAll(new RegExp(`^# ${word} (\\S+)`, "gm"))].map(([, name]) => name);
    expect(named("HELP")).toEqual(named("TYPE"));
    expect(named("HELP").every((name) => metricTable[name as MetricName] !== undefined)).toBe(true);
    expect(named("HELP").length).toBeGreaterThan(30);
  });

  it("leave out groups that are not wanted", async () => {
    const none = { histograms: false, counters: false, flows: false, rings: false };
    const text = await render({ metrics: none, overflows: { reports: 12 } });
    expect(text).not.toMatch(/_bucket|sluice_flows\{|sluice_function_declared/);
    expect(text).toContain('sluice_queue_overflows_total{chain="observed",queue="reports"} 12');
  });

  it("leave out an engine whose pages are gone", async () => {
    const gone = { path: "/nowhere", engine: lane.found.engine };
    expect(await metrics.render([gone])).not.toContain("observed");
  });

  it("do not go back when a function has fewer hops than before", async () => {
    const { engine, path } = lane.found;
    const before = readValues(await render());
    const fewer = { ...engine, hops: [], layout: { ...engine.layout, hops: [], calls: [] } };
    const after = readValues(await metrics.render([{ path, engine: fewer }]));
    const key = 'sluice_function_packets_total{chain="observed",function="fn"}';
    expect([before.get(key), after.get(key)]).toEqual([7, 7]);
  });

  it("escape labels, and make names of keys that functions chose", async () => {
    const text = new MetricText();
    text.add("sluice_function_declared", { chain: 'a"b\\c\nd', ...readDeclaredLabel("chain=x", ["chain"]) }, 1);
    expect(await text.render()).toContain('sluice_function_declared{chain="a\\"b\\\\c\\nd",label_chain="x"} 1');
    expect(readDeclaredLabel("rule-id=7=8", [])).toEqual({ rule_id: "7=8" });
    expect(readDeclaredLabel("9=x", [])).toEqual({ label_9: "x" });
    expect(readDeclaredLabel("", [])).toEqual({});
  });

  it.skipIf(obstacle !== null)(`are what promtool takes for good metrics${skipped}`, async () => {
    expect(checkMetrics(await render())).toBe("");
    expect(checkMetrics("# TYPE wrong_counter counter\nwrong_counter 1\n")).toContain("wrong_counter");
  });

  it.skipIf(obstacle !== null)(`are scraped by Prometheus${skipped}`, async () => {
    const server = createServer((_, response) => void render().then((text) => response.end(text)));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const prometheus = await Prometheus.start((server.address() as AddressInfo).port);
    try {
      const dropped = await prometheus.query("sum by (function) (sluice_drops_total) > 0");
      expect(dropped.map(({ labels, value }) => [labels.function ?? "", value]).toSorted()).toEqual([
        ["", 1],
        ["fn", 1],
      ]);
      const quantile = 'histogram_quantile(1, sluice_function_batch_packets_bucket{function="fn"})';
      expect((await prometheus.query(quantile)).map(({ value }) => value)).toEqual([8]);
      expect((await prometheus.query("sluice_lane_turns_total"))[0]?.value).toBeGreaterThan(2);
    } finally {
      await prometheus.stop();
      server.close();
    }
  });
});
